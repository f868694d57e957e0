//! What travels in JSON. Field names are those of the columns and of the pages; absent is null.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::findings::StallJson;
use crate::domain::{
    delivery::{Budget, Deadline, Delivery},
    submission::{Given, Submission},
    task::{Attempt, HistoryEntry, Task, TaskView},
    time::Time,
};

/// A task to record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateTask {
    /// Which handler runs it: 1 to 100 of the characters `A-Z a-z 0-9 . _ -`, not beginning with `amq.` and not ending
    /// in `.dead`.
    #[serde(default)]
    #[schema(required = true, value_type = String, min_length = 1, max_length = 100, pattern = r"^[A-Za-z0-9._-]{1,100}$", example = "report.render")]
    kind: Given<String>,
    /// The RabbitMQ queue that carries its message; the kind when absent. The same characters as a kind.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, pattern = r"^[A-Za-z0-9._-]{1,100}$", example = "reports")]
    queue: Given<String>,
    /// What the worker gets: any JSON of at most 262,144 bytes, without the character U+0000; `{}` when absent.
    #[serde(default)]
    #[schema(value_type = Option<Value>, example = json!({"month": "2026-03"}))]
    payload: Given<Value>,
    /// For people: a line of text.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, example = "Report for March")]
    title: Given<String>,
    /// Whose task it is, as your program calls them.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, example = "customer-42")]
    owner: Given<String>,
    /// Higher goes first, on queues that can.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 9, default = 0)]
    priority: Given<i64>,
    /// Not to run before this time; at once when absent. RFC 3339, at most ten years ahead.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-03-31T22:00:00Z")]
    available_at: Given<String>,
    /// How long one attempt should take at most, in seconds. A longer one is shown as `overdue`; nothing is killed. Without
    /// it, what is usual for the kind counts.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 31536000)]
    timeout_s: Given<i64>,
    /// How many attempts it has before it counts as failed.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 100, default = 3)]
    max_attempts: Given<i64>,
    /// Start it in the same transaction.
    #[serde(default)]
    #[schema(value_type = Option<bool>, default = false)]
    start: Given<bool>,
}

impl From<CreateTask> for Submission {
    fn from(request: CreateTask) -> Self {
        let CreateTask {
            kind,
            queue,
            payload,
            title,
            owner,
            priority,
            available_at,
            timeout_s,
            max_attempts,
            start,
        } = request;
        Self {
            kind,
            queue,
            payload,
            title,
            owner,
            priority,
            available_at,
            timeout_s,
            max_attempts,
            start,
        }
    }
}

/// Tasks to record, all of them or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateBatch {
    /// 1 to 1,000 tasks.
    #[serde(default)]
    #[schema(required = true, value_type = Vec<CreateTask>, min_items = 1, max_items = 1000)]
    pub(super) tasks: Given<Vec<Value>>,
}

/// One unit of long work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
pub(super) struct TaskJson {
    #[schema(example = "019b7a6e-7c00-7000-8000-000000000001")]
    id: Uuid,
    #[schema(example = "report.render")]
    kind: String,
    #[schema(example = "reports")]
    queue: String,
    /// `new`, `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    #[schema(value_type = String, example = "queued")]
    state: &'static str,
    title: Option<String>,
    owner: Option<String>,
    #[schema(minimum = 0, maximum = 9)]
    priority: i64,
    #[schema(value_type = Value)]
    payload: Value,
    /// The number of the newest intent to publish; 0 before the first start. It travels in the message as `x-dispatch`.
    dispatch: i64,
    /// The number of the newest run; 0 before the first claim.
    attempt: i64,
    max_attempts: i64,
    timeout_s: Option<i64>,
    /// Percent, as the worker reports it.
    #[schema(minimum = 0, maximum = 100)]
    progress: Option<f64>,
    progress_message: Option<String>,
    /// What the successful attempt gave back.
    #[schema(value_type = Option<Value>)]
    result: Option<Value>,
    /// Why the newest attempt failed.
    error: Option<String>,
    /// Who runs it, or ran it last.
    worker: Option<String>,
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it is due.
    #[schema(value_type = String, format = DateTime)]
    available_at: Time,
    /// When the broker confirmed the message of the current dispatch; null until then.
    #[schema(value_type = Option<String>, format = DateTime)]
    published_at: Option<Time>,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Time>,
    /// Until when the running attempt counts as alive.
    #[schema(value_type = Option<String>, format = DateTime)]
    lease_expires_at: Option<Time>,
    #[schema(value_type = Option<String>, format = DateTime)]
    cancel_requested_at: Option<Time>,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Time>,
    /// Its open findings.
    stalls: Vec<StallJson>,
}

