# What the detector found: names, sentences, evidence, remedies.

verdict-unpublished = Not published
verdict-message_lost = Message lost
verdict-worker_lost = Worker lost
verdict-worker_silent = Worker silent
verdict-overdue = Overdue
verdict-crash_loop = Crash loop
verdict-cancel_ignored = Cancel ignored
verdict-double_run = Run twice
verdict-dead_lettered = Dead-lettered
verdict-ack_deadline = Delivery about to be taken back
verdict-no_consumers = No consumers
verdict-consumers_stuck = Consumers stuck
verdict-backlog = Backlog
verdict-ledger_short = Ledger short
verdict-ledger_over = Ledger over
verdict-queue_missing = Queue missing
verdict-queue_mismatch = Queue set up otherwise
verdict-broker_alarm = Broker alarm
verdict-unknown = Unknown

confidence-proven = proven
confidence-likely = likely

health-ok = OK
health-warning = Warning
health-stalled = Stalled
health-unknown = Unknown

# Instead of a remedy.
remedy-old-numbers = Nothing is suggested now: the broker’s numbers are old or missing, and by now it may look otherwise. See that the broker and its management API answer.

# One task. The evidence beside the sentence has every number with its source and age.

stall-unpublished-untried = This task has been due for { $due_ago } and no attempt to publish its message has ended yet.
stall-unpublished-untried-remedy = Check that “unstuck serve” runs and reaches the broker. The message is sent as soon as it does; nothing is lost.
stall-unpublished-unreachable = This task has been due for { $due_ago }, and its message can’t be published: the broker can’t be reached.
stall-unpublished-unreachable-remedy = Mend the broker or the connection to it. The message is sent by itself afterwards.
stall-unpublished-blocked = This task has been due for { $due_ago }, and its message can’t be published: the broker takes no publishes.
stall-unpublished-blocked-remedy = Free memory or disk space on the broker. The message is sent by itself afterwards.
stall-unpublished-nacked = This task has been due for { $due_ago }, and the broker refused to store its message in “{ $queue }”: the queue is full, or the broker failed to write it.
stall-unpublished-nacked-remedy = Look at the queue’s length limit and the broker’s log. The message is tried again by itself.
stall-unpublished-unroutable = This task has been due for { $due_ago }, and the broker returned its message: there is no queue “{ $queue }”.
stall-unpublished-unroutable-remedy = Declare the queue, or let Unstuck do it. The message is sent by itself afterwards.
stall-unpublished-unconfirmed = This task has been due for { $due_ago }; its message was sent, and the broker has not confirmed it.
stall-unpublished-unconfirmed-remedy = Look at the broker’s load and log. The message is sent again until it is confirmed; a second copy does no harm.
stall-unpublished-refused = This task has been due for { $due_ago }, and the broker refuses to let us publish to “{ $queue }”.
stall-unpublished-refused-remedy = Give the broker’s user the permission to write. The message is sent by itself afterwards.
stall-unpublished-queue_mismatch = This task has been due for { $due_ago }, and its queue “{ $queue }” exists with other arguments than Unstuck needs.
stall-unpublished-queue_mismatch-remedy = Delete the queue when it is empty so that it is declared anew, or set its type here to what the broker has.

stall-message_lost-empty = The broker confirmed this task’s message { $published_ago } ago and no longer holds it: “{ $queue }” has had no messages at all in { $readings } readings over { $span }.
stall-message_lost-empty-remedy = Requeue the task. A message that turned up later would be discarded.
stall-message_lost-accounted = The broker confirmed this task’s message { $published_ago } ago and no longer holds it: nothing is ready in “{ $queue }”, and each unacknowledged message ({ $unacknowledged }) belongs to a task that runs.
stall-message_lost-accounted-remedy = Requeue the task. A message that turned up later would be discarded.
stall-message_lost-no_queue = The broker confirmed this task’s message { $published_ago } ago; its queue “{ $queue }” no longer exists, and the message went with it.
stall-message_lost-no_queue-remedy = Declare the queue again, then requeue the task.
stall-message_lost-behind_head = The broker confirmed this task’s message { $published_ago } ago. The oldest message in “{ $queue }” is younger, published { $head_ago } ago, and at least { $missing } of its tasks have none.
stall-message_lost-behind_head-remedy = Requeue the task. Should its message still be there, it is discarded when it arrives.
stall-message_lost-overtaken = The broker confirmed this task’s message { $published_ago } ago, and later messages of “{ $queue }” were handed out before it: { $overtaken_by }, and consumers buffer { $prefetch } at most.
stall-message_lost-overtaken-remedy = Requeue the task. Should its message still be there, it is discarded when it arrives.
stall-message_lost-traced = The broker confirmed this task’s message { $published_ago } ago and no longer holds it. Tracers that were sent to “{ $queue }” after it came out { $tracer_delivered_ago } and { $second_tracer_ago } ago, in between no consumer held it, and nothing was handed out twice.
stall-message_lost-traced-remedy = Requeue the task. A message that turned up later would be discarded.

