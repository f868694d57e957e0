# What the detector found, as the pages lay it out. Its sentences and remedies are in verdicts.ftl.

overview-title = Overview
overview-status-nothing = Nothing to watch yet.
overview-status-fine = Nothing is wrong.
overview-status-trouble = { $n ->
    [one] 1 thing needs attention.
   *[other] { $n } things need attention.
  }
overview-status-blind = Whether anything is wrong can’t be told just now.
overview-status-unlinked = Not every link is up: see Links below.
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
link-means-outbox = Keeps what is started until the broker has it.
link-means-management = Tells how many messages the queues hold.

ledger-title = Ledger
ledger-lead = What the database says is out, against what RabbitMQ holds.
ledger-what = How to read this
ledger-explained = Each waiting task should have one message in RabbitMQ, and each running one holds the message it was started by. So tasks waiting plus tasks running should equal messages ready plus messages unacknowledged. Tasks that are scheduled for later, or whose message is not sent yet, have none and are counted apart.
ledger-explained-balance = The balance is the difference. Above zero, at least that many tasks have no message: nobody will ever run them until they are requeued. Below zero, RabbitMQ holds old copies or messages of others, which workers discard. For a few seconds it may be off while messages are on their way, and zero by itself proves nothing: a surplus copy can hide a lost message.
ledger-database = Database says
ledger-broker = RabbitMQ holds
ledger-queued = Waiting
ledger-unsent = + { $n } not sent yet
ledger-running = Running
ledger-tracers = Tracers out
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
queue-listed = as of
queue-consumer-tag = Consumer tag
queue-consumer-connection = Connection
queue-consumer-prefetch = Prefetch
queue-consumer-unlimited = no limit
queue-consumer-active = State
queue-consumer-is-active = active
queue-consumer-waits = waits
queue-settings = As the broker has it
queue-lint = Settings to look at
queue-durable = Durable
queue-policy = Policy
queue-by-policy = by policy
queue-default-exchange = (default exchange)
queue-not-described = The management API has not described this queue yet; it does once the detector has read it.
queue-yes = yes
queue-no = no
queue-target = Acceptable wait
queue-tracer = Tracer
queue-tracer-wait = A message takes { $wait } through this queue,
queue-tracer-measured = measured
queue-tracer-on = While messages wait, a message without a task is sent behind them once a minute. It measures the time in the queue, and two of them prove which tasks lost their messages though the queue is never empty. Workers acknowledge it.
queue-tracer-off = No tracer is sent to this queue. With tracers, the time in the queue is measured, and lost messages are found though the queue is never empty. Workers in other languages need nothing new when they obey the answer to a claim.
queue-tracer-start = Send tracers
queue-tracer-stop = Send no more tracers
obstacle-time_to_live = No tracer is sent: messages of this queue have a time to live.
obstacle-length_limit = No tracer is sent: this queue has a length limit, and a tracer would take a task’s place.
obstacle-delayed_retry = No tracer is sent: this queue holds back for a while what comes back to it, so a tracer would prove nothing.
flash-traced = Tracers are sent to this queue from now on.
flash-not-traced = No more tracers are sent to this queue.
queue-type = Type
queue-last-hour = Last hour
queue-created = Created
queue-succeeded = Succeeded
queue-failed = Failed
queue-lost = Attempts lost
kinds-title = Kinds
kinds-lead = how long their tasks wait and run, last seven days
kinds-measured = Measured
kinds-p50 = 50 of 100 within
kinds-p95 = 95 of 100 within
kinds-p99 = 99 of 100 within
kinds-samples = Counted
kinds-none = Nothing measured yet
kinds-none-text = Waits are counted when a worker takes a task, runs when an attempt succeeds.
kinds-more = The first kinds by name are shown; this queue has more.
measure-run = Run
measure-wait = Wait

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
fact-dead_letters = Messages on the dead-letter queue
fact-died_at = Put there
fact-head_at = Oldest message published
fact-kind = Kind
fact-samples = Successful runs of the kind, last seven days
fact-p99 = 99 of 100 ended within
fact-longest = The longest of them, at most
fact-factor = A run may take so many times that
fact-tracer_id = First tracer
fact-tracer_sent_at = Sent
fact-tracer_delivered_at = Came out
fact-clear_at = Consumers held running tasks’ messages only
fact-second_tracer_id = Second tracer
fact-second_tracer_sent_at = Second one sent
fact-second_tracer_delivered_at = Second one came out
fact-redelivered = Redeliveries of the queue, unchanged
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
threshold-dead_margin_ms = Limit: older copies died this long before
threshold-head_margin_ms = Limit: older than the oldest message by
threshold-unusual_ms = Limit: longer than that, and than the longest
threshold-traced_margin_ms = Limit: confirmed before the first tracer by
threshold-blind_ms = Limit: without numbers for

