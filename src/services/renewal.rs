//! Renews the leases of a worker's running attempts, beside the work: on a thread, a runtime and database connections
//! of its own, so that neither a busy handler nor a slow page can cost an attempt its lease.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::{
    guard::{BootTime, sleep_until},
    lifecycle::{Act, ActError, Lifecycle},
    worker::{Reins, StopCause},
};
use crate::{
    domain::transition::{Answer, Event},
    store::{Lane, Store, StoreError},
};

/// How soon a report of progress, or a heartbeat that failed, is sent (again).
const SOON: Duration = Duration::from_secs(1);

/// Until when an attempt may be trusted whose claim or renewal was sent at `sent_at`: a sixth of the lease before its
/// end, so that a handler is stopped in time.
pub(crate) fn trusted_until(sent_at: BootTime, lease: Duration) -> BootTime {
    sent_at + lease.mul_f64(5.0 / 6.0)
}

/// Renews leases until it is dropped.
pub struct Renewal {
    attempts: Arc<Attempts>,
    lease: Duration,
    _stop: DropGuard,
}

type AttemptKey = (Uuid, i64);

#[derive(Default)]
struct Attempts {
    kept: Mutex<HashMap<AttemptKey, Kept>>,
    changed: Notify,
}

struct Kept {
    reins: Reins,
    beat_at: BootTime,
    /// When the last heartbeat, or the claim, was sent.
    sent_at: BootTime,
}

