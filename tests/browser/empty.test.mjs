// A site on which nothing has happened yet: what a newcomer sees first.
import { after, test } from "node:test";
import { assertGoodInEveryLook, closePage, startSite } from "./support.mjs";

const site = await startSite();
after(() => site.close());

const pages = [
  "/admin",
  ...["stalls", "tasks", "queues", "tickets", "webhook"].map((name) => `/admin/${name}`),
];

for (const path of pages) {
  test(`${path} is good while it is empty`, async () => {
    const page = await site.open(path, { as: "admin" });
    await assertGoodInEveryLook(page, `empty${path.replaceAll("/", "-")}`);
    await closePage(page);
  });
}
