//! How a worker is put together.

use std::{collections::HashMap, num::NonZeroU16, sync::Arc, time::Duration};

use super::handler::{AnyHandler, Handler};
use crate::broker::{BrokerConfig, QueueType};

/// Where a worker finds its tasks, and the settings that it shares with `unstuck serve`.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// `sqlite://path` or `postgres://…`: the database that `unstuck serve` uses.
    pub database_url: String,
    pub broker: BrokerConfig,
    /// How long a claim or heartbeat keeps an attempt alive; 5 s to 1 h.
    pub lease: Duration,
    /// The type of a queue that this worker is the first to name.
    pub queue_type: QueueType,
    /// Whether a queue that nobody named yet may be made.
    pub open_queues: bool,
}

impl WorkerConfig {
    /// With the defaults of `unstuck serve`: a lease of 30 s, quorum queues, open to new queues.
    pub fn new(database_url: impl Into<String>, broker: BrokerConfig) -> Self {
        Self {
            database_url: database_url.into(),
            broker,
            lease: Duration::from_secs(30),
            queue_type: QueueType::Quorum,
            open_queues: true,
        }
    }
}

/// Takes tasks from queues and runs their handlers until it is told to end.
pub struct Worker {
    pub(super) config: WorkerConfig,
    pub(super) queues: Vec<String>,
    pub(super) handlers: Handlers,
    pub(super) concurrency: NonZeroU16,
    pub(super) drain: Duration,
}

/// What is missing or wrong about a worker.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("a worker needs at least one queue")]
    NoQueue,
    #[error("a worker needs at least one handler")]
    NoHandler,
    #[error("the lease is {} s; it can be 5 s to 3600 s", .0.as_secs())]
    Lease(Duration),
    #[error("a worker runs 1 to 65535 tasks at once")]
    Concurrency,
}

/// Collects what a worker is made of; `build` checks it.
pub struct WorkerBuilder {
    config: WorkerConfig,
    queues: Vec<String>,
    handlers: Handlers,
    concurrency: u16,
    drain: Duration,
}

/// Which handler runs which kind.
#[derive(Default)]
pub(super) struct Handlers {
    by_kind: HashMap<String, Arc<dyn AnyHandler>>,
    any_kind: Option<Arc<dyn AnyHandler>>,
}

impl Handlers {
    pub(super) fn of(&self, kind: &str) -> Option<&Arc<dyn AnyHandler>> {
        self.by_kind.get(kind).or(self.any_kind.as_ref())
    }
}

impl Worker {
    pub fn builder(config: WorkerConfig) -> WorkerBuilder {
        WorkerBuilder {
            config,
            queues: Vec::new(),
            handlers: Handlers::default(),
            concurrency: 1,
            drain: Duration::from_secs(20),
        }
    }
}

impl WorkerBuilder {
    /// Takes tasks from this queue too. Naming one twice does nothing more.
    #[must_use]
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.queues.contains(&name) {
            self.queues.push(name);
        }
        self
    }

    /// Runs tasks of `kind` with `handler`, instead of any handler named for it before.
    #[must_use]
    pub fn handle(mut self, kind: impl Into<String>, handler: impl Handler) -> Self {
        self.handlers.by_kind.insert(kind.into(), Arc::new(handler));
        self
    }

    /// Runs tasks of every kind that has no handler of its own.
    #[must_use]
    pub fn handle_every_kind(mut self, handler: impl Handler) -> Self {
        self.handlers.any_kind = Some(Arc::new(handler));
        self
    }

    /// Most tasks that run at once; 1 unless set. As many messages are held per queue.
    #[must_use]
    pub fn concurrency(mut self, tasks: u16) -> Self {
        self.concurrency = tasks;
        self
    }

    /// How long running work may go on once the worker is told to end; 20 s unless set.
    #[must_use]
    pub fn drain_within(mut self, grace: Duration) -> Self {
        self.drain = grace;
        self
    }

    pub fn build(self) -> Result<Worker, BuildError> {
        let Self {
            config,
            queues,
            handlers,
            concurrency,
            drain,
        } = self;
        if queues.is_empty() {
            return Err(BuildError::NoQueue);
        }
        if handlers.by_kind.is_empty() && handlers.any_kind.is_none() {
            return Err(BuildError::NoHandler);
        }
        if !(Duration::from_secs(5)..=Duration::from_secs(3600)).contains(&config.lease) {
            return Err(BuildError::Lease(config.lease));
        }
        let concurrency = NonZeroU16::new(concurrency).ok_or(BuildError::Concurrency)?;
        Ok(Worker {
            config,
            queues,
            handlers,
            concurrency,
            drain,
        })
    }
}