impl Renewal {
    /// Starts the thread and opens the database at `database_url` there. `worker` is the worker's id.
    ///
    /// Errors: the database can't be opened, or no thread can be started.
    pub async fn spawn(database_url: String, worker: &str, lease: Duration) -> Result<Self, StoreError> {
        let attempts = Arc::<Attempts>::default();
        let stop = CancellationToken::new();
        let (opened, opening) = oneshot::channel();
        let rounds = Rounds {
            attempts: attempts.clone(),
            actor: format!("worker:{worker}"),
            lease,
        };
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name("renewal".into())
            .spawn(move || rounds.run_on_this_thread(&database_url, opened, stopped))
            .map_err(no_thread)?;
        match opening.await {
            Ok(Ok(())) => Ok(Self {
                attempts,
                lease,
                _stop: stop.drop_guard(),
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(no_thread(io::Error::other("the thread of the heartbeats ended"))),
        }
    }

    /// Renews the attempt's lease, whose claim was sent at `sent_at`, from now on until the answer is dropped.
    ///
    /// Each renewal moves `Reins::trusted_until` on; a renewal that says so, is refused, or comes too late stops the
    /// job with `Cancelled`, `Disowned` or `LeaseLost`.
    pub fn keep(&self, task_id: Uuid, attempt: i64, reins: Reins, sent_at: BootTime) -> Keeping {
        let key = (task_id, attempt);
        let kept = Kept {
            reins,
            sent_at,
            beat_at: sent_at + self.lease / 3,
        };
        self.attempts.lock().insert(key, kept);
        self.attempts.changed.notify_one();
        Keeping {
            attempts: self.attempts.clone(),
            key,
        }
    }

    /// Asks every kept attempt's handler to stop.
    pub fn stop_all(&self, cause: StopCause) {
        for kept in self.attempts.lock().values() {
            kept.reins.stop(cause);
        }
    }
}

/// Holds an attempt's lease; dropping it lets the lease run out.
pub struct Keeping {
    attempts: Arc<Attempts>,
    key: AttemptKey,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.attempts.lock().remove(&self.key);
    }
}

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptKey, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_thread(error: io::Error) -> StoreError {
    StoreError::Configuration(format!("heartbeats can't be sent: {error}"))
}

/// The thread's work.
struct Rounds {
    attempts: Arc<Attempts>,
    actor: String,
    lease: Duration,
}

impl Rounds {
    fn run_on_this_thread(
        self,
        database_url: &str,
        opened: oneshot::Sender<Result<(), StoreError>>,
        stop: CancellationToken,
    ) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(opened.send(Err(no_thread(error)))),
        };
        runtime.block_on(async move {
            let store = match Store::open(database_url).await {
                Ok(store) => store,
                Err(error) => return drop(opened.send(Err(error))),
            };
            if opened.send(Ok(())).is_err() {
                return;
            }
            let lifecycle = Lifecycle::spawn(store.clone(), Lane::Reserved, self.lease);
            tokio::select! {
                () = self.watch() => {}
                () = self.beat_on(&lifecycle) => {}
                () = stop.cancelled() => {}
            }
            store.close().await;
        });
    }

    /// Stops every job whose trust is over, whatever the database does meanwhile.
    async fn watch(&self) {
        loop {
            let next = {
                let kept = self.attempts.lock();
                let mut next = BootTime::now() + SOON;
                for kept in kept.values() {
                    let until = kept.reins.trusted_until();
                    if until.is_over() {
                        kept.reins.stop(StopCause::LeaseLost);
                    } else {
                        next = next.min(until);
                    }
                }
                next
            };
            sleep_until(next).await;
        }
    }

    async fn beat_on(&self, lifecycle: &Lifecycle) {
        loop {
            let due = self.due();
            if !due.is_empty() {
                join_all(
                    due.into_iter()
                        .map(|(key, reins)| self.beat(lifecycle, key, reins)),
                )
                .await;
            }
            // At least once a second for progress; a new attempt is due much later.
            if self.attempts.lock().is_empty() {
                self.attempts.changed.notified().await;
            }
            sleep_until(BootTime::now() + SOON.min(self.lease / 12)).await;
        }
    }

    /// What is to be renewed now. When one attempt is due, those that will be soon go with it.
    fn due(&self) -> Vec<(AttemptKey, Reins)> {
        let now = BootTime::now();
        let mut attempts = self.attempts.lock();
        let soon = now + self.lease / 6;
        let renews = attempts.values().any(|kept| kept.beat_at <= now);
        let mut due = Vec::new();
        for (key, kept) in attempts.iter_mut() {
            let lost = kept.reins.stop_cause() >= Some(StopCause::LeaseLost);
            let progressed = kept.reins.has_progress() && kept.sent_at + SOON <= now;
            if !lost && (progressed || (renews && kept.beat_at <= soon)) {
                kept.sent_at = now;
                kept.beat_at = now + self.lease / 3;
                due.push((*key, kept.reins.clone()));
            }
        }
        due
    }

    async fn beat(&self, lifecycle: &Lifecycle, key: AttemptKey, reins: Reins) {
        let (task_id, attempt) = key;
        let progress = reins.take_progress();
        let said = progress.clone().unwrap_or_default();
        let event = Event::Heartbeat {
            attempt,
            progress: said.percent,
            message: said.message,
        };
        let act = Act {
            task_id,
            event,
            actor: self.actor.clone(),
            audit: None,
        };
        let sent_at = BootTime::now();
        let answered = timeout(self.lease / 3, lifecycle.act(act)).await;
        let unknown = match answered {
            Ok(Ok(acted)) => {
                reins.trust(trusted_until(sent_at, self.lease));
                if let Answer::Alive {
                    cancel_requested: true,
                    ..
                } = acted.answer
                {
                    reins.stop(StopCause::Cancelled);
                }
                return;
            }
            Ok(Err(ActError::Refused(refusal))) => {
                tracing::warn!(task.id = %task_id, attempt, reason = %refusal, "the attempt is no longer ours");
                return reins.stop(StopCause::Disowned);
            }
            Ok(Err(ActError::NotFound)) => return reins.stop(StopCause::Disowned),
            Ok(Err(ActError::Store(error))) => error.to_string(),
            Err(_) => "no answer in time".into(),
        };
        metrics::counter!("unstuck_heartbeats_failed_total").increment(1);
        tracing::warn!(task.id = %task_id, attempt, error = unknown, "a lease could not be renewed");
        if let Some(progress) = progress {
            reins.return_progress(progress);
        }
        if let Some(kept) = self.attempts.lock().get_mut(&key) {
            kept.beat_at = BootTime::now() + SOON;
        }
    }
}
