//! One attempt, from both sides: the handler's `Job` and the worker's `Reins`.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use super::log_tail::LogTail;
use crate::services::guard::BootTime;

/// What a handler is given.
#[derive(Clone)]
pub struct Job {
    pub task_id: Uuid,
    /// 1, 2, 3 …: grows with every run of the task. The fence for effects outside the database (see `Handler`).
    pub attempt: i64,
    pub kind: String,
    pub queue: String,
    pub title: Option<String>,
    pub payload: Arc<Value>,
    /// How long the task is expected to take at most. Nobody stops it then; it is shown as overdue.
    pub timeout: Option<Duration>,
    shared: Arc<Shared>,
}

/// What a job is made of.
#[derive(Clone, Debug)]
pub struct JobSpec {
    pub task_id: Uuid,
    pub attempt: i64,
    pub kind: String,
    pub queue: String,
    pub title: Option<String>,
    pub payload: Value,
    pub timeout: Option<Duration>,
}

/// Why a handler shall stop; later ones are the more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopCause {
    /// The worker shuts down; the task goes back to its queue.
    Draining,
    /// A person cancelled the task.
    Cancelled,
    /// The worker shuts down at once.
    Killed,
    /// The lease could not be renewed and is about to end.
    LeaseLost,
    /// The attempt is no longer the task's current one: somebody else decided about the task.
    Disowned,
}

impl StopCause {
    /// Whether the handler is given time to end by itself.
    pub(crate) fn is_gentle(self) -> bool {
        match self {
            Self::Draining | Self::Cancelled => true,
            Self::Killed | Self::LeaseLost | Self::Disowned => false,
        }
    }
}

/// What the handler last said about its progress.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// 0 to 100.
    pub percent: Option<f64>,
    pub message: Option<String>,
}

struct Shared {
    progress: Mutex<Option<Progress>>,
    log: Mutex<LogTail>,
    stop: watch::Sender<Option<StopCause>>,
    trusted_until: watch::Sender<BootTime>,
    /// Something that runs for the job may have outlived its handler.
    left_behind: AtomicBool,
}

/// The worker's hold on a running job.
#[derive(Clone)]
pub struct Reins(Arc<Shared>);

/// Longest progress message that is kept, in characters.
const PROGRESS_MESSAGE_CHARS: usize = 500;

impl Job {
    /// A job and the hold on it. Workers make their own; for the tests of a handler.
    ///
    /// `trusted_until` is when a program that runs for the job is killed unless `Reins::trust` moved it on.
    pub fn new(spec: JobSpec, trusted_until: BootTime) -> (Self, Reins) {
        let shared = Arc::new(Shared {
            progress: Mutex::default(),
            log: Mutex::default(),
            stop: watch::Sender::new(None),
            trusted_until: watch::Sender::new(trusted_until),
            left_behind: AtomicBool::new(false),
        });
        let JobSpec {
            task_id,
            attempt,
            kind,
            queue,
            title,
            payload,
            timeout,
        } = spec;
        let payload = Arc::new(payload);
        let job = Self {
            task_id,
            attempt,
            kind,
            queue,
            title,
            payload,
            timeout,
            shared: shared.clone(),
        };
        (job, Reins(shared))
    }

    /// Reports how far the work is, 0 to 100; other numbers are moved into that range. It travels with a heartbeat
    /// within a second or so; of several reports in between only the last one does.
    pub fn progress(&self, percent: f64) {
        self.report(Some(percent), None);
    }

    /// Reports what the work is at, and how far.
    pub fn progress_with(&self, percent: f64, message: &str) {
        self.report(Some(percent), Some(message));
    }

    pub(crate) fn report(&self, percent: Option<f64>, message: Option<&str>) {
        let percent = percent
            .filter(|percent| !percent.is_nan())
            .map(|percent| percent.clamp(0.0, 100.0));
        let message = message
            .map(|text| {
                text.chars()
                    .filter(|char| *char != '\0')
                    .take(PROGRESS_MESSAGE_CHARS)
                    .collect::<String>()
            })
            .filter(|text| !text.is_empty());
        if percent.is_none() && message.is_none() {
            return;
        }
        let mut waiting = lock(&self.shared.progress);
        let before = waiting.take().unwrap_or_default();
        *waiting = Some(Progress {
            percent: percent.or(before.percent),
            message: message.or(before.message),
        });
    }