source-database = database
source-passive_declare = RabbitMQ, live
source-totals_list = RabbitMQ, list of totals
source-statistics = RabbitMQ, statistics
source-alarms_check = RabbitMQ, alarms
source-publish_link = our publishing connection

runbook-title = Runbook
runbook-lead = What each verdict means, what to look at, and what to do.
finding-numbers = numbers as of

# What people say about findings, and how often each rule was right.

snoozed = snoozed
overview-snoozed = { $n ->
    [one] 1 finding is snoozed
   *[other] { $n } findings are snoozed
  }
overview-status-snoozed = Nothing new is wrong.
stalls-view-snoozed = Snoozed
stalls-none-snoozed = Nothing is snoozed
stalls-none-snoozed-text = A finding that you know of can be put off from its own page. It waits here and comes back by itself.
finding-page = Its page
finding-say = Snooze, or mark as false alarm
finding-cause = What it is folded under
finding-audit = What people did about it
finding-snoozed = Snoozed until
finding-back-over = Back: its snooze is over. Snoozed
finding-back-worse = Back early: it got worse. Snoozed
finding-false-alarm = Marked as a false alarm
snooze-title = Snooze
snooze-will = It stays open, here under “Snoozed”, and in the health of its queue. It is not counted as something to look at, and the webhook is not told of it. It comes back when the time is over, when it is proven instead of likely, or when it touches more than twice as many tasks. What policies do is not changed.
snooze-for = For
snooze-span-30m = 30 minutes
snooze-span-2h = 2 hours
snooze-span-8h = 8 hours
snooze-span-tomorrow = until tomorrow, 08:00 UTC
snooze-span-until = until the time below
snooze-until = Until (UTC, at most 7 days)
snooze-end = Take the snooze back
false-alarm-title = Mark as false alarm
false-alarm-will = Say so when this was no stall. It feeds the scorecard of its rule and changes nothing else: the finding closes when the readings say so.
false-alarm-withdraw = Take the false alarm back
flash-snoozed = Snoozed until { $until }.
flash-snooze-ended = The snooze is taken back.
flash-snooze-bounds = Nothing was done: a finding can be put off for at least a minute and at most 7 days.
flash-false-alarm = Marked as a false alarm.
flash-false-alarm-withdrawn = The mark is taken back.
flash-finding-same = Nothing was done: it was so already.
flash-finding-closed = Nothing was done: the finding is closed.

rules-title = Rules
rules-lead = How often each rule speaks, how its findings end, and how often people say that it was wrong.
rules-scores = Scorecard
rules-scores-text = Days are those of UTC, today included. A finding is counted on the day when it opened and on the day when it closed; a false alarm when it was marked.
rules-since = Counted since
rules-none = No rule has said anything yet
rules-none-text = The first finding that opens begins the scorecard.
rules-week = Opened, 7 days
rules-month = Opened, 30 days
rules-false = False alarms
rules-half = Half were over within
rules-longer = more than a week
rules-ends = How they ended
rules-silent = { $n ->
    [one] 1 other rule said nothing in the last 30 days.
   *[other] { $n } other rules said nothing in the last 30 days.
  }
rule-about-task = about a task
rule-about-cause = about a cause

# Thresholds that can be set, and their backtest.

thresholds-title = Thresholds
thresholds-text = What the rules hold the numbers against, for the whole installation. Each finding names the one it used. What a proof rests on can be raised and not lowered.
thresholds-will = The detector takes the new values at its next look. Findings that are open stay open until what they say is over.
thresholds-save = Save
thresholds-leave = Leave them as they are
threshold-name = Threshold
threshold-default = Default
threshold-present = Present
threshold-new = New
threshold-bounds = { $low } to { $high } { $unit }
unit-of-s = s
unit-of-percent = %
unit-of-readings = readings
unit-of-attempts = attempts
flash-thresholds-saved = { $n ->
    [one] 1 threshold is saved.
   *[other] { $n } thresholds are saved.
  }
flash-thresholds-same = Nothing was done: nothing would change.
flash-thresholds-wrong = Nothing was done: a value is no whole number, or outside its bounds.
flash-thresholds-moved = Nothing was done: somebody has changed one of these thresholds meanwhile. Look at the backtest again.

