# Tasks: their states, attempts and pages.

state-new = New
state-queued = Queued
state-running = Running
state-succeeded = Succeeded
state-failed = Failed
state-cancelled = Cancelled

outcome-running = Running
outcome-succeeded = Succeeded
outcome-failed = Failed
outcome-lost = Lost
outcome-released = Handed back
outcome-superseded = Superseded
outcome-cancelled = Cancelled

# The list.

tasks-title = Tasks
tasks-none = No tasks yet
tasks-none-text = Programs create them through the API: POST /api/v1/tasks.
tasks-none-found = No task matches
tasks-none-found-text = Nothing has this state and these filters. Clear one of them, or search for the start of an id.
tasks-none-older = No older tasks
tasks-none-older-text = This is the end of the list. The tasks that stood here may have been deleted when their time to be kept was over.
tasks-none-wrong = A filter can’t be read
tasks-none-wrong-text = Correct the field marked above.

task-tabs-label = Tasks by state
task-tab-all = All
task-tab-unfinished = Not finished
task-tab-queued = Queued
task-tab-running = Running
task-tab-failed = Failed
task-tab-succeeded = Succeeded
task-tab-cancelled = Cancelled

task-filter-q = Search
task-filter-q-example = Id or its start, title, kind, queue, owner
task-filter-submit = Search
task-filter-clear = Clear all
task-filter-more = More filters
task-filter-created-after = Created from (UTC)
task-filter-created-before = Created before (UTC)
task-filter-payload-path = Payload field
task-filter-payload-value = is
task-filter-too-long = A filter has at most 200 characters.
task-filter-wrong-time = A date and time such as 2026-01-31T09:30, in UTC.
task-filter-wrong-path = Names joined by dots, such as order.id: letters, digits, _ and -.

task-task = Task
task-state = State
task-since = Since
task-since-waiting = waiting
task-since-due = due
task-since-running = running
task-since-ended = ended
task-attempts = Attempts
task-attempts-of = { $n } of { $max }
task-owner = Owner
task-created = Created
task-kind = Kind
task-queue = Queue
task-progress = Progress

tick-column = Select
tick-all = Select all on this page
tick-task = Select { $id }
ticked = Selected:

action-retry = Retry
action-requeue = Requeue
action-requeue-force = Requeue by force
action-cancel = Cancel
action-rerun = Run again
bulk-will-retry = Runs the failed and cancelled ones among the selected again.
bulk-will-requeue = Puts a new message on the queue for the queued ones among the selected, and for the running ones whose lease is over.
bulk-will-cancel = Ends the selected ones that have not ended. Running ones are asked to stop.

# What became of a bulk action.

outcome-title-retry = Retry: what became of each task
outcome-title-requeue = Requeue: what became of each task
outcome-title-cancel = Cancel: what became of each task
outcome-title-rerun = Run again: what became of each task
outcome-crumb = Outcome
outcome-done = Done: { $n }.
outcome-refused = Refused: { $n }.
outcome-gone = Deleted in the meantime: { $n }.
outcome-unclear = The database did not answer in time for some of the selected tasks: { $n }. Look at them before you act again; acting twice does no harm.
outcome-back = Back to the list
outcome-by = By
outcome-reason = Reason
outcome-outcome = Outcome
outcome-state-then = State then
outcome-line-done = Done
outcome-line-refused = Refused
outcome-deleted = Deleted task

# Why an action was refused.

refused-already_started = It is { $state }; only a new task can be started.
refused-old_dispatch = The message was an old copy: the task has been put out anew since.
refused-ahead_of_database = The message is newer than the database knows.
refused-never_started = It was never started.
refused-not_due = It is not due yet.
refused-owned_elsewhere = Attempt { $attempt } owns it and its lease is alive.
refused-already_ended = It has ended already: { $state }.
refused-no_attempts_left = No attempts are left.
refused-cancel_requested = Its cancellation has been asked for; it is { $state }.
refused-not_current_attempt = The attempt is closed: the task is { $state }, its newest attempt is { $attempt }.
refused-not_retryable = It is { $state }; only failed and cancelled tasks can be retried.
refused-not_succeeded = It is { $state }; only a succeeded task can be run again.
refused-not_requeueable = It is { $state }; only queued and running tasks can be requeued.
refused-lease_alive = Attempt { $attempt } is alive. Only a requeue by force, on the task’s page, takes the task away from it.
refused-moved_on = It has moved on since the page was made, by somebody else or by an earlier press. Look at it again.
refused-nothing_to_recover = Its lease is alive, or its message was put out again a moment ago.
refused-nothing_to_resend = It is { $state }, and its message is not lost or was put out again lately.

