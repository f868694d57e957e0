// What operators come for: a stalled task is seen with its evidence and put right, with JavaScript and without; several
// at once, each with its outcome; what the world has moved on from is refused; whoever may only look can only look.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { closePage, startSite, until } from "./support.mjs";

const site = await startSite({ env: { UNSTUCK_DETECT_EVERY_S: "1" } });
after(() => site.close());
const operator = await site.person("operator");
let queues = 0;

/** A queue of this test's own. */
const newQueue = () => `${site.prefix}journey-${++queues}`;

const taskNow = (task) => site.api("GET", `/tasks/${task.id}`);

async function startTask(queue, more = {}) {
  const task = await site.api("POST", "/tasks", { kind: queue, start: true, ...more });
  await until(async () => (await taskNow(task)).published_at, "it is published");
  return task;
}

async function cancelledTask(queue, title) {
  const task = await site.api("POST", "/tasks", { kind: queue, title });
  return site.api("POST", `/tasks/${task.id}/cancel`, { reason: "to begin with" });
}

/** Waits until `part` is there: by itself where scripts run, else by loading the page again as a reader would. */
async function untilShown(page, part, scripts) {
  if (scripts) return part.waitFor({ timeout: 30_000 });
  await until(
    async () => (await part.count()) > 0 || (await page.reload().then(() => part.count())) > 0,
    `${page.url()} shows what is waited for`,
    30_000,
  );
}

const box = (page, task) => page.locator(`input[type=checkbox][name=task][value="${task.id}"]`);

/** Presses the button of `action` in the form of the ticked boxes, with a reason. */
async function actOnTicked(page, task, action, reason) {
  const form = page.locator("form[action='/admin/tasks/act']").filter({ has: box(page, task) });
  await form.locator("input[name=reason]").fill(reason);
  await form.locator(`button[name=action][value=${action}]`).click();
  await page.waitForURL("**/admin/tasks/outcome/**");
}

/** The line about a task on the page that says what became of each. */
const outcome = (page, task) => page.getByRole("row").filter({ hasText: task.id });

/** Opens one of a task page's actions and returns its form. */
async function openAction(page, task, action) {
  const form = page.locator(`form[action="/admin/tasks/${task.id}/${action}"]`);
  await page.locator("details").filter({ has: form }).locator("summary").click();
  return form;
}

for (const scripts of [true, false]) {
  const how = scripts ? "with JavaScript" : "without JavaScript";

  test(`a purged task is seen as stalled with evidence, requeued with a reason and finished, ${how}`, async () => {
    const queue = newQueue();
    const task = await startTask(queue, { title: `Purged, ${how}`, payload: { month: "2026-03" } });
    await site.purge(queue);

    const page = await site.open(`/admin/stalls?queue=${queue}`, { as: "operator", scripts });
    await untilShown(page, box(page, task), scripts);
    const evidence = page.locator("main details").filter({ hasText: "Rule" }).first();
    await evidence.locator("summary").click();
    await evidence.locator("dd").first().waitFor();
    assert.match(await evidence.innerText(), /\d/, "the evidence names numbers");

    await box(page, task).check();
    await actOnTicked(page, task, "requeue", `it was purged, ${how}`);
    await outcome(page, task).getByText("Done").waitFor();
    site.worker(queue, ["sh", "-c", "cat"]);

    await outcome(page, task).getByRole("link").first().click();
    const ended = page.locator("main h1 + p, main p").getByText("Succeeded", { exact: true }).first();
    await untilShown(page, ended, scripts);
    assert.deepEqual((await taskNow(task)).result, { month: "2026-03" });

    await page.goto(`/admin/audit?target_id=${task.id}`);
    const line = page.getByRole("row").filter({ hasText: `it was purged, ${how}` });
    for (const text of ["Requeue", "Done", operator.email]) await line.getByText(text).first().waitFor();
    await page.goto(`/admin/stalls?queue=${queue}&view=closed`);
    // It closes at the detector's next look, which may come after this page was made.
    const told = page.getByText("Message lost").and(page.locator(":not(option)")).first();
    await untilShown(page, told, scripts);
    await closePage(page);
  });

  test(`several tasks are retried and cancelled at once, each with its outcome, ${how}`, async () => {
    const queue = newQueue();
    const [one, two] = [await cancelledTask(queue, "One"), await cancelledTask(queue, "Two")];
    const running = await startTask(queue, { title: "Three" });
    const page = await site.open(`/admin/tasks?queue=${queue}`, { as: "operator", scripts });
    for (const task of [one, two, running]) await box(page, task).check();
    await actOnTicked(page, one, "retry", "they are needed after all");
    for (const task of [one, two]) await outcome(page, task).getByText("Done").waitFor();
    const why = "It is Queued; only failed and cancelled tasks can be retried.";
    await outcome(page, running).getByText(why).waitFor();
    assert.equal((await taskNow(one)).state, "queued");

    await page.getByRole("link", { name: "Back to the list" }).click();
    for (const task of [one, two, running]) await box(page, task).check();
    await actOnTicked(page, one, "cancel", "not needed any more");
    for (const task of [one, two, running]) {
      await outcome(page, task).getByText("Done").waitFor();
      assert.equal((await taskNow(task)).state, "cancelled");
    }
    await closePage(page);
  });
}