backtest-title = Backtest
backtest-do = Replay over the past week
backtest-first = Nothing is saved yet: first you see what the new values would have said.
backtest-lead = { $n ->
    [one] What the new values would have said in the last day. Nothing is saved yet.
   *[other] What the new values would have said in the last { $n } days. Nothing is saved yet.
  }
backtest-said = { $n ->
    [one] In the last day, findings said: { $said }.
   *[other] In the last { $n } days, findings said: { $said }.
  } With these values about { $would } would have been: { $more } more, { $fewer } fewer.
backtest-false = { $n ->
    [one] 1 of the fewer is marked as a false alarm.
   *[other] { $n } of the fewer are marked as false alarms.
  }
backtest-sight-findings = How long each finding lasted was kept, so what would not have been said is exact, to one look of the detector.
backtest-sight-hour = What would not have been said is exact. What would have been said besides is only seen in the readings of the last hour: older ones are a minute or more apart.
backtest-sight-day = What would not have been said is exact. What would have been said besides is seen in readings a minute apart, of the last day.
backtest-sight-week = What would not have been said is exact. What would have been said besides is seen in readings ten minutes apart.
backtest-sight-attempts = Tasks that lost attempts are judged as they are now: one that was granted attempts anew since then is not seen.
backtest-sight-later_only = What would not have been said is exact. What would have been said besides can’t be seen: what was over sooner was never kept.
backtest-sight-nothing = This rule can’t be replayed: what it looks at is not kept. The findings are counted as they were.
backtest-differs = About
backtest-way = With the new value
backtest-way-fewer = not said
backtest-way-more = said besides
backtest-lasted = Lasted
backtest-looked = Looked at: findings { $findings }, readings { $readings }. Causes that exist through their tasks are counted by task.
backtest-cut = There were more: only the newest { $findings } findings and { $readings } readings are looked at.

setting-publish_grace_ms = Grace to publish
setting-means-publish_grace_ms = A due task whose message is not confirmed is “not published” after this.
setting-lease_grace_ms = Grace after a lease
setting-means-lease_grace_ms = A running task whose lease is over is left to a take-over for so long before its worker is called lost or silent.
setting-no_consumers_ms = No consumers for
setting-means-no_consumers_ms = Messages have waited without a consumer for so long. Make it longer than a deployment takes.
setting-stuck_samples = Readings without progress
setting-means-stuck_samples = Consumers are stuck when nothing moved in so many readings.
setting-stuck_ms = Time without progress
setting-means-stuck_ms = Those readings span at least this.
setting-backlog_ms = Wait over the target for
setting-means-backlog_ms = The expected wait has been over the queue’s target for so long, and is under it for so long before the finding closes.
setting-over_stable_ms = Surplus for
setting-means-over_stable_ms = The broker has held more messages than there are tasks for so long, while nothing moved.
setting-missing_stable_ms = Queue missing for
setting-means-missing_stable_ms = The broker has said for so long that there is no such queue.
setting-alarm_readings = Readings with an alarm
setting-means-alarm_readings = A broker alarm is told after so many readings in a row.
setting-blind_ms = Without numbers for
setting-means-blind_ms = Numbers may be missing for so long before that is a finding itself.
setting-overtaken_margin_ms = Overtaken by
setting-means-overtaken_margin_ms = Messages confirmed within so long of each other say nothing about their order.
setting-steady_ms = Quiet after an outage
setting-means-steady_ms = Nothing is said about workers for so long after the broker, the database or the detector was away.
setting-crash_loop = Lost attempts
setting-means-crash_loop = A task that lost its worker so often, since it was last granted attempts, is in a crash loop.
setting-cancel_grace_ms = Time to obey a cancel
setting-means-cancel_grace_ms = A worker that was told of a cancel has so long to stop.
setting-mismatch_stable_ms = Arguments wrong for
setting-means-mismatch_stable_ms = A queue’s arguments have been able to lose messages for so long: somebody may be setting it up.
setting-ack_deadline_percent = Left of the consumer timeout
setting-means-ack_deadline_percent = An attempt is close to the broker’s timeout when so much of it is left.
setting-dead_margin_ms = Older dead letters
setting-means-dead_margin_ms = A dead letter that died so long before the task’s message was confirmed is an old copy.
setting-head_margin_ms = Older than the head
setting-means-head_margin_ms = A message is behind the head of its queue only when it is older by this: publishers’ clocks differ.
