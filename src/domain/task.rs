//! A task: one unit of long work, and everything its transitions look at.

use serde_json::Value;
use uuid::Uuid;

use super::{time::Time, words::words};

words! {
    /// Where a task stands. `succeeded`, `failed` and `cancelled` are its ends.
    pub enum State {
        New = "new",
        Queued = "queued",
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

impl State {
    /// Whether the task has ended: only a person's retry or rerun moves it again.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

words! {
    /// How an attempt ended.
    pub enum AttemptOutcome {
        Succeeded = "succeeded",
        Failed = "failed",
        /// Its lease ran out and somebody else went on.
        Lost = "lost",
        /// Handed back by its worker; does not count.
        Released = "released",
        /// A person forced a new dispatch while it ran.
        Superseded = "superseded",
        Cancelled = "cancelled",
    }
}

/// What the transitions read and write. The documents (payload, result, title) are not needed to decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub id: Uuid,
    pub kind: String,
    pub queue: String,
    pub state: State,
    /// 0 to 9; higher goes first on queues that can.
    pub priority: i64,
    pub max_attempts: i64,
    /// Bumped by every change: the compare of compare-and-set.
    pub version: i64,
    /// The fence: the number of the newest intent to publish. 0 before the first start.
    pub dispatch: i64,
    /// The number of the newest attempt. 0 before the first claim.
    pub attempt: i64,
    /// Counted attempts since `max_attempts` was last granted, the running one included.
    pub tries: i64,
    pub worker: Option<String>,
    pub claim_id: Option<String>,
    /// The message of this dispatch was acknowledged although its attempt still runs.
    pub message_gone: bool,
    /// 0 to 100.
    pub progress: Option<f64>,
    pub progress_message: Option<String>,
    pub error: Option<String>,
    pub created_at: Time,
    pub available_at: Time,
    /// When the broker confirmed the current dispatch.
    pub published_at: Option<Time>,
    /// When the newest attempt began.
    pub started_at: Option<Time>,
    /// The newest heartbeat.
    pub beat_at: Option<Time>,
    pub lease_expires_at: Option<Time>,
    /// When the same dispatch was last put out again.
    pub resent_at: Option<Time>,
    pub cancel_requested_at: Option<Time>,
    pub finished_at: Option<Time>,
}

impl Task {
    /// Whether a running attempt still counts as alive at `now`.
    pub fn lease_alive(&self, now: Time) -> bool {
        self.state == State::Running && self.lease_expires_at.is_some_and(|until| now < until)
    }
}

/// A task as people and programs see it: the transitions' part and the documents.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    pub task: Task,
    pub title: Option<String>,
    pub owner: Option<String>,
    pub payload: Value,
    pub timeout_s: Option<i64>,
    pub result: Option<Value>,
    pub created_by: String,
    pub updated_at: Time,
}

/// A task without its documents, which may be large: what lists show.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskHead {
    pub task: Task,
    pub title: Option<String>,
    pub owner: Option<String>,
}

/// A checked request to record a task.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    pub id: Uuid,
    pub kind: String,
    pub queue: String,
    pub title: Option<String>,
    pub owner: Option<String>,
    pub priority: i64,
    pub payload: Value,
    pub timeout_s: Option<i64>,
    pub max_attempts: i64,
    pub available_at: Option<Time>,
    /// Start it in the same transaction.
    pub start: bool,
    /// W3C trace context to hand on to the worker.
    pub traceparent: Option<String>,
}

impl NewTask {
    /// The task as it is right after it was recorded at `at` by `principal`.
    pub fn recorded(self, principal: &str, at: Time) -> TaskView {
        let (state, dispatch) = if self.start {
            (State::Queued, 1)
        } else {
            (State::New, 0)
        };
        TaskView {
            task: Task {
                id: self.id,
                kind: self.kind,
                queue: self.queue,
                state,
                priority: self.priority,
                max_attempts: self.max_attempts,
                version: 0,
                dispatch,
                attempt: 0,
                tries: 0,
                worker: None,
                claim_id: None,
                message_gone: false,
                progress: None,
                progress_message: None,
                error: None,
                created_at: at,
                available_at: available_at(self.available_at, self.start, at),
                published_at: None,
                started_at: None,
                beat_at: None,
                lease_expires_at: None,
                resent_at: None,
                cancel_requested_at: None,
                finished_at: None,
            },
            title: self.title,
            owner: self.owner,
            payload: self.payload,
            timeout_s: self.timeout_s,
            result: None,
            created_by: principal.to_owned(),
            updated_at: at,
        }
    }
}

/// From when a task may run: what was asked for, but for a started task never before it was recorded.
pub fn available_at(asked: Option<Time>, start: bool, recorded_at: Time) -> Time {
    match asked {
        None => recorded_at,
        Some(asked) if start => asked.max(recorded_at),
        Some(asked) => asked,
    }
}

/// One run by one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub task_id: Uuid,
    pub number: i64,
    pub worker: String,
    pub claim_id: String,
    pub dispatch: i64,
    pub started_at: Time,
    pub ended_at: Option<Time>,
    /// `None` while it runs.
    pub outcome: Option<AttemptOutcome>,
    pub error: Option<String>,
    /// The tail of what the program wrote.
    pub log: Option<String>,
    /// What it reported after it was closed: never applied by itself.
    pub late: Option<Value>,
}

/// One line of a task's timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    pub id: i64,
    pub at: Time,
    pub event: String,
    pub from_state: Option<State>,
    pub to_state: State,
    pub dispatch: i64,
    pub attempt: i64,
    /// `user:…`, `token:…`, `worker:…` or `system`.
    pub actor: String,
    pub detail: Value,
}
