//! Runs one attempt's handler to its end, whoever brings that about.

use std::{panic, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    handler::{AnyHandler, JobError},
    job::{Job, Reins, StopCause},
};
use crate::services::exec::STOP_GRACE;

/// How long a handler that is asked to stop may go on: what a program is given, and a moment for its guard.
const GENTLE_GRACE: Duration = STOP_GRACE.saturating_add(Duration::from_secs(2));
/// The longest that a handler which must stop now is given to say that it did.
const URGENT_GRACE: Duration = Duration::from_secs(1);
/// How long a dropped handler may take to be really gone.
const DROP_GRACE: Duration = Duration::from_secs(1);

/// How a handler ended.
#[derive(Debug)]
pub(super) enum Ending {
    Finished(Result<Value, JobError>),
    Panicked(String),
    /// It did not stop when asked and was dropped.
    Dropped,
    /// It, or something that it started, may still run.
    LeftBehind,
}

/// Runs `job`. The handler is asked to stop when the reins say so, and dropped when it does not: after some seconds,
/// or within a twelfth of the lease when the lease is about to end.
pub(super) async fn run(handler: Arc<dyn AnyHandler>, job: Job, reins: &Reins, lease: Duration) -> Ending {
    let mut running = Running(tokio::spawn(async move { handler.run_boxed(job).await }));
    let mut asked = None;
    let ending = loop {
        let grace = match asked {
            None => Duration::MAX,
            Some(cause) if StopCause::is_gentle(cause) => GENTLE_GRACE,
            Some(_) => URGENT_GRACE.min(lease / 12),
        };
        tokio::select! {
            ended = timeout(grace, &mut running.0) => break match ended {
                Ok(ended) => read(ended),
                Err(_) => running.drop_handler().await,
            },
            cause = reins.stopped_beyond(asked) => asked = Some(cause),
        }
    };
    if reins.left_behind() {
        Ending::LeftBehind
    } else {
        ending
    }
}

/// The handler's task. Dropped, it takes the handler with it.
struct Running(JoinHandle<Result<Value, JobError>>);

impl Running {
    async fn drop_handler(&mut self) -> Ending {
        self.0.abort();
        match timeout(DROP_GRACE, &mut self.0).await {
            Ok(ended) => read(ended),
            // It blocks its thread, against the rules: nothing can stop it.
            Err(_) => Ending::LeftBehind,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn read(ended: Result<Result<Value, JobError>, tokio::task::JoinError>) -> Ending {
    match ended.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(finished) => Ending::Finished(finished),
        Err(Ok(panic)) => Ending::Panicked(words_of(panic.as_ref())),
        Err(Err(_)) => Ending::Dropped,
    }
}

/// What `panic!` was called with.
fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    words.unwrap_or("without a message").to_owned()
}
