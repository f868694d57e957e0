// What people say about findings: an operator puts one off and takes that back, and marks one as a false alarm; an
// administrator changes a threshold after seeing its backtest. With JavaScript and without.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { closePage, startSite, until } from "./support.mjs";

const site = await startSite({ env: { UNSTUCK_DETECT_EVERY_S: "1" } });
after(() => site.close());
let queues = 0;

/** A queue whose only task has lost its message, and the incident about it. */
async function purged() {
  const queue = `${site.prefix}said-${++queues}`;
  const task = await site.api("POST", "/tasks", { kind: queue, start: true });
  const published = async () => (await site.api("GET", `/tasks/${task.id}`)).published_at;
  await until(published, "it is published");
  await site.purge(queue);
  let incident;
  const found = async () => {
    [incident] = (await site.api("GET", `/incidents?queue=${queue}`)).items;
    return incident;
  };
  await until(found, "the loss is found", 30_000);
  return { queue, task, incident };
}

/** Opens a part of the page and returns its form. */
async function openFold(page, id) {
  await page.locator(`#${id} > summary`).click();
  return page.locator(`#${id} form`);
}

for (const scripts of [true, false]) {
  const how = scripts ? "with JavaScript" : "without JavaScript";

  test(`a finding is put off with a reason, waits under Snoozed and is taken back, ${how}`, async () => {
    const { queue, incident } = await purged();
    const page = await site.open(`/admin/stalls?queue=${queue}`, { as: "operator", scripts });
    const card = page.locator(`#f-${incident.id}`);
    await card.getByText("a requeue takes the next dispatch", { exact: false }).first().waitFor();
    await card.getByRole("link", { name: "Snooze, or mark as false alarm" }).click();
    const form = await openFold(page, "snooze");
    await form.locator("select[name=span]").selectOption("2h");
    await form.locator("[name=reason]").fill(`we move it tonight, ${how}`);
    await form.getByRole("button").click();
    await page.getByText("Snoozed until").first().waitFor();
    assert.equal(
      (await site.api("GET", `/incidents?queue=${queue}`)).items[0].snooze.reason.slice(0, 7),
      "we move",
    );

    await page.goto(`/admin/stalls?queue=${queue}`);
    assert.equal(await card.count(), 0, "it is not among what is to be looked at");
    await page.getByRole("link", { name: "Snoozed", exact: true }).click();
    await card.getByText(`we move it tonight, ${how}`).waitFor();
    await page.goto(`/admin/queues/${queue}`);
    const head = page.locator(".page-head");
    for (const word of ["Stalled", "snoozed"]) await head.getByText(word, { exact: true }).waitFor();

    await page.goto(`/admin/stalls/${incident.id}`);
    await page.getByRole("button", { name: "Take the snooze back" }).click();
    await page.getByText("The snooze is taken back.").waitFor();
    await page.goto(`/admin/stalls?queue=${queue}`);
    await card.waitFor();
    await closePage(page);
  });

  test(`a finding is marked as a false alarm and the scorecard of its rule says so, ${how}`, async () => {
    const { task } = await purged();
    const page = await site.open(`/admin/tasks/${task.id}`, { as: "operator", scripts });
    await page.getByRole("link", { name: "Snooze, or mark as false alarm" }).first().click();
    const form = await openFold(page, "false-alarm");
    await form.locator("[name=reason]").fill("we purged it ourselves");
    await form.getByRole("button").click();
    await page.getByText("Marked as a false alarm.").waitFor();
    await page.getByText("we purged it ourselves").waitFor();
    await page.goto("/admin/rules");
    const row = page.locator("#r-task-message_lost-empty");
    const marks = async () => Number(await row.locator("td").nth(2).innerText());
    const before = await marks();
    assert.ok(before >= 1, `${before} marks`);
    await page.goBack();
    await page.getByRole("button", { name: "Take the false alarm back" }).click();
    await page.getByText("The mark is taken back.").waitFor();
    await page.goto("/admin/rules");
    assert.equal(await marks(), before - 1);
    await closePage(page);
  });

  test(`a threshold is saved from its backtest with a reason, ${how}`, async () => {
    const page = await site.open("/admin/rules", { as: "admin", scripts });
    const field = page.locator("[name=no_consumers_ms]");
    const wanted = String(Number(await field.inputValue()) + 30);
    await field.fill(wanted);
    await page.getByRole("button", { name: "Replay over the past week" }).click();
    await page.getByText("Nothing is saved yet.").waitFor();
    await page.getByText("In the last 7 days, findings said:").waitFor();
    await page.locator("#save [name=reason]").fill(`deployments take longer, ${how}`);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("1 threshold is saved.").waitFor();
    assert.equal(await field.inputValue(), wanted);
    await page.goto("/admin/audit?action=thresholds_set");
    await page.getByText(`deployments take longer, ${how}`).waitFor();
    await closePage(page);
  });
}
