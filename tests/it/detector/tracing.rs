//! When a tracer is sent, when it is waited for no longer, and what it measures.

use unstuck::domain::{
    observation::{Presence, Publishing, QueueSettings, Sample},
    queue_setup::AckTimeout,
    rules::traced::{Trail, given_up, is_due, overtaken_from},
    tracer::{GivenUp, Obstacle, QueueTracers, Tracer},
};

use super::{
    support::{START, THRESHOLDS, at, consumers, sample, with},
    traced::{Story, tracer},
};

/// A queue that wants a tracer: messages wait, consumers are there, and none was sent yet.
fn wanting() -> Sample {
    with(sample(0, false, 3, 1), |sample| sample.facts.waiting = 3)
}

fn settings(obstacle: Option<Obstacle>) -> QueueSettings {
    QueueSettings {
        mismatches: Vec::new(),
        ack_timeout: AckTimeout::Unknown,
        obstacle,
    }
}

fn due(sample: &Sample, settings: Option<&QueueSettings>, tracers: &QueueTracers, trail: &Trail) -> bool {
    is_due(sample, settings, &Publishing::Open, tracers, trail, &THRESHOLDS)
}

#[test]
fn a_tracer_is_sent_behind_a_backlog_once_a_minute_and_one_at_a_time() {
    let (plain, none, trail) = (settings(None), QueueTracers::default(), Trail::default());
    let sent = |ms: i64| QueueTracers {
        sent_at: Some(at(ms)),
        ..QueueTracers::default()
    };
    assert!(due(&wanting(), Some(&plain), &none, &trail));
    assert!(due(&wanting(), Some(&plain), &sent(-60_000), &trail));
    assert!(!due(&wanting(), Some(&plain), &sent(-59_999), &trail), "too soon");
    let out = QueueTracers {
        out: Some(tracer(1, -90_000, 0)),
        ..sent(-90_000)
    };
    assert!(!due(&wanting(), Some(&plain), &out, &trail), "one is out");
    let nothing = sample(0, false, 0, 1);
    assert!(!due(&nothing, Some(&plain), &none, &trail), "nothing waits");
    let alone = with(wanting(), |sample| sample.facts.waiting = 0);
    assert!(!due(&alone, Some(&plain), &none, &trail), "no task waits");
    let deserted = with(wanting(), |sample| consumers(sample, 0));
    assert!(
        !due(&deserted, Some(&plain), &none, &trail),
        "nobody would take it"
    );
    assert!(
        !due(&wanting(), None, &none, &trail),
        "its settings are not known"
    );
    for obstacle in Obstacle::ALL {
        let settings = settings(Some(*obstacle));
        assert!(!due(&wanting(), Some(&settings), &none, &trail), "{obstacle}");
    }
    let blocked = Publishing::Blocked("memory".into());
    assert!(!is_due(
        &wanting(),
        Some(&plain),
        &blocked,
        &none,
        &trail,
        &THRESHOLDS
    ));
}

#[test]
fn the_tracer_that_completes_a_proof_is_sent_sooner_when_there_is_something_to_prove() {
    let trail = Story {
        ends: 25_000,
        ..Story::default()
    }
    .trail();
    let plain = settings(None);
    let sent = QueueTracers {
        sent_at: Some(at(10_000)),
        ..QueueTracers::default()
    };
    let waits_since = |published: i64| {
        with(sample(25_000, false, 3, 1), |sample| {
            sample.facts.waiting = 3;
            sample.facts.oldest_published_at = Some(at(published));
        })
    };
    assert!(due(&waits_since(5_000), Some(&plain), &sent, &trail));
    assert!(
        !due(&waits_since(5_001), Some(&plain), &sent, &trail),
        "all came later"
    );
    let proven = Story::default().trail();
    let later = QueueTracers {
        sent_at: Some(at(25_000)),
        ..QueueTracers::default()
    };
    let old = with(sample(55_000, false, 3, 1), |sample| {
        sample.facts.oldest_published_at = Some(START);
    });
    assert!(
        !due(&old, Some(&plain), &later, &proven),
        "that is proven already"
    );
}

