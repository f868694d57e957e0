//! The state machine: what an event does to a task. One pure function, `decide`; docs/state-machine.md draws it.

mod change;
mod refusal;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value;

pub use change::decide;
pub use refusal::{Disposal, Refusal, RefusalCode};

use super::{
    task::{AttemptOutcome, State, Task},
    time::Time,
};

/// Something that happened to, or is asked of, one task.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `available_at` in the future makes it a schedule.
    Start {
        available_at: Option<Time>,
    },
    Claim(Claim),
    Heartbeat {
        attempt: i64,
        progress: Option<f64>,
        message: Option<String>,
    },
    Succeed {
        attempt: i64,
        result: Value,
        log: Option<String>,
    },
    Fail {
        attempt: i64,
        error: String,
        retryable: bool,
        log: Option<String>,
    },
    /// The worker hands the task back (drain, lost database); the attempt does not count.
    Release {
        attempt: i64,
    },
    Retry {
        payload: Option<Value>,
    },
    /// The only way to run a succeeded task again.
    Rerun {
        payload: Option<Value>,
    },
    Requeue {
        by: RequeueBy,
        lease: LeasePolicy,
        payload: Option<Value>,
    },
    Cancel,
    /// `event`, decided upon by somebody who saw the task at `dispatch`: refused when another one is current by now.
    /// So a form that is sent twice does it once.
    OnDispatch {
        dispatch: i64,
        event: Box<Event>,
    },
    /// `serve` looks after a running task whose lease is over: publish the same dispatch again, or end it.
    Recover,
    /// A queued task's message is gone from the broker: publish the same dispatch again. Should the message be there
    /// after all, the copy is discarded.
    Resend {
        /// The task's version when it was judged; at any other nothing is done.
        version: i64,
        /// Why: kept on the timeline.
        finding: Value,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// New per delivery, so that a claim whose answer was lost can be told from another one.
    pub claim_id: String,
    /// The message's `x-dispatch`; `None` counts as the current dispatch.
    pub dispatch: Option<i64>,
    pub worker: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequeueBy {
    /// Grants `max_attempts` anew.
    Person,
    Policy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeasePolicy {
    /// A live lease refuses.
    Respect,
    /// A live lease is superseded; the new dispatch waits for its end.
    Override,
}

/// The world an event is decided in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    pub now: Time,
    /// How long a claim or heartbeat keeps an attempt alive.
    pub lease: Duration,
    /// 0 to 1: where in its spread the next backoff falls.
    pub jitter: f64,
}

/// How long after a lease's end a take-over is waited for before `serve` puts the message out again.
pub const TAKE_OVER_GRACE: Duration = Duration::from_secs(3);

/// A queued task's message is put out again at most this often.
pub const RESEND_EVERY: Duration = Duration::from_secs(600);

/// What a decision means for the rest of the database; written in the transaction of the task itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    OpenAttempt {
        number: i64,
        worker: String,
        claim_id: String,
        dispatch: i64,
    },
    EndAttempt {
        number: i64,
        outcome: AttemptOutcome,
        error: Option<String>,
        log: Option<String>,
    },
    /// A closed attempt still reported something: kept, not applied.
    KeepLate {
        number: i64,
        late: Value,
    },
    /// An outbox row for the task's current dispatch.
    Publish {
        due_at: Time,
    },
    /// Unsent rows of this task are no longer wanted.
    Unpublish,
    SetResult(Option<Value>),
    SetPayload(Value),
    Record {
        event: &'static str,
        from: State,
        to: State,
        attempt: i64,
        detail: Value,
    },
}

/// What the caller is told when it was done (or had been done before).
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done,
    Claimed {
        attempt: i64,
        lease_expires_at: Time,
    },
    Alive {
        lease_expires_at: Time,
        cancel_requested: bool,
    },
    /// An end report was already applied: the same answer again.
    Repeated,
}

/// What an event leads to. `task` is as it is afterwards; equal to before when nothing changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub task: Task,
    pub effects: Vec<Effect>,
    pub answer: Result<Answer, Refusal>,
}