stall-worker_lost-recovering = Worker “{ $worker }” is gone: the lease of attempt { $attempt } ended { $lease_over } ago and its connection to the broker is closed. The message goes out again by itself. Consumers of “{ $queue }” that can take it: { $consumers }.
stall-worker_lost-recovering-remedy = Wait: a free worker takes the task over. Start more workers if all of them are busy.
stall-worker_lost-no_taker = Worker “{ $worker }” is gone: the lease of attempt { $attempt } ended { $lease_over } ago and its connection to the broker is closed. The message goes out again by itself, and nobody consumes “{ $queue }” to take it.
stall-worker_lost-no_taker-remedy = Start a worker for this queue.
stall-worker_lost-taker_unknown = Worker “{ $worker }” is gone: the lease of attempt { $attempt } ended { $lease_over } ago and its connection to the broker is closed. Whether “{ $queue }” has other consumers is not known.
stall-worker_lost-taker_unknown-remedy = Check that workers for this queue run. The message goes out again by itself.
stall-worker_lost-unseen = The lease of attempt { $attempt } ended { $lease_over } ago. The broker lists no consumer called “{ $worker }”, and never did: the worker may be gone, or consume under another name.
stall-worker_lost-unseen-remedy = Look at the worker. The message goes out again by itself for others to take; a late result of this attempt is refused and kept.

stall-worker_silent-recovering = Worker “{ $worker }” is still connected to the broker and has stopped renewing: the lease of attempt { $attempt } ended { $lease_over } ago. The message goes out again by itself. Consumers of “{ $queue }”: { $consumers }.
stall-worker_silent-recovering-remedy = Wait for another worker to take it. Restart this worker if none of its other tasks is alive.
stall-worker_silent-no_taker = Worker “{ $worker }” is still connected to the broker and has stopped renewing: the lease of attempt { $attempt } ended { $lease_over } ago. Nobody consumes “{ $queue }” to take the task over.
stall-worker_silent-no_taker-remedy = Start a worker for this queue, and restart the silent one.
stall-worker_silent-taker_unknown = Worker “{ $worker }” is still connected to the broker and has stopped renewing: the lease of attempt { $attempt } ended { $lease_over } ago. Whether “{ $queue }” has other consumers is not known.
stall-worker_silent-taker_unknown-remedy = Check the workers of this queue, and restart the silent one.

stall-overdue-plain = Attempt { $attempt } has run for { $started_ago } and its timeout is { $threshold }. Its worker is alive.
stall-overdue-plain-remedy = Cancel the task, or let it go on.
stall-overdue-unusual = Attempt { $attempt } has run for { $started_ago }, which is unusual for “{ $kind }”: of the { $samples } runs that succeeded in the last seven days, 99 of 100 ended within { $p99 }, and none took longer than { $longest }. It has no timeout, and its worker is alive.
stall-overdue-unusual-remedy = Look at its progress and its worker’s log. Cancel the task if it hangs; if it works, let it go on. With a timeout of its own (timeout_s) it is held against that instead.

stall-unknown-plain = The lease of attempt { $attempt } ended { $lease_over } ago, and whether worker “{ $worker }” still lives can’t be told: the broker’s numbers are not there.
stall-unknown-plain-remedy = Mend the connection to the management API. The message goes out again by itself meanwhile.

stall-crash_loop-trying = This task has lost its worker { $lost_attempts } times since it was last granted attempts, the last time “{ $worker }”. It is tried again, { $max_attempts } times at most.
stall-crash_loop-trying-remedy = Look at what it does to its worker: memory, disk, a crash. Cancel it if it must not run again; others may share its worker’s fate.
stall-crash_loop-gave_up = This task has failed: { $lost_attempts } of its attempts ended with the death of their worker, the last time “{ $worker }”.
stall-crash_loop-gave_up-remedy = Look at what it does to its worker: memory, disk, a crash. Retry it when that is mended, with another payload if need be.

