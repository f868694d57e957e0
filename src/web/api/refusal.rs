//! What a service's refusal becomes in HTTP.

use std::error::Error;

use crate::{
    domain::transition::{Disposal, Refusal},
    services::{
        backlog::OutboxFull,
        batch::SharedError,
        lifecycle::ActError,
        submit::{StartError, SubmitError},
    },
    store::tasks::CreationRefused,
    web::error::{AppError, FieldError, Problem},
};

/// One error of the database may be the answer of a whole batch.
impl From<SharedError> for AppError {
    fn from(error: SharedError) -> Self {
        let store = error.store();
        let source = store.source().map(ToString::to_string);
        if store.is_unavailable() {
            tracing::warn!(error = %store, source, "the database is not available");
            AppError::unavailable()
        } else {
            tracing::error!(error = %store, source, "the database answered with an error");
            AppError::new(Problem::Internal)
        }
    }
}

/// 409 with the guard's code, the task's state and the sentence.
impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        AppError::new(Problem::Conflict)
            .detail(refusal.sentence())
            .member("code", refusal.code.as_str())
            .member("state", refusal.state.as_str())
            .member("attempt", refusal.attempt)
            .member("dispatch", refusal.dispatch)
    }
}

impl From<ActError> for AppError {
    fn from(error: ActError) -> Self {
        match error {
            ActError::NotFound => no_such_task(),
            ActError::Refused(refusal) => refusal.into(),
            ActError::Store(error) => error.into(),
        }
    }
}

/// 503: the broker takes nothing, and nothing was started.
impl From<OutboxFull> for AppError {
    fn from(full: OutboxFull) -> Self {
        AppError::unavailable()
            .detail(full.to_string())
            .member("code", "outbox_full")
    }
}

impl From<StartError> for AppError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Full(full) => full.into(),
            StartError::Act(error) => error.into(),
        }
    }
}

impl From<SubmitError> for AppError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(CreationRefused::OtherBody) => AppError::new(Problem::Conflict)
                .detail("this Idempotency-Key was used before with another body")
                .member("code", "idempotency_key_reused"),
            SubmitError::UnknownQueue(name) => AppError::new(Problem::Invalid).fields(vec![FieldError {
                field: "queue".into(),
                detail: format!("there is no queue {name:?} here, and the list of queues is closed"),
            }]),
            SubmitError::Full(full) => full.into(),
            SubmitError::Store(error) => error.into(),
        }
    }
}

pub(super) fn no_such_task() -> AppError {
    AppError::new(Problem::NotFound).detail("there is no task of this id")
}

/// A tracer is no task: its message is acknowledged, and that it came was noted.
pub(super) fn tracer() -> AppError {
    AppError::new(Problem::Conflict)
        .detail("this is a tracer, not a task: acknowledge its message")
        .member("code", "tracer")
        .member("action", Disposal::Ack.as_str())
        .member("reason", "tracer")
}

/// 409 with what the worker does with its message.
pub(super) fn refused_claim(error: ActError) -> AppError {
    let (disposal, reason) = match &error {
        ActError::Refused(refusal) => (refusal.disposal(), refusal.sentence()),
        ActError::NotFound => return unknown_to_claim(),
        ActError::Store(_) => return error.into(),
    };
    AppError::from(error)
        .member("action", disposal.as_str())
        .member("reason", reason)
}

/// A message may name a task that this database never had.
pub(super) fn unknown_to_claim() -> AppError {
    let reason = "there is no task of this id";
    AppError::new(Problem::Conflict)
        .detail(reason)
        .member("code", "unknown_task")
        .member("action", Disposal::DeadLetter.as_str())
        .member("reason", reason)
}
