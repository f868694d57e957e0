//! Deliveries, acknowledgements and every way a subscription can end.

use std::num::NonZeroU16;
use std::time::Duration;

use tokio::time::timeout;
use unstuck::broker::{AckOutcome, Consumer, ConsumerSpec, Content, Publisher, QueueSpec};

use super::{QUEUE_TYPES, task_message};
use crate::support::broker::{Outside, config, unique};

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
        assert_eq!(
            outside.look(&queue.name).await,
            Some((0, 0)),
            "nothing came back at close"
        );
        outside.delete(&queue.name).await;
    }
}