stall-cancel_ignored-plain = This task was cancelled { $cancelled_ago } ago, and worker “{ $worker }” goes on with attempt { $attempt }: its last heartbeat came { $beat_ago } ago.
stall-cancel_ignored-plain-remedy = End the program, or restart the worker. The task is cancelled by itself when the lease ends; what the attempt reports until then counts.

stall-double_run-plain = Attempt { $attempt } was given up, and its worker “{ $worker }” reported success after attempt { $next_attempt } (“{ $next_worker }”) had begun. Both did the work, and unless that report was only held up, at the same time.
stall-double_run-plain-remedy = Look at what both attempts wrote outside. The result of attempt { $attempt } was not applied; it is on the timeline.

stall-ack_deadline-plain = Attempt { $attempt } has run for { $started_ago } and holds its delivery; the broker takes deliveries of “{ $queue }” back after { $ack_timeout }, in { $ack_left }. The attempt is not about to end.
stall-ack_deadline-plain-remedy = Raise the queue’s consumer timeout above its longest task (policy key consumer-timeout). Otherwise the broker closes the worker’s channel and hands out a second copy; workers of Unstuck discard it, others may run it.

stall-dead_lettered-expired = This task’s message lies on “{ $queue }.dead”: it outlived its time to live. Nobody will run the task.
stall-dead_lettered-expired-remedy = Remove the time to live (an argument or a policy of the queue), then requeue the task.
stall-dead_lettered-rejected = This task’s message lies on “{ $queue }.dead”: a consumer refused it. Nobody will run the task.
stall-dead_lettered-rejected-remedy = Find out which program refuses messages of this queue: workers of Unstuck never do. Then requeue the task.
stall-dead_lettered-overflowed = This task’s message lies on “{ $queue }.dead”: the queue had reached its length limit. Nobody will run the task.
stall-dead_lettered-overflowed-remedy = Raise or remove the length limit, or let it refuse publishes instead (overflow: reject-publish). Then requeue the task.
stall-dead_lettered-delivery_limit = This task’s message lies on “{ $queue }.dead”: it was handed out more often than the queue’s delivery limit allows. Nobody will run the task.
stall-dead_lettered-delivery_limit-remedy = Look at what it does to its workers, raise the delivery limit, then requeue the task.
stall-dead_lettered-by_worker = This task’s message lies on “{ $queue }.dead”: a worker put it there: { $detail }. Nobody will run the task.
stall-dead_lettered-by_worker-remedy = Mend what the worker says, then requeue the task. The copy on the dead-letter queue is then old and may be deleted.
stall-dead_lettered-unexplained = This task’s message lies on “{ $queue }.dead”: it does not say why. Nobody will run the task.
stall-dead_lettered-unexplained-remedy = Look at the message in RabbitMQ, then requeue the task.

# One cause, with all its tasks.

incident-unpublished-untried = Tasks are due, and no attempt to publish their messages has ended yet. Waiting: { $stalled }.
incident-unpublished-untried-remedy = Check that “unstuck serve” runs and reaches the broker. The messages are sent as soon as it does; nothing is lost.
incident-unpublished-unreachable = The broker { $broker } can’t be reached. Messages waiting to be published: { $stalled }.
incident-unpublished-unreachable-remedy = Mend the broker or the connection to it. The messages are sent by themselves afterwards.
incident-unpublished-blocked = The broker { $broker } takes no publishes. Messages waiting to be published: { $stalled }.
incident-unpublished-blocked-remedy = Free memory or disk space on the broker. The messages are sent by themselves afterwards.
incident-unpublished-nacked = The broker refuses to store messages in “{ $queue }”: it is full, or the broker fails to write. Messages waiting: { $stalled }.
incident-unpublished-nacked-remedy = Look at the queue’s length limit and the broker’s log. The messages are tried again by themselves.
incident-unpublished-unroutable = The broker returns what is published to “{ $queue }”: there is no such queue. Messages waiting: { $stalled }.
incident-unpublished-unroutable-remedy = Declare the queue, or let Unstuck do it. The messages are sent by themselves afterwards.
incident-unpublished-unconfirmed = The broker does not confirm what is published to “{ $queue }”. Messages waiting: { $stalled }.
incident-unpublished-unconfirmed-remedy = Look at the broker’s load and log. The messages are sent again until they are confirmed. If other queues confirm and this one never does, as a quorum queue without a leader, delete it in RabbitMQ: it is made again by itself.
incident-unpublished-refused = The broker refuses to let us publish to “{ $queue }”. Messages waiting: { $stalled }.
incident-unpublished-refused-remedy = Give the broker’s user the permission to write. The messages are sent by themselves afterwards.
incident-unpublished-queue_mismatch = Queue “{ $queue }” exists with other arguments than Unstuck needs. Messages waiting: { $stalled }.
incident-unpublished-queue_mismatch-remedy = Delete the queue when it is empty so that it is declared anew, or set its type here to what the broker has.

