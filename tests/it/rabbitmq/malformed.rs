//! Messages that nobody should have sent: each comes out with the reason, none stops the consumer.

use std::num::NonZeroU16;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use tokio::sync::mpsc;
use tokio::time::timeout;
use unstuck::broker::{
    AckOutcome, Consumer, ConsumerSpec, Content, Delivery, PublishOutcome, Publisher, QueueSpec,
};
use uuid::Uuid;

use super::QUEUE_TYPES;
use crate::support::broker::{Outside, amqp_url, config, unique};
use crate::support::raw_amqp;

async fn next(deliveries: &mut mpsc::Receiver<Delivery>) -> Delivery {
    timeout(Duration::from_secs(20), deliveries.recv())
        .await
        .expect("a delivery in time")
        .expect("consuming")
}

fn start(queue: &QueueSpec) -> (Consumer, mpsc::Receiver<Delivery>) {
    let prefetch = NonZeroU16::new(50).unwrap();
    Consumer::spawn(
        config(),
        ConsumerSpec {
            tag: "worker".to_owned(),
            queues: vec![queue.clone()],
            prefetch,
        },
    )
}

fn dispatch(value: AMQPValue) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("x-dispatch".into(), value);
    BasicProperties::default().with_headers(headers)
}

/// A table nested that deep, as it goes over the wire.
fn nested(depth: usize) -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 0..depth {
        table = [&[1, b'a', b'F'][..], &raw_amqp::long(&table)].concat();
    }
    raw_amqp::long(&table)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_that_cannot_be_read_do_not_stop_the_consumer() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("unreadable"), queue_type);
        Publisher::spawn(config()).declare(&queue).await.unwrap();
        let (consumer, mut deliveries) = start(&queue);
        let id = Uuid::now_v7();
        for (flags, properties, reason) in [
            (raw_amqp::KIND, vec![2, 0xff, 0xfe], "a text in them is not UTF-8"),
            (
                raw_amqp::HEADERS,
                nested(15_000),
                "their headers are nested too deep",
            ),
        ] {
            raw_amqp::publish(
                &amqp_url(),
                &queue.name,
                flags,
                &properties,
                id.to_string().as_bytes(),
            )
            .await;
            let delivery = next(&mut deliveries).await;
            let Content::Malformed(malformed) = &delivery.content else {
                panic!("taken for a task")
            };
            assert_eq!(
                malformed.reason,
                format!("its properties can't be read: {reason}")
            );
            assert_eq!(malformed.preview, id.to_string());
            assert_eq!(delivery.handle.ack().await, AckOutcome::Written);
        }
        consumer.close().await;
        outside.until_ready(&queue.name, 0).await;
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_malformed_message_comes_with_its_reason_and_can_be_dead_lettered() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("malformed"), queue_type);
        let publisher = Publisher::spawn(config());
        publisher.declare(&queue).await.unwrap();
        let (consumer, mut deliveries) = start(&queue);
        let id = Uuid::now_v7().to_string();
        let plain = BasicProperties::default;
        let huge = vec![b'x'; 16 << 20];
        for (properties, body, reason) in [
            (plain(), &b""[..], "its body is empty"),
            (plain(), b"{\"id\": 1}", "its body is not a UUID"),
            (plain(), b"\xff\xfe\x00", "its body is not a UUID"),
            (plain(), &b"[".repeat(200_000), "its body is not a UUID"),
            (plain(), &huge, "its body is not a UUID"),
            (
                plain().with_content_encoding("gzip".into()),
                id.as_bytes(),
                "its content encoding is gzip, which no task's message has",
            ),
            (
                dispatch(AMQPValue::LongLongInt(-1)),
                id.as_bytes(),
                "its header x-dispatch is negative",
            ),
            (
                dispatch(AMQPValue::LongLongInt(i64::MIN)),
                id.as_bytes(),
                "its header x-dispatch is negative",
            ),
            (
                dispatch(AMQPValue::LongString("1".into())),
                id.as_bytes(),
                "its header x-dispatch is not an integer",
            ),
            (
                dispatch(AMQPValue::FieldTable(FieldTable::default())),
                id.as_bytes(),
                "its header x-dispatch is not an integer",
            ),
        ] {
            outside.publish(&queue.name, properties, body).await;
            let delivery = next(&mut deliveries).await;
            let Content::Malformed(malformed) = &delivery.content else {
                panic!("taken for a task: {reason}")
            };
            assert_eq!(malformed.reason, reason);
            assert_eq!(malformed.size_bytes, body.len());
            assert!(malformed.preview.len() <= 4096);

            let copy = delivery.raw.clone().dead_lettered(&queue.name, &malformed.reason);
            assert_eq!(
                publisher.publish_raw(&queue.dead_name(), copy).await,
                PublishOutcome::Confirmed
            );
            assert_eq!(delivery.handle.ack().await, AckOutcome::Written);
            let (properties, copied) = outside.take(&queue.dead_name()).await.expect("the copy");
            let headers = properties.headers().clone().expect("headers");
            assert_eq!(copied, body);
            assert_eq!(
                headers.inner().get("x-unstuck-reason"),
                Some(&AMQPValue::LongString(reason.into()))
            );
        }
        consumer.close().await;
        outside.until_ready(&queue.name, 0).await;
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_id_of_any_version_is_a_task() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("versions"), QUEUE_TYPES[0]);
    Publisher::spawn(config()).declare(&queue).await.unwrap();
    let (consumer, mut deliveries) = start(&queue);
    for id in [
        "00000000-0000-0000-0000-000000000000",
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",
    ] {
        outside
            .publish(&queue.name, BasicProperties::default(), id.as_bytes())
            .await;
        let delivery = next(&mut deliveries).await;
        let Content::Task(incoming) = &delivery.content else {
            panic!("malformed")
        };
        assert_eq!(
            (incoming.task_id.to_string().as_str(), incoming.dispatch),
            (id, None)
        );
        delivery.handle.ack().await;
    }
    consumer.close().await;
    outside.delete(&queue.name).await;
}
