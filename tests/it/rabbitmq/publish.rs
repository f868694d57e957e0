//! What became of each publish.

use unstuck::broker::{PublishOutcome, Publisher, QueueSpec};

use super::{QUEUE_TYPES, task_message};
use crate::support::broker::{Outside, config, unique};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_message_lies_on_its_queue_as_the_contract_says() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = unique("publish");
        let publisher = Publisher::spawn(config());
        publisher
            .declare(&QueueSpec::new(&queue, queue_type))
            .await
            .unwrap();
        let mut message = task_message(&queue, 4);
        message.traceparent = Some("00-aa-bb-01".to_owned());
        assert_eq!(
            publisher.publish(vec![message.clone()]).await,
            [PublishOutcome::Confirmed]
        );

        let (properties, body) = outside.take(&queue).await.expect("the message");
        assert_eq!(body, message.task_id.to_string().as_bytes());
        assert_eq!(
            properties.message_id().as_ref().map(|id| id.to_string()),
            Some(message.task_id.to_string())
        );
        assert_eq!(properties.kind().as_ref().map(|kind| kind.as_str()), Some("test"));
        assert_eq!(
            (*properties.delivery_mode(), *properties.priority()),
            (Some(2), Some(0))
        );
        let headers = properties.headers().clone().expect("headers");
        assert_eq!(
            headers.inner().get("x-dispatch"),
            Some(&lapin::types::AMQPValue::LongLongInt(4))
        );
        assert!(headers.contains_key("traceparent"));
        assert_eq!(outside.look(&format!("{queue}.dead")).await, Some((0, 0)));
        outside.delete(&queue).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unroutable_messages_in_pipelined_windows_are_always_named_exactly() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = unique("exact");
        let missing = unique("missing");
        let publisher = Publisher::spawn(config());
        publisher
            .declare(&QueueSpec::new(&queue, queue_type))
            .await
            .unwrap();
        for window in 0..20 {
            let messages: Vec<_> = (0..500)
                .map(|n| task_message(if n % 20 == window % 20 { &missing } else { &queue }, 1))
                .collect();
            let outcomes = publisher.publish(messages.clone()).await;
            for (message, outcome) in messages.iter().zip(outcomes) {
                if message.queue == missing {
                    assert!(
                        matches!(outcome, PublishOutcome::Returned { code: 312, .. }),
                        "{outcome:?}"
                    );
                } else {
                    assert_eq!(outcome, PublishOutcome::Confirmed);
                }
            }
        }
        outside.until_ready(&queue, 20 * 475).await;
        outside.delete(&queue).await;
    }
}
