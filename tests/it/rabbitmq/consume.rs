//! Deliveries, acknowledgements and every way a subscription can end.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use unstuck::broker::consumer::Subscription;
use unstuck::broker::{
    AckOutcome, BrokerConfig, Consumer, ConsumerSpec, Content, Delivery, LinkState, Management,
    PublishOutcome, Publisher, QueueSpec, QueueType, TaskMessage,
};
use uuid::Uuid;

use super::{QUEUE_TYPES, task_message};
use crate::support::broker::{Outside, amqp_url, config, management_url, unique};
use crate::support::chaos::Chaos;
use crate::support::node::Node;
use crate::support::wait::eventually;

fn spec(tag: &str, queue: &QueueSpec, prefetch: u16) -> ConsumerSpec {
    ConsumerSpec {
        tag: tag.to_owned(),
        queues: vec![queue.clone()],
        prefetch: NonZeroU16::new(prefetch).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_task_is_delivered_and_gone_once_acknowledged() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("consume"), queue_type);
        let (consumer, mut deliveries) = Consumer::spawn(config(), spec("worker-1", &queue, 10));
        let publisher = Publisher::spawn(config());
        publisher.declare(&queue).await.unwrap();
        let sent: Vec<_> = (1..=5)
            .map(|dispatch| task_message(&queue.name, dispatch))
            .collect();
        publisher.publish(sent.clone()).await;
        let mut handles = Vec::new();
        for message in &sent {
            let delivery = timeout(Duration::from_secs(10), deliveries.recv())
                .await
                .unwrap()
                .unwrap();
            let Content::Task(incoming) = delivery.content else {
                panic!("malformed")
            };
            assert_eq!(
                (incoming.task_id, incoming.dispatch),
                (message.task_id, Some(message.dispatch))
            );
            assert_eq!(incoming.kind.as_deref(), Some("test"));
            assert!(!delivery.redelivered);
            handles.push(delivery.handle);
        }
        assert_eq!(consumer.ack(handles).await, [AckOutcome::Written; 5]);
        consumer.close().await;
        outside.until_ready(&queue.name, 0).await;
        // A quorum queue counts a cancelled consumer until its last acknowledgement has been written.
        eventually(SOON, "the queue is empty and nobody consumes", async || {
            (outside.look(&queue.name).await == Some((0, 0))).then_some(())
        })
        .await;
        outside.delete(&queue.name).await;
    }
}

/// A worker through a network that can go bad.
async fn through_chaos(queue: &QueueSpec, prefetch: u16) -> (Chaos, Consumer, mpsc::Receiver<Delivery>) {
    let chaos = Chaos::before(&amqp_url()).await;
    let mut url = url::Url::parse(&chaos.url(&amqp_url())).unwrap();
    url.set_query(Some("heartbeat=2"));
    let config = BrokerConfig::parse(url.as_str(), Some(&management_url())).unwrap();
    let (consumer, deliveries) = Consumer::spawn(config, spec("worker", queue, prefetch));
    (chaos, consumer, deliveries)
}

async fn put(queue: &QueueSpec, count: usize) -> Vec<TaskMessage> {
    let publisher = Publisher::spawn(config());
    publisher.declare(queue).await.unwrap();
    let messages: Vec<_> = (0..count).map(|_| task_message(&queue.name, 1)).collect();
    assert_eq!(
        publisher.publish(messages.clone()).await,
        vec![PublishOutcome::Confirmed; count]
    );
    messages
}

async fn next(deliveries: &mut mpsc::Receiver<Delivery>, deadline: Duration) -> Delivery {
    timeout(deadline, deliveries.recv())
        .await
        .expect("a delivery in time")
        .expect("still consuming")
}

