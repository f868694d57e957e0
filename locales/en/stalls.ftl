# What the detector found, as the pages lay it out. Its sentences and remedies are in verdicts.ftl.

overview-title = Overview
overview-status-nothing = Nothing to watch yet.
overview-status-fine = Nothing is wrong.
overview-status-trouble = { $n ->
    [one] 1 thing needs attention.
   *[other] { $n } things need attention.
  }
overview-status-blind = Whether anything is wrong can’t be told just now.
overview-watched = Queues watched: { $n }. Read
overview-unread = No queue has been read yet. Queues appear with their first task or worker.
overview-waiting = Waiting
overview-running = Running
overview-succeeded = Succeeded in the last hour
overview-failed = Failed in the last hour
overview-wrong = What is wrong
overview-all-stalls = All stalls
overview-all-queues = All { $n } queues

link-means-database = Keeps every task. Nothing works without it.
link-means-publisher = Sends started tasks to RabbitMQ.
link-means-consumer = Takes tasks from RabbitMQ.
link-means-management = Tells how many messages the queues hold.

ledger-title = Ledger
ledger-lead = What the database says is out, against what RabbitMQ holds.
ledger-what = How to read this
ledger-explained = Each waiting task should have one message in RabbitMQ, and each running one holds the message it was started by. So tasks waiting plus tasks running should equal messages ready plus messages unacknowledged.
ledger-explained-balance = The balance is the difference. Above zero, at least that many tasks have no message: nobody will ever run them until they are requeued. Below zero, RabbitMQ holds old copies or messages of others, which workers discard. For a few seconds it may be off while messages are on their way, and zero by itself proves nothing: a surplus copy can hide a lost message.
ledger-database = Database says
ledger-broker = RabbitMQ holds
ledger-queued = Waiting
ledger-running = Running
ledger-ready = Ready
ledger-unacknowledged = Unacknowledged
ledger-balance = Balance
ledger-consumers = Consumers
ledger-oldest = Longest wait
ledger-hour = Messages, last hour
ledger-read = Read
ledger-spark = Messages in the last hour, { $n } at most

queues-title = Queues
queues-none = No queues yet
queues-none-text = A queue appears with the first task or worker that names it.
queue-read = Read
queue-never-read = Its numbers have not been read yet.
queue-stale = These numbers are old, or were never read. How the queue stands now is not known.
queue-tasks = Its tasks
queue-wrong = What is wrong
queue-all-stalls = All stalls of this queue
queue-depth = Messages over time
queue-axes = Messages, and times in UTC. Grey: nobody read the numbers.
queue-stalls = Stalled tasks of this queue
queue-depth-label = Messages ready and unacknowledged, and tasks that expect one, over time. The table below has the numbers.
queue-expected = Tasks waiting and running
queue-range = Time shown
range-1h = 1 hour
range-24h = 24 hours
range-7d = 7 days
queue-gap = Nothing was read in this time
queue-as-table = As a table
queue-time = Time
queue-no-samples = Not enough readings yet
queue-no-samples-text = The chart begins with the second reading of this time.
queue-no-consumers = No consumer is listed
queue-no-consumers-text = Nobody takes tasks from this queue, or the broker’s statistics have not shown it yet: a new consumer appears within some 5 seconds.
queue-consumer-tag = Consumer tag
queue-consumer-first = First seen
queue-consumer-seen = Last listed
queue-target = Acceptable wait
queue-type = Type
queue-created-hour = Created in the last hour
queue-lost-hour = Attempts lost in the last hour

