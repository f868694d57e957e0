//! What became of a publish over a bad network.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use unstuck::broker::{
    BrokerConfig, DeclareError, DownCause, LinkState, PublishFault, PublishOutcome, Publisher, QueueSpec,
    QueueType,
};

use super::QUEUE_TYPES;
use super::publish::{until_confirmed, window};
use crate::support::broker::{Outside, amqp_url, management_url, unique};
use crate::support::chaos::Chaos;
use crate::support::wait::eventually;

/// A publisher that reaches the shared broker through a bad network.
async fn through_chaos() -> (Chaos, Publisher) {
    let chaos = Chaos::before(&amqp_url()).await;
    let config = BrokerConfig::parse(&chaos.url(&amqp_url()), Some(&management_url())).unwrap();
    (chaos, Publisher::spawn(config))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_instead_of_the_confirm_leaves_the_outcome_unknown() {
    let outside = Outside::connect().await;
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("cut"), queue_type);
        let (chaos, publisher) = through_chaos().await;
        eventually(Duration::from_secs(10), "declared", async || {
            publisher.declare(&queue).await.ok()
        })
        .await;
        chaos.cut_on_confirm();
        let began = Instant::now();
        let outcomes = publisher.publish(window(&queue.name, 1)).await;
        assert!(
            matches!(
                outcomes[..],
                [PublishOutcome::Unknown {
                    cause: PublishFault::Closed { .. }
                }]
            ),
            "{outcomes:?}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "the end of the connection is noticed at once"
        );
        outside.until_ready(&queue.name, 1).await;
        until_confirmed(&publisher, &queue.name, Duration::from_secs(5)).await;
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirm_that_never_comes_holds_up_nobody_else() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("swallowed"), QueueType::Quorum);
    let (chaos, publisher) = through_chaos().await;
    eventually(Duration::from_secs(10), "declared", async || {
        publisher.declare(&queue).await.ok()
    })
    .await;
    chaos.drop_confirms(1);
    let began = Instant::now();
    let silent = tokio::spawn({
        let (publisher, queue) = (publisher.clone(), queue.name.clone());
        async move { publisher.publish(window(&queue, 1)).await }
    });
    outside.until_ready(&queue.name, 1).await;
    assert_eq!(
        publisher.publish(window(&queue.name, 20)).await,
        vec![PublishOutcome::Confirmed; 20]
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "another window went ahead"
    );
    let outcomes = silent.await.unwrap();
    assert_eq!(
        outcomes,
        [PublishOutcome::Unknown {
            cause: PublishFault::TimedOut
        }]
    );
    assert!(began.elapsed() < Duration::from_secs(11));
    until_confirmed(&publisher, &queue.name, Duration::from_secs(5)).await;
    assert_eq!(chaos.connections(), 1, "only the channel was given up");
    outside.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_costs_its_time_and_no_more() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("blackhole"), QueueType::Classic);
    let (chaos, publisher) = through_chaos().await;
    eventually(Duration::from_secs(10), "declared", async || {
        publisher.declare(&queue).await.ok()
    })
    .await;
    chaos.swallow(true);
    let began = Instant::now();
    let outcomes = publisher.publish(window(&queue.name, 3)).await;
    assert!(
        outcomes.iter().all(|outcome| matches!(
            outcome,
            PublishOutcome::Unknown { .. } | PublishOutcome::NotSent { .. }
        )),
        "{outcomes:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    let mut link = publisher.link();
    let down = link.wait_for(|state| matches!(state, LinkState::Down { .. }));
    let down = timeout(Duration::from_secs(25), down)
        .await
        .expect("noticed within two heartbeats and a bit")
        .unwrap()
        .clone();
    assert!(
        matches!(
            down,
            LinkState::Down {
                cause: DownCause::Timeout,
                ..
            }
        ),
        "{down:?}"
    );
    chaos.swallow(false);
    until_confirmed(&publisher, &queue.name, Duration::from_secs(10)).await;
    outside.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_resets_loses_nothing_that_was_confirmed() {
    let outside = Outside::connect().await;
    let queue = QueueSpec::new(unique("storm"), QueueType::Quorum);
    let (chaos, publisher) = through_chaos().await;
    eventually(Duration::from_secs(10), "declared", async || {
        publisher.declare(&queue).await.ok()
    })
    .await;
    let mut confirmed = HashSet::new();
    for round in 0..10 {
        let messages = window(&queue.name, 200);
        let cutter = tokio::spawn({
            let chaos = chaos.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(3 * round)).await;
                chaos.cut();
            }
        });
        let outcomes = publisher.publish(messages.clone()).await;
        cutter.await.unwrap();
        for (message, outcome) in messages.iter().zip(outcomes) {
            match outcome {
                PublishOutcome::Confirmed => {
                    confirmed.insert(message.task_id.to_string());
                }
                PublishOutcome::Unknown { .. } | PublishOutcome::NotSent { .. } => {}
                PublishOutcome::Returned { .. } | PublishOutcome::Nacked => panic!("{outcome:?}"),
            }
        }
        until_confirmed(&publisher, &queue.name, Duration::from_secs(5)).await;
    }
    let mut there = HashSet::new();
    while let Some((_, body)) = outside.take(&queue.name).await {
        there.insert(String::from_utf8(body).unwrap());
    }
    assert_eq!(confirmed.difference(&there).count(), 0);
    outside.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_a_publish_is_not_sent_and_says_why_at_once() {
    let (chaos, _) = through_chaos().await;
    chaos.refuse(true);
    let publisher =
        Publisher::spawn(BrokerConfig::parse(&chaos.url(&amqp_url()), Some(&management_url())).unwrap());
    let queue = QueueSpec::new(unique("later"), QueueType::Classic);
    let mut link = publisher.link();
    timeout(
        Duration::from_secs(5),
        link.wait_for(|state| matches!(state, LinkState::Down { .. })),
    )
    .await
    .unwrap()
    .unwrap();
    let began = Instant::now();
    let outcomes = publisher.publish(window(&queue.name, 2)).await;
    for outcome in outcomes {
        assert!(
            matches!(
                outcome,
                PublishOutcome::NotSent {
                    cause: PublishFault::LinkDown {
                        state: LinkState::Down { .. }
                    }
                }
            ),
            "{outcome:?}"
        );
    }
    assert!(matches!(
        publisher.declare(&queue).await,
        Err(DeclareError::Unavailable { .. })
    ));
    assert!(began.elapsed() < Duration::from_secs(2));
    chaos.refuse(false);
    eventually(Duration::from_secs(10), "declared", async || {
        publisher.declare(&queue).await.ok()
    })
    .await;
    assert_eq!(
        publisher.publish(window(&queue.name, 1)).await,
        [PublishOutcome::Confirmed]
    );
    Outside::connect().await.delete(&queue.name).await;
}