    /// Adds lines to the attempt's log, of which the last 64 KiB are kept with the attempt.
    pub fn log(&self, text: &str) {
        let mut log = lock(&self.shared.log);
        for line in text.lines() {
            if line.contains('\0') {
                log.push(&line.replace('\0', ""));
            } else {
                log.push(line);
            }
        }
    }

    /// Becomes ready when the handler shall stop, and says why. A handler that stops then answers
    /// `JobError::stopped()`; a result is as welcome. When it goes on, it is dropped some seconds later.
    pub async fn cancelled(&self) -> StopCause {
        self.cancelled_beyond(None).await
    }

    /// Whether the handler shall stop.
    pub fn is_cancelled(&self) -> bool {
        self.shared.stop.borrow().is_some()
    }

    /// Becomes ready when there is a more urgent cause to stop than `known`.
    pub(crate) async fn cancelled_beyond(&self, known: Option<StopCause>) -> StopCause {
        self.shared.stopped_beyond(known).await
    }

    pub(crate) fn trusted_until(&self) -> watch::Receiver<BootTime> {
        self.shared.trusted_until.subscribe()
    }

    /// Says that something of the job runs on although its handler ended.
    pub(crate) fn leave_behind(&self) {
        self.shared.left_behind.store(true, Ordering::Relaxed);
    }

    pub(crate) fn last_words(&self) -> Option<String> {
        lock(&self.shared.log).last_words().map(str::to_owned)
    }
}

impl Shared {
    async fn stopped_beyond(&self, known: Option<StopCause>) -> StopCause {
        let mut stop = self.stop.subscribe();
        match stop.wait_for(|cause| *cause > known).await.map(|cause| *cause) {
            Ok(Some(cause)) => cause,
            // The sender lives in `self`, and nothing is greater than some cause but another one.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

impl Reins {
    /// Asks the handler to stop. A less urgent cause than the present one changes nothing.
    pub fn stop(&self, cause: StopCause) {
        self.0.stop.send_if_modified(|present| {
            let more_urgent = *present < Some(cause);
            if more_urgent {
                *present = Some(cause);
            }
            more_urgent
        });
    }

    /// Why it shall stop; `None` while it may go on.
    pub fn stop_cause(&self) -> Option<StopCause> {
        *self.0.stop.borrow()
    }

    /// Becomes ready when there is a more urgent cause to stop than `known`.
    pub(crate) async fn stopped_beyond(&self, known: Option<StopCause>) -> StopCause {
        self.0.stopped_beyond(known).await
    }

    /// Whether something that runs for the job may have outlived its handler.
    pub(crate) fn left_behind(&self) -> bool {
        self.0.left_behind.load(Ordering::Relaxed)
    }

    /// Until when the job may run.
    pub fn trusted_until(&self) -> BootTime {
        *self.0.trusted_until.borrow()
    }

    /// The lease was renewed: the job may run until then.
    pub fn trust(&self, until: BootTime) {
        self.0.trusted_until.send_replace(until);
    }

    /// Whether something was reported that nobody took yet.
    pub(crate) fn has_progress(&self) -> bool {
        lock(&self.0.progress).is_some()
    }

    /// What was reported since the last call.
    pub fn take_progress(&self) -> Option<Progress> {
        lock(&self.0.progress).take()
    }

    /// Puts a report back that could not be delivered, unless a newer one came.
    pub(crate) fn return_progress(&self, progress: Progress) {
        let mut waiting = lock(&self.0.progress);
        let newer = waiting.take().unwrap_or_default();
        *waiting = Some(Progress {
            percent: newer.percent.or(progress.percent),
            message: newer.message.or(progress.message),
        });
    }

    /// The attempt's log so far; `None` when nothing was written.
    pub fn log(&self) -> Option<String> {
        lock(&self.0.log).text()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