test("an action on several tasks without a tick or a reason does nothing and says so", async () => {
  const queue = newQueue();
  const task = await cancelledTask(queue, "Alone");
  const page = await site.open(`/admin/tasks?queue=${queue}`, { as: "operator", scripts: false });
  const form = page.locator("form[action='/admin/tasks/act']");
  await form.locator("input[name=reason]").fill("a reason without a tick");
  await form.locator("button[value=retry]").click();
  await page.getByText("Select at least one task first.").waitFor();
  assert.equal((await taskNow(task)).state, "cancelled");
  await closePage(page);
});

test("what has moved on since the page was made is left alone, with the reason", async () => {
  const queue = newQueue();
  const [moved, still] = [await cancelledTask(queue, "Moved"), await cancelledTask(queue, "Still")];
  const page = await site.open(`/admin/tasks?queue=${queue}`, { as: "operator", scripts: false });
  for (const task of [moved, still]) await box(page, task).check();
  await site.api("POST", `/tasks/${moved.id}/retry`, { reason: "somebody was faster" });
  await site.api("POST", `/tasks/${moved.id}/cancel`, { reason: "and thought better of it" });
  await actOnTicked(page, moved, "retry", "I saw it cancelled");
  await outcome(page, moved).getByText("It has moved on since the page was made").waitFor();
  await outcome(page, still).getByText("Done").waitFor();
  assert.equal((await taskNow(moved)).state, "cancelled");
  await closePage(page);
});

test("pressing twice requeues once", async () => {
  const task = await startTask(newQueue());
  const page = await site.open(`/admin/tasks/${task.id}`, { as: "operator" });
  const form = await openAction(page, task, "requeue");
  await form.locator("[name=reason]").fill("pressed in haste");
  await form.getByRole("button").dblclick();
  await page.getByText("Requeued as dispatch 2.").waitFor();
  assert.equal((await taskNow(task)).dispatch, 2);
  await closePage(page);
});

test("of two people who requeue the same task, the second is told that it was put out already", async () => {
  const task = await startTask(newQueue());
  const pages = await Promise.all(
    ["operator", "admin"].map((as) => site.open(`/admin/tasks/${task.id}`, { as, scripts: false })),
  );
  const answers = ["Requeued as dispatch 2.", "Nothing was done"];
  for (const [n, page] of pages.entries()) {
    const form = await openAction(page, task, "requeue");
    await form.getByRole("button").click();
    await page.getByText(answers[n]).waitFor();
  }
  assert.equal((await taskNow(task)).dispatch, 2);
  for (const page of pages) await closePage(page);
});

test("a viewer sees everything, is offered no action, and is refused one", async () => {
  const queue = newQueue();
  const task = await startTask(queue);
  const page = await site.open(`/admin/tasks/${task.id}`, { as: "viewer", expect: [403] });
  await page.getByText(task.id).first().waitFor();
  assert.equal(await page.locator(`main form[method=post]`).count(), 0);
  await page.goto(`/admin/tasks?queue=${queue}`);
  await page.locator(`a[href="/admin/tasks/${task.id}"]`).first().waitFor();
  assert.equal(await box(page, task).count(), 0);
  for (const [path, form] of [
    [`/admin/tasks/${task.id}/requeue`, { reason: "x", dispatch: "1" }],
    ["/admin/tasks/act", { action: "requeue", reason: "x", task: task.id }],
  ]) {
    assert.equal((await page.request.post(path, { form })).status(), 403, path);
  }
  assert.equal((await taskNow(task)).dispatch, 1);
  await closePage(page);
});