incident-worker_lost-recovering = Worker “{ $worker }” is gone. Of the tasks it left, waiting to be taken over: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-worker_lost-recovering-remedy = Wait: free workers take them over. Start more workers if all of them are busy.
incident-worker_lost-no_taker = Worker “{ $worker }” is gone and nobody consumes the queue. Of the tasks it left, waiting to be taken over: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-worker_lost-no_taker-remedy = Start a worker.
incident-worker_lost-taker_unknown = Worker “{ $worker }” is gone. Of the tasks it left, waiting to be taken over: { $stalled }, gone on: { $moved_on }, ended: { $ended }. Whether others can take them is not known.
incident-worker_lost-taker_unknown-remedy = Check that workers run.
incident-worker_lost-unseen = Worker “{ $worker }” has let its leases run out, and the broker never listed a consumer of that name. Of its tasks, waiting: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-worker_lost-unseen-remedy = Look at the worker. The messages go out again by themselves for others to take.

incident-worker_silent-recovering = Worker “{ $worker }” is connected to the broker and has stopped renewing its leases. Of its tasks, waiting to be taken over: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-worker_silent-recovering-remedy = Restart the worker if none of its other tasks is alive. Others take its tasks over.
incident-worker_silent-no_taker = Worker “{ $worker }” is connected to the broker and has stopped renewing its leases, and nobody else consumes the queue. Of its tasks, waiting: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-worker_silent-no_taker-remedy = Start a worker, and restart the silent one.
incident-worker_silent-taker_unknown = Worker “{ $worker }” is connected to the broker and has stopped renewing its leases. Of its tasks, waiting: { $stalled }, gone on: { $moved_on }, ended: { $ended }. Whether others can take them is not known.
incident-worker_silent-taker_unknown-remedy = Check the workers of its queues, and restart the silent one.

