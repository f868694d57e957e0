// What the browser tests share: a site of their own, pages that watch themselves, and the checks every page must pass.
//
// A test file starts one site and closes it:
//   const site = await startSite();   after(() => site.close());
//   const page = await site.open('/admin', { as: 'operator', theme: 'dark', width: 390 });
// Needs UNSTUCK_TEST_AMQP_URL and UNSTUCK_TEST_MANAGEMENT_URL (scripts/test.sh sets them); UNSTUCK_BIN is the program,
// CHROMIUM the browser. A page that fails a check is left as a screenshot in .run/screens/; with SCREENS=1, every page.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const screens = join(root, ".run", "screens");
/** In every page, as loading it later takes longer than what it does. */
const axe = readFileSync(join(root, "node_modules/axe-core/axe.min.js"), "utf8");
const binary = process.env.UNSTUCK_BIN ?? join(root, "target/debug/unstuck");

/** The widths a page is looked at: a phone, a desk. */
export const WIDTHS = [390, 1440];
export const THEMES = ["light", "dark"];
export const LOCALES = ["en", "zh-CN"];

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
  const settings = {
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
  };
  const run = (args, more = {}) => start(args, { ...settings, ...more }, folder);
  const workers = [];
  const people = { admin };
  const states = new Map();
  let server;
  const browser = await launch();

  /** What a browser keeps of a login in `role`; everybody signs in once. */
  function stateOf(role) {
    if (!states.has(role)) states.set(role, signIn(role));
    return states.get(role);
  }

  async function signIn(role) {
    const page = await openPage(browser, url, "/login");
    await logIn(page, await site.person(role));
    const state = await page.context().storageState();
    await closePage(page);
    return state;
  }

  const site = {
    url,
    admin,
    prefix,
    /** The server's log so far. */
    log: () => server.log(),

    /** Starts the server, again after `stop`, and waits until it answers. */
    async start() {
      server = run(["all"]);
      const answers = () => {
        if (server.end) throw new Error(`unstuck ${server.end}\n${server.log().slice(-4000)}`);
        return fetch(`${url}/healthz`).then(
          (answer) => answer.ok,
          () => false,
        );
      };
      await until(answers, `${url}/healthz answers`, 30_000);
    },

    /** Sends a signal to the server. */
    signal: (signal) => server.kill(signal),

    /** Stops the server in good order. */
    async stop() {
      const how = await server.stop();
      const log = server.log();
      assert.equal(how, "ended with 0", `the server stops cleanly when asked\n${log.slice(-4000)}`);
    },

    /**
     * Opens `path` in a browser context of its own; see `openPage`. With `as` (viewer, operator, admin) somebody of that
     * role is signed in.
     */
    async open(path, { as, ...options } = {}) {
      const storageState = as && (await stateOf(as));
      return openPage(browser, url, path, { ...options, storageState });
    },

    /** Somebody with that role: e-mail address and password. */
    async person(role) {
      people[role] ??= await site.addPerson(`${role}@example.com`, role);
      return people[role];
    },

    async addPerson(email, role) {
      const added = await promisify(execFile)(binary, ["user", "add", email, "--role", role], {
        cwd: folder,
        env: settings,
      });
      return { email, password: /first password: (.*)/.exec(added.stdout)[1] };
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

    /** Starts `unstuck worker` on the queue; `exec` is the program with its arguments. It ends with the site at last. */
    worker(queue, exec, more = {}) {
      const worker = run(["worker", "--queue", queue, "--exec", ...exec], more);
      workers.push(worker);
      return worker;
    },

    /** Throws the queue's messages away behind the site's back. */
    async purge(queue) {
      await management("DELETE", `/api/queues/%2f/${encodeURIComponent(queue)}/contents`);
    },

    async deleteQueue(queue) {
      await management("DELETE", `/api/queues/%2f/${encodeURIComponent(queue)}`);
    },

    async close() {
      await browser.close();
      for (const worker of workers) await worker.stop("SIGKILL");
      await site.stop();
      await deleteQueues(prefix);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await site.start();
  return site;
}

let started = 0;

/** Starts the program; it is killed at the latest when this process ends. */
function start(args, env, folder) {
  const log = join(folder, `log-${++started}`);
  const file = openSync(log, "w");
  const program = spawn(binary, args, { cwd: folder, env, stdio: ["ignore", file, file] });
  closeSync(file);
  const kill = (signal) => program.kill(signal);
  const killIt = () => kill("SIGKILL");
  process.once("exit", killIt);
  const running = {
    kill,
    log: () => readFileSync(log, "utf8"),
    /** How it ended; undefined while it runs. */
    end: undefined,
    ended: new Promise((resolve) => {
      program.once("exit", (code, signal) => resolve(`ended with ${code ?? signal}`));
      program.once("error", (error) => resolve(`did not start: ${error.message}`));
    }),
    /** Asks it to end and says how it did. */
    async stop(signal = "SIGTERM") {
      kill(signal);
      const hung = setTimeout(killIt, 15_000);
      const how = await running.ended;
      clearTimeout(hung);
      process.removeListener("exit", killIt);
      return how;
    },
  };
  running.ended.then((how) => (running.end = how));
  return running;
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

/** No accessibility rule that axe-core knows is broken; with `rules`, of these. */
export async function assertAccessible(page, rules) {
  const options = { resultTypes: ["violations"], ...(rules && { runOnly: rules }) };
  const { violations } = await page.evaluate((options) => window.axe.run(document, options), options);
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

/** Everything a page must be: quiet, accessible, no wider than the window. A screenshot under `name` shows what is not. */
export async function assertGood(page, name, rules) {
  try {
    await assertFits(page);
    await assertAccessible(page, rules);
    await assertQuiet(page);
    if (process.env.SCREENS) await shoot(page, name);
  } catch (error) {
    error.message = `${name}: ${error.message}`;
    await shoot(page, name).catch((why) => (error.message += `\n(no screenshot: ${why.message})`));
    throw error;
  }
}

/** The page is good on a phone and on a desk, in light and dark (or in `themes`), without being loaded again. */
export async function assertGoodInEveryLook(page, name, themes = THEMES) {
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: width < 600 ? 844 : 900 });
    for (const theme of themes) {
      await page.emulateMedia({ colorScheme: theme });
      await settle(page);
      // Light and dark differ in colours alone.
      await assertGood(page, `${name}-${width}-${theme}`, theme === "dark" ? ["color-contrast"] : undefined);
    }
  }
}

/** Waits until nothing on the page is on its way from one colour or place to another. */
async function settle(page) {
  await page.evaluate(async () => {
    do await new Promise(requestAnimationFrame);
    while (document.getAnimations().some((animation) => animation.playState === "running"));
  });
}

async function shoot(page, name) {
  mkdirSync(screens, { recursive: true });
  await page.screenshot({ path: join(screens, `${name}.png`), fullPage: true, timeout: 60_000 });
}

/**
 * A page in a context of its own. Options: `theme` light|dark, `width` in px, `locale` ('en', 'zh-CN'), `scripts: false`
 * for a browser without JavaScript. `page.troubles` gathers what goes wrong, except what a test provokes: answers by
 * their status, other troubles by a pattern (`expect: [403, /refused/]`).
 */
async function openPage(browser, url, path, options = {}) {
  const { theme = "light", width = 1440, locale = "en", scripts = true, expect = [], storageState } = options;
  const context = await browser.newContext({
    baseURL: url,
    colorScheme: theme,
    viewport: { width, height: width < 600 ? 844 : 900 },
    locale,
    javaScriptEnabled: scripts,
    reducedMotion: "reduce",
    storageState,
  });
  context.setDefaultTimeout(20_000);
  await context.addInitScript(axe);
  await context.addInitScript(() => {
    window.__blocked = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      window.__blocked.push(
        `blocked by ${event.violatedDirective}: ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`,
      );
    });
  });
  const page = await context.newPage();
  watch(page, expect);
  await page.goto(path);
  return page;
}

