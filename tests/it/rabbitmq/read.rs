//! The broker's numbers: right where it gives them, absent where it does not.

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use lapin::BasicProperties;
use lapin::types::AMQPValue;
use unstuck::broker::reading::Source;
use unstuck::broker::{
    BrokerConfig, BrokerReader, Consumer, ConsumerSpec, LinkState, Management, ManagementError, Probe,
    Probed, Publisher, QueueSpec, QueueState, QueueType,
};
use unstuck::domain::{broker_version::BrokerVersion, lint::differences};

use super::{QUEUE_TYPES, task_message};
use crate::support::broker::{Outside, amqp_url, config, unique};
use crate::support::node::Node;
use crate::support::stub_http::{Answer, serve};
use crate::support::wait::eventually;

fn reader(config: &BrokerConfig) -> BrokerReader {
    BrokerReader::new(Probe::spawn(config.clone()), Management::new(config))
        .with_details_every(Duration::ZERO)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_shows_what_waits_what_is_out_and_who_consumes() {
    let outside = Outside::connect().await;
    let reader = reader(&config());
    for queue_type in QUEUE_TYPES {
        let queue = QueueSpec::new(unique("reading"), queue_type);
        let publisher = Publisher::spawn(config());
        publisher.declare(&queue).await.unwrap();
        publisher
            .publish((0..5).map(|_| task_message(&queue.name, 1)).collect())
            .await;
        let spec = ConsumerSpec {
            tag: unique("worker"),
            queues: vec![queue.clone()],
            prefetch: NonZeroU16::new(2).unwrap(),
        };
        let (consumer, mut deliveries) = Consumer::spawn(config(), spec.clone());
        let held = [deliveries.recv().await.unwrap(), deliveries.recv().await.unwrap()];

        let missing = unique("missing");
        let asked = [queue.name.clone(), missing.clone()];
        let reading = eventually(Duration::from_secs(20), "all numbers are right", async || {
            let reading = reader.read(&asked).await;
            let seen = &reading.queues[&queue.name];
            let tags = seen
                .consumer_details
                .iter()
                .flat_map(|list| list.iter())
                .filter(|one| one.tag == spec.tag)
                .count();
            ((seen.ready, seen.unacknowledged, seen.consumers) == (Some(3), Some(2), Some(1))
                && tags == 1
                && seen.together == Some((3, 2)))
            .then_some(reading)
        })
        .await;
        assert_eq!(reading.problems, []);
        assert_eq!(reading.alarms, Some(vec![]));
        assert_eq!(reading.statistics_disabled, Some(false));
        assert!(reading.version.is_some());
        let seen = &reading.queues[&queue.name];
        assert_eq!(
            (seen.state, seen.queue_type.as_deref()),
            (QueueState::Present, Some(queue_type.as_str()))
        );
        assert_eq!(seen.ready_from.map(|origin| origin.source), Some(Source::Probe));
        assert_eq!(
            seen.unacknowledged_from.map(|origin| origin.source),
            Some(Source::Totals)
        );
        assert_eq!(seen.consumer_details.as_ref().unwrap()[0].prefetch, Some(2));
        let detail = seen.detail.as_ref().expect("settings");
        let version = reading.version.as_deref().and_then(BrokerVersion::parse);
        assert_eq!(differences(&queue, &detail.setup, version), []);
        let gone = &reading.queues[&missing];
        assert_eq!(
            (gone.state, gone.ready, gone.unacknowledged),
            (QueueState::Missing, None, None)
        );

        consumer
            .ack(held.into_iter().map(|delivery| delivery.handle).collect())
            .await;
        consumer.close().await;
        outside.delete(&queue.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_counts_present_queues_and_names_missing_ones_among_many() {
    let outside = Outside::connect().await;
    let base = unique("probe");
    let names: Vec<String> = (0..120).map(|n| format!("{base}.{n}")).collect();
    for (n, name) in names.iter().enumerate().filter(|(n, _)| n % 10 != 3) {
        outside.declare(name, &[]).await;
        if n % 25 == 0 {
            outside.publish(name, BasicProperties::default(), b"x").await;
        }
    }
    let probe = Probe::spawn(config());
    for _ in 0..2 {
        let answers = probe.passive(&names).await;
        for (n, name) in names.iter().enumerate() {
            let expected = match n {
                n if n % 10 == 3 => Probed::Missing,
                n => Probed::Present {
                    messages_ready: u64::from(n % 25 == 0),
                    consumers: 0,
                },
            };
            assert_eq!(answers[name], expected, "queue {n}");
        }
    }
    let management = Management::new(&config());
    let totals = management.totals(&names).await.unwrap();
    assert_eq!(totals.len(), names.len() - 12);
    assert!(totals.values().all(|seen| seen.messages_ready.is_some()));
    for name in names
        .iter()
        .enumerate()
        .filter(|(n, _)| n % 10 != 3)
        .map(|(_, name)| name)
    {
        outside.delete(name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_with_odd_names_are_found_like_any_other() {
    let outside = Outside::connect().await;
    let management = Management::new(&config());
    let base = unique("odd");
    let names: Vec<String> = [
        "a.b+c[d]",
        "é 队列",
        "x/y%2Fz?q=1&r#",
        "'quote\"|or(paren)\\",
        "UPPER",
    ]
    .map(|odd| format!("{base} {odd}"))
    .to_vec();
    for name in &names {
        outside.declare(name, &[]).await;
    }
    outside.declare(&names[4].to_lowercase(), &[]).await;
    let totals = management.totals(&names).await.unwrap();
    assert_eq!(totals.len(), names.len());
    for name in &names {
        assert_eq!(
            management.queue(name).await.unwrap().setup.durable,
            Some(true),
            "{name}"
        );
        assert!(matches!(
            Probe::spawn(config()).passive(std::slice::from_ref(name)).await[name],
            Probed::Present { .. }
        ));
    }
    for name in names.iter().chain([&names[4].to_lowercase()]) {
        outside.delete(name).await;
    }
    assert_eq!(management.queue(&names[0]).await, Err(ManagementError::NotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_queue_is_told_apart_by_what_would_lose_messages() {
    let outside = Outside::connect().await;
    let name = unique("foreign");
    outside
        .declare(&name, &[("x-message-ttl", AMQPValue::LongInt(60_000))])
        .await;
    let management = Management::new(&config());
    let found = eventually(Duration::from_secs(15), "the settings are there", async || {
        let detail = management.queue(&name).await.unwrap();
        detail
            .setup
            .is_whole()
            .then(|| differences(&QueueSpec::new(&name, QueueType::Quorum), &detail.setup, None))
    })
    .await;
    let named: Vec<_> = found
        .iter()
        .map(|one| (one.argument.as_str(), one.harmful))
        .collect();
    assert_eq!(
        named,
        [
            ("x-queue-type", false),
            ("x-dead-letter-exchange", true),
            ("x-message-ttl", true)
        ]
    );
    outside.delete(&name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_servers_are_told_apart_and_none_takes_more_than_its_time() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: identity\r\n\r\n";
    let garbage = |detail: &str| ManagementError::Garbage {
        detail: detail.to_owned(),
    };
    for (answer, expected) in [
        (
            Answer::http("401 Unauthorized", "", "{}"),
            ManagementError::Refused { status: 401 },
        ),
        (
            Answer::http("403 Forbidden", "", "{}"),
            ManagementError::Refused { status: 403 },
        ),
        (Answer::http("404 Not Found", "", "{}"), ManagementError::NotFound),
        (Answer::http("500 Oops", "", "boom"), garbage("HTTP 500")),
        (
            Answer::http("302 Found", "location: http://127.0.0.1:1/\r\n", ""),
            garbage("a redirect (HTTP 302), which is not followed"),
        ),
        (
            Answer::http("200 OK", "", "<html>guest:guest</html>"),
            garbage("no JSON (line 1, column 1)"),
        ),
        (
            Answer::http("200 OK", "", "[1, 2"),
            garbage("no JSON (line 1, column 5)"),
        ),
        (
            Answer::http("200 OK", "", "{\"unexpected\": 1}"),
            garbage("the queues are not a page of a list"),
        ),
        (
            Answer::http("200 OK", "", "{\"items\": [{}], \"total_count\": 1}"),
            garbage("a queue without a name"),
        ),
        (
            Answer::http(
                "400 Bad Request",
                "",
                "{\"reason\":\"Stats in management UI are disabled on this node\"}",
            ),
            ManagementError::Disabled,
        ),
        (
            Answer::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
            garbage("it does not speak HTTP"),
        ),
        (
            Answer::Bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 9 << 20).into_bytes()),
            ManagementError::TooLarge,
        ),
        (
            Answer::Flood(ok.replace("transfer-encoding: identity\r\n", "").into_bytes()),
            ManagementError::TooLarge,
        ),
        (
            Answer::Drip(ok.replace("transfer-encoding: identity\r\n", "").into_bytes()),
            ManagementError::TimedOut,
        ),
        (Answer::Silence, ManagementError::TimedOut),
    ] {
        let url = serve(answer).await;
        let config = BrokerConfig::parse(&amqp_url(), Some(&url)).unwrap();
        let began = Instant::now();
        let error = Management::new(&config)
            .totals(&["q".to_owned()])
            .await
            .unwrap_err();
        assert_eq!(error, expected);
        assert!(
            began.elapsed() < Duration::from_secs(6),
            "{error} took {:?}",
            began.elapsed()
        );
        for secret in ["guest", &url["http://".len()..]] {
            assert!(!error.to_string().contains(secret), "{error} shows {secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_management_api_leaves_the_live_numbers() {
    let queue = QueueSpec::new(unique("refused"), QueueType::Classic);
    let publisher = Publisher::spawn(config());
    publisher.declare(&queue).await.unwrap();
    publisher.publish(vec![task_message(&queue.name, 1)]).await;
    let url = serve(Answer::http("401 Unauthorized", "", "{}")).await;
    let reader = reader(&BrokerConfig::parse(&amqp_url(), Some(&url)).unwrap());
    let reading = reader.read(std::slice::from_ref(&queue.name)).await;
    let seen = &reading.queues[&queue.name];
    assert_eq!(
        (seen.state, seen.ready, seen.consumers),
        (QueueState::Present, Some(1), Some(0))
    );
    assert_eq!(
        (seen.unacknowledged, &seen.consumer_details, &seen.detail),
        (None, &None, &None)
    );
    assert_eq!(reading.alarms, None);
    let refused: Vec<_> = reading
        .problems
        .iter()
        .map(|problem| (problem.source, problem.kind))
        .collect();
    for source in [
        Source::Totals,
        Source::Alarms,
        Source::Details,
        Source::Consumers,
        Source::Overview,
    ] {
        assert!(refused.contains(&(source, "refused")), "{refused:?}");
    }
    Outside::connect().await.delete(&queue.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_everything_is_unknown() {
    let config = BrokerConfig::parse(
        "amqp://someone:hunter2@127.0.0.1:1/%2f",
        Some("http://127.0.0.1:1"),
    )
    .unwrap();
    let reading = reader(&config).read(&["q".to_owned()]).await;
    let seen = &reading.queues["q"];
    assert_eq!(
        (seen.state, seen.ready, seen.unacknowledged, seen.consumers),
        (QueueState::Unknown, None, None, None)
    );
    assert_eq!((reading.alarms, reading.version), (None, None));
    assert!(
        reading
            .problems
            .iter()
            .any(|problem| (problem.source, problem.kind) == (Source::Probe, "unavailable"))
    );
    assert!(
        reading
            .problems
            .iter()
            .any(|problem| (problem.source, problem.kind) == (Source::Totals, "unreachable"))
    );
    for problem in &reading.problems {
        assert!(
            !problem.detail.contains("hunter2") && !problem.detail.contains("someone"),
            "{}",
            problem.detail
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_and_switched_off_statistics_are_seen() {
    let node = Node::start(&[]).await;
    let config = node.config().await;
    let queue = QueueSpec::new("q", QueueType::Classic);
    let publisher = Publisher::spawn(config.clone());
    publisher.declare(&queue).await.unwrap();
    publisher.publish(vec![task_message("q", 1)]).await;
    let reader = reader(&config);
    let asked = ["q".to_owned()];
    assert_eq!(reader.read(&asked).await.alarms, Some(vec![]));

    node.ctl(&["set_disk_free_limit", "10000GB"]).await;
    let alarms = eventually(Duration::from_secs(5), "the alarm is seen", async || {
        reader
            .read(&asked)
            .await
            .alarms
            .filter(|alarms| !alarms.is_empty())
    })
    .await;
    assert_eq!(alarms[0].resource, "disk space");
    node.ctl(&["set_disk_free_limit", "50MB"]).await;

    node.ctl(&[
        "eval",
        "application:set_env(rabbitmq_management_agent, disable_metrics_collector, true).",
    ])
    .await;
    let reading = reader.read(&asked).await;
    let seen = &reading.queues["q"];
    assert_eq!(
        (seen.ready, seen.unacknowledged, seen.consumers),
        (Some(1), Some(0), Some(0))
    );
    assert_eq!(seen.consumer_details, None, "consumers are unknown, not none");
    let kinds: Vec<_> = reading
        .problems
        .iter()
        .map(|problem| (problem.source, problem.kind))
        .collect();
    assert!(kinds.contains(&(Source::Consumers, "disabled")), "{kinds:?}");

    node.run(&["kill9"]).await;
    let reading = reader.read(&asked).await;
    let seen = &reading.queues["q"];
    assert_eq!(
        (seen.state, seen.ready, seen.unacknowledged),
        (QueueState::Unknown, None, None)
    );
    assert!(matches!(
        &*publisher.link().borrow(),
        LinkState::Down { .. } | LinkState::Up { .. }
    ));

    node.run(&["start"]).await;
    eventually(Duration::from_secs(15), "the numbers are back", async || {
        let reading = reader.read(&asked).await;
        let seen = &reading.queues["q"];
        ((seen.ready, seen.unacknowledged) == (Some(1), Some(0))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_queue_that_hangs_is_never_read_as_empty() {
    let node = Node::start(&[("RMQ_FAST", "1")]).await;
    let config = node.config().await;
    let publisher = Publisher::spawn(config.clone());
    let reader = reader(&config);
    let queues = ["hanging".to_owned(), "healthy".to_owned()];
    for queue in &queues {
        publisher
            .declare(&QueueSpec::new(queue, QueueType::Quorum))
            .await
            .unwrap();
        publisher
            .publish(vec![task_message(queue, 1), task_message(queue, 1)])
            .await;
    }
    let spec = ConsumerSpec {
        tag: "worker".to_owned(),
        queues: vec![QueueSpec::new("hanging", QueueType::Quorum)],
        prefetch: NonZeroU16::MIN,
    };
    let (_consumer, mut deliveries) = Consumer::spawn(config, spec);
    let _held = deliveries.recv().await.unwrap();
    eventually(
        Duration::from_secs(15),
        "totals and statistics are there",
        async || {
            let reading = reader.read(&queues).await;
            let seen = &reading.queues["hanging"];
            let told = seen.detail.as_ref().and_then(|detail| detail.consumers);
            (seen.together == Some((1, 1)) && told == Some(1)).then_some(())
        },
    )
    .await;
    node.ctl(&["eval", "sys:suspend('%2F_hanging')."]).await;
    for _ in 0..3 {
        let reading = reader.read(&queues).await;
        assert_ne!(reading.queues["hanging"].ready, Some(0));
        assert_ne!(reading.queues["hanging"].consumers, Some(0));
        assert_eq!(reading.queues["healthy"].ready, Some(2));
    }
}
