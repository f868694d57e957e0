//! What a worker calls to get a task's work done.

use std::{fmt, future::Future};

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::job::Job;

/// Does the work of one kind of task.
///
/// A function `async fn(Job) -> Result<Value, JobError>` is one already; a type of your own implements `run`.
///
/// What a handler can rely on:
/// - Its job's lease is renewed beside it. Two workers that are not paused never run one task at once.
/// - When the worker can't renew the lease, the handler is stopped before the lease ends: its future is dropped at its
///   next `.await`. When the task is cancelled or the worker shuts down, `job.cancelled()` becomes ready first, and the
///   future is dropped some seconds later.
/// - A panic is a failed attempt, and the worker lives on.
///
/// What it must do:
/// - Never block the thread: a future that doesn't await can't be stopped, and then nothing keeps it from running
///   beside the next attempt. Blocking work belongs into `tokio::task::spawn_blocking`, asking `job.is_cancelled()`
///   often, or into a program of its own (`Exec`), which can always be stopped.
/// - Expect to be called again for the same task: after a crash, a task runs once more. Effects inside Unstuck's database
///   are applied once. Effects elsewhere are exactly-once only if the receiver checks `job.attempt`, which grows with
///   every run of a task: it must refuse a write whose number is lower than the highest it has seen for that task.
pub trait Handler: Send + Sync + 'static {
    /// Runs the job to its end. The value is the task's result.
    fn run(&self, job: Job) -> impl Future<Output = Result<Value, JobError>> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Job) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, JobError>> + Send,
{
    async fn run(&self, job: Job) -> Result<Value, JobError> {
        self(job).await
    }
}

/// A `Handler` behind a pointer, so that one worker can hold several.
pub(crate) trait AnyHandler: Send + Sync {
    fn run_boxed(&self, job: Job) -> BoxFuture<'_, Result<Value, JobError>>;
}

impl<H: Handler> AnyHandler for H {
    fn run_boxed(&self, job: Job) -> BoxFuture<'_, Result<Value, JobError>> {
        Box::pin(self.run(job))
    }
}

/// Why a job did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// One sentence for the people who look at the task.
    pub message: String,
    /// Whether the same job may go well another time: then it is tried again, with backoff, up to its `max_attempts`.
    pub retryable: bool,
    pub(crate) manner: Manner,
}

/// How a job came to its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Failed,
    /// It did not fail: the worker took it away before its end.
    Stopped,
    /// Somebody asked its program to end: a failure, unless the whole service is being stopped.
    Terminated,
}

impl JobError {
    /// Trying again would not help; the task fails now.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            retryable: false,
            manner: Manner::Failed,
        }
    }

    /// Worth another try.
    pub fn retryable(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            retryable: true,
            manner: Manner::Failed,
        }
    }

    /// The handler obeyed `job.cancelled()`. The worker knows why it asked, and tells the task that.
    pub fn stopped() -> Self {
        Self {
            message: "stopped".into(),
            retryable: true,
            manner: Manner::Stopped,
        }
    }

    pub(crate) fn terminated(self) -> Self {
        Self {
            manner: Manner::Terminated,
            ..self
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JobError {}
