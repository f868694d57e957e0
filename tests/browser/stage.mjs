// A site on which a lot has happened: tasks in every state, stalls, incidents, tickets; and texts that mean no good.
import assert from "node:assert/strict";
import { until } from "./support.mjs";

/** What people and programs write into fields that are shown to others. */
export const HOSTILE = {
  script: `<script>document.title = "taken"</script>`,
  attribute: `"><img src=x onerror="document.title='taken'">'`,
  template: "{{ 7 * 7 }} ${7 * 7} <%= 7 %> &lt;b&gt; %s %n",
  rightToLeft: "\u202eمهمة من اليمين إلى اليسار (abc) 123",
  unbroken: "W".repeat(200),
  emoji: "👩🏽‍🚀🏳️‍🌈🇨🇭".repeat(12),
  combining: `${"Z\u0351\u036b\u0343".repeat(30)} zalgo`,
};
const everything = Object.values(HOSTILE).join("\n");

/**
 * Makes all of it on a site that was started with a long lease (`UNSTUCK_LEASE_S`), so that a claimed task stays running.
 * Returns the ids of its tasks by name, the report's address and the ticket's.
 */
export async function setStage(site) {
  const [tasks, report] = await Promise.all([makeTasks(site), fileReports(site)]);
  const desk = await site.open("/admin/tickets", { as: "operator" });
  const ticket = await desk.getByRole("link", { name: HOSTILE.unbroken.slice(0, 40) }).getAttribute("href");
  for (const [visibility, body] of [
    ["public", `We look into it.\n\n${everything}`],
    ["internal", `Not for the reporter: ${everything}`],
  ]) {
    const answer = await desk.request.post(`${ticket}/messages`, {
      multipart: { body, visibility, then: "" },
    });
    assert.ok(answer.ok(), `the ${visibility} message is taken: ${answer.status()}`);
  }
  const findings = await saySomething(desk.request, site);
  await desk.context().close();
  const outcome = await actOnSeveral(site, tasks);
  return { tasks, report, ticket, findings, queue: site.prefix + "purged", outcome };
}

async function makeTasks(site) {
  const queue = (name) => site.prefix + name;
  const create = (task) => site.api("POST", "/tasks", { payload: { n: 1 }, ...task });
  const start = (task) => create({ start: true, ...task });
  const claim = (task, worker) =>
    site.api("POST", `/tasks/${task.id}/claim`, { worker, claim_id: `claim of ${task.id}` });

  const work = queue("work");
  const purged = queue("purged");
  const lost = await Promise.all([
    start({ kind: purged, title: HOSTILE.script, owner: HOSTILE.attribute }),
    start({ kind: purged, title: HOSTILE.unbroken }),
    start({ kind: purged, title: "Given up later" }),
  ]);
  await published(site, lost);
  await site.purge(purged);

  const missing = await start({ kind: queue("deleted"), title: "Its queue is deleted" });
  await published(site, [missing]);
  await site.deleteQueue(queue("deleted"));

  const crashed = queue("crashed");
  await start({ kind: crashed, title: "Its worker is killed" }).then(async (task) => {
    const worker = site.worker(crashed, ["sleep", "600"], { UNSTUCK_LEASE_S: "5" });
    await until(
      async () => (await site.api("GET", `/tasks/${task.id}`)).state === "running",
      "it runs",
      20_000,
    );
    await worker.stop("SIGKILL");
  });

  const fresh = await create({ kind: work, title: HOSTILE.rightToLeft, owner: "customer-42" });
  const scheduled = await start({
    kind: work,
    title: "Due tomorrow",
    available_at: new Date(Date.now() + 86_400_000).toISOString(),
  });
  const queued = await start({ kind: work, title: HOSTILE.emoji, priority: 5 });

  const running = await start({ kind: work, title: HOSTILE.combining, timeout_s: 3600 });
  await claim(running, HOSTILE.unbroken);
  await site.api("POST", `/tasks/${running.id}/attempts/1/heartbeat`, {
    progress: 42.5,
    message: HOSTILE.attribute + HOSTILE.unbroken,
  });

  const succeeded = await start({
    kind: queue("k".repeat(100 - site.prefix.length)),
    title: HOSTILE.template,
    payload: { [HOSTILE.script]: HOSTILE, list: Array.from({ length: 200 }, (_, n) => n) },
  });
  await claim(succeeded, "worker-1");
  await site.api("POST", `/tasks/${succeeded.id}/attempts/1/succeed`, { result: HOSTILE, log: everything });

  const failed = await start({ kind: work, title: HOSTILE.attribute, max_attempts: 1 });
  await claim(failed, "worker-1");
  const error = `Exception in ${HOSTILE.unbroken}\n${everything}`;
  await site.api("POST", `/tasks/${failed.id}/attempts/1/fail`, { error, retryable: true, log: everything });

  const retried = await start({ kind: work, title: "Tried again later", max_attempts: 5 });
  await claim(retried, "worker-1");
  await site.api("POST", `/tasks/${retried.id}/attempts/1/fail`, { error, retryable: true });

  const cancelling = await start({ kind: work, title: "Asked to stop" });
  await claim(cancelling, "worker-2");
  await site.api("POST", `/tasks/${cancelling.id}/cancel`, {
    reason: everything.replaceAll("\n", " ").slice(0, 500),
  });
  const cancelled = await create({ kind: work, title: "Never started" });
  await site.api("POST", `/tasks/${cancelled.id}/cancel`, { reason: HOSTILE.script });

  await until(
    async () => (await site.api("GET", `/stalls?queue=${purged}`)).items.length === lost.length,
    "the purged messages are missed",
    30_000,
  );
  await site.api("POST", `/tasks/${lost[2].id}/cancel`, { reason: "not needed any more" });
  await until(
    async () => {
      const open = (await site.api("GET", "/incidents")).items.map((incident) => incident.verdict);
      return ["queue_missing", "worker_lost"].every((verdict) => open.includes(verdict));
    },
    "the deleted queue and the killed worker are found",
    40_000,
  );
  const ids = { fresh, scheduled, queued, running, succeeded, failed, retried, cancelling, cancelled };
  const known = Object.entries({ ...ids, lost: lost[0], unbroken: lost[1], givenUp: lost[2], missing });
  return Object.fromEntries(known.map(([name, task]) => [name, task.id]));
}

