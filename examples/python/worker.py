"""A worker in Python: takes task ids from a queue with pika, and asks Unstuck over HTTP what to do with each.

    pip install pika
    UNSTUCK_URL=http://127.0.0.1:8080 UNSTUCK_TOKEN=… AMQP_URL=amqp://127.0.0.1 QUEUE=images python worker.py

The token needs the scope `work`. docs/workers.md explains each step.
"""

import json, os, random, signal, socket, threading, time, urllib.error, urllib.parse, urllib.request, uuid

import pika

UNSTUCK_URL = os.environ.get("UNSTUCK_URL", "http://127.0.0.1:8080")
UNSTUCK_TOKEN = os.environ["UNSTUCK_TOKEN"]
AMQP_URL = os.environ.get("AMQP_URL", "amqp://127.0.0.1")
QUEUE = os.environ["QUEUE"]
WORKER = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"  # new at each start
draining = threading.Event()


def work(task, lease):
    """The work itself. It looks at `lease.stop` often: Python can't stop a thread. Work that can't look belongs in a
    subprocess, to be killed. `task["attempt"]` goes along to whatever it writes to, as a fence."""
    payload = task["payload"] or {}
    for done in range(10):
        lease.progress = {"progress": done * 10, "message": f"part {done + 1} of 10"}
        if lease.stop.wait(payload.get("seconds", 1) / 10):
            raise InterruptedError(lease.reason)
    if "fail" in payload:
        raise RuntimeError(payload["fail"])
    return {"slept_s": payload.get("seconds", 1)}


def call(path, body):
    """One call: (status, answer), or None when nobody knows whether it was heard: then it may be repeated."""
    request = urllib.request.Request(f"{UNSTUCK_URL}/api/v1/tasks/{path}", json.dumps(body).encode(), method="POST")
    request.add_header("Authorization", f"Bearer {UNSTUCK_TOKEN}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return None if error.code >= 500 or error.code == 429 else (error.code, json.load(error))
    except (OSError, ValueError):
        return None


def insist(path, body):
    wait = 0.2
    while (answer := call(path, body)) is None:
        time.sleep(wait * random.uniform(0.5, 1))
        wait = min(wait * 2, 5)
    return answer


def now():
    """Runs through the machine's sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease(threading.Thread):
    """Renews the lease beside the work. Stops the work when the task was cancelled or taken away, and before the lease
    ends when it can't be renewed: counted from sending the last renewal."""

    def __init__(self, path, lease_s, sent_at):
        super().__init__(daemon=True)
        self.path, self.lease_s, self.progress = path, lease_s, {}
        self.trusted_until, self.beat_at = sent_at + lease_s * 5 / 6, sent_at + lease_s / 3
        self.stop, self.ended, self.reason = threading.Event(), threading.Event(), None
        threading.Thread(target=self.watch, daemon=True).start()
        self.start()

    def run(self):
        while not self.ended.wait(max(0, self.beat_at - now())):
            sent_at = now()
            answer = call(f"{self.path}/heartbeat", self.progress)
            self.beat_at = now() + 1 if answer is None else sent_at + self.lease_s / 3
            if answer and answer[0] == 200:
                self.trusted_until = sent_at + self.lease_s * 5 / 6
                if answer[1]["cancel_requested"]:
                    self.end_work("cancelled")
            elif answer and answer[0] == 409:
                return self.end_work("taken away")

    def watch(self):
        drain_until = None
        while not self.ended.wait(0.1):
            if draining.is_set():
                drain_until = drain_until or now() + 20
            if now() > self.trusted_until:
                self.end_work("lease lost")
            elif drain_until and now() > drain_until:
                self.end_work("draining")

    def end_work(self, reason):
        self.reason = self.reason or reason
        self.stop.set()


def run(body, headers):
    """Runs the task that a message names. Returns the reason when the message belongs on the dead-letter queue."""
    task_id, sent_at = urllib.parse.quote(body, safe=""), now()
    claim = {"worker": WORKER, "claim_id": str(uuid.uuid4()), "dispatch": (headers or {}).get("x-dispatch")}
    status, task = insist(f"{task_id}/claim", claim)
    if status == 409:
        return task["reason"] if task["action"] == "dead_letter" else None
    if status != 200:
        raise RuntimeError(f"claim: {status} {task.get('detail')}")
    path = f"{task_id}/attempts/{task['attempt']}"
    if now() - sent_at > task["lease_s"] / 3:  # asked more than once, perhaps: only a renewal tells the lease's age
        sent_at = now()
        if insist(f"{path}/heartbeat", {})[0] != 200:
            return None
    lease = Lease(path, task["lease_s"], sent_at)
    try:
        # 409: too late, kept on the timeline; the message is done with all the same.
        insist(f"{path}/succeed", {"result": work(task, lease)})
    except Exception as error:
        if lease.reason == "cancelled":
            insist(f"{path}/fail", {"error": "cancelled", "retryable": False})
        elif lease.reason in ("draining", "lease lost"):
            insist(f"{path}/release", {})
        elif lease.reason != "taken away":
            insist(f"{path}/fail", {"error": repr(error), "retryable": True})
    finally:
        lease.ended.set()


def consume():
    parameters = pika.URLParameters(AMQP_URL)
    parameters.heartbeat, parameters.client_properties = 10, {"connection_name": WORKER}
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    channel.confirm_delivery()
    running = []

    def settle(method, properties, body, reason):  # in the connection's own thread
        if reason:
            properties.headers = {**(properties.headers or {}), "x-unstuck-reason": reason, "x-unstuck-queue": QUEUE}
            properties.delivery_mode = 2
            channel.basic_publish("", f"{QUEUE}.dead", body, properties, mandatory=True)
        channel.basic_ack(method.delivery_tag)
        running.clear()

    def give_up(error):
        raise error

    def take(_, method, properties, body):
        def handle():  # beside the connection, which must go on answering the broker
            try:
                reason = run(body.decode("utf-8", "replace"), properties.headers)
                connection.add_callback_threadsafe(lambda: settle(method, properties, body, reason))
            except pika.exceptions.ConnectionWrongStateError:
                pass  # the connection was lost meanwhile: the message comes again, and is found to be done with
            except Exception as error:
                connection.add_callback_threadsafe(lambda: give_up(error))

        running.append(threading.Thread(target=handle))
        running[0].start()

    channel.basic_consume(QUEUE, take, consumer_tag=WORKER)
    while channel.consumer_tags and not draining.is_set():
        connection.process_data_events(time_limit=0.5)
    if draining.is_set():
        channel.basic_cancel(WORKER)
        while running:
            connection.process_data_events(time_limit=0.5)
    connection.close()


for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: draining.set())
while not draining.is_set():
    try:
        consume()
    except Exception as error:
        print(f"{WORKER}: {error!r}", flush=True)
    draining.wait(1)
