// What the browser tests share: a site of their own, pages that watch themselves, and the checks every page must pass.
//
// A test file starts one site and closes it:
//   const site = await startSite();   after(() => site.close());
//   const page = await site.open('/login', { theme: 'dark', width: 390 });
// Needs UNSTUCK_TEST_AMQP_URL and UNSTUCK_TEST_MANAGEMENT_URL (scripts/test.sh sets them); UNSTUCK_BIN is the program,
// CHROMIUM the browser. Screenshots go to .run/screens/.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { chromium } from "playwright-core";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const screens = join(root, ".run", "screens");

/** The widths a page is looked at: a phone, a desk. */
export const WIDTHS = [390, 1440];
export const THEMES = ["light", "dark"];

/**
 * Starts `unstuck all` on a new SQLite database and a free port, and a browser. Queues of this site begin with
 * `site.prefix` and are deleted when it closes, since every test shares one broker.
 * `env` adds settings (`{ UNSTUCK_LEASE_S: '5' }`).
 */
export async function startSite({ env = {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "unstuck-browser-"));
  const url = `http://127.0.0.1:${await freePort()}`;
  const admin = { email: "admin@example.com", password: randomBytes(12).toString("hex") };
  const token = randomBytes(24).toString("hex");
  const prefix = `browser-${randomBytes(4).toString("hex")}.`;
  const log = join(folder, "log");
  const logFile = openSync(log, "w");
  const program = spawn(process.env.UNSTUCK_BIN ?? join(root, "target/debug/unstuck"), ["all"], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      UNSTUCK_DATABASE_URL: `sqlite://${folder}/unstuck.db`,
      UNSTUCK_DATA_DIR: join(folder, "data"),
      UNSTUCK_AMQP_URL: needed("UNSTUCK_TEST_AMQP_URL"),
      UNSTUCK_MANAGEMENT_URL: needed("UNSTUCK_TEST_MANAGEMENT_URL"),
      UNSTUCK_LISTEN: new URL(url).host,
      UNSTUCK_ADMIN_EMAIL: admin.email,
      UNSTUCK_ADMIN_PASSWORD: admin.password,
      UNSTUCK_API_TOKEN: token,
      ...env,
    },
    stdio: ["ignore", logFile, logFile],
  });
  closeSync(logFile);
  const ended = new Promise((resolve) => {
    program.once("exit", (code, signal) => resolve(`ended with ${code ?? signal}`));
    program.once("error", (error) => resolve(`did not start: ${error.message}`));
  });
  let end;
  ended.then((how) => (end = how));
  const killIt = () => program.kill("SIGKILL"); // also when the test process fails without closing the site
  process.once("exit", killIt);

  const answers = () => {
    if (end) throw new Error(`unstuck ${end}\n${readFileSync(log, "utf8").slice(-4000)}`);
    return fetch(`${url}/healthz`).then(
      (answer) => answer.ok,
      () => false,
    );
  };
  await until(answers, `${url}/healthz answers`, 30_000);
  const browser = await launch();

  return {
    url,
    admin,
    prefix,
    /** The server's log so far. */
    log: () => readFileSync(log, "utf8"),

    /** Opens `path` in a browser context of its own; see `openPage`. */
    open: (path, options) => openPage(browser, url, path, options),

    /** Opens `path` as the administrator, who logs in through the form. */
    async openAsAdmin(path, options) {
      const page = await openPage(browser, url, "/login", options);
      await logIn(page, admin);
      await page.goto(url + path);
      return page;
    },

    /** Calls the JSON API with a token of every scope. Fails unless the answer is 2xx; returns its body. */
    async api(method, path, body) {
      const answer = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await answer.text();
      assert.ok(answer.ok, `${method} ${path} answered ${answer.status}: ${text}`);
      return text === "" ? null : JSON.parse(text);
    },

    async close() {
      await browser.close();
      program.kill("SIGTERM");
      const hung = setTimeout(killIt, 15_000);
      const how = await ended;
      clearTimeout(hung);
      process.removeListener("exit", killIt);
      await deleteQueues(prefix);
      assert.equal(
        how,
        "ended with 0",
        `the server stops cleanly when asked\n${readFileSync(log, "utf8").slice(-4000)}`,
      );
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until `condition` gives something truthy and returns that; fails after `within` ms, naming `what`. */
export async function until(condition, what, within = 10_000) {
  const end = Date.now() + within;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await pause(50);
  }
}

export async function logIn(page, { email, password }) {
  await page.fill("input[name=email]", email);
  await page.fill("input[name=password]", password);
  await Promise.all([
    page.waitForURL((url) => url.pathname !== "/login"),
    page.click('form[action="/login"] [type=submit]'),
  ]);
}

/** Closes the page with its context, after checking that nothing went wrong on it; see `assertQuiet`. */
export async function closePage(page) {
  await assertQuiet(page);
  await page.context().close();
}

/** No script error, no console error or warning, nothing blocked by the content policy, no failed request. */
export async function assertQuiet(page) {
  const blocked = await page.evaluate(() => window.__blocked ?? []).catch(() => []);
  assert.deepEqual([...page.troubles, ...blocked], [], `${page.url()} has no errors`);
}

/** No accessibility rule that axe-core knows is broken. */
export async function assertAccessible(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const broken = violations.flatMap(({ id, help, nodes }) =>
    nodes.map(
      (node) =>
        `${id}: ${help}: ${node.target.join(" ")}\n    ${node.failureSummary.replaceAll("\n", "\n    ")}`,
    ),
  );
  assert.deepEqual(broken, [], `${page.url()} is accessible`);
}

/** The page is not wider than the window. Names what sticks out. */
export async function assertFits(page) {
  const wide = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    // Either the element itself reaches too far, or what is in it does, as a long word.
    const reach = (element) => element.getBoundingClientRect().left + element.scrollWidth;
    const out = [...document.body.querySelectorAll("*")].filter(
      (element) => reach(element) > clientWidth + 1,
    );
    return [
      `it is ${scrollWidth} px wide`,
      ...out.slice(-5).map((element) => element.outerHTML.slice(0, 160)),
    ];
  });
  assert.deepEqual(wide, [], `${page.url()} fits into ${page.viewportSize().width} px`);
}

