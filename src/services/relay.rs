//! Puts out what the outbox holds, in windows of confirmed publishes, and tells who waits for a confirm.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::queues::QueueBook;
use crate::{
    broker::{DeclareError, LinkState, PublishFault, PublishOutcome, Publisher, TaskMessage},
    domain::{retry, time::Time},
    store::{Failure, OutboxRow, PublishCause, Store, StoreError},
};

/// How many messages one window holds at most. The broker gets no faster beyond (measured).
const WINDOW: i64 = 500;
/// How long a relay holds the rows it took: longer than any window takes to answer.
const ROW_LEASE: Duration = Duration::from_secs(30);
/// Rows that others wrote (another replica, the recovery, a schedule) are looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Windows under way at once in this process: one that waits for its confirms must not hold up the others.
const SIDE_BY_SIDE: usize = 2;

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub published: usize,
    /// Tried and put back with a cause.
    pub failed: usize,
}

/// The relay of this process. Cheap to clone.
#[derive(Clone)]
pub struct Relay {
    store: Store,
    publisher: Publisher,
    queues: QueueBook,
    waiting: Arc<Waiting>,
    nudge: Arc<Notify>,
}

type Place = (Uuid, i64);

/// Who waits for the confirm of which dispatch.
#[derive(Default)]
struct Waiting(Mutex<HashMap<Place, Vec<oneshot::Sender<Time>>>>);

impl Waiting {
    fn tell(&self, rows: &[OutboxRow], at: Time) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in rows
            .iter()
            .filter_map(|row| waiting.remove(&(row.task_id, row.dispatch)))
            .flatten()
        {
            if sender.send(at).is_err() {
                tracing::trace!("nobody waits for this confirm any more");
            }
        }
    }
}

/// A wait for one confirm, begun before the publish can happen.
pub struct Confirm {
    waiting: Arc<Waiting>,
    place: Place,
    receiver: oneshot::Receiver<Time>,
}

impl Confirm {
    /// When the broker confirmed, or `None` after `longest`.
    pub async fn within(mut self, longest: Duration) -> Option<Time> {
        tokio::time::timeout(longest, &mut self.receiver).await.ok()?.ok()
    }
}

impl Drop for Confirm {
    fn drop(&mut self) {
        self.receiver.close();
        let mut waiting = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(senders) = waiting.get_mut(&self.place) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(&self.place);
            }
        }
    }
}

impl Relay {
    pub fn new(store: Store, publisher: Publisher, queues: QueueBook) -> Self {
        Self {
            store,
            publisher,
            queues,
            waiting: Arc::default(),
            nudge: Arc::default(),
        }
    }

    /// Says that rows were written: the next pass begins at once.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Whether the broker takes publishes now, as far as is known.
    pub fn is_open(&self) -> bool {
        matches!(*self.publisher.link().borrow(), LinkState::Up { .. })
    }

    /// Begins to wait for the confirm of a dispatch that is about to be written.
    pub fn watch(&self, task_id: Uuid, dispatch: i64) -> Confirm {
        let (sender, receiver) = oneshot::channel();
        let place = (task_id, dispatch);
        let mut waiting = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(place).or_default().push(sender);
        Confirm {
            waiting: self.waiting.clone(),
            place,
            receiver,
        }
    }

    /// Publishes one window of what is due and writes what became of it. Several relays may run at once.
    ///
    /// Takes nothing while the broker is away or blocked, so that rows don't age for nothing. Errors: what was
    /// published but could not be marked is published again when its row's lease ends; claims are fenced by dispatch.
    pub async fn tick(&self) -> Result<Tally, StoreError> {
        if !self.is_open() {
            return Ok(Tally::default());
        }
        let rows = self.store.take_due(WINDOW, ROW_LEASE).await?;
        if rows.is_empty() {
            return Ok(Tally::default());
        }
        let (ready, mut failed) = self.declare(rows).await?;
        let outcomes = self.publisher.publish(ready.iter().map(message).collect()).await;
        let mut confirmed = Vec::with_capacity(ready.len());
        for (row, outcome) in ready.into_iter().zip(outcomes) {
            match failure_of(&outcome) {
                None => confirmed.push(row),
                Some((cause, detail)) => failed.push(put_back(&row, cause, detail)),
            }
        }
        report(&confirmed, &failed);
        let at = self.store.settle(&confirmed, &failed).await?;
        self.waiting.tell(&confirmed, at);
        Ok(Tally {
            published: confirmed.len(),
            failed: failed.len(),
        })
    }

