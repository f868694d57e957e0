//! What a person can do to tasks here: the words, the events they stand for, and what is said about a refusal.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        task::{State, Task},
        time::Time,
        transition::{Event, LeasePolicy, Refusal, RequeueBy},
        words::words,
    },
    web::{
        error::{AppError, Problem},
        i18n::{Lang, Text},
    },
};

words! {
    /// An action on a task; the word is the audit log's verb and the last part of the address it is posted to.
    pub enum Action {
        Retry = "retry",
        Requeue = "requeue",
        Cancel = "cancel",
        Rerun = "rerun",
    }
}

impl Action {
    /// The event for the state machine.
    pub(crate) fn event(self, lease: LeasePolicy) -> Event {
        match self {
            Self::Retry => Event::Retry { payload: None },
            Self::Requeue => Event::Requeue {
                by: RequeueBy::Person,
                lease,
                payload: None,
            },
            Self::Cancel => Event::Cancel,
            Self::Rerun => Event::Rerun { payload: None },
        }
    }

    /// The same for somebody who saw the task at `dispatch`: at another one it is refused, so that pressing twice does
    /// it once.
    pub(crate) fn event_on(self, dispatch: i64, lease: LeasePolicy) -> Event {
        Event::OnDispatch {
            dispatch,
            event: Box::new(self.event(lease)),
        }
    }

    pub(crate) const fn icon(self) -> &'static str {
        match self {
            Self::Retry | Self::Rerun => "arrow-counterclockwise",
            Self::Requeue => "arrow-repeat",
            Self::Cancel => "slash-circle",
        }
    }
}

/// An action that a task's state allows at this moment, and the sentence that says what it will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) action: Action,
    /// The word of its sentence in the family `task-will`.
    pub(crate) will: &'static str,
    /// It takes a live attempt's task away.
    pub(crate) force: bool,
    /// It destroys or repeats something: a reason must be given.
    pub(crate) reason_required: bool,
}

impl Offer {
    const fn plain(action: Action, will: &'static str) -> Self {
        Self {
            action,
            will,
            force: false,
            reason_required: false,
        }
    }

    const fn grave(action: Action, will: &'static str) -> Self {
        Self {
            reason_required: true,
            ..Self::plain(action, will)
        }
    }

    /// The word of its name in the family `action`.
    pub(crate) const fn word(&self) -> &'static str {
        match (self.action, self.force) {
            (Action::Requeue, true) => "requeue-force",
            (action, _) => action.as_str(),
        }
    }

    /// The word of its reason field in the family `reason`.
    pub(crate) const fn need(&self) -> &'static str {
        if self.reason_required {
            "required"
        } else {
            "optional"
        }
    }

    /// The class of its button.
    pub(crate) const fn look(&self) -> &'static str {
        match (self.action, self.force) {
            (Action::Cancel, _) | (_, true) => "btn-danger",
            (Action::Retry | Action::Requeue, false) => "btn-primary",
            (Action::Rerun, false) => "",
        }
    }

    /// Everything that can be done to `task` at `now`, the likeliest first.
    pub(crate) fn all(task: &Task, now: Time) -> Vec<Self> {
        let cancelling = task.cancel_requested_at.is_some();
        match task.state {
            State::New => vec![Self::grave(Action::Cancel, "cancel-waiting")],
            State::Queued => vec![
                Self::plain(Action::Requeue, "requeue-queued"),
                Self::grave(Action::Cancel, "cancel-waiting"),
            ],
            // The worker, or the end of its lease, ends it; nothing else is left to ask for.
            State::Running if cancelling => Vec::new(),
            State::Running if task.lease_alive(now) => vec![
                Self::grave(Action::Cancel, "cancel-running"),
                Self {
                    force: true,
                    ..Self::grave(Action::Requeue, "requeue-alive")
                },
            ],
            State::Running => vec![
                Self::plain(Action::Requeue, "requeue-lost"),
                Self::grave(Action::Cancel, "cancel-lost"),
            ],
            State::Failed | State::Cancelled => vec![Self::plain(Action::Retry, "retry")],
            State::Succeeded => vec![Self::grave(Action::Rerun, "rerun")],
        }
    }
}

/// Why the guard said no, in the reader's language.
pub(crate) fn refused(l: Lang, refusal: &Refusal) -> String {
    let state = l.of("state", refusal.state).to_string();
    refusal_text(l, refusal.code.as_str(), state, refusal.attempt).to_string()
}

/// The same from the audit log's picture of what came after: `{"state": …, "refused": …}`.
pub(crate) fn refused_then(l: Lang, after: &Value, attempt: i64) -> Option<String> {
    let code = after.get("refused")?.as_str()?;
    let state: State = after.get("state")?.as_str()?.parse().ok()?;
    Some(refusal_text(l, code, l.of("state", state).to_string(), attempt).to_string())
}

fn refusal_text(l: Lang, code: &str, state: String, attempt: i64) -> Text<'static> {
    l.of("refused", code).a("state", state).a("attempt", attempt)
}

/// The id that an address names. One that can be none is not found, like one that is no task's.
pub(crate) fn task_id(text: &str) -> Result<Uuid, AppError> {
    text.parse().map_err(|_| AppError::new(Problem::NotFound))
}
