// A user reports a problem, staff answer, the user reads it; with JavaScript and without.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { closePage, startSite, until } from "./support.mjs";

const site = await startSite();
after(() => site.close());

const log = {
  name: "what I saw.txt",
  mimeType: "text/plain",
  buffer: Buffer.from("line one\nline two <b>\n"),
};

/** Fills in and sends the report form. What is sent within three seconds is asked for once more; people take longer. */
async function fileReport(page, fields) {
  const opened = Date.now();
  for (const [name, value] of Object.entries(fields)) await page.fill(`[name=${name}]`, value);
  await page.setInputFiles("input[name=attachments]", log);
  await until(() => Date.now() - opened > 3200, "a person would be done");
  await page.getByRole("button", { name: "Send the report" }).click();
  await page.waitForURL("**/r/**");
}

/** Presses a link that downloads, and gives the file's name and content. */
async function download(page, name) {
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name }).first().click(),
  ]);
  return { name: file.suggestedFilename(), text: await readFile(await file.path(), "utf8") };
}

for (const scripts of [true, false]) {
  const how = scripts ? "with JavaScript" : "without JavaScript";

  test(`a report is answered, and only the answer reaches the user, ${how}`, async () => {
    const task = await site.api("POST", "/tasks", { kind: `${site.prefix}import`, title: "March import" });
    const user = await site.open(`/report?task=${task.id}`, { scripts });
    assert.equal(await user.inputValue("[name=task_id]"), task.id, "the task is filled in");
    const subject = `The import stands still, ${how}`;
    await fileReport(user, {
      subject,
      description: "Since noon.\n<script>1</script>",
      email: "u@example.org",
    });

    const address = new URL(user.url());
    const reference = address.pathname.split("/").at(-1);
    await user.getByText(`Your report is ${reference}`).waitFor();
    await user.getByRole("link", { name: address.href }).waitFor();
    assert.deepEqual(await download(user, log.name), { name: log.name, text: log.buffer.toString() });

    const staff = await site.open("/admin/tickets", { as: "operator", scripts });
    await staff.getByRole("link", { name: subject }).click();
    await staff.getByText("Since noon.").waitFor();
    await staff.getByRole("link", { name: "March import" }).waitFor();
    assert.deepEqual(await download(staff, log.name), { name: log.name, text: log.buffer.toString() });
    const write = async (body, button) => {
      await staff.fill("textarea[name=body]", body);
      await staff.getByRole("button", { name: button }).click();
    };
    await write("The customer is wrong again.", "Keep as an internal note");
    await staff.getByText("The note was kept.").waitFor();
    await write("We have put it right.", "Send the answer");
    await staff.getByText("The answer is on the reporter’s page.").waitFor();

    // The user comes back later, with the reference and the key alone.
    await user.goto("/");
    await user.fill("[name=ref]", reference);
    await user.fill("[name=key]", address.searchParams.get("key"));
    await user.locator("form[action='/r'] button").click();
    await user.getByText("We have put it right.").waitFor();
    const seen = await user.content();
    assert.ok(!seen.includes("The customer is wrong again."), "a note stays inside");
    assert.ok(!seen.includes("operator@example.com"), "who answered is nobody's business outside");

    await user.fill("textarea[name=body]", "Thank you, it works.");
    await user.getByRole("button", { name: "Send", exact: true }).click();
    await user.getByText("Your message was added.").waitFor();
    await staff.reload();
    await staff.getByText("Thank you, it works.").waitFor();
    await closePage(user);
    await closePage(staff);
  });
}

test("the page of a report opens with its key alone", async () => {
  const { ref, url } = await site.api("POST", "/reports", { subject: "Mine", description: "Not yours." });
  const page = await site.open(`/r/${ref}?key=guessed`, { expect: [404] });
  await page.getByText("There is no report with this reference and key.").waitFor();
  await page.goto(url);
  await page.getByText("Not yours.").waitFor();
  await closePage(page);
});

test("a file that is not what its name says is refused, and the texts stay", async () => {
  const page = await site.open("/report", { expect: [422] });
  const opened = Date.now();
  await page.fill("[name=subject]", "With a picture");
  await page.fill("[name=description]", "See the picture.");
  const fake = { name: "picture.png", mimeType: "image/png", buffer: Buffer.from("<svg onload=alert(1)>") };
  await page.setInputFiles("input[name=attachments]", fake);
  await until(() => Date.now() - opened > 3200, "a person would be done");
  await page.getByRole("button", { name: "Send the report" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(await page.inputValue("[name=description]"), "See the picture.");
  await closePage(page);
});

test("what is sent at once is asked for once more", async () => {
  const page = await site.open("/report", { expect: [422] });
  await page.fill("[name=subject]", "Quick");
  await page.fill("[name=description]", "Very quick.");
  await page.getByRole("button", { name: "Send the report" }).click();
  await page.getByRole("alert").filter({ hasText: "That was very quick" }).waitFor();
  assert.equal(await page.inputValue("[name=description]"), "Very quick.");
  await closePage(page);
});