# One task.

task-now = What is so now
task-actions = What you can do
task-actions-none = Nothing for now: its cancellation has been asked for. The worker ends it, or the end of its lease does.
task-facts = Facts
task-report = Report a problem with this task
task-created-by = by { $who }
task-finished = Ended
task-dispatch = Dispatch
task-dispatch-is = how often it was put on its queue
task-timeout = Timeout
task-timeout-none = none
task-priority = Priority
task-timeline = Timeline
task-timeline-older = Older entries
task-attempts-none = No worker has taken it yet.
task-attempts-older = Older attempts
task-closed-stalls = Stalls that are over
task-payload = Payload
task-result = Result
document-cut = Only the beginning is shown. The file has all of it.
document-download = Download

now-new = Recorded and not started: its program has not asked for it to run yet.
now-scheduled = It will be put on “{ $queue }” at its time:
now-queued = Waiting in “{ $queue }” for a worker, since
now-confirmed = The broker confirmed that it stored the message
now-unconfirmed = The broker has not confirmed its message yet; it is sent until it does.
now-last-error = The attempt before this one failed:
now-running = Attempt { $attempt } runs on worker { $worker }, since
now-cancelling = Its cancellation was asked for
now-alive = Last heartbeat
now-lapsed = Its worker has stopped renewing its lease, which ended
now-succeeded = Succeeded
now-failed = Failed for good after attempt { $n },
now-cancelled = Cancelled
usual-run = Tasks of kind “{ $kind }” usually run for { $p50 }, and 99 of 100 end within { $p99 } ({ $n } successful runs in the last seven days). This one has run for { $run }.
usual-unknown = How long tasks of kind “{ $kind }” usually run can’t be told yet: { $n } succeeded in the last seven days, and { $needed } are needed.
usual-held-to-timeout = It is called overdue after its timeout of { $limit }.
usual-held-to-kind = It has no timeout: it is called overdue after { $limit }, by what is usual for its kind.
usual-held-to-nothing = It has no timeout, so it is never called overdue.
usual-held-to-nothing-yet = It has no timeout and is not called overdue: it began before its kind had been watched for long enough.

delivery-held-for = Unless it is acknowledged before, the broker takes this delivery back in { $left } at the latest, by the queue’s consumer timeout of { $timeout }:
delivery-held-too-long = The queue’s consumer timeout of { $timeout } has passed: the broker takes this delivery back at its next look, within a minute, or has done so. It passed at
delivery-never-taken = The broker never takes a delivery of this queue back for being held too long.
delivery-not-held = Its message was acknowledged already: the broker has nothing to take back.
delivery-deadline-undescribed = When the broker takes this delivery back is not known: the management API has not described the queue yet.
delivery-deadline-untold = When the broker takes this delivery back is not known: it did not tell the queue’s settings or its own version.
delivery-deadline-old_broker = When the broker takes this delivery back is not known: RabbitMQ { $version } does not tell its consumer timeout, which is 30 minutes unless it was changed. From 3.12 on a queue can have its own, which is told.
delivery-deadline-of_node = When the broker takes this delivery back is not known: the queue has no consumer timeout of its own, and RabbitMQ does not tell that of its node, which is 30 minutes unless it was changed.
delivery-limited = This is delivery { $n } of its message, at least; after { $most } the queue gives the message up.
delivery-unlimited = The queue has no limit on how often it hands a message out.
delivery-budget-undescribed = How often the queue hands a message out is not known either.
delivery-budget-untold = How often the queue hands a message out before it gives it up is not known: the broker did not tell its settings or its own version.
delivery-read = Settings read

