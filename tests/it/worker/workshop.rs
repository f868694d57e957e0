//! A database, a queue and a worker in this process, for one test.

use std::{path::Path, time::Duration};

use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use unstuck::{
    broker::{PublishOutcome, Publisher, QueueSpec, QueueType, TaskMessage},
    domain::{
        task::{Attempt, NewTask, State, TaskView},
        transition::Event,
    },
    services::{
        queues::QueueBook,
        recovery,
        relay::Relay,
        worker::{Shutdown, Worker, WorkerBuilder, WorkerConfig},
    },
    store::{
        Lane, Store,
        tasks::{Act, Creation, Outcome},
    },
};
use uuid::Uuid;

use crate::support::{
    broker::{self, Outside, unique},
    store::TestStore,
    wait::eventually,
};

/// The shortest that is allowed: renewed each 1.7 s, given up after 4.2 s.
pub const LEASE: Duration = Duration::from_secs(5);
const PACE: recovery::Pace = recovery::Pace {
    lease: LEASE,
    fresh_for: Duration::from_secs(15),
};
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Workshop {
    /// On the real clock, as the worker's own.
    pub store: Store,
    pub database_url: String,
    pub queue: String,
    pub outside: Outside,
    queue_type: QueueType,
    publisher: Publisher,
    test: TestStore,
    folder: tempfile::TempDir,
}

impl Workshop {
    pub async fn sqlite() -> Self {
        Self::on(TestStore::sqlite().await, QueueType::Quorum).await
    }

    pub async fn postgres() -> Self {
        Self::on(TestStore::postgres().await, QueueType::Quorum).await
    }

    /// On a queue whose consumers are gone from the count as soon as they are cancelled.
    pub async fn classic() -> Self {
        Self::on(TestStore::sqlite().await, QueueType::Classic).await
    }