/** Puts a cause off and calls a stall wrong, with hostile reasons; returns the addresses of both findings. */
async function saySomething(request, site) {
  const open = async (list) => (await site.api("GET", `/${list}?queue=${site.prefix}purged`)).items[0];
  const [incident, stall] = [await open("incidents"), await open("stalls")];
  const reason = everything.replaceAll("\n", " ").slice(0, 500);
  const say = async (finding, act, form) => {
    const answer = await request.post(`/admin/stalls/${finding.id}/${act}`, { form: { ...form, reason } });
    assert.ok(answer.ok(), `${act} is taken: ${answer.status()}`);
    return `/admin/stalls/${finding.id}`;
  };
  return {
    snoozed: await say(incident, "snooze", { span: "2h", until: "" }),
    wrong: await say(stall, "false-alarm", {}),
  };
}

async function published(site, tasks) {
  for (const task of tasks) {
    await until(
      async () => (await site.api("GET", `/tasks/${task.id}`)).published_at,
      `${task.id} is published`,
      20_000,
    );
  }
}

/** Files a plain report and a hostile one; returns the address of the second. */
async function fileReports(site) {
  await site.api("POST", "/reports", {
    subject: "The March import stands still",
    description: "Since noon.",
  });
  const report = await site.api("POST", "/reports", {
    subject: HOSTILE.unbroken,
    description: everything,
    email: `${"w".repeat(60)}@example.org`,
  });
  const { pathname, search } = new URL(report.url, site.url);
  return pathname + search;
}

/** Acts on several tasks at once, of which some refuse; returns the address of the page that says what became of each. */
async function actOnSeveral(site, tasks) {
  const page = await site.open("/admin/tasks", { as: "operator" });
  const fields = new URLSearchParams({ action: "retry", reason: HOSTILE.script, back: "/admin/tasks" });
  for (const id of [tasks.cancelled, tasks.running, tasks.unbroken]) fields.append("task", id);
  const answer = await page.request.post("/admin/tasks/act", {
    headers: { "content-type": "application/x-www-form-urlencoded" },
    data: fields.toString(),
  });
  assert.ok(answer.ok(), `the form is taken: ${answer.status()}`);
  await page.context().close();
  const { pathname, search } = new URL(answer.url());
  return pathname + search;
}
