//! What became of each publish.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use lapin::types::AMQPValue;
use tokio::time::timeout;
use unstuck::broker::{
    DeclareError, LinkState, PublishFault, PublishOutcome, Publisher, QueueSpec, QueueType, TaskMessage,
};

use super::{QUEUE_TYPES, task_message};
use crate::support::broker::{Outside, config, unique};
use crate::support::node::Node;
use crate::support::wait::eventually;

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

pub(super) fn window(queue: &str, count: usize) -> Vec<TaskMessage> {
    (0..count).map(|_| task_message(queue, 1)).collect()
}

pub(super) async fn until_confirmed(publisher: &Publisher, queue: &str, deadline: Duration) {
    eventually(deadline, "a publish is confirmed", async || {
        let outcomes = publisher.publish(window(queue, 1)).await;
        (outcomes == [PublishOutcome::Confirmed]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_unroutable_ones_beside_are_still_named() {
    let outside = Outside::connect().await;
    let (full, missing) = (unique("full"), unique("missing"));
    let limits = [
        ("x-max-length", AMQPValue::LongInt(3)),
        ("x-overflow", AMQPValue::LongString("reject-publish".into())),
    ];
    outside.declare(&full, &limits).await;
    let publisher = Publisher::spawn(config());
    let mut messages = window(&full, 300);
    for message in messages.iter_mut().step_by(7) {
        message.queue.clone_from(&missing);
    }
    let outcomes = publisher.publish(messages.clone()).await;
    let mut confirmed = 0;
    for (message, outcome) in messages.iter().zip(outcomes) {
        match outcome {
            PublishOutcome::Returned { code: 312, .. } => assert_eq!(message.queue, missing),
            PublishOutcome::Nacked => assert_eq!(message.queue, full),
            PublishOutcome::Confirmed => {
                assert_eq!(message.queue, full);
                confirmed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(confirmed, 3);
    assert_eq!(outside.look(&full).await, Some((3, 0)));
    outside.delete(&full).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_twice_in_a_window_is_sent_once() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("twice"), QueueType::Classic);
    let publisher = Publisher::spawn(config());
    publisher.declare(&queue).await.unwrap();
    let (one, mut other) = (task_message(&queue.name, 1), task_message(&queue.name, 1));
    other.task_id = one.task_id;
    other.dispatch = 2;
    let outcomes = publisher.publish(vec![one.clone(), other, one]).await;
    assert_eq!(outcomes, vec![PublishOutcome::Confirmed; 3]);
    assert_eq!(outside.look(&queue.name).await, Some((2, 0)));
    outside.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_rabbitmq_cannot_carry_is_refused_alone() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("long"), QueueType::Classic);
    let publisher = Publisher::spawn(config());
    publisher.declare(&queue).await.unwrap();
    let mut messages = window(&queue.name, 3);
    messages[0].kind = "é".repeat(200);
    messages[1].queue = "q".repeat(256);
    let outcomes = publisher.publish(messages).await;
    for outcome in &outcomes[..2] {
        assert!(
            matches!(
                outcome,
                PublishOutcome::NotSent {
                    cause: PublishFault::Unsendable { .. }
                }
            ),
            "{outcome:?}"
        );
    }
    assert_eq!(outcomes[2], PublishOutcome::Confirmed);
    assert!(matches!(
        publisher
            .declare(&QueueSpec::new("q".repeat(251), QueueType::Quorum))
            .await,
        Err(DeclareError::Refused { .. })
    ));
    outside.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_declared_again_once_a_message_came_back() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("deleted"), queue_type);
        let publisher = Publisher::spawn(config());
        publisher.declare(&queue).await.unwrap();
        outside.delete(&queue.name).await;
        publisher.declare(&queue).await.unwrap();
        assert_eq!(
            outside.look(&queue.name).await,
            None,
            "known queues are not declared at every publish"
        );
        let outcomes = publisher.publish(window(&queue.name, 1)).await;
        assert!(
            matches!(outcomes[..], [PublishOutcome::Returned { code: 312, .. }]),
            "{outcomes:?}"
        );
        publisher.declare(&queue).await.unwrap();
        assert_eq!(
            publisher.publish(window(&queue.name, 1)).await,
            [PublishOutcome::Confirmed]
        );
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_existing_queue_with_other_arguments_is_used_as_it_is() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("foreign"), QueueType::Quorum);
    outside
        .declare(&queue.name, &[("x-max-priority", AMQPValue::ShortShortUInt(3))])
        .await;
    let publisher = Publisher::spawn(config());
    publisher.declare(&queue).await.unwrap();
    assert_eq!(
        publisher.publish(window(&queue.name, 1)).await,
        [PublishOutcome::Confirmed]
    );
    outside.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_broker_is_told_apart_and_nobody_waits_for_it() {
    let node = Node::start(&[]).await;
    let publisher = Publisher::spawn(node.config().await);
    let queue = QueueSpec::new("q", QueueType::Quorum);
    eventually(Duration::from_secs(10), "declared", async || {
        publisher.declare(&queue).await.ok()
    })
    .await;
    node.ctl(&["set_disk_free_limit", "10000GB"]).await;
    let began = Instant::now();
    let outcomes = publisher.publish(window("q", 3)).await;
    for outcome in &outcomes {
        assert!(
            matches!(
                outcome,
                PublishOutcome::Unknown {
                    cause: PublishFault::Blocked { .. }
                }
            ),
            "{outcome:?}"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(3));
    let state = publisher.link().borrow().clone();
    assert!(
        matches!(&state, LinkState::Blocked { reason, .. } if reason.contains("disk")),
        "{state:?}"
    );

    let began = Instant::now();
    let outcomes = publisher.publish(window("q", 1)).await;
    assert!(
        matches!(
            outcomes[..],
            [PublishOutcome::NotSent {
                cause: PublishFault::Blocked { .. }
            }]
        ),
        "{outcomes:?}"
    );
    let other = QueueSpec::new("other", QueueType::Classic);
    assert!(matches!(
        publisher.declare(&other).await,
        Err(DeclareError::Unavailable { .. })
    ));
    assert!(began.elapsed() < Duration::from_millis(500));

    node.ctl(&["set_disk_free_limit", "50MB"]).await;
    until_confirmed(&publisher, "q", Duration::from_secs(10)).await;
    assert!(matches!(&*publisher.link().borrow(), LinkState::Up { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_keeps_what_it_confirmed_and_publishing_goes_on_after() {
    let node = Node::start(&[]).await;
    let publisher = Publisher::spawn(node.config().await);
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(queue_type.as_str(), queue_type);
        eventually(Duration::from_secs(10), "declared", async || {
            publisher.declare(&queue).await.ok()
        })
        .await;
    }
    // RabbitMQ writes down within 3 s that it has a new quorum queue; killed before, it never gives that one a leader.
    node.run(&["stop"]).await;
    node.run(&["start"]).await;
    until_confirmed(&publisher, "quorum", Duration::from_secs(10)).await;
    let publishing = tokio::spawn({
        let publisher = publisher.clone();
        async move {
            let mut confirmed = HashSet::new();
            loop {
                let messages: Vec<_> = (0..100)
                    .map(|n| task_message(QUEUE_TYPES[n % 2].as_str(), 1))
                    .collect();
                let outcomes = publisher.publish(messages.clone()).await;
                let sent = messages
                    .iter()
                    .zip(&outcomes)
                    .filter(|(_, outcome)| **outcome == PublishOutcome::Confirmed);
                confirmed.extend(sent.map(|(message, _)| message.task_id.to_string()));
                if outcomes
                    .iter()
                    .any(|outcome| *outcome != PublishOutcome::Confirmed)
                {
                    return confirmed;
                }
            }
        }
    });
    let outside = Outside::connect_to(&node.amqp_url().await).await;
    eventually(Duration::from_secs(20), "publishing is under way", async || {
        outside
            .look("quorum")
            .await
            .filter(|seen| seen.0 > 500)
            .map(|_| ())
    })
    .await;
    node.run(&["kill9"]).await;
    let confirmed = timeout(Duration::from_secs(15), publishing)
        .await
        .expect("publishing notices")
        .unwrap();
    assert!(confirmed.len() > 500);
    node.run(&["start"]).await;
    until_confirmed(&publisher, "quorum", Duration::from_secs(10)).await;

    let outside = Outside::connect_to(&node.amqp_url().await).await;
    let mut there = HashSet::new();
    for queue_type in QUEUE_TYPES {
        while let Some((_, body)) = outside.take(queue_type.as_str()).await {
            there.insert(String::from_utf8(body).unwrap());
        }
    }
    assert_eq!(confirmed.difference(&there).count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_confirms_nothing_holds_up_no_other_and_comes_back_by_itself() {
    let node = Node::start(&[]).await;
    let publisher = Publisher::spawn(node.config().await);
    for name in ["hanging", "healthy"] {
        publisher
            .declare(&QueueSpec::new(name, QueueType::Quorum))
            .await
            .unwrap();
    }
    let up = publisher.link().borrow().clone();
    node.ctl(&["eval", "sys:suspend('%2F_hanging')."]).await;
    let mixed = || [window("healthy", 50), window("hanging", 1)].concat();
    // The broker works a channel off in order: what follows the message for the hanging queue waits behind it.
    let began = Instant::now();
    let first = publisher.publish(mixed()).await;
    assert_eq!(
        first[50],
        PublishOutcome::Unknown {
            cause: PublishFault::TimedOut
        }
    );
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    until_confirmed(&publisher, "healthy", Duration::from_secs(2)).await;

    let began = Instant::now();
    for _ in 0..20 {
        let next = publisher.publish(mixed()).await;
        assert_eq!(next[..50], vec![PublishOutcome::Confirmed; 50]);
        assert!(
            matches!(
                next[50],
                PublishOutcome::NotSent {
                    cause: PublishFault::QueueSilent { .. }
                }
            ),
            "{:?}",
            next[50]
        );
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    node.ctl(&["eval", "sys:resume('%2F_hanging')."]).await;
    until_confirmed(&publisher, "hanging", Duration::from_secs(5)).await;
    assert_eq!(
        *publisher.link().borrow(),
        up,
        "the connection was never given up"
    );
}