    async fn on(test: TestStore, queue_type: QueueType) -> Self {
        let publisher = Publisher::spawn(broker::config());
        let queue = unique("work");
        let spec = QueueSpec::new(&queue, queue_type);
        eventually(PATIENCE, "the queue is declared", async || {
            publisher.declare(&spec).await.ok()
        })
        .await;
        Self {
            store: Store::open(&test.url).await.expect("it is open already"),
            database_url: test.url.clone(),
            queue,
            outside: Outside::connect().await,
            queue_type,
            publisher,
            test,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A folder that goes with the workshop.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn builder(&self) -> WorkerBuilder {
        let config = WorkerConfig {
            database_url: self.database_url.clone(),
            broker: broker::config(),
            lease: LEASE,
            queue_type: self.queue_type,
            open_queues: true,
        };
        Worker::builder(config).queue(&self.queue)
    }

    /// A started task of `kind`, without a message.
    pub async fn task(&self, kind: &str, payload: Value) -> Uuid {
        self.task_on(&self.queue, kind, payload).await
    }

    async fn task_on(&self, queue: &str, kind: &str, payload: Value) -> Uuid {
        let task = NewTask {
            id: Uuid::now_v7(),
            kind: kind.into(),
            queue: queue.into(),
            title: None,
            owner: None,
            priority: 0,
            payload,
            timeout_s: None,
            max_attempts: 3,
            available_at: None,
            start: true,
            traceparent: None,
        };
        let id = task.id;
        let creation = Creation {
            tasks: vec![task],
            principal: "token:t".into(),
            idempotency: None,
        };
        self.store
            .create(&[creation])
            .await
            .expect("stored")
            .remove(0)
            .expect("not refused");
        id
    }

    /// A started task of `kind` with its message.
    pub async fn send(&self, kind: &str, payload: Value) -> Uuid {
        self.send_to(&self.queue, kind, payload).await
    }

    /// The same on another queue, which is declared.
    pub async fn send_to(&self, queue: &str, kind: &str, payload: Value) -> Uuid {
        self.publisher
            .declare(&QueueSpec::new(queue, self.queue_type))
            .await
            .expect("declared");
        let id = self.task_on(queue, kind, payload).await;
        self.message_on(queue, id, kind, 1).await;
        id
    }

    pub async fn message(&self, task_id: Uuid, kind: &str, dispatch: i64) {
        self.message_on(&self.queue, task_id, kind, dispatch).await;
    }

    async fn message_on(&self, queue: &str, task_id: Uuid, kind: &str, dispatch: i64) {
        let message = TaskMessage {
            task_id,
            dispatch,
            queue: queue.into(),
            kind: kind.into(),
            priority: 0,
            traceparent: None,
        };
        // RabbitMQ refuses a message, now and then, when its quorum queue has only just been declared.
        eventually(PATIENCE, "the message is confirmed", async || {
            match self.publisher.publish(vec![message.clone()]).await.remove(0) {
                PublishOutcome::Confirmed => Some(()),
                PublishOutcome::Nacked => None,
                outcome => panic!("{outcome:?}"),
            }
        })
        .await;
    }

    pub async fn act(&self, task_id: Uuid, event: Event) -> Outcome {
        let act = Act {
            task_id,
            event,
            actor: "user:test".into(),
            audit: None,
        };
        self.store
            .apply(&[act], Lane::Shared, LEASE)
            .await
            .expect("applied")
            .remove(0)
    }

    pub async fn view(&self, id: Uuid) -> TaskView {
        self.store.task(id).await.expect("read").expect("it exists")
    }

    pub async fn attempts(&self, id: Uuid) -> Vec<Attempt> {
        self.store.attempts(id, 0, 100).await.expect("read")
    }

    /// Waits until the task is in `state`.
    pub async fn until(&self, id: Uuid, state: State) -> TaskView {
        eventually(PATIENCE, &format!("the task is {state}"), async || {
            let view = self.view(id).await;
            (view.task.state == state).then_some(view)
        })
        .await
    }

    /// Waits until one message lies on the dead-letter queue, takes it, and gives its reason.
    pub async fn dead_letter(&self) -> (Vec<u8>, String) {
        let dead = format!("{}.dead", self.queue);
        let (properties, body) = eventually(PATIENCE, "a message is dead-lettered", async || {
            self.outside.take(&dead).await
        })
        .await;
        let headers = properties.headers().clone().expect("headers");
        let reason = headers.inner().get("x-unstuck-reason").expect("a reason").clone();
        let reason = reason.as_long_string().expect("text").to_string();
        (body, reason)
    }

    /// Publishes what is due and looks after lapsed leases, as `unstuck serve` does, until the answer is dropped.
    pub fn serve(&self) -> DropGuard {
        let stop = CancellationToken::new();
        let queues = QueueBook::new(self.store.clone(), self.queue_type, true);
        let relay = Relay::new(self.store.clone(), self.publisher.clone(), queues);
        tokio::spawn(relay.clone().run(stop.clone()));
        let (store, stopped) = (self.store.clone(), stop.clone());
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(200));
            while tokio::select! { _ = every.tick() => true, () = stopped.cancelled() => false } {
                // A locked database is looked at again in the next round.
                if recovery::tick(&store, PACE)
                    .await
                    .is_ok_and(|tally| tally.resent > 0)
                {
                    relay.nudge();
                }
            }
        });
        stop.drop_guard()
    }

    pub async fn close(self) {
        self.outside.delete(&self.queue).await;
        self.store.close().await;
        self.test.close().await;
    }
}

/// A worker at work in this process.
pub struct Working {
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

pub fn start(builder: WorkerBuilder) -> Working {
    let worker = builder.build().expect("complete");
    let shutdown = Shutdown::new();
    let told = shutdown.clone();
    let task = tokio::spawn(async move { worker.run(told).await.expect("it starts") });
    Working { shutdown, task }
}

impl Working {
    pub fn drain(&self) {
        self.shutdown.drain();
    }

    pub fn at_once(&self) {
        self.shutdown.at_once();
    }

    /// Drains and waits for the end.
    pub async fn end(self) {
        self.shutdown.drain();
        self.ended().await;
    }

    pub async fn ended(self) {
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended
            .expect("the worker ends in time")
            .expect("it does not panic");
    }
}
