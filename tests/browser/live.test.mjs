// Open pages: they renew themselves, leave alone what the reader is doing, and say so when what they show is old.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { closePage, startSite, until } from "./support.mjs";

const site = await startSite({ env: { UNSTUCK_DETECT_EVERY_S: "1" } });
after(() => site.close());
const kind = `${site.prefix}live`;
let made = 0;

/** A task with a title of its own. */
async function makeTask(more = {}) {
  const title = `Task number ${++made}`;
  return site.api("POST", "/tasks", { kind, title, ...more });
}

const shown = (page, task) => page.getByRole("link", { name: task.title, exact: true });

/** What the page says about itself. */
const sign = (page, text) => page.getByRole("status").filter({ hasText: text });

/** Opens a page and waits until it listens. */
async function openLive(path, options) {
  const page = await site.open(path, { as: "operator", ...options });
  await sign(page, /^Live$/).waitFor();
  // A page that is loaded again would not have it.
  await page.evaluate(() => (window.sameLoad = true));
  return page;
}

const sameLoad = (page) => page.evaluate(() => window.sameLoad === true);

test("new tasks and new states appear by themselves", async () => {
  const page = await openLive("/admin/tasks");
  const task = await makeTask();
  await shown(page, task).waitFor();
  const row = page.getByRole("row").filter({ has: shown(page, task) });
  await row.getByText("New", { exact: true }).waitFor();
  await site.api("POST", `/tasks/${task.id}/cancel`, { reason: "to see it change" });
  await row.getByText("Cancelled", { exact: true }).waitFor();
  assert.ok(await sameLoad(page));
  await closePage(page);
});

test("what the reader ticked, typed, opened and focused stays while the list changes around it", async () => {
  const ticked = await makeTask();
  const page = await openLive("/admin/tasks");
  const box = page
    .getByRole("row")
    .filter({ has: shown(page, ticked) })
    .getByRole("checkbox");
  await box.check();
  const filters = page.locator("main details").first();
  await filters.locator("summary").click();
  const reason = page.locator("form[action='/admin/tasks/act'] input[name=reason]");
  await reason.pressSequentially("half a rea");

  const newer = await makeTask();
  await shown(page, newer).waitFor();

  assert.ok(await box.isChecked(), "the tick stays");
  assert.ok(await filters.evaluate((part) => part.open), "what was opened stays open");
  assert.ok(await reason.evaluate((field) => field === document.activeElement), "the focus stays");
  await page.keyboard.type("son");
  assert.equal(await reason.inputValue(), "half a reason", "typing goes on where it was");
  await page
    .getByRole("status")
    .filter({ hasText: /^Selected:? 1$/i })
    .waitFor();
  assert.ok(await sameLoad(page));
  await closePage(page);
});

test("a stall appears by itself, and on the task's own open page", async () => {
  const queue = `${site.prefix}stalls`;
  const stalls = await openLive(`/admin/stalls?queue=${queue}`);
  await stalls.getByText("No finding matches").waitFor();
  const task = await makeTask({ queue, start: true });
  await until(async () => (await site.api("GET", `/tasks/${task.id}`)).published_at, "it is published");
  const own = await openLive(`/admin/tasks/${task.id}`);
  await site.purge(queue);
  const found = (page, text) =>
    page.getByRole("article").filter({ hasText: text }).waitFor({ timeout: 30_000 });
  await found(stalls, queue);
  await found(own, "Message lost");
  assert.ok((await sameLoad(stalls)) && (await sameLoad(own)));
  await closePage(stalls);
  await closePage(own);
});

test("a hidden page asks for nothing, and catches up when it is seen again", async () => {
  const page = await openLive("/admin/tasks");
  const witness = await openLive("/admin/tasks");
  await setHidden(page, true);
  let asked = 0;
  page.on("request", () => asked++);
  for (let n = 0; n < 3; n++) await shown(witness, await makeTask()).waitFor();
  const task = await makeTask();
  await shown(witness, task).waitFor();
  assert.equal(asked, 0, "a page that nobody sees costs nothing");
  assert.equal(await shown(page, task).count(), 0);
  await setHidden(page, false);
  await shown(page, task).waitFor();
  await sign(page, /^Live$/).waitFor();
  await closePage(page);
  await closePage(witness);
});

/** Headless pages are always visible: tells this one otherwise. */
async function setHidden(page, hidden) {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}

test("while text is selected the page waits and says so", async () => {
  const page = await openLive("/admin/tasks");
  await page.getByRole("heading", { level: 1 }).selectText();
  const task = await makeTask();
  await sign(page, /^Waits while you select: as of .*\d/).waitFor();
  assert.equal(await shown(page, task).count(), 0);
  await page.evaluate(() => getSelection().removeAllRanges());
  await shown(page, task).waitFor();
  await sign(page, /^Live$/).waitFor();
  await closePage(page);
});

test("a page that can't be read says since when its figures are old, though the stream goes on", async () => {
  const page = await openLive("/admin/tasks", { expect: [500] });
  await page.route("**/admin/tasks", (route) => route.fulfill({ status: 500, body: "" }));
  const task = await makeTask();
  await sign(page, /^Not live: as of .*\d/).waitFor();
  await page.unroute("**/admin/tasks");
  await shown(page, task).waitFor();
  await sign(page, /^Live$/).waitFor();
  await closePage(page);
});

test("a lost server is said with the time of the last figures, and found again when it is back", async () => {
  const page = await openLive("/admin/tasks", { expect: [/ERR_/] });
  const before = await makeTask();
  await shown(page, before).waitFor();
  await site.stop();
  await sign(page, /^Not live: as of .*\d/).waitFor();
  assert.ok(await shown(page, before).isVisible(), "what was seen last stays readable");
  await site.start();
  const task = await makeTask();
  await shown(page, task).waitFor({ timeout: 40_000 });
  await sign(page, /^Live$/).waitFor();
  assert.ok(await sameLoad(page));
  await closePage(page);
});

test("a server that falls silent is said, though nothing was cut", async () => {
  const page = await site.open("/login", { as: "operator", expect: [/ERR_/] });
  await page.clock.install();
  await page.goto("/admin/tasks");
  await sign(page, /^Live$/).waitFor();
  site.signal("SIGSTOP");
  try {
    await page.clock.fastForward(60_000);
    await sign(page, /^Not live: as of .*\d/).waitFor();
  } finally {
    site.signal("SIGCONT");
  }
  await page.clock.fastForward(60_000);
  const task = await makeTask();
  await shown(page, task).waitFor({ timeout: 40_000 });
  await sign(page, /^Live$/).waitFor();
  await closePage(page);
});

test("a page whose session is over says so", async () => {
  const page = await openLive("/admin/tasks", { expect: [/ERR_/, /MIME type/] });
  await page.context().clearCookies();
  // The stream is opened again, and refused.
  await setHidden(page, true);
  await setHidden(page, false);
  await sign(page, /^Signed out: as of .*\d/).waitFor();
  await closePage(page);
});