fn id_of(delivery: &Delivery) -> Uuid {
    match &delivery.content {
        Content::Task(incoming) => incoming.task_id,
        Content::Tracer(id) => panic!("the tracer {id}"),
        Content::Malformed(malformed) => panic!("malformed: {}", malformed.reason),
    }
}

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_declared_and_consumed_again() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("deleted"), queue_type);
        let (consumer, mut deliveries) = Consumer::spawn(config(), spec("worker", &queue, 5));
        put(&queue, 1).await;
        let held = next(&mut deliveries, SOON).await;
        outside.delete(&queue.name).await;
        eventually(SOON, "consumed again", async || {
            outside.look(&queue.name).await.filter(|seen| seen.1 == 1)
        })
        .await;
        assert!(!held.handle.is_current());
        assert_eq!(held.handle.ack().await, AckOutcome::Lost);
        let sent = put(&queue, 1).await;
        let delivery = next(&mut deliveries, SOON).await;
        assert_eq!(id_of(&delivery), sent[0].task_id);
        assert_eq!(delivery.handle.ack().await, AckOutcome::Written);
        consumer.close().await;
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_brings_back_what_was_out_and_the_old_handle_knows() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("cut"), queue_type);
        let sent = put(&queue, 1).await;
        let (chaos, consumer, mut deliveries) = through_chaos(&queue, 1).await;
        let first = next(&mut deliveries, SOON).await;
        assert!(!first.redelivered && first.handle.is_current());
        chaos.cut();
        let again = next(&mut deliveries, SOON).await;
        assert_eq!(id_of(&again), sent[0].task_id);
        assert!(again.redelivered);
        assert!(!first.handle.is_current());
        assert_eq!(
            consumer.ack(vec![first.handle, again.handle]).await,
            [AckOutcome::Lost, AckOutcome::Written]
        );
        consumer.close().await;
        // A quorum queue counts a consumer that left until its last acknowledgement is written down.
        eventually(SOON, "nothing is left and nobody consumes", async || {
            outside.look(&queue.name).await.filter(|seen| *seen == (0, 0))
        })
        .await;
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_lost_on_its_way_brings_the_message_back() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("lostack"), QueueType::Quorum);
    let sent = put(&queue, 1).await;
    let (chaos, consumer, mut deliveries) = through_chaos(&queue, 1).await;
    let first = next(&mut deliveries, SOON).await;
    chaos.cut_on_client_ack();
    first.handle.ack().await;
    let again = next(&mut deliveries, SOON).await;
    assert_eq!((id_of(&again), again.redelivered), (sent[0].task_id, true));
    assert_eq!(again.handle.ack().await, AckOutcome::Written);
    consumer.close().await;
    outside.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_is_noticed_and_consuming_goes_on_after_it() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("blackhole"), QueueType::Classic);
    let sent = put(&queue, 1).await;
    let (chaos, consumer, mut deliveries) = through_chaos(&queue, 1).await;
    let first = next(&mut deliveries, SOON).await;
    chaos.swallow(true);
    eventually(Duration::from_secs(15), "the loss is noticed", async || {
        (!first.handle.is_current()).then_some(())
    })
    .await;
    outside.until_ready(&queue.name, 1).await;
    chaos.swallow(false);
    let again = next(&mut deliveries, SOON).await;
    assert_eq!((id_of(&again), again.redelivered), (sent[0].task_id, true));
    assert_eq!(
        consumer.ack(vec![first.handle, again.handle]).await,
        [AckOutcome::Lost, AckOutcome::Written]
    );
    consumer.close().await;
    outside.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pausing_takes_nothing_new_and_keeps_what_is_out() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("pause"), queue_type);
        put(&queue, 1).await;
        let (consumer, mut deliveries) = Consumer::spawn(config(), spec("worker", &queue, 10));
        let held = next(&mut deliveries, SOON).await;
        consumer.pause();
        let paused =
            async || (consumer.subscriptions() == [(queue.name.clone(), Subscription::Paused)]).then_some(());
        eventually(SOON, "paused", paused).await;
        let later = put(&queue, 1).await;
        outside.until_ready(&queue.name, 1).await;
        assert!(deliveries.try_recv().is_err(), "nothing new while paused");
        assert!(held.handle.is_current());
        assert_eq!(held.handle.ack().await, AckOutcome::Written);
        consumer.resume();
        let delivery = next(&mut deliveries, SOON).await;
        assert_eq!(
            (id_of(&delivery), delivery.redelivered),
            (later[0].task_id, false)
        );
        delivery.handle.ack().await;
        consumer.close().await;
        assert_eq!(outside.look(&queue.name).await.map(|seen| seen.0), Some(0));
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_gives_unacknowledged_messages_back_at_once_and_ends_the_receiver() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("close"), queue_type);
        put(&queue, 5).await;
        let (consumer, mut deliveries) = Consumer::spawn(config(), spec("worker", &queue, 3));
        let held = next(&mut deliveries, SOON).await;
        let began = Instant::now();
        consumer.close().await;
        outside.until_ready(&queue.name, 5).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(held.handle.ack().await, AckOutcome::Lost);
        while timeout(SOON, deliveries.recv())
            .await
            .expect("the receiver ends")
            .is_some()
        {}
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_consumer_leaves_nothing_behind() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("drop"), QueueType::Quorum);
    put(&queue, 2).await;
    let (consumer, mut deliveries) = Consumer::spawn(config(), spec("worker", &queue, 1));
    let held = next(&mut deliveries, SOON).await;
    drop(consumer);
    outside.until_ready(&queue.name, 2).await;
    drop(held);
    assert_eq!(outside.look(&queue.name).await, Some((2, 0)));
    outside.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_dropped_by_mistake_comes_back() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("dropped"), queue_type);
        put(&queue, 2).await;
        let (consumer, mut deliveries) = Consumer::spawn(config(), spec("worker", &queue, 2));
        let (first, second) = (
            next(&mut deliveries, SOON).await,
            next(&mut deliveries, SOON).await,
        );
        let dropped = id_of(&first);
        drop(first);
        assert!(second.handle.is_current(), "others in work are left alone");
        assert_eq!(second.handle.ack().await, AckOutcome::Written);
        let again = next(&mut deliveries, SOON).await;
        assert_eq!((id_of(&again), again.redelivered), (dropped, true));
        again.handle.ack().await;
        consumer.close().await;
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_in_any_order_and_from_many_tasks_settle_each_message_once() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("order"), queue_type);
        let (consumer, mut deliveries) = Consumer::spawn(config(), spec("worker", &queue, 64));
        let sent: HashSet<_> = put(&queue, 2000)
            .await
            .into_iter()
            .map(|message| message.task_id)
            .collect();
        let mut seen = HashSet::new();
        let mut held = Vec::new();
        let mut acking = JoinSet::new();
        while seen.len() < sent.len() {
            let delivery = next(&mut deliveries, SOON).await;
            assert!(!delivery.redelivered, "the channel was never closed");
            assert!(seen.insert(id_of(&delivery)));
            held.push(delivery.handle);
            if held.len() >= 40 || seen.len() == sent.len() {
                held.shuffle(&mut rand::rng());
                let later = if seen.len() == sent.len() {
                    Vec::new()
                } else {
                    held.split_off(25)
                };
                let (consumer, batch) = (consumer.clone(), std::mem::replace(&mut held, later));
                acking.spawn(async move { consumer.ack(batch).await });
            }
        }
        while let Some(outcomes) = acking.join_next().await {
            assert!(
                outcomes
                    .unwrap()
                    .iter()
                    .all(|outcome| *outcome == AckOutcome::Written)
            );
        }
        assert_eq!(seen, sent);
        consumer.close().await;
        assert_eq!(outside.look(&queue.name).await, Some((0, 0)));
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_queues_share_the_tag_and_trouble_on_one_leaves_the_others_alone() {
    let outside = Outside::connect().await;
    let queues: Vec<_> = QUEUE_TYPES
        .iter()
        .map(|kind| QueueSpec::new(unique("several"), *kind))
        .collect();
    let tag = unique("worker");
    let mut spec = spec(&tag, &queues[0], 1);
    spec.queues.clone_from(&queues);
    let (consumer, mut deliveries) = Consumer::spawn(config(), spec);
    let management = Management::new(&config());
    eventually(
        Duration::from_secs(20),
        "both are listed with the worker's id",
        async || {
            let listed = management.consumers().await.unwrap();
            let of_us = listed
                .iter()
                .filter(|one| one.tag == tag && queues.iter().any(|queue| queue.name == one.queue));
            (of_us.count() == 2).then_some(())
        },
    )
    .await;
    put(&queues[1], 1).await;
    let held = next(&mut deliveries, SOON).await;
    outside.delete(&queues[0].name).await;
    eventually(SOON, "consumed again", async || {
        outside.look(&queues[0].name).await.filter(|seen| seen.1 == 1)
    })
    .await;
    assert!(held.handle.is_current());
    assert_eq!(held.handle.ack().await, AckOutcome::Written);
    consumer.close().await;
    for queue in &queues {
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_brokers_deadline_for_acknowledgements_is_survived() {
    let node = Node::start(&[("RMQ_CONSUMER_TIMEOUT_MS", "2000")]).await;
    let config = node.config().await;
    let publisher = Publisher::spawn(config.clone());
    let queue = QueueSpec::new("q", QueueType::Quorum);
    publisher.declare(&queue).await.unwrap();
    publisher.publish(vec![task_message("q", 1)]).await;
    let (consumer, mut deliveries) = Consumer::spawn(config, spec("worker", &queue, 1));
    let first = next(&mut deliveries, SOON).await;
    let again = next(&mut deliveries, Duration::from_secs(15)).await;
    assert!(again.redelivered);
    assert_eq!(
        consumer.ack(vec![first.handle, again.handle]).await,
        [AckOutcome::Lost, AckOutcome::Written]
    );
    assert!(
        matches!(&*consumer.link().borrow(), LinkState::Up { .. }),
        "only the channel was closed"
    );

    // RabbitMQ 3.10 may hold a queue for declared and unwritten for 5 s: killed in between, it would confirm nothing again.
    node.run(&["sync"]).await;
    node.run(&["kill9"]).await;
    node.run(&["start"]).await;
    eventually(SOON, "published again", async || {
        let outcomes = publisher.publish(vec![task_message("q", 2)]).await;
        (outcomes == [PublishOutcome::Confirmed]).then_some(())
    })
    .await;
    let delivery = next(&mut deliveries, SOON).await;
    assert_eq!(delivery.handle.ack().await, AckOutcome::Written);
}
