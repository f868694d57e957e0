//! How many messages wait for the broker. Past a cap no further task is started: a broker that is away for long must not fill
//! the database's disk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// How often they are counted; what this process adds in between while the broker takes nothing it counts itself.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// What waits in the outbox, as far as this process knows. Clones share it.
#[derive(Clone)]
pub struct Backlog {
    waiting: Arc<AtomicI64>,
    cap: i64,
}

/// The outbox holds as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cap} messages wait for the broker, and no more may: start it again once the broker takes them")]
pub struct OutboxFull {
    pub cap: i64,
}

impl Backlog {
    /// `cap` is how many messages may wait.
    pub fn new(cap: u32) -> Self {
        Self {
            waiting: Arc::default(),
            cap: cap.into(),
        }
    }

    /// Errors: there is no room for another start.
    pub fn has_room(&self) -> Result<(), OutboxFull> {
        match self.full() {
            Some(full) => Err(full),
            None => Ok(()),
        }
    }

    /// Set while there is no room for another start.
    pub fn full(&self) -> Option<OutboxFull> {
        let cap = self.cap;
        (self.waiting.load(Ordering::Relaxed) >= cap).then_some(OutboxFull { cap })
    }

    /// Notes starts that are about to be recorded: noted afterwards, they could be counted twice.
    pub fn add(&self, starts: usize) {
        let starts = i64::try_from(starts).unwrap_or(i64::MAX);
        self.waiting.fetch_add(starts, Ordering::Relaxed);
    }

    /// Counts until `stop`. While the database does not answer, the last count stands.
    pub async fn watch(self, store: Store, stop: CancellationToken) {
        let mut told = false;
        loop {
            match store.messages_waiting(self.cap).await {
                Ok(waiting) => {
                    self.waiting.store(waiting, Ordering::Relaxed);
                    let full = waiting >= self.cap;
                    if full && !told {
                        tracing::warn!(cap = self.cap, "the outbox is full: starts are refused");
                    } else if told && !full {
                        tracing::info!(waiting, "the outbox has room again: starts are taken");
                    }
                    told = full;
                }
                Err(error) => tracing::debug!(%error, "the outbox can't be counted"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(COUNT_EVERY) => {}
            }
        }
    }
}