#[test]
fn a_tracer_that_would_complete_no_proof_waits_until_it_would() {
    // The first one was out for more than a minute: another is due as soon as it has come.
    let first = tracer(1, -50_000, 20_000);
    let trail = |buffered: fn(i64) -> i64, ends: i64| {
        Story {
            first: first.clone(),
            second: first.clone(),
            begins: -55_000,
            buffered,
            ends,
            ..Story::default()
        }
        .trail()
    };
    let (plain, sent) = (
        settings(None),
        QueueTracers {
            sent_at: Some(at(-50_000)),
            ..QueueTracers::default()
        },
    );
    let is_due = |ms: i64, oldest: i64, trail: &Trail| {
        let reading = with(sample(ms, false, 3, 1), |sample| {
            sample.facts.waiting = 3;
            sample.facts.oldest_published_at = Some(at(oldest));
        });
        due(&reading, Some(&plain), &sent, trail)
    };
    let (just_came, clear) = (trail(|_| 0, 20_000), trail(|_| 0, 25_000));
    assert!(!is_due(20_000, -55_000, &just_came), "no moment was clear yet");
    assert!(is_due(20_000, -54_999, &just_came), "there is nothing to prove");
    assert!(is_due(25_000, -55_000, &clear));
    let never = trail(|_| 1, 75_000);
    assert!(!is_due(79_999, -55_000, &never));
    assert!(is_due(80_000, -55_000, &never), "for a minute at most");
}

#[test]
fn a_tracer_is_given_up_when_it_can_not_come_any_more() {
    let out = |confirmed: bool| Tracer {
        confirmed_at: confirmed.then(|| at(0)),
        delivered_at: None,
        ..tracer(1, 0, 0)
    };
    let reading = |ms, ready| sample(ms, true, ready, 0);
    let missing = with(reading(5_000, 0), |sample| {
        sample.numbers.presence = Presence::Missing
    });
    let unseen = with(reading(90_000, 0), |sample| {
        sample.numbers.presence = Presence::Unseen
    });
    for (what, tracer, sample, overtaken, expected) in [
        (
            "waits in its queue",
            out(true),
            reading(3_600_000, 9),
            false,
            None,
        ),
        (
            "its queue is gone",
            out(true),
            missing,
            false,
            Some(GivenUp::QueueMissing),
        ),
        ("nothing can be seen", out(true), unseen, true, None),
        (
            "its queue is empty, maybe not yet",
            out(true),
            reading(59_999, 0),
            false,
            None,
        ),
        (
            "its queue is empty",
            out(true),
            reading(60_000, 0),
            false,
            Some(GivenUp::QueueEmpty),
        ),
        (
            "nobody knows whether it is there",
            out(false),
            reading(60_000, 9),
            false,
            Some(GivenUp::Unconfirmed),
        ),
        (
            "a later message was taken",
            out(true),
            reading(90_000, 9),
            true,
            Some(GivenUp::Overtaken),
        ),
    ] {
        assert_eq!(given_up(&tracer, &sample, overtaken), expected, "{what}");
    }
    assert_eq!(overtaken_from(&out(true), at(60_000)), None);
    assert_eq!(overtaken_from(&out(true), at(60_001)), Some(at(60_000)));
}

#[test]
fn only_a_first_delivery_measures_the_time_in_the_queue() {
    assert_eq!(tracer(1, 1_000, 5_000).wait_ms(), Some(4_000));
    assert_eq!(tracer(1, 5_000, 4_000).wait_ms(), Some(0), "clocks differ");
    let of = |redelivered| Tracer {
        redelivered,
        ..tracer(1, 1_000, 5_000)
    };
    assert_eq!(
        (of(None).wait_ms(), of(Some(true)).wait_ms()),
        (Some(4_000), None)
    );
    let out = Tracer {
        delivered_at: None,
        ..tracer(1, 0, 0)
    };
    assert_eq!(out.wait_ms(), None);
}

#[test]
fn settings_that_take_messages_away_are_obstacles() {
    let among = |names: &[&str]| Obstacle::among(names.iter().copied());
    assert_eq!(among(&["x-queue-type", "x-max-priority", "delivery-limit"]), None);
    assert_eq!(among(&["x-message-ttl"]), Some(Obstacle::TimeToLive));
    assert_eq!(among(&["x-delayed-retry-min"]), Some(Obstacle::DelayedRetry));
    assert_eq!(among(&["max-length-bytes"]), Some(Obstacle::LengthLimit));
    assert_eq!(
        among(&["x-max-length", "message-ttl"]),
        Some(Obstacle::TimeToLive)
    );
}