/** Everything a page must be: quiet, accessible, no wider than the window. Leaves a screenshot under `name`. */
export async function assertGood(page, name) {
  mkdirSync(screens, { recursive: true });
  await page.screenshot({ path: join(screens, `${name}.png`), fullPage: true });
  await assertFits(page);
  await assertAccessible(page);
  await assertQuiet(page);
}

/**
 * A page in a context of its own. Options: `theme` light|dark, `width` in px, `locale` ('en', 'zh-CN'), `scripts: false`
 * for a browser without JavaScript. `page.troubles` gathers what goes wrong; an answer that a test provokes is expected
 * by its status: `expect: [403]`.
 */
async function openPage(browser, url, path, options = {}) {
  const { theme = "light", width = 1440, locale = "en", scripts = true, expect = [] } = options;
  const context = await browser.newContext({
    baseURL: url,
    colorScheme: theme,
    viewport: { width, height: width < 600 ? 844 : 900 },
    locale,
    javaScriptEnabled: scripts,
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(10_000);
  await context.addInitScript(() => {
    window.__blocked = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      window.__blocked.push(
        `blocked by ${event.violatedDirective}: ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`,
      );
    });
  });
  const page = await context.newPage();
  page.troubles = [];
  page.on("pageerror", (error) =>
    page.troubles.push(`script error: ${error.stack || error.message || error}`),
  );
  page.on("console", (message) => {
    const expected = expect.some((status) => message.text().includes(`status of ${status} `));
    if (["error", "warning"].includes(message.type()) && !expected)
      page.troubles.push(`console: ${message.text()}`);
  });
  page.on("response", (response) => {
    const status = response.status();
    if (status >= 400 && !expect.includes(status)) page.troubles.push(`${status} for ${response.url()}`);
  });
  page.on("requestfailed", (request) => {
    const why = request.failure()?.errorText ?? "";
    // What the page itself broke off by going on to the next one, its event stream among it, is no trouble.
    if (why !== "net::ERR_ABORTED") page.troubles.push(`${why} for ${request.url()}`);
  });
  await page.goto(path);
  return page;
}

/** Debian's Chromium without the parts that call home. Only root needs to go without its sandbox. */
function launch() {
  const found = [
    process.env.CHROMIUM,
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
  ];
  return chromium.launch({
    executablePath: found.find((path) => path && existsSync(path)),
    chromiumSandbox: process.getuid() !== 0,
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Deletes every queue whose name begins with `prefix`, dead-letter queues among them. */
async function deleteQueues(prefix) {
  const management = new URL(needed("UNSTUCK_TEST_MANAGEMENT_URL"));
  const headers = { authorization: `Basic ${btoa(`${management.username}:${management.password}`)}` };
  const queues = `${management.origin}/api/queues/%2f`;
  const listed = await fetch(`${queues}?disable_stats=true&columns=name`, { headers });
  for (const { name } of await listed.json()) {
    if (name.startsWith(prefix))
      await fetch(`${queues}/${encodeURIComponent(name)}`, { method: "DELETE", headers });
  }
}

function needed(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run scripts/test.sh browser`);
  return value;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
