//! The whole detector on a real RabbitMQ, on both queue types. Its clock is set: five seconds pass from look to look.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lapin::{
    BasicProperties,
    options::{BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions, BasicRejectOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::json;
use unstuck::{
    broker::{BrokerConfig, QueueReading, QueueType},
    domain::{
        evidence::Source,
        finding::{Confidence, Variant, Verdict},
        ledger::Health,
        transition::{Claim, Event},
    },
};
use uuid::Uuid;

use super::scene::{BOTH, EVERY, LEASE, Scene};
use crate::support::{
    broker::{Outside, amqp_url, unique},
    wait::eventually,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_queue_loses_each_task_and_a_busy_one_none() {
    for queue_type in BOTH {
        let mut scene = Scene::new(queue_type).await;
        scene.start(4).await;
        scene.settled(4, 0).await;
        for _ in 0..3 {
            assert!(!scene.look().await.is_news(), "healthy");
        }
        let sample = scene.sample().await;
        assert_eq!((sample.ledger.balance, sample.health), (Some(0), Health::Ok));
        let untouched_since = sample.untouched_since.expect("nobody is there to take one");
        assert!(untouched_since < sample.at, "{queue_type:?}");

        scene.outside.purge(&scene.queue).await;
        scene.settled(0, 0).await;
        scene
            .until("the loss is found", 3, async |scene| {
                !scene.stalls().await.is_empty()
            })
            .await;
        let incidents = scene.incidents().await;
        assert_eq!(incidents.len(), 1, "{queue_type:?}: {incidents:?}");
        assert_eq!(
            (incidents[0].verdict, incidents[0].tasks),
            (Verdict::LedgerShort, 4)
        );
        let ready = incidents[0].evidence.facts.messages_ready.expect("a number");
        assert_eq!((ready.value, ready.source), (0, Source::Declare));
        let stalls = scene.stalls().await;
        assert_eq!(stalls.len(), 4);
        for stall in stalls {
            assert_eq!(
                (stall.verdict, stall.confidence),
                (Verdict::MessageLost, Confidence::Proven)
            );
            assert_eq!(stall.evidence.variant, Variant::Empty);
        }
        let sample = scene.sample().await;
        assert_eq!((sample.health, sample.untouched_since), (Health::Stalled, None));
        scene.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_is_missing_with_its_tasks_under_it() {
    for queue_type in BOTH {
        let mut scene = Scene::new(queue_type).await;
        scene.start(2).await;
        scene.settled(2, 0).await;
        scene.outside.delete(&scene.queue).await;
        scene
            .until("it is missing", 5, async |scene| {
                scene.verdicts().await == [Verdict::QueueMissing]
            })
            .await;
        // Its dead letters are read first.
        scene.look().await;
        let stalls = scene.stalls().await;
        assert_eq!(stalls.len(), 2);
        assert!(
            stalls
                .iter()
                .all(|stall| stall.evidence.variant == Variant::NoQueue)
        );
        scene.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_consumers_is_told_after_a_minute_and_no_task_is() {
    for queue_type in BOTH {
        let mut scene = Scene::new(queue_type).await;
        scene.start(2).await;
        scene.settled(2, 0).await;
        let began = scene.looks;
        scene
            .until("no consumers", 20, async |scene| {
                scene.verdicts().await == [Verdict::NoConsumers]
            })
            .await;
        assert!(
            scene.looks - began >= 11,
            "a minute of looks, not {}",
            scene.looks - began
        );
        assert_eq!(scene.stalls().await.len(), 0);
        scene.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_connection_is_gone_is_lost_and_one_that_is_connected_is_silent() {
    for queue_type in BOTH {
        let mut scene = Scene::new(queue_type).await;
        let worker = unique("worker");
        let theirs = Outside::connect().await;
        let channel = theirs.channel().await;
        channel
            .basic_qos(1, BasicQosOptions::default())
            .await
            .expect("prefetch");
        let consuming = channel.basic_consume(
            scene.queue.as_str().into(),
            worker.as_str().into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = consuming.await.expect("consuming");
        let ids = scene.start(1).await;
        scene.settled(0, 1).await;
        let claim = Claim {
            claim_id: "c".into(),
            dispatch: Some(1),
            worker: worker.clone(),
        };
        scene.act(ids[0], Event::Claim(claim)).await;
        let listed = |queue: &QueueReading| {
            let consumers = queue.consumer_details.as_ref();
            consumers.is_some_and(|consumers| consumers.iter().any(|one| one.tag == worker))
        };
        scene.reads("its tag is listed", listed).await;
        scene
            .until("silent", 15, async |scene| {
                scene.verdicts().await == [Verdict::WorkerSilent]
            })
            .await;
        assert_eq!(
            scene.stalls().await[0].evidence.facts.worker.as_deref(),
            Some(worker.as_str())
        );
        drop((consumer, channel));
        drop(theirs);
        let gone = |queue: &QueueReading| !listed(queue) && queue.consumers == Some(0);
        scene.reads("it is gone, by every source", gone).await;
        scene
            .until("lost", 15, async |scene| {
                scene.verdicts().await == [Verdict::WorkerLost]
            })
            .await;
        let stalls = scene.stalls().await;
        assert_eq!(
            (stalls.len(), stalls[0].verdict, stalls[0].confidence),
            (1, Verdict::WorkerLost, Confidence::Proven)
        );
        assert_eq!(stalls[0].evidence.variant, Variant::NoTaker);
        scene.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_loses_messages_by_its_arguments_is_told_and_one_of_another_type_is_not() {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut scene = Scene::found_with(
        QueueType::Quorum,
        &[
            ("x-queue-type", text("quorum")),
            ("x-message-ttl", AMQPValue::LongInt(86_400_000)),
            // This broker (3.10) takes it and does not obey it: nothing is known about its timeout.
            ("x-consumer-timeout", AMQPValue::LongInt(60_000)),
        ],
    )
    .await;
    // The broker lists policies some seconds after the queue.
    let told = |queue: &QueueReading| {
        let detail = queue.detail.as_ref();
        detail.is_some_and(|detail| detail.setup.is_whole())
    };
    scene.reads("its settings are told", told).await;
    let ids = scene.start(1).await;
    scene.claim(ids[0], "w").await;
    scene
        .until("the mismatch is told", 8, async |scene| {
            scene.verdicts().await == [Verdict::QueueMismatch]
        })
        .await;
    let detail = scene.incidents().await[0].evidence.facts.detail.clone();
    let detail = detail.expect("what differs");
    for part in [
        "x-message-ttl = 86400000 (≠ none)",
        "x-dead-letter-exchange = none",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
    for _ in 0..20 {
        let beat = Event::Heartbeat {
            attempt: 1,
            progress: None,
            message: None,
        };
        scene.act(ids[0], beat).await;
        scene.look().await;
        assert_eq!(scene.stalls().await, [], "no deadline is made up");
    }
    scene.close().await;

    let dead = unique("detector");
    let arguments = [
        ("x-queue-type", text("classic")),
        ("x-dead-letter-exchange", text("graveyard")),
        ("x-dead-letter-routing-key", text(&dead)),
    ];
    let mut scene = Scene::found_with(QueueType::Quorum, &arguments).await;
    scene.reads("its settings are told", told).await;
    for _ in 0..6 {
        scene.look().await;
    }
    assert_eq!(scene.verdicts().await, [], "its owner's choice");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_message_is_found_on_the_dead_letter_queue_and_left_there() {
    for queue_type in BOTH {
        let mut scene = Scene::new(queue_type).await;
        let ids = scene.start(3).await;
        scene.settled(3, 0).await;
        let dead = format!("{}.dead", scene.queue);
        let channel = scene.outside.channel().await;
        let reject = async |count: usize| {
            for _ in 0..count {
                let got = channel
                    .basic_get(scene.queue.as_str().into(), BasicGetOptions::default())
                    .await;
                let got = got.expect("got").expect("a message");
                let options = BasicRejectOptions { requeue: false };
                got.delivery.acker.reject(options).await.expect("rejected");
            }
        };
        reject(2).await;
        // Beside them, something that is no task's.
        let foreign = BasicProperties::default();
        scene.outside.publish(&dead, foreign, b"whose is this?").await;
        scene.outside.until_ready(&dead, 3).await;
        let told = async |scene: &mut Scene, expected: &[Uuid]| {
            eventually(Duration::from_secs(40), "the dead are told", async || {
                scene.look().await;
                let stalls = scene.stalls().await;
                let dead = stalls
                    .iter()
                    .filter(|stall| stall.verdict == Verdict::DeadLettered);
                let mut told: Vec<Uuid> = dead.map(|stall| stall.task_id).collect();
                told.sort();
                (told == expected && stalls.len() == told.len()).then_some(stalls)
            })
            .await
        };
        let stalls = told(&mut scene, &ids[..2]).await;
        assert_eq!(stalls[0].evidence.variant, Variant::Rejected);
        assert!(stalls[0].evidence.facts.died_at.is_some());
        let verdicts = scene.verdicts().await;
        assert!(verdicts.contains(&Verdict::DeadLettered), "{verdicts:?}");
        assert!(
            !verdicts.contains(&Verdict::LedgerShort),
            "it explains what is missing"
        );
        scene.outside.until_ready(&dead, 3).await;

        // A worker's copy says why.
        let channel = scene.outside.channel().await;
        let got = channel
            .basic_get(scene.queue.as_str().into(), BasicGetOptions::default())
            .await;
        let got = got.expect("got").expect("a message").delivery;
        let mut headers = got.properties.headers().clone().unwrap_or_default();
        let reason = AMQPValue::LongString("the worker does not serve tasks of kind x".into());
        headers.insert("x-unstuck-reason".into(), reason);
        let copy = got.properties.clone().with_headers(headers);
        scene.outside.publish(&dead, copy, &got.data).await;
        got.acker
            .ack(BasicAckOptions::default())
            .await
            .expect("acknowledged");
        let stalls = told(&mut scene, &ids).await;
        let told_why = stalls.iter().find(|stall| stall.task_id == ids[2]);
        let facts = &told_why.expect("the third").evidence;
        assert_eq!(facts.variant, Variant::ByWorker);
        assert!(
            facts
                .facts
                .detail
                .as_deref()
                .is_some_and(|why| why.contains("kind x"))
        );
        scene.outside.until_ready(&dead, 4).await;

        // Somebody empties the dead-letter queue: then the messages are lost.
        scene.outside.purge(&dead).await;
        eventually(Duration::from_secs(40), "they are lost", async || {
            scene.look().await;
            let stalls = scene.stalls().await;
            let lost = stalls
                .iter()
                .filter(|stall| stall.verdict == Verdict::MessageLost)
                .count();
            (lost == 3 && stalls.len() == 3).then_some(())
        })
        .await;
        scene.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_oldest_message_is_named_among_those_that_wait() {
    let mut scene = Scene::new(QueueType::Classic).await;
    // Messages carry the publisher's own time, so the test's clock goes with it, two minutes behind at first.
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let now = scene.store.now().await.expect("a time");
    let behind = i64::try_from(wall.as_millis()).expect("in this age") - now.ms() - 120_000;
    scene.clock.advance(Duration::from_millis(behind.unsigned_abs()));
    let lost = scene.start(2).await;
    scene.settled(2, 0).await;
    scene.outside.purge(&scene.queue).await;
    scene.settled(0, 0).await;
    scene.clock.advance(Duration::from_secs(120));
    scene.start(3).await;
    scene.settled(3, 0).await;
    let head = |queue: &QueueReading| {
        let detail = queue.detail.as_ref();
        detail.is_some_and(|detail| detail.head_message_timestamp.is_some())
    };
    scene.reads("the time of its head is told", head).await;
    scene
        .until("the lost ones are named", 8, async |scene| {
            !scene.stalls().await.is_empty()
        })
        .await;
    let stalls = scene.stalls().await;
    let mut named: Vec<Uuid> = stalls.iter().map(|stall| stall.task_id).collect();
    named.sort();
    assert_eq!(named, lost);
    for stall in stalls {
        assert_eq!(
            (stall.verdict, stall.confidence, stall.evidence.variant),
            (Verdict::MessageLost, Confidence::Likely, Variant::BehindHead)
        );
    }
    let cards = scene.incidents().await;
    assert_eq!((cards.len(), cards[0].evidence.facts.missing), (1, Some(2)));
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_attempts_did_is_told_beside_a_broker_that_has_nothing_to_say_about_it() {
    let mut scene = Scene::new(QueueType::Quorum).await;
    let ids = scene.start(2).await;
    scene.claim(ids[0], "one").await;
    scene.clock.advance(LEASE + EVERY);
    scene.claim(ids[0], "two").await;
    scene.clock.advance(EVERY);
    let succeeded = Event::Succeed {
        attempt: 1,
        result: json!("late"),
        log: None,
    };
    scene.refused(ids[0], succeeded).await;
    scene.claim(ids[1], "two").await;
    scene.act(ids[1], Event::Cancel).await;
    let mut told = Vec::new();
    for _ in 0..30 {
        for (id, attempt) in [(ids[0], 2), (ids[1], 1)] {
            let beat = Event::Heartbeat {
                attempt,
                progress: None,
                message: None,
            };
            scene.act(id, beat).await;
        }
        scene.look().await;
        told = scene.stalls().await;
    }
    let mut told: Vec<(Uuid, Verdict)> = told.iter().map(|stall| (stall.task_id, stall.verdict)).collect();
    told.sort();
    let mut expected = [(ids[0], Verdict::DoubleRun), (ids[1], Verdict::CancelIgnored)];
    expected.sort();
    assert_eq!(told, expected);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_management_api_everything_is_unknown_and_nothing_lost() {
    // A port that nothing listens on.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let closed = format!("http://guest:guest@{}", socket.local_addr().expect("its address"));
    drop(socket);
    let eyes = BrokerConfig::parse(&amqp_url(), Some(&closed)).expect("a URL");
    let mut scene = Scene::seen_through(QueueType::Quorum, eyes).await;
    scene.start(3).await;
    scene.outside.purge(&scene.queue).await;
    for _ in 0..8 {
        scene.look().await;
    }
    let incidents = scene.incidents().await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(
        (incidents[0].verdict, incidents[0].evidence.variant),
        (Verdict::Unknown, Variant::Unreachable)
    );
    assert_eq!(scene.stalls().await, []);
    let sample = scene.sample().await;
    assert_eq!((sample.health, sample.ledger.balance), (Health::Unknown, None));
    scene.close().await;
}