incident-crash_loop-trying = Tasks of “{ $queue }” lose their workers again and again. Tried again: { $stalled }, ended or granted anew: { $ended }.
incident-crash_loop-trying-remedy = Look at what they have in common: memory, disk, a crash of the program. They stop by themselves when their attempts are used up.
incident-crash_loop-gave_up = Tasks of “{ $queue }” have lost their workers again and again, and failed by it. Shown: { $stalled }.
incident-crash_loop-gave_up-remedy = Look at what they have in common: memory, disk, a crash of the program. Retry them when that is mended.
incident-cancel_ignored-plain = Worker “{ $worker }” goes on with tasks that were cancelled: { $stalled }. Ended meanwhile: { $ended }.
incident-cancel_ignored-plain-remedy = End the programs, or restart the worker. The tasks are cancelled by themselves when their leases end.
incident-double_run-plain = Worker “{ $worker }” reported successes of attempts that had been given up, after the next ones had begun. Tasks whose work was done twice: { $stalled }.
incident-double_run-plain-remedy = Look at what these attempts wrote outside. Was the worker frozen, or cut off from the database?
incident-ack_deadline-plain = The broker is about to take back deliveries of “{ $queue }” whose tasks still run: { $stalled }. Gone on: { $moved_on }, ended: { $ended }.
incident-ack_deadline-plain-remedy = Raise the queue’s consumer timeout above its longest task (policy key consumer-timeout). Otherwise the broker closes the workers’ channels and hands out second copies.
incident-dead_lettered-expired = Messages of waiting tasks lie on “{ $queue }.dead”: they outlived their time to live. Tasks: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-dead_lettered-expired-remedy = Remove the time to live (an argument or a policy of the queue), then requeue the tasks.
incident-dead_lettered-rejected = Messages of waiting tasks lie on “{ $queue }.dead”: a consumer refused them. Tasks: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-dead_lettered-rejected-remedy = Find out which program refuses messages of this queue: workers of Unstuck never do. Then requeue the tasks.
incident-dead_lettered-overflowed = Messages of waiting tasks lie on “{ $queue }.dead”: the queue had reached its length limit. Tasks: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-dead_lettered-overflowed-remedy = Raise or remove the length limit, or let it refuse publishes instead (overflow: reject-publish). Then requeue the tasks.
incident-dead_lettered-delivery_limit = Messages of waiting tasks lie on “{ $queue }.dead”: they were handed out more often than the delivery limit allows. Tasks: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-dead_lettered-delivery_limit-remedy = Look at what they do to their workers, raise the delivery limit, then requeue the tasks.
incident-dead_lettered-by_worker = Messages of waiting tasks lie on “{ $queue }.dead”: workers put them there, one for this reason: { $detail }. Tasks: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-dead_lettered-by_worker-remedy = Mend what the workers say, then requeue the tasks. The copies on the dead-letter queue are then old and may be deleted.
incident-dead_lettered-unexplained = Messages of waiting tasks lie on “{ $queue }.dead”: they do not say why. Tasks: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-dead_lettered-unexplained-remedy = Look at the messages in RabbitMQ, then requeue the tasks.
incident-message_lost-traced = Tracers prove that tasks that wait in “{ $queue }” have lost their messages, though the queue holds others. Tasks: { $stalled }, gone on: { $moved_on }, ended: { $ended }.
incident-message_lost-traced-remedy = Requeue them. Was the queue purged, or did a program acknowledge messages without running their tasks?
incident-no_consumers-plain = Nobody has consumed “{ $queue }” for { $span }. Messages waiting: { $ready }.
incident-no_consumers-plain-remedy = Start workers for this queue. Do not requeue: the messages are there.
incident-consumers_stuck-plain = The consumers of “{ $queue }” have not begun, renewed or finished anything for { $span }. Consumers: { $consumers }, messages they hold: { $unacknowledged }, messages waiting: { $ready }.
incident-consumers_stuck-plain-remedy = Restart the workers of this queue. What they hold is handed out again.
incident-backlog-slow = A new task of “{ $queue }” waits { $expected_wait } at the present pace; the queue’s target is { $threshold }. Messages waiting: { $ready }.
incident-backlog-slow-remedy = Add workers. Nothing is stalled.
incident-backlog-old = The oldest task of “{ $queue }” has waited for { $oldest_wait }; the queue’s target is { $threshold }. Its workers are busy.
incident-backlog-old-remedy = Add workers. Nothing is stalled.
incident-ledger_short-part = At least { $missing } of the { $queued } tasks that wait in “{ $queue }” have no message: the broker holds { $ready } ready and { $unacknowledged } unacknowledged, and has for { $span }.
incident-ledger_short-part-remedy = Which ones can’t be told yet. Requeue the ones that are shown as lost; requeueing a task whose message is there does no harm.
incident-ledger_short-all = Every task that has waited in “{ $queue }” for more than a moment has lost its message: { $queued } of { $queued }. The broker holds { $ready } ready and { $unacknowledged } unacknowledged, none of them theirs.
incident-ledger_short-all-remedy = Requeue them. Was the queue purged, or does it have a length limit or a time to live?
incident-ledger_over-plain = The broker holds more messages in “{ $queue }” than there are tasks for: old copies, or messages of somebody else. Surplus: { $surplus }.
incident-ledger_over-plain-remedy = Nothing needs to be done: workers discard them.
incident-queue_missing-plain = The broker has no queue “{ $queue }”. Tasks whose messages went with it: { $queued }; running: { $running }.
incident-queue_missing-plain-remedy = Declare the queue again, then requeue its tasks.
incident-queue_mismatch-plain = Queue “{ $queue }” is set up in a way that can lose messages. As it is (≠ as Unstuck declares it): { $detail }.
incident-queue_mismatch-plain-remedy = Change the policy if it comes from one. An argument can’t be changed: let the queue run empty, delete it in RabbitMQ, and it is declared anew by itself.
incident-broker_alarm-alarm = The broker { $broker } has raised an alarm and takes no publishes: { $detail }.
incident-broker_alarm-alarm-remedy = Free memory or disk space on the broker. Started tasks are kept and published afterwards; consumers go on.
incident-broker_alarm-blocked = The broker { $broker } blocks our publishing connection: { $detail }.
incident-broker_alarm-blocked-remedy = Free memory or disk space on the broker. Started tasks are kept and published afterwards; consumers go on.
incident-unknown-unreachable = The management API of { $broker } has not been reached for { $blind }. What the queues hold is not known.
incident-unknown-unreachable-remedy = Mend the management API or its address (UNSTUCK_MANAGEMENT_URL). Until then nothing is judged that rests on the broker’s numbers.
incident-unknown-timed_out = The management API of { $broker } has not answered in time for { $blind }. What the queues hold is not known.
incident-unknown-timed_out-remedy = Look at the broker’s load. Until then nothing is judged that rests on its numbers.
incident-unknown-refused = The management API of { $broker } has refused our login for { $blind }. What the queues hold is not known.
incident-unknown-refused-remedy = Give the user the tag “monitoring”, or correct the credentials in UNSTUCK_MANAGEMENT_URL.
incident-unknown-failed = The management API of { $broker } has answered with an error for { $blind }. What the queues hold is not known.
incident-unknown-failed-remedy = Look at the broker’s log. Until then nothing is judged that rests on its numbers.
incident-unknown-statistics_off = The broker { $broker } has collected no statistics for { $blind }: whether a worker is still connected is not known. Message counts are.
incident-unknown-statistics_off-remedy = Set management_agent.disable_metrics_collector to false in rabbitmq.conf and restart the broker.
incident-unknown-absent = The broker has not given the numbers of “{ $queue }” for { $blind }. What it holds is not known.
incident-unknown-absent-remedy = Look at the queue on the broker: it may lack a majority of its nodes, or our user a permission.