/** Gathers in `page.troubles` what goes wrong on the page and is not in `expect`. */
function watch(page, expect) {
  page.expect = expect;
  page.troubles = [];
  const trouble = (text) => {
    if (!page.expect.some((what) => what instanceof RegExp && what.test(text))) page.troubles.push(text);
  };
  page.on("pageerror", (error) => trouble(`script error: ${error.stack || error.message || error}`));
  page.on("console", (message) => {
    const text = message.text();
    const expected = page.expect.some((what) => text.includes(`status of ${what} `));
    if (["error", "warning"].includes(message.type()) && !expected) trouble(`console: ${text}`);
  });
  page.on("response", (response) => {
    const status = response.status();
    if (status >= 400 && !page.expect.includes(status)) trouble(`${status} for ${response.url()}`);
  });
  page.on("requestfailed", (request) => {
    const why = request.failure()?.errorText ?? "";
    // What the page itself broke off by going on to the next one, its event stream among it, is no trouble.
    if (why !== "net::ERR_ABORTED") trouble(`${why} for ${request.url()}`);
  });
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
      "--host-resolver-rules=MAP unstuck.example 127.0.0.1",
    ],
  });
}

/** Deletes every queue whose name begins with `prefix`, dead-letter queues among them. */
async function deleteQueues(prefix) {
  const listed = await management("GET", "/api/queues/%2f?disable_stats=true&columns=name");
  for (const { name } of await listed.json()) {
    if (name.startsWith(prefix)) await management("DELETE", `/api/queues/%2f/${encodeURIComponent(name)}`);
  }
}

/** Calls the broker's management API. */
async function management(method, path) {
  const { origin, username, password } = new URL(needed("UNSTUCK_TEST_MANAGEMENT_URL"));
  const headers = { authorization: `Basic ${btoa(`${username}:${password}`)}` };
  const answer = await fetch(origin + path, { method, headers });
  assert.ok(answer.ok, `${method} ${path} of the management API answered ${answer.status}`);
  return answer;
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