    /// Makes sure that each row's queue exists; rows of a queue that can't be had are put back.
    async fn declare(&self, rows: Vec<OutboxRow>) -> Result<(Vec<OutboxRow>, Vec<Failure>), StoreError> {
        let names: HashSet<&str> = rows.iter().map(|row| row.queue.as_str()).collect();
        let mut refused: HashMap<String, (PublishCause, String)> = HashMap::new();
        for name in names {
            let spec = self.queues.spec(name).await?;
            if let Err(error) = self.publisher.declare(&spec).await {
                let cause = match error {
                    DeclareError::Mismatch { .. } => PublishCause::QueueMismatch,
                    DeclareError::Refused { .. } => PublishCause::Refused,
                    DeclareError::Unavailable { .. } => PublishCause::Unreachable,
                };
                refused.insert(name.to_owned(), (cause, error.to_string()));
            }
        }
        let (mut ready, mut failed) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match refused.get(&row.queue) {
                None => ready.push(row),
                Some((cause, detail)) => failed.push(put_back(&row, *cause, detail.clone())),
            }
        }
        Ok((ready, failed))
    }

    /// Ticks until `stop`; the passes under way are finished first.
    pub async fn run(self, stop: CancellationToken) {
        let passes = (0..SIDE_BY_SIDE).map(|_| self.clone().keep_ticking(stop.clone()));
        futures_util::future::join_all(passes).await;
    }

    async fn keep_ticking(self, stop: CancellationToken) {
        let mut link = self.publisher.link();
        while !stop.is_cancelled() {
            match self.tick().await {
                Ok(tally) if tally.published > 0 => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the outbox can't be read or written; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.nudge.notified() => {}
                changed = link.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

fn message(row: &OutboxRow) -> TaskMessage {
    TaskMessage {
        task_id: row.task_id,
        dispatch: row.dispatch,
        queue: row.queue.clone(),
        kind: row.kind.clone(),
        priority: u8::try_from(row.priority.clamp(0, 9)).unwrap_or(0),
        traceparent: row.traceparent.clone(),
    }
}

/// Why the message can't count as published; `None` when the broker has it.
fn failure_of(outcome: &PublishOutcome) -> Option<(PublishCause, String)> {
    match outcome {
        PublishOutcome::Confirmed => None,
        PublishOutcome::Returned { code, text } => Some((PublishCause::Unroutable, format!("{code} {text}"))),
        PublishOutcome::Nacked => Some((PublishCause::Nacked, "the broker refused the message".into())),
        PublishOutcome::Unknown { cause } | PublishOutcome::NotSent { cause } => {
            let word = match cause {
                PublishFault::LinkDown { .. } => PublishCause::Unreachable,
                PublishFault::Blocked { .. } => PublishCause::Blocked,
                PublishFault::TimedOut | PublishFault::QueueSilent { .. } | PublishFault::Closed { .. } => {
                    PublishCause::Unconfirmed
                }
                PublishFault::Unsendable { .. } => PublishCause::Refused,
            };
            Some((word, cause.to_string()))
        }
    }
}

fn put_back(row: &OutboxRow, cause: PublishCause, detail: String) -> Failure {
    Failure {
        id: row.id,
        cause,
        detail,
        backoff: retry::publish_backoff(row.tries, rand::random()),
    }
}

fn report(confirmed: &[OutboxRow], failed: &[Failure]) {
    metrics::counter!("unstuck_published_total").increment(confirmed.len() as u64);
    for failure in failed {
        metrics::counter!("unstuck_publish_failures_total", "cause" => failure.cause.as_str()).increment(1);
    }
    if let Some(first) = failed.first() {
        tracing::warn!(count = failed.len(), cause = %first.cause, detail = %first.detail, "messages were not confirmed");
    }
}
