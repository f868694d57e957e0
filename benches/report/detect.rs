//! How long one look of the detector takes as open tasks pile up, and when all of them lose their messages at once.

use std::time::{Duration, Instant};

use lapin::{
    Connection, ConnectionProperties,
    options::{QueueDeleteOptions, QueuePurgeOptions},
};
use unstuck::{
    broker::{BrokerConfig, Publisher, QueueType},
    services::{
        detector::{Detector, Tally},
        queues::QueueBook,
        relay::Relay,
    },
    store::Store,
};

use crate::{databases::Database, fill, raw::amqp_url};

/// Waiting tasks of the two measurements.
const FEW: usize = 1_000;
const MANY: usize = 100_000;
const LOOKS: usize = 9;
/// Between two looks, as in a running server.
const EVERY: Duration = Duration::from_secs(1);
/// A purge is found within 20 s at the default of 5 s between looks; here it must be found within as many looks.
const LOOKS_AFTER_PURGE: usize = 30;

/// Prints the median look at `FEW` and at `MANY` waiting tasks, their ratio, and the longest look after a purge.
pub async fn report(database: &Database) {
    let store = Store::open(&database.url).await.expect("the store opens");
    let management = std::env::var("UNSTUCK_TEST_MANAGEMENT_URL").ok();
    let broker = BrokerConfig::parse(&amqp_url(), management.as_deref()).expect("a broker");
    let publisher = Publisher::spawn(broker.clone());
    let queue = format!("bench.detect.{}", uuid::Uuid::new_v4().simple());
    let mut detector = Detector::spawn(store.clone(), &broker, publisher.clone(), EVERY, None);
    let mut medians = Vec::new();
    let mut waiting = 0;
    for size in [FEW, MANY] {
        publish(&store, &publisher, &queue, size - waiting).await;
        waiting = size;
        let mut looks = Vec::with_capacity(LOOKS);
        for _ in 0..LOOKS {
            looks.push(look(&mut detector, &store).await.0);
        }
        looks.sort();
        medians.push(looks[LOOKS / 2]);
    }
    println!(
        "one look of the detector at {FEW} and at {MANY} waiting tasks: {:.0} ms → {:.0} ms, ratio {:.2}",
        medians[0].as_secs_f64() * 1000.0,
        medians[1].as_secs_f64() * 1000.0,
        medians[1].as_secs_f64() / medians[0].as_secs_f64(),
    );
    purge(&queue).await;
    let (mut longest, mut stalls) = (Duration::ZERO, 0);
    for _ in 0..LOOKS_AFTER_PURGE {
        let (took, tally) = look(&mut detector, &store).await;
        longest = longest.max(took);
        stalls += tally.stalls_opened;
    }
    assert!(stalls > 0, "a purged queue must be found");
    println!(
        "after a purge of all {MANY}: {stalls} stalls opened, the longest of {LOOKS_AFTER_PURGE} looks {:.0} ms",
        longest.as_secs_f64() * 1000.0
    );
    delete(&queue).await;
    publisher.close();
    store.close().await;
}

/// `count` more tasks whose messages are on the queue.
async fn publish(store: &Store, publisher: &Publisher, queue: &str, count: usize) {
    fill::started(store, queue, count).await;
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
}

async fn look(detector: &mut Detector, store: &Store) -> (Duration, Tally) {
    tokio::time::sleep(EVERY).await;
    let now = store.now().await.expect("the time");
    let started = Instant::now();
    let tally = detector.tick(now).await.expect("looked");
    (started.elapsed(), tally)
}

async fn channel() -> lapin::Channel {
    let connection = Connection::connect(&amqp_url(), ConnectionProperties::default())
        .await
        .expect("connected");
    connection.create_channel().await.expect("a channel")
}

async fn purge(queue: &str) {
    let channel = channel().await;
    let purged = channel.queue_purge(queue.into(), QueuePurgeOptions::default());
    purged.await.expect("purged");
}

async fn delete(queue: &str) {
    let channel = channel().await;
    let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
    deleted.await.expect("deleted");
}