task-will-retry = Puts the task on “{ $queue }” again as dispatch { $dispatch }, with { $max } new attempts. The error stays in its history.
task-will-requeue-queued = Puts a new message on “{ $queue }” as dispatch { $dispatch }. If the old message turns up, workers discard it: the task runs once.
task-will-requeue-lost = Closes attempt { $attempt } as lost and puts a new message on “{ $queue }” as dispatch { $dispatch }. Should the old worker come back, its result is refused.
task-will-requeue-alive = Attempt { $attempt } is alive: its last heartbeat was { $beat } ago. By force, its result will be refused, and the next attempt begins when its lease ends, in { $lease }. Its program may go on until then.
task-will-cancel-waiting = Ends the task at once. If a worker gets its message, it discards it.
task-will-cancel-running = Asks the worker to stop attempt { $attempt } at its next heartbeat. If it doesn’t, the task ends when its lease does.
task-will-cancel-lost = Ends the task: nobody renews the lease of attempt { $attempt } any more.
task-will-rerun = Runs a task again that has succeeded, as dispatch { $dispatch }. Its result is cleared, and what it did outside may happen twice.

attempt-number = Attempt { $n }
attempt-worker = Worker
attempt-started = Began
attempt-ended = Ended
attempt-error = Error
attempt-log = Last lines of its log
attempt-log-none = It left no log.
attempt-late = It reported something after it had been closed. The report was kept and not applied:

# What happened.

event-created = Recorded
event-started = Started: put on its queue as dispatch { $dispatch }
event-confirmed = The broker confirmed the message of dispatch { $dispatch }
event-claimed = Worker { $worker } took it: attempt { $attempt }
event-taken_over = Worker { $worker } took it over: attempt { $attempt }
event-attempt_lost = Attempt { $attempt } is lost: worker { $worker } stopped renewing its lease
event-resent = The message of dispatch { $dispatch } was put out again: worker { $worker } stopped renewing its lease
event-republished = The message of dispatch { $dispatch } was put out again automatically: the broker no longer held it
event-resent-often = The message of dispatch { $dispatch } was put out again { $n } times, first at { $from }: worker { $worker } stopped renewing its lease
event-retry_scheduled = Attempt { $attempt } failed; put on its queue again as dispatch { $dispatch }
event-released = The worker handed it back; attempt { $attempt } does not count
event-requeued = Requeued as dispatch { $dispatch }
event-retried = Retried as dispatch { $dispatch }
event-rerun = Run again as dispatch { $dispatch }
event-cancel_requested = Cancellation asked for: the worker stops it at its next heartbeat
event-cancelled = Cancelled
event-cancelled-running = Cancelled; attempt { $attempt } has ended
event-succeeded = Attempt { $attempt } succeeded
event-failed = Attempt { $attempt } failed, and no further one follows
event-later-started = Started: dispatch { $dispatch } is due { $due }
event-later-retry_scheduled = Attempt { $attempt } failed; the next one is due { $due }
event-later-requeued = Requeued by force as dispatch { $dispatch }, due when the lease of attempt { $attempt } ends: { $due }
event-late-succeeded = Attempt { $attempt } reported success after it had been closed
event-late-failed = Attempt { $attempt } reported a failure after it had been closed
event-late-released = Attempt { $attempt } handed the task back after it had been closed
event-not-applied = late, not applied

flash-nothing-ticked = Select at least one task first.
flash-reason-needed = Nothing was done: give a reason of at most 500 characters.
flash-moved-on = Nothing was done: somebody put this task out anew while you were looking (dispatch { $dispatch }). See what is so now.
flash-refused = Nothing was done. { $why }
flash-requeued = Requeued as dispatch { $dispatch }.
flash-retried = Put on its queue again as dispatch { $dispatch }.
flash-cancelled = Cancelled.
flash-cancel-asked = The worker has been asked to stop.
flash-cancel-asked-before = The worker had been asked to stop before; nothing changed.
