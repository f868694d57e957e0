import { startSite } from "./support.mjs";
import { setStage } from "./stage.mjs";
const site = await startSite({ env: { UNSTUCK_DETECT_EVERY_S: "1" } });
try {
  const { tasks, findings, queue } = await setStage(site);
  const shots = [
    ["overview", "/admin", "operator"], ["stalls", "/admin/stalls", "operator"], ["snoozed", "/admin/stalls?view=snoozed", "operator"],
    ["finding", findings.wrong, "operator"], ["finding-snoozed", findings.snoozed, "operator"],
    ["rules", "/admin/rules", "admin"], ["backtest", "/admin/rules/backtest?no_consumers_ms=30&publish_grace_ms=60&crash_loop=2", "admin"],
    ["queue", `/admin/queues/${queue}`, "admin"],
  ];
  for (const [theme, width, locale] of [["light", 1440, "en"], ["dark", 390, "en"], ["light", 1440, "zh-CN"]]) {
    for (const [name, path, as] of shots) {
      const page = await site.open(path, { as, theme, width, locale });
      await page.evaluate(() => document.querySelectorAll("main details").forEach((d) => (d.open = d.className !== "more")));
      await page.screenshot({ path: `/tmp/shots/${name}-${theme}-${width}-${locale}.png`, fullPage: true });
      await page.context().close();
    }
  }
} finally { await site.close(); }
