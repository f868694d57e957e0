// A worker in Node.js: takes task ids from a queue with amqplib, and asks Unstuck over HTTP what to do with each.
//
//   npm install amqplib
//   UNSTUCK_URL=http://127.0.0.1:8080 UNSTUCK_TOKEN=… AMQP_URL=amqp://127.0.0.1 QUEUE=images node worker.mjs
//
// The token needs the scope `work`. docs/workers.md explains each step.
import { randomUUID } from "node:crypto";
import os from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import amqp from "amqplib";

const {
  UNSTUCK_URL = "http://127.0.0.1:8080",
  UNSTUCK_TOKEN,
  AMQP_URL = "amqp://127.0.0.1",
  QUEUE,
} = process.env;
const worker = `${os.hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`; // new at each start
const draining = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => draining.abort("draining"));

// The work itself. It obeys `signal`, and hands `task.attempt` to whatever it writes to, as a fence.
async function work(task, signal, report) {
  const { seconds = 1, fail } = task.payload ?? {};
  for (let done = 0; done < 10; done++) {
    report(done * 10, `part ${done + 1} of 10`);
    await sleep(seconds * 100, null, { signal });
  }
  if (fail) throw new Error(fail);
  return { slept_s: seconds };
}

// One call. Gives [status, answer], or null when nobody knows whether it was heard: then the same call may be repeated.
async function call(path, body) {
  try {
    const response = await fetch(`${UNSTUCK_URL}/api/v1/tasks/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${UNSTUCK_TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    if (response.status >= 500 || response.status === 429) return null;
    return [response.status, await response.json()];
  } catch {
    return null;
  }
}

async function insist(path, body) {
  for (let wait = 200; ; wait = Math.min(wait * 2, 5000)) {
    const answer = await call(path, body);
    if (answer) return answer;
    await sleep(wait * (0.5 + Math.random() / 2));
  }
}

// Renews the lease beside the work. Stops the work when the task was cancelled or taken away, and before the lease ends
// when it can't be renewed: counted from sending the last renewal, on a clock that runs through the machine's sleep.
function keepLease(path, lease_s, sentAt, stop) {
  let [progress, trustedUntil, sending] = [{}, sentAt + (lease_s * 5) / 6, false];
  const watch = setInterval(() => os.uptime() > trustedUntil && stop.abort("lease lost"), 100);
  const beat = setInterval(
    async () => {
      if (sending) return;
      sending = true;
      const now = os.uptime();
      const answer = await call(`${path}/heartbeat`, progress);
      if (answer?.[0] === 200) trustedUntil = now + (lease_s * 5) / 6;
      if (answer?.[0] === 200 && answer[1].cancel_requested) stop.abort("cancelled");
      if (answer?.[0] === 409) stop.abort("taken away");
      sending = false;
    },
    (lease_s * 1000) / 3,
  );
  const report = (percent, message) => (progress = { progress: percent, message });
  return { report, end: () => (clearInterval(watch), clearInterval(beat)) };
}

// Runs the task that a message names. Gives the reason when the message belongs on the dead-letter queue.
async function run(message) {
  const [id, claim_id] = [message.content.toString(), randomUUID()];
  const claim = { worker, claim_id, dispatch: message.properties.headers?.["x-dispatch"] };
  let sentAt = os.uptime();
  const [status, task] = await insist(`${encodeURIComponent(id)}/claim`, claim);
  if (status === 409) return task.action === "dead_letter" ? task.reason : undefined;
  if (status !== 200) throw new Error(`claim: ${status} ${task.detail ?? ""}`);

  const path = `${id}/attempts/${task.attempt}`;
  // Asked more than once, perhaps: only a renewal says from when on the lease counts.
  if (os.uptime() - sentAt > task.lease_s / 3) {
    sentAt = os.uptime();
    if ((await insist(`${path}/heartbeat`, {}))[0] !== 200) return;
  }
  const stop = new AbortController();
  const lease = keepLease(path, task.lease_s, sentAt, stop);
  const drain = () => setTimeout(() => stop.abort("draining"), 20_000).unref();
  draining.signal.addEventListener("abort", drain, { once: true });
  try {
    const result = await work(task, stop.signal, lease.report);
    await insist(`${path}/succeed`, { result }); // 409: too late, kept on the timeline; the message is done with all the same
  } catch (error) {
    const reason = stop.signal.reason;
    if (reason === "cancelled") await insist(`${path}/fail`, { error: "cancelled", retryable: false });
    else if (reason === "draining" || reason === "lease lost") await insist(`${path}/release`, {});
    else if (reason !== "taken away") await insist(`${path}/fail`, { error: String(error), retryable: true });
  } finally {
    lease.end();
    draining.signal.removeEventListener("abort", drain);
  }
}

async function consume() {
  const connection = await amqp.connect(`${AMQP_URL}${AMQP_URL.includes("?") ? "&" : "?"}heartbeat=10`, {
    clientProperties: { connection_name: worker },
  });
  const lost = new Promise((resolve) => connection.on("close", resolve).on("error", () => {}));
  const channel = await connection.createConfirmChannel();
  const closed = new Promise((resolve) => channel.on("close", resolve).on("error", () => {}));
  await channel.prefetch(1);
  let running = Promise.resolve();
  const handle = async (message) => {
    const reason = await run(message);
    if (reason) {
      const headers = { ...message.properties.headers, "x-unstuck-reason": reason, "x-unstuck-queue": QUEUE };
      channel.sendToQueue(`${QUEUE}.dead`, message.content, {
        ...message.properties,
        headers,
        persistent: true,
      });
      await channel.waitForConfirms();
    }
    channel.ack(message);
  };
  const gone = new Promise((resolve, reject) => {
    // null: the broker ended the subscription, the queue was deleted for instance.
    const take = (message) => (message ? (running = handle(message).catch(reject)) : resolve());
    channel.consume(QUEUE, take, { consumerTag: worker }).catch(reject);
  });
  const told = new Promise((resolve) => draining.signal.addEventListener("abort", resolve, { once: true }));
  await Promise.race([gone, lost, closed, told]);
  if (draining.signal.aborted) await channel.cancel(worker).then(() => running);
  await channel.close().catch(() => {}); // before the connection: what was acknowledged goes out first
  await connection.close().catch(() => {});
}

while (!draining.signal.aborted) {
  await consume().catch((error) => console.error(`${worker}: ${error.message}`));
  if (!draining.signal.aborted) await sleep(1000);
}
