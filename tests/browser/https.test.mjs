// A site that is configured for HTTPS and reached over plain HTTP.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { assertGoodInEveryLook, closePage, startSite } from "./support.mjs";

const site = await startSite({ env: { UNSTUCK_PUBLIC_URL: "https://unstuck.example" } });
const plain = site.url.replace("127.0.0.1", "unstuck.example");
after(() => site.close());

test("a login over plain HTTP says why it can't stick and where to go", async () => {
  const page = await site.open(`${plain}/login`, {
    expect: [/Cross-Origin-Opener-Policy header has been ignored/],
  });
  await page.fill("input[name=email]", site.admin.email);
  await page.fill("input[name=password]", site.admin.password);
  await page.click('form[action="/login"] [type=submit]');
  const alert = page.getByRole("alert");
  await alert.filter({ hasText: "this site is configured for HTTPS" }).waitFor();
  const link = alert.getByRole("link", { name: "https://unstuck.example" });
  assert.equal(await link.getAttribute("href"), "https://unstuck.example/login");
  await assertGoodInEveryLook(page, "login-needs-https");
  await closePage(page);
});
