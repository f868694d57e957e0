//! A worker's life: start, take deliveries, drain, end.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{
    builder::Worker,
    desk::Desk,
    gate::{Gate, backoff},
    job::StopCause,
    shutdown::Shutdown,
};
use crate::{
    broker::{AckHandle, AckOutcome, Consumer, ConsumerSpec, Publisher},
    services::{
        exec::STOP_GRACE,
        lifecycle::Lifecycle,
        queues::{Naming, QueueBook},
        renewal::Renewal,
    },
    store::{Lane, Store, StoreError},
};

/// Most acknowledgements in one go.
const ACKS: usize = 512;
/// How long handlers and reports may take after SIGKILL went out.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a worker could not start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("nobody has named the queue {0} yet, and UNSTUCK_OPEN_QUEUES=false closes the list")]
    UnknownQueue(String),
}

impl Worker {
    /// Works until `shutdown`: then it takes nothing new, lets running work finish for the drain time, stops the rest
    /// (its tasks go back to their queues and the attempt does not count), and returns.
    ///
    /// Outages of the database and the broker are waited out, at the start too. Errors: see `WorkerError`.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), WorkerError> {
        let id = worker_id();
        let Some(store) = patiently(&shutdown, || Store::open(&self.config.database_url)).await? else {
            return Ok(());
        };
        let outcome = self.run_on(&store, id, shutdown).await;
        store.close().await;
        outcome
    }

    async fn run_on(self, store: &Store, id: String, shutdown: Shutdown) -> Result<(), WorkerError> {
        let Self {
            config,
            queues,
            handlers,
            concurrency,
            drain,
        } = self;
        let book = QueueBook::new(store.clone(), config.queue_type, config.open_queues);
        let mut specs = Vec::with_capacity(queues.len());
        for name in queues {
            match patiently(&shutdown, || book.name(&name)).await? {
                Some(Naming::Known) => {}
                Some(Naming::Closed) => return Err(WorkerError::UnknownQueue(name)),
                None => return Ok(()),
            }
            let Some(spec) = patiently(&shutdown, || book.spec(&name)).await? else {
                return Ok(());
            };
            specs.push(spec);
        }
        let heartbeats = || Renewal::spawn(config.database_url.clone(), &id, config.lease);
        let Some(renewal) = patiently(&shutdown, heartbeats).await? else {
            return Ok(());
        };

        let broker = config.broker.named(id.as_str());
        let spec = ConsumerSpec {
            tag: id.clone(),
            queues: specs,
            prefetch: concurrency,
        };
        let (consumer, mut deliveries) = Consumer::spawn(broker.clone(), spec);
        let (acks, to_acknowledge) = mpsc::unbounded_channel();
        let acknowledging = tokio::spawn(acknowledge(consumer.clone(), to_acknowledge));
        let desk = Arc::new(Desk {
            worker: id.clone(),
            store: store.clone(),
            lifecycle: Lifecycle::spawn(store.clone(), Lane::Reserved, config.lease),
            renewal,
            publisher: Publisher::spawn(broker),
            gate: Gate::new(consumer.clone()),
            acks,
            handlers,
            slots: Semaphore::new(concurrency.get().into()),
            shutdown: shutdown.clone(),
        });
        tracing::info!(worker = id, concurrency, "working");

        let serving = TaskTracker::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.draining() => break,
                delivery = deliveries.recv() => match delivery {
                    Some(delivery) => {
                        let desk = desk.clone();
                        serving.spawn(async move { desk.serve(delivery).await });
                    }
                    None => break,
                },
            }
        }
        end(&desk, &serving, drain).await;
        drop(desk);
        // The last sender is gone with the last delivery: what is left is acknowledged now.
        if timeout(LAST_WORDS, acknowledging).await.is_err() {
            tracing::warn!("some messages stay unacknowledged; they come again and are found to be done");
        }
        consumer.close().await;
        tracing::info!(worker = id, "ended");
        Ok(())
    }
}

/// Brings what runs to its end: by itself within `drain`, then by asking, then without asking.
async fn end(desk: &Desk, serving: &TaskTracker, drain: Duration) {
    desk.gate.shut();
    serving.close();
    tracing::info!(running = serving.len(), "draining");
    tokio::select! {
        () = serving.wait() => return,
        () = tokio::time::sleep(drain) => {}
        () = desk.shutdown.hurried() => {}
    }
    desk.renewal.stop_all(StopCause::Draining);
    tokio::select! {
        () = serving.wait() => return,
        () = tokio::time::sleep(STOP_GRACE + LAST_WORDS) => {}
        () = desk.shutdown.hurried() => {}
    }
    desk.renewal.stop_all(StopCause::Killed);
    if timeout(LAST_WORDS, serving.wait()).await.is_err() {
        tracing::warn!(
            left = serving.len(),
            "ending without a last report; these tasks come back when their leases end"
        );
    }
}

/// Acknowledges whatever is waiting, in one go.
async fn acknowledge(consumer: Consumer, mut waiting: mpsc::UnboundedReceiver<AckHandle>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, ACKS).await > 0 {
        let outcomes = consumer.ack(std::mem::take(&mut batch)).await;
        let lost = outcomes
            .iter()
            .filter(|outcome| **outcome == AckOutcome::Lost)
            .count();
        if lost > 0 {
            tracing::info!(lost, "messages come again and will be found to be done");
        }
    }
}

/// Tries until the database is there. `None` when the worker is told to end first.
async fn patiently<T, Trying>(
    shutdown: &Shutdown,
    mut attempt: impl FnMut() -> Trying,
) -> Result<Option<T>, StoreError>
where
    Trying: Future<Output = Result<T, StoreError>>,
{
    let mut failed = 0;
    loop {
        match attempt().await {
            Err(error) if error.is_unavailable() => {
                failed += 1;
                tracing::warn!(%error, "waiting for the database");
            }
            done => return done.map(Some),
        }
        if timeout(backoff(failed), shutdown.draining()).await.is_ok() {
            return Ok(None);
        }
    }
}

/// New at each start, so that a worker that came back is never taken for the one that went.
fn worker_id() -> String {
    let host = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    // AMQP: a consumer tag is at most 255 bytes.
    let host: String = host
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect();
    let host = if host.is_empty() { "worker" } else { host.as_str() };
    format!("{host}-{}-{:08x}", std::process::id(), rand::random::<u32>())
}
