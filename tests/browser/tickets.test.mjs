// From a problem report to its answer: the public form, the reporter's page, and staff's side of it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { THEMES, WIDTHS, assertGood, closePage, logIn, startSite, until } from "./support.mjs";

const site = await startSite();
after(() => site.close());

const files = [
  {
    name: "屏幕 截图.png",
    mimeType: "image/png",
    buffer: Buffer.from(
      "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
      "base64",
    ),
  },
  { name: "worker.log", mimeType: "text/plain", buffer: Buffer.from("<script>document.title = 'run'</script>\n") },
];
const page_of = "<b>Import</b> of March stands still";
const description = "It shows 40 % since 12:10.\n\n<img src=x onerror=\"document.title='run'\">\n\tStill so at 14:00.";

/** Fills in the report's form and sends it no sooner than a person could. */
async function fileReport(page, subject) {
  const opened = Date.now();
  await page.fill("[name=subject]", subject);
  await page.fill("[name=description]", description);
  await page.fill("[name=email]", "reporter@example.com");
  await page.setInputFiles("[name=attachments]", files);
  await until(() => Date.now() - opened > 3100, "a person has read the form");
  await Promise.all([page.waitForURL(/\/r\/OPS-/), page.click("main form [type=submit]")]);
  return page.url();
}

async function openAsStaff(path, options) {
  const page = await site.open(`/login?next=${encodeURIComponent(path)}`, options);
  await logIn(page, site.admin);
  return page;
}

const first = await site.open("/report?task=0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b");
const link = await fileReport(first, page_of);

test("the report's page keeps what was written as text, and its files as downloads", async () => {
  assert.equal(await first.textContent("h1"), page_of);
  assert.match(await first.textContent(".said .prewrap"), /<img src=x/);
  assert.match(await first.textContent(".notice"), /OPS-/);
  const [download] = await Promise.all([
    first.waitForEvent("download"),
    first.click(".files a >> text=worker.log"),
  ]);
  assert.equal(download.suggestedFilename(), "worker.log");
  await closePage(first);
});

for (const theme of THEMES) {
  for (const width of WIDTHS) {
    test(`form, follow page and tickets are good in ${theme} at ${width} px`, async () => {
      const name = `${theme}-${width}`;
      const form = await site.open("/report", { theme, width });
      await assertGood(form, `report-${name}`);
      await closePage(form);
      const follow = await site.open(link, { theme, width });
      await assertGood(follow, `follow-${name}`);
      await closePage(follow);
      const staff = await openAsStaff("/admin/tickets", { theme, width });
      await assertGood(staff, `tickets-${name}`);
      await staff.click(".list .main a");
      await assertGood(staff, `ticket-${name}`);
      await staff.goto(`${site.url}/admin/webhook`);
      await assertGood(staff, `webhook-${name}`);
      await closePage(staff);
    });
  }
}

test("every page is good in Chinese", async () => {
  const options = { locale: "zh-CN", width: 390 };
  const form = await site.open("/report", options);
  assert.equal(await form.textContent("h1"), "报告问题");
  await assertGood(form, "report-zh");
  await form.goto(link);
  await assertGood(form, "follow-zh");
  await closePage(form);
  const staff = await openAsStaff("/admin/tickets", options);
  await assertGood(staff, "tickets-zh");
  await staff.click(".list .main a");
  await assertGood(staff, "ticket-zh");
  await closePage(staff);
});

test("a report is answered, resolved and opened again, without JavaScript", async () => {
  const reporter = await site.open("/report", { scripts: false });
  const address = await fileReport(reporter, "Without scripts");
  const staff = await openAsStaff("/admin/tickets", { scripts: false });
  await staff.click("text=Without scripts");
  await staff.fill("[name=body]", "They are on the old plan.");
  await staff.click("text=Keep as an internal note");
  await staff.fill("[name=body]", "Mended at 15:00.");
  await staff.selectOption("[name=then]", "resolved");
  await staff.click("text=Send the answer");
  await staff.selectOption("[name=assignee]", site.admin.email);
  await staff.click("form >> text=Change");
  assert.equal(await staff.inputValue("[name=assignee]"), site.admin.email);
  assert.equal(await staff.inputValue("[name=status]"), "resolved");
  assert.equal(await staff.locator(".said").count(), 3);
  await reporter.goto(address);
  assert.equal(await reporter.locator(".said").count(), 2, "the note stays inside");
  await reporter.fill("[name=body]", "It is back.");
  await reporter.click("text=Send and open again");
  assert.match(await reporter.textContent(".pill"), /Open/);
  await assertGood(reporter, "follow-reopened").catch((error) => {
    // axe-core needs scripts; the rest of the check has passed by then.
    if (!/axe/.test(error.message)) throw error;
  });
});

test("a form that is wrong comes back with its texts and says what to mend", async () => {
  const page = await site.open("/report", { expect: [422] });
  const opened = Date.now();
  await page.fill("[name=subject]", "Kept");
  await page.fill("[name=description]", description);
  await page.fill("[name=task_id]", "42");
  await page.setInputFiles("[name=attachments]", {
    name: "page.png",
    mimeType: "image/png",
    buffer: Buffer.from("<!doctype html><script>alert(1)</script>"),
  });
  await until(() => Date.now() - opened > 3100, "a person has read the form");
  await page.click("main form [type=submit]");
  await page.waitForSelector(".wrong");
  assert.equal(await page.inputValue("[name=description]"), description);
  const said = await page.locator(".wrong").allTextContents();
  assert.equal(said.length, 2, said.join("\n"));
  await assertGood(page, "report-wrong");
  await closePage(page);
});