impl TaskJson {
    /// The task with its open `stalls`.
    pub(super) fn new(view: TaskView, stalls: Vec<StallJson>) -> Self {
        let TaskView {
            task,
            title,
            owner,
            payload,
            timeout_s,
            result,
            created_by,
            updated_at: _,
        } = view;
        Self {
            id: task.id,
            kind: task.kind,
            queue: task.queue,
            state: task.state.as_str(),
            title,
            owner,
            priority: task.priority,
            payload,
            dispatch: task.dispatch,
            attempt: task.attempt,
            max_attempts: task.max_attempts,
            timeout_s,
            progress: task.progress,
            progress_message: task.progress_message,
            result,
            error: task.error,
            worker: task.worker,
            created_by,
            created_at: task.created_at,
            available_at: task.available_at,
            published_at: task.published_at,
            started_at: task.started_at,
            lease_expires_at: task.lease_expires_at,
            cancel_requested_at: task.cancel_requested_at,
            finished_at: task.finished_at,
            stalls,
        }
    }
}

/// Several tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskList {
    pub(super) items: Vec<TaskJson>,
}

/// A page of tasks, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskPage {
    pub(super) items: Vec<TaskJson>,
    /// The `cursor` of the next page; null at the end.
    pub(super) next: Option<String>,
}

/// One line of a task's timeline.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryEntry)]
pub(super) struct HistoryJson {
    id: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    #[schema(example = "claimed")]
    event: String,
    /// Null for the task's making.
    #[schema(value_type = Option<String>, example = "queued")]
    from_state: Option<&'static str>,
    #[schema(value_type = String, example = "running")]
    to_state: &'static str,
    dispatch: i64,
    attempt: i64,
    /// `user:…`, `token:…`, `worker:…` or `system`.
    #[schema(example = "worker:render-7f3a")]
    actor: String,
    #[schema(value_type = Value)]
    detail: Value,
}

impl From<HistoryEntry> for HistoryJson {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            event: entry.event,
            from_state: entry.from_state.map(|state| state.as_str()),
            to_state: entry.to_state.as_str(),
            dispatch: entry.dispatch,
            attempt: entry.attempt,
            actor: entry.actor,
            detail: entry.detail,
        }
    }
}

/// A page of a task's timeline, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryPage {
    pub(super) items: Vec<HistoryJson>,
    /// The `cursor` of the next page; null at the end.
    pub(super) next: Option<String>,
}

/// One run by one worker.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(super) struct AttemptJson {
    /// 1, 2, 3 … without gap.
    number: i64,
    worker: String,
    dispatch: i64,
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// `succeeded`, `failed`, `lost`, `released`, `superseded` or `cancelled`; null while it runs.
    #[schema(value_type = Option<String>, example = "succeeded")]
    outcome: Option<&'static str>,
    error: Option<String>,
    /// The tail of what the program wrote.
    log: Option<String>,
    /// What it reported after it was closed: kept, not applied.
    #[schema(value_type = Option<Value>)]
    late: Option<Value>,
    /// Null for an attempt that has ended.
    pub(super) delivery: Option<DeliveryJson>,
}

/// What the broker allows the delivery that a running attempt holds, as far as it tells.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryJson {
    /// When the broker takes it back at the latest, unless it is acknowledged before. RabbitMQ looks once a minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    taken_back_at: Option<Time>,
    /// Why `taken_back_at` is null: `not_held` (acknowledged already), `never` (the queue takes nothing back),
    /// `undescribed`, `untold`, `old_broker` or `of_node` (not known).
    #[schema(value_type = Option<String>, example = "old_broker")]
    not_taken_back: Option<&'static str>,
    /// Which delivery of its message this is, at least; null when the queue's limit is not known or there is none.
    at_least: Option<i64>,
    /// After so many the queue gives the message up.
    at_most: Option<i64>,
    /// When the queue's settings were read.
    #[schema(value_type = Option<String>, format = DateTime)]
    read_at: Option<Time>,
}

impl DeliveryJson {
    pub(super) fn new(delivery: Delivery, read_at: Option<Time>) -> Self {
        let (taken_back_at, not_taken_back) = match delivery.deadline {
            Deadline::At { deadline, .. } => (Some(deadline), None),
            Deadline::Never => (None, Some("never")),
            Deadline::NotHeld => (None, Some("not_held")),
            Deadline::Unknown(why) => (None, Some(why.as_str())),
        };
        let (at_least, at_most) = match delivery.budget {
            Budget::Limited { at_least, most } => (Some(at_least), Some(most)),
            Budget::NotHeld | Budget::Unlimited | Budget::Unknown(_) => (None, None),
        };
        Self {
            taken_back_at,
            not_taken_back,
            at_least,
            at_most,
            read_at,
        }
    }
}

