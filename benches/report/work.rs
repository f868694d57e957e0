//! A worker whose handler does nothing: claims, ends and acknowledgements.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use unstuck::{
    broker::{BrokerConfig, Publisher, QueueType},
    domain::task::State,
    services::{
        queues::QueueBook,
        relay::Relay,
        worker::{Job, Shutdown, Worker, WorkerConfig},
    },
    store::{Store, tasks::TaskFilter},
};

use crate::{databases::Database, fill, raw::amqp_url};

/// From a full queue until `count` tasks have been run.
pub async fn no_op_tasks(database: &Database, count: usize) -> Duration {
    let queue = format!("bench.work.{}", uuid::Uuid::new_v4().simple());
    let broker = BrokerConfig::parse(&amqp_url(), None).expect("a broker");
    let store = Store::open(&database.url).await.expect("the store opens");
    fill::started(&store, &queue, count).await;
    let publisher = Publisher::spawn(broker.clone());
    let relay = Relay::new(
        store.clone(),
        publisher.clone(),
        QueueBook::new(store.clone(), QueueType::Quorum, true),
    );
    while !relay.is_open() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while store.next_due_in().await.expect("read").is_some() {
        relay.tick().await.expect("published");
    }
    let (done, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (counter, last) = (done.clone(), finished.clone());
    let handler = move |_: Job| {
        let (counter, last) = (counter.clone(), last.clone());
        async move {
            if counter.fetch_add(1, Ordering::Relaxed) + 1 == count {
                last.notify_one();
            }
            Ok(serde_json::Value::Null)
        }
    };
    let config = WorkerConfig {
        database_url: database.url.clone(),
        broker,
        lease: Duration::from_secs(30),
        queue_type: QueueType::Quorum,
        open_queues: true,
    };
    let worker = Worker::builder(config)
        .queue(&queue)
        .handle("bench", handler)
        .concurrency(256)
        .build()
        .expect("a worker");
    let shutdown = Shutdown::new();
    let started = Instant::now();
    let running = tokio::spawn(worker.run(shutdown.clone()));
    finished.notified().await;
    let open = TaskFilter {
        states: vec![State::Queued, State::Running],
        queue: Some(queue),
        ..TaskFilter::default()
    };
    while !store
        .list_tasks(&open, None, 1)
        .await
        .expect("listed")
        .items
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = started.elapsed();
    shutdown.drain();
    running
        .await
        .expect("no panic")
        .expect("the worker ended in good order");
    publisher.close();
    store.close().await;
    took
}
