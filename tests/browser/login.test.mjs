// The door: who gets in, who does not, and what both are told; with JavaScript and without.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { assertGood, closePage, logIn, startSite } from "./support.mjs";

const site = await startSite();
after(() => site.close());

for (const scripts of [true, false]) {
  const how = scripts ? "with JavaScript" : "without JavaScript";

  test(`the right password lets in, and signing out ends it, ${how}`, async () => {
    const page = await site.open("/login", { scripts });
    await logIn(page, site.admin);
    assert.equal(new URL(page.url()).pathname, "/admin");
    await page.locator("summary", { hasText: site.admin.email }).click();
    await page.click('form[action="/logout"] [type=submit]');
    await page.waitForURL("**/login");
    await page.getByText("You have signed out.").waitFor();
    await page.goto("/admin/tasks");
    assert.equal(new URL(page.url()).pathname, "/login", "nothing is shown to who has signed out");
    await closePage(page);
  });

  test(`a wrong password stays outside and says so, ${how}`, async () => {
    const page = await site.open("/login", { scripts, expect: [422] });
    await page.fill("input[name=email]", site.admin.email);
    await page.fill("input[name=password]", "not the password");
    await page.click('form[action="/login"] [type=submit]');
    await page.getByRole("alert").filter({ hasText: "E-mail address or password is not right." }).waitFor();
    assert.equal(new URL(page.url()).pathname, "/login");
    assert.equal(await page.inputValue("input[name=email]"), site.admin.email, "what was typed stays");
    if (scripts) await assertGood(page, "login-refused");
    await page.goto("/admin");
    assert.equal(new URL(page.url()).pathname, "/login");
    await closePage(page);
  });
}

test("whoever wanted to see a page sees it after the login", async () => {
  const page = await site.open("/admin/tasks?state=failed&q=abc");
  assert.equal(new URL(page.url()).pathname, "/login");
  await logIn(page, site.admin);
  assert.equal(page.url(), `${site.url}/admin/tasks?state=failed&q=abc`);
  await closePage(page);
});

test("a login never leads to another site", async () => {
  for (const next of ["https://evil.example/", "//evil.example/", "/\\evil.example"]) {
    const page = await site.open(`/login?next=${encodeURIComponent(next)}`);
    await logIn(page, site.admin);
    assert.equal(page.url(), `${site.url}/admin`);
    await closePage(page);
  }
});

test("a browser that keeps no session's cookie is told so instead of asked again", async () => {
  const page = await site.open("/login");
  // A browser that is set to refuse it: the login is answered, and its cookie dropped.
  await page.context().route("**/login", async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    const answer = await route.fetch({ maxRedirects: 0 });
    await page.context().clearCookies({ name: "unstuck_session" });
    await route.fulfill({ status: 303, headers: { location: answer.headers().location } });
  });
  await page.fill("input[name=email]", site.admin.email);
  await page.fill("input[name=password]", site.admin.password);
  await page.click('form[action="/login"] [type=submit]');
  await page.getByRole("alert").filter({ hasText: "did not keep the session's cookie" }).waitFor();
  await closePage(page);
});
