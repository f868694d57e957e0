// Every page, in light and dark, on a phone and on a desk, in both languages: no error, accessible, no wider than the
// window; with tasks in every state and texts that mean no good.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { HOSTILE, setStage } from "./stage.mjs";
import { LOCALES, THEMES, assertGoodInEveryLook, closePage, startSite } from "./support.mjs";

const site = await startSite({
  env: {
    UNSTUCK_LEASE_S: "3600",
    UNSTUCK_DETECT_EVERY_S: "1",
    UNSTUCK_WEBHOOK_URL: "http://127.0.0.1:9/nobody-listens",
  },
});
after(() => site.close());
const { tasks, report, ticket, findings, queue, outcome } = await setStage(site);

/** A page: its name, its address, who looks (nobody signed in when absent), the status it answers with. */
const pages = [
  ["home", "/"],
  ["login", "/login"],
  ["report", "/report"],
  ["report-about-a-task", `/report?task=${tasks.lost}`],
  ["follow", report],
  ["api-docs", "/api/docs"],
  ["not-found", "/nowhere", undefined, 404],
  ["wrong-key", "/r/OPS-0000-00?key=wrong", undefined, 404],
  ["bad-request", "/r", undefined, 400],
  ["overview", "/admin", "operator"],
  ["overview-of-a-viewer", "/admin", "viewer"],
  ["stalls", "/admin/stalls", "operator"],
  ["incidents-closed", "/admin/stalls?view=incidents", "operator"],
  ["stalls-closed", "/admin/stalls?view=closed", "operator"],
  ["stalls-snoozed", "/admin/stalls?view=snoozed", "operator"],
  ["finding-snoozed", findings.snoozed, "operator"],
  ["finding-wrong", findings.wrong, "operator"],
  ["finding-of-a-viewer", findings.wrong, "viewer"],
  ["rules", "/admin/rules", "viewer"],
  ["rules-of-an-admin", "/admin/rules", "admin"],
  ["rules-wrong-value", "/admin/rules/backtest?crash_loop=1", "admin", 422],
  ["backtest", "/admin/rules/backtest?no_consumers_ms=30&publish_grace_ms=60&crash_loop=2", "admin"],
  ["stalls-none", "/admin/stalls?queue=nothing-here", "viewer"],
  ["tasks", "/admin/tasks", "operator"],
  ["tasks-found", "/admin/tasks?state=failed&kind=x&created_after=2026-01-01T00:00", "viewer"],
  ["tasks-filtered-wrongly", "/admin/tasks?payload_path=a..b&payload_value=1", "operator"],
  ...Object.entries(tasks).map(([name, id]) => [`task-${name}`, `/admin/tasks/${id}`, "operator"]),
  ["task-of-a-viewer", `/admin/tasks/${tasks.running}`, "viewer"],
  ["task-not-found", "/admin/tasks/0", "operator", 404],
  ["outcome", outcome, "operator"],
  ["queues", "/admin/queues", "operator"],
  ["queue", `/admin/queues/${queue}`, "operator"],
  ["tickets", "/admin/tickets", "operator"],
  ["ticket", ticket, "operator"],
  ["ticket-of-a-viewer", ticket, "viewer"],
  ["audit", "/admin/audit", "admin"],
  ["runbook", "/admin/runbook", "admin"],
  ["webhook", "/admin/webhook", "admin"],
  ["account", "/admin/account", "viewer"],
];

/** One browser tab for each reader and language, as opening one takes longer than looking at a page. */
const tabs = new Map();

async function tab(as, locale) {
  const key = `${as} ${locale}`;
  if (!tabs.has(key)) tabs.set(key, await site.open("/", { as, locale }));
  return tabs.get(key);
}

for (const [name, path, as, status = 200] of pages) {
  test(`the page ${name} is good in every look and language`, async () => {
    for (const locale of LOCALES) {
      const page = await tab(as, locale);
      page.expect = [status];
      page.troubles.length = 0;
      const answer = await page.goto(path);
      assert.equal(answer.status(), status);
      assert.equal(await page.getAttribute("html", "lang"), locale);
      assert.notEqual(await page.title(), "taken");
      await openEverything(page);
      // Colours are the same in every language.
      await assertGoodInEveryLook(page, `${name}-${locale}`, locale === "en" ? THEMES : ["light"]);
    }
  });
}

/** Opens what is folded, so that it is looked at too. */
async function openEverything(page) {
  await page.evaluate(() => {
    for (const part of document.querySelectorAll("main details")) part.open = true;
  });
}

test("hostile texts are shown as they were written", async () => {
  const page = await site.open(`/admin/tasks/${tasks.failed}`, { as: "operator" });
  await page.getByRole("heading", { level: 1, name: HOSTILE.attribute }).waitFor();
  await page.goto(`/admin/tasks/${tasks.lost}`);
  await page.getByRole("heading", { level: 1, name: HOSTILE.script }).waitFor();
  await closePage(page);
});

test("the account menu is good in every look", async () => {
  const page = await tab("operator", "en");
  page.troubles.length = 0;
  await page.goto("/admin/account");
  await page.locator("summary", { hasText: "operator@example.com" }).click();
  await page.locator("form[action='/logout']").waitFor();
  await assertGoodInEveryLook(page, "account-menu");
});

test("the chosen language and theme stay", async () => {
  const page = await site.open("/admin", { as: "operator" });
  const menu = page.locator("summary", { hasText: "operator@example.com" });
  await menu.click();
  await page.getByRole("button", { name: "Dark" }).click();
  await page.getByRole("button", { name: "中文" }).click();
  await page.locator("html[lang=zh-CN]").waitFor();
  await page.goto("/");
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  assert.equal(await page.getAttribute("html", "data-theme"), "dark");
  await closePage(page);
});