stalls-title = Stalls
stalls-lead = Tasks that the database and RabbitMQ disagree about, grouped under what causes it.
stalls-tabs-label = Findings
stalls-view-open = Open
stalls-view-closed = Closed tasks
stalls-view-incidents = Closed causes
stalls-verdict = Verdict
stalls-verdict-any = Any
stalls-filter = Filter
stalls-finding = Finding
stalls-closed = Closed
stalls-alone = Single tasks
stalls-of-incident = Its tasks
stalls-none = Nothing is stalled
stalls-none-text = Every task that waits has its message, and every task that runs has a worker, as far as the last readings show.
stalls-none-found = No finding matches
stalls-none-found-text = Nothing fits these filters. What was found before is under “Closed”.
stalls-none-closed = Nothing has closed yet
stalls-none-closed-text = Findings stay here after they close, with the reason, until they are as old as everything that is deleted.

finding-since = since
finding-closed = closed
finding-evidence = Evidence
finding-rule = Rule
finding-confidence = Confidence
finding-judged = Judged
finding-tasks = { $n ->
    [one] 1 task
   *[other] { $n } tasks
  }
confidence-means-proven = it follows from what was read
confidence-means-likely = an unusual innocent explanation remains

scope-queue = Queue
scope-worker = Worker
scope-broker = Broker

fact-broker = Broker
fact-queue = Queue
fact-worker = Worker
fact-attempt = Attempt
fact-dispatch = Dispatch
fact-messages_ready = Messages ready
fact-messages_unacknowledged = Messages unacknowledged
fact-consumers = Consumers
fact-prefetch = Messages the consumers may buffer
fact-queued = Tasks waiting
fact-running = Tasks running
fact-missing = Tasks without a message, at least
fact-surplus = Messages too many
fact-stalled = Tasks still stalled
fact-moved_on = Tasks gone on
fact-ended = Tasks ended
fact-overtaken_by = Later messages handed out first
fact-readings = Readings that agree
fact-span = From the first to the last of them
fact-ended_per_hour = Tasks ending per hour
fact-expected_wait = Expected wait
fact-oldest_wait = Longest wait
fact-tries = Tries to publish
fact-due_at = Due
fact-published_at = Confirmed by the broker
fact-started_at = Attempt began
fact-lease_expires_at = Lease ended
fact-resent_at = Message put out again
fact-last_seen_at = Worker last listed by the broker
fact-blind_since = No numbers since
fact-lost_attempts = Attempts whose worker died
fact-max_attempts = Attempts at most
fact-cancel_requested_at = Cancelled
fact-beat_at = Last heartbeat
fact-next_attempt = Next attempt
fact-next_worker = Its worker
fact-next_started_at = Next attempt began
fact-reported_at = Reported success
fact-ack_timeout = Consumer timeout of the queue
fact-ack_left = Left of it
fact-detail = Detail

threshold-publish_grace_ms = Limit: grace to publish
threshold-lost_stable_ms = Limit: readings agree for
threshold-overtaken_margin_ms = Limit: overtaken for
threshold-lease_grace_ms = Limit: grace after the lease
threshold-timeout_ms = Limit: timeout
threshold-no_consumers_ms = Limit: no consumer for
threshold-stuck_samples = Limit: readings without progress
threshold-backlog_target_ms = Limit: acceptable wait
threshold-over_stable_ms = Limit: surplus for
threshold-missing_stable_ms = Limit: queue missing for
threshold-alarm_readings = Limit: readings with the alarm
threshold-crash_loop = Limit: attempts whose worker died
threshold-cancel_grace_ms = Limit: time to obey a cancel
threshold-next_attempt = Held against the beginning of attempt
threshold-mismatch_stable_ms = Limit: argument unchanged for
threshold-ack_deadline_percent = Limit: left of the consumer timeout, in percent
threshold-blind_ms = Limit: without numbers for

source-database = database
source-passive_declare = RabbitMQ, live
source-totals_list = RabbitMQ, list of totals
source-statistics = RabbitMQ, statistics
source-alarms_check = RabbitMQ, alarms
source-publish_link = our publishing connection

runbook-title = Runbook
runbook-lead = What each verdict means, what to look at, and what to do.
finding-runbook = What to do: the runbook