impl From<Attempt> for AttemptJson {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            worker: attempt.worker,
            dispatch: attempt.dispatch,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            outcome: attempt.outcome.map(|outcome| outcome.as_str()),
            error: attempt.error,
            log: attempt.log,
            late: attempt.late,
            delivery: None,
        }
    }
}

/// A page of a task's attempts, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AttemptPage {
    pub(super) items: Vec<AttemptJson>,
    /// The `cursor` of the next page; null at the end.
    pub(super) next: Option<String>,
}

/// Why and how an action is asked for. Everything is optional, but a forced requeue needs a reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    /// Kept in the audit log.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, example = "the mail server is back")]
    pub(super) reason: Given<String>,
    /// Requeue only: take the task away from a worker whose lease is alive. Needs a reason.
    #[serde(default)]
    #[schema(value_type = Option<bool>, default = false)]
    pub(super) force: Given<bool>,
    /// Retry, requeue and rerun: replaces the task's payload, at most 262,144 bytes of JSON.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    pub(super) payload: Given<Value>,
}

/// A worker wants to run the task of a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    /// The worker's name; best the consumer tag it consumes under, so that the detector can tell silent from lost.
    #[serde(default)]
    #[schema(required = true, value_type = String, min_length = 1, max_length = 200, example = "render-7f3a")]
    pub(super) worker: Given<String>,
    /// New for each delivery. The same again while the lease is alive gives the same answer.
    #[serde(default)]
    #[schema(required = true, value_type = String, min_length = 1, max_length = 200, example = "5f1d7a52-3f0c-4f6e-9d0c-2f8f4f5c6a10")]
    pub(super) claim_id: Given<String>,
    /// The message's header `x-dispatch`; absent for a message without one.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, example = 1)]
    pub(super) dispatch: Given<i64>,
}

/// The task is the caller's to run, until the lease ends.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Claimed {
    pub(super) id: Uuid,
    /// Name it in every report; and to receivers of side effects, which can refuse an older one.
    pub(super) attempt: i64,
    pub(super) dispatch: i64,
    pub(super) kind: String,
    pub(super) queue: String,
    pub(super) title: Option<String>,
    pub(super) owner: Option<String>,
    #[schema(value_type = Value)]
    pub(super) payload: Value,
    pub(super) timeout_s: Option<i64>,
    pub(super) max_attempts: i64,
    /// By the database's clock. Heartbeat each third of `lease_s`, and stop the work when the lease can't be renewed.
    #[schema(value_type = String, format = DateTime)]
    pub(super) lease_expires_at: Time,
    /// How long a claim or heartbeat keeps the attempt alive, in seconds.
    pub(super) lease_s: u64,
}

/// The attempt is alive.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Heartbeat {
    /// Percent.
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100, example = 42)]
    pub(super) progress: Given<f64>,
    /// What it is doing now. What is longer than 500 characters is cut.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "page 420 of 1000")]
    pub(super) message: Given<String>,
}

/// The lease was renewed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alive {
    #[schema(value_type = String, format = DateTime)]
    pub(super) lease_expires_at: Time,
    /// Stop the work and report `fail`: somebody cancelled the task.
    pub(super) cancel_requested: bool,
}

/// The work is done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Success {
    /// What it gave: any JSON of at most 262,144 bytes, without the character U+0000.
    #[serde(default)]
    #[schema(value_type = Option<Value>, example = json!({"pages": 1000}))]
    pub(super) result: Given<Value>,
    /// What the program wrote. Of more than 65,536 characters the last ones are kept.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) log: Given<String>,
}

/// The work failed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    /// What went wrong. What is longer than 10,000 characters is cut.
    #[serde(default)]
    #[schema(required = true, value_type = String, min_length = 1, example = "the mail server did not answer")]
    pub(super) error: Given<String>,
    /// Whether another attempt may help; with attempts left the task is queued again after a backoff.
    #[serde(default)]
    #[schema(value_type = Option<bool>, default = true)]
    pub(super) retryable: Given<bool>,
    /// What the program wrote. Of more than 65,536 characters the last ones are kept.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) log: Given<String>,
}

/// The worker hands the task back; the attempt does not count.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {}

/// Where the task stands after a report. The message may be acknowledged.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reported {
    id: Uuid,
    #[schema(value_type = String, example = "succeeded")]
    state: &'static str,
    dispatch: i64,
    attempt: i64,
    /// When the next attempt is due, for a task that is queued again.
    #[schema(value_type = String, format = DateTime)]
    available_at: Time,
}

impl From<Task> for Reported {
    fn from(task: Task) -> Self {
        Self {
            id: task.id,
            state: task.state.as_str(),
            dispatch: task.dispatch,
            attempt: task.attempt,
            available_at: task.available_at,
        }
    }
}