# Why a finding closed.

closed-cleared = what it said is no longer so
closed-confirmed = the broker confirmed the message
closed-claimed = a worker took the task
closed-taken_over = another attempt took over
closed-requeued = the task was put out again
closed-resent = its message was put out again automatically
closed-ended = the task ended
closed-beating_again = the worker renewed its lease
closed-extended = the timeout no longer applies
closed-replaced = another finding says it better
closed-seen_again = the broker’s numbers are there again
closed-settled = no task is left under it
closed-forgotten = the queue is no longer one of ours
closed-past = it was told for a day

# What follows from acting on it, and from leaving it.

consequence-unpublished = Waiting loses nothing: the message is kept here and sent as soon as it can be.
consequence-message_lost = Until it is requeued nobody will run it. A requeue takes the next dispatch: if the old message turns up all the same, it is discarded unrun.
consequence-worker_lost = The attempt counts as lost, and a take-over is the next one. What the lost attempt still reports is refused, and kept on the timeline.
consequence-worker_silent = A restart ends whatever else that worker runs; each of those tasks is handed out again as its next attempt.
consequence-overdue = A cancel ends the task for good. Left alone, it keeps a place of its worker busy.
consequence-crash_loop = Each further attempt may take another worker down; when the attempts are used up the task fails.
consequence-cancel_ignored = Until it ends it keeps a place of its worker busy. Ended by force, the task becomes cancelled.
consequence-double_run = One result counts here. What the two attempts wrote elsewhere may be there twice.
consequence-dead_lettered = Until it is requeued nobody will run it. A requeue takes the next dispatch: the dead copy is old then, and discarded if somebody moves it back.
consequence-ack_deadline = When the timeout passes, the broker closes the worker’s channel and hands out second copies. Workers of Unstuck discard them; other consumers may run them.
consequence-no_consumers = Waiting loses nothing, and a requeue helps nothing.
consequence-consumers_stuck = Waiting loses nothing, and nothing moves. After a restart, attempts that were running count as lost.
consequence-backlog = Tasks wait for longer; none is lost.
consequence-ledger_short = Whoever has no message waits for ever. A requeue takes the next dispatch: an old message that is there after all is discarded unrun.
consequence-ledger_over = Old copies are discarded unrun, foreign messages are dead-lettered.
consequence-queue_missing = Until then nothing of it runs. A new queue begins empty: the messages do not come back with it.
consequence-queue_mismatch = Left as it is, messages can vanish; their tasks then show as lost.
consequence-broker_alarm = Waiting loses nothing that was started here, and nothing new reaches a worker.
consequence-unknown = Until the numbers are back, nothing that rests on them is found or closed: a task may be stalled unseen.
