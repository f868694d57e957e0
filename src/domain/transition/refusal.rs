//! Why a guard said no, and what that means for the message that led there.

use crate::domain::{
    task::{State, Task},
    time::Time,
    words::words,
};

words! {
    /// What a worker does with the message of a claim that was refused.
    pub enum Disposal {
        Ack = "ack",
        DeadLetter = "dead_letter",
    }
}

words! {
    /// Why an event was refused; the key of its sentence in the catalogues.
    pub enum RefusalCode {
        AlreadyStarted = "already_started",
        OldDispatch = "old_dispatch",
        AheadOfDatabase = "ahead_of_database",
        NeverStarted = "never_started",
        NotDue = "not_due",
        OwnedElsewhere = "owned_elsewhere",
        AlreadyEnded = "already_ended",
        NoAttemptsLeft = "no_attempts_left",
        CancelRequested = "cancel_requested",
        NotCurrentAttempt = "not_current_attempt",
        NotRetryable = "not_retryable",
        NotSucceeded = "not_succeeded",
        NotRequeueable = "not_requeueable",
        LeaseAlive = "lease_alive",
        /// The task is at another dispatch than the one that was decided upon.
        MovedOn = "moved_on",
        NothingToRecover = "nothing_to_recover",
        /// The task is not queued and confirmed, or its message was put out again lately.
        NothingToResend = "nothing_to_resend",
    }
}

/// The guard said no. `state` is the task's state after whatever the refusal itself changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Refusal {
    pub code: RefusalCode,
    pub state: State,
    pub attempt: i64,
    pub dispatch: i64,
    pub lease_expires_at: Option<Time>,
}

impl Refusal {
    pub(super) fn of(code: RefusalCode, task: &Task) -> Self {
        Self {
            code,
            state: task.state,
            attempt: task.attempt,
            dispatch: task.dispatch,
            lease_expires_at: task.lease_expires_at,
        }
    }

    /// What to do with the message that led to a refused claim.
    pub fn disposal(&self) -> Disposal {
        match self.code {
            RefusalCode::AheadOfDatabase | RefusalCode::NeverStarted => Disposal::DeadLetter,
            _ => Disposal::Ack,
        }
    }

    /// In English; pages look the code up in the reader's catalogue instead.
    pub fn sentence(&self) -> String {
        let Self {
            state,
            attempt,
            dispatch,
            ..
        } = self;
        match self.code {
            RefusalCode::AlreadyStarted => {
                format!("the task is {state}; only a new task can be started")
            }
            RefusalCode::OldDispatch => {
                format!("the message is old: the task's dispatch is {dispatch} by now")
            }
            RefusalCode::AheadOfDatabase => {
                format!("the message is ahead of the database, whose dispatch is {dispatch}")
            }
            RefusalCode::NeverStarted => "the task was never started".into(),
            RefusalCode::NotDue => "the task is not due yet; its message comes when it is".into(),
            RefusalCode::OwnedElsewhere => {
                format!("attempt {attempt} owns the task and its lease is alive")
            }
            RefusalCode::AlreadyEnded => format!("the task is {state}"),
            RefusalCode::NoAttemptsLeft => "no attempts are left; the task failed".into(),
            RefusalCode::CancelRequested => "the task was cancelled".into(),
            RefusalCode::NotCurrentAttempt => {
                format!("this attempt is closed: the task is {state}, its newest attempt is {attempt}")
            }
            RefusalCode::NotRetryable => {
                format!("the task is {state}; only failed and cancelled tasks can be retried")
            }
            RefusalCode::NotSucceeded => {
                format!("the task is {state}; only a succeeded task can be re-run")
            }
            RefusalCode::NotRequeueable => {
                format!("the task is {state}; only queued and running tasks can be requeued")
            }
            RefusalCode::LeaseAlive => match self.lease_expires_at {
                Some(until) => format!(
                    "attempt {attempt} is alive: its lease runs until {until}; use force to supersede it"
                ),
                None => format!("attempt {attempt} is alive; use force to supersede it"),
            },
            RefusalCode::MovedOn => {
                format!("the task has moved on since it was looked at: its dispatch is {dispatch} by now")
            }
            RefusalCode::NothingToRecover => {
                "its lease is alive, or its message was put out again a moment ago".into()
            }
            RefusalCode::NothingToResend => {
                format!("the task is {state} and its message is not lost, or was put out again lately")
            }
        }
    }
}
