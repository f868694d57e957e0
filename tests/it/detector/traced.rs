//! What two tracers prove, and each thing that keeps them from proving it.

use unstuck::domain::{
    evidence::{Figure, Source},
    finding::{Confidence, Variant, Verdict},
    observation::{Presence, Publishing, QueueSettings, Sample},
    queue_setup::AckTimeout,
    rules::{
        overtaken::Oldest,
        traced::{Proof, Trail, given_up, is_due, overtaken_from, traced},
    },
    tracer::{GivenUp, Obstacle, QueueTracers, Tracer},
};
use uuid::Uuid;

use super::support::{START, THRESHOLDS, at, consumers, sample, suspect, with};

pub fn tracer(nr: u128, sent: i64, delivered: i64) -> Tracer {
    Tracer {
        id: Uuid::from_u128(nr),
        queue: "q".into(),
        sent_at: at(sent),
        confirmed_at: Some(at(sent)),
        delivered_at: Some(at(delivered)),
        worker: Some("w".into()),
        redelivered: Some(false),
    }
}

/// Looks every five seconds at a queue that is never empty and whose consumer holds the message of a running attempt. The
/// first tracer is sent after 10 s and comes out after 20; the second one after 25 and 40.
struct Story {
    first: Tracer,
    second: Tracer,
    /// Redeliveries as they are counted at each look.
    redelivered: fn(i64) -> Option<i64>,
    /// Messages in consumers' hands that are no running attempt's.
    buffered: fn(i64) -> i64,
    missing_at: Option<i64>,
    restart_at: Option<i64>,
    begins: i64,
    ends: i64,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            first: tracer(1, 10_000, 20_000),
            second: tracer(2, 25_000, 40_000),
            redelivered: |_| Some(7),
            buffered: |_| 0,
            missing_at: None,
            restart_at: None,
            begins: 0,
            ends: 55_000,
        }
    }
}

impl Story {
    fn trail(&self) -> Trail {
        let mut trail = Trail::default();
        for ms in (self.begins..=self.ends).step_by(5_000) {
            if self.restart_at == Some(ms) {
                trail.restart(at(ms));
            }
            let reading = with(sample(ms, false, 5, 1 + (self.buffered)(ms)), |sample| {
                sample.facts.held = 1;
                if self.missing_at == Some(ms) {
                    sample.numbers.presence = Presence::Missing;
                }
            });
            let redelivered = (self.redelivered)(ms).map(|value| Figure {
                value,
                source: Source::Statistics,
                read_at: at(ms),
            });
            let passed = [&self.second, &self.first]
                .into_iter()
                .find(|tracer| tracer.delivered_at.is_some_and(|delivered| delivered <= at(ms)));
            trail.note(&reading, redelivered, passed, &THRESHOLDS);
        }
        trail
    }

    fn proof(&self) -> Option<Proof> {
        self.trail().proof().cloned()
    }
}

fn waiting(published: i64, priority: i64) -> Oldest {
    Oldest {
        suspect: suspect(),
        priority,
        published_at: at(published),
    }
}

pub fn proven() -> unstuck::domain::finding::Stall {
    let proof = Story::default().proof().expect("a proof");
    traced(waiting(0, 0), "q", &proof, &THRESHOLDS).expect("covered")
}

#[test]
fn what_was_confirmed_before_the_first_of_two_tracers_and_waits_still_is_proven_lost() {
    let proof = Story::default().proof().expect("a proof");
    assert_eq!(proof.before, at(5_000), "by a margin");
    let stall = traced(waiting(5_000, 0), "q", &proof, &THRESHOLDS).expect("covered");
    assert_eq!(
        (stall.verdict, stall.confidence, stall.evidence.variant),
        (Verdict::MessageLost, Confidence::Proven, Variant::Traced)
    );
    let facts = &stall.evidence.facts;
    assert_eq!(
        (
            facts.tracer_delivered_at,
            facts.second_tracer_delivered_at,
            facts.clear_at
        ),
        (Some(at(20_000)), Some(at(40_000)), Some(at(25_000)))
    );
    assert_eq!(facts.redelivered.map(|count| count.value), Some(7));
    assert_eq!(
        traced(waiting(5_001, 0), "q", &proof, &THRESHOLDS),
        None,
        "too late"
    );
    assert_eq!(
        traced(waiting(0, 1), "q", &proof, &THRESHOLDS),
        None,
        "another priority than the tracers'"
    );
}

#[test]
fn a_worker_that_can_not_tell_of_redeliveries_leaves_that_to_the_brokers_count() {
    let mut story = Story::default();
    story.first.redelivered = None;
    story.second.redelivered = None;
    assert!(story.proof().is_some());
}

#[test]
fn a_proof_is_refused_when_anything_could_have_come_back() {
    let story = Story::default;
    let redelivered = |tracer: Tracer| Tracer {
        redelivered: Some(true),
        ..tracer
    };
    let refused = [
        (
            "a redelivery was counted before the second tracer came out",
            Story {
                redelivered: |ms| Some(if ms < 35_000 { 7 } else { 8 }),
                ..story()
            },
        ),
        (
            "a redelivery was counted late",
            Story {
                redelivered: |ms| Some(if ms < 55_000 { 7 } else { 8 }),
                ..story()
            },
        ),
        (
            "redeliveries are not counted",
            Story {
                redelivered: |_| None,
                ..story()
            },
        ),
        (
            "they were not counted before the clear moment",
            Story {
                redelivered: |ms| (ms >= 25_000).then_some(7),
                ..story()
            },
        ),
        (
            "they are not counted any more",
            Story {
                redelivered: |ms| (ms <= 40_000).then_some(7),
                ..story()
            },
        ),
        (
            "the count began anew",
            Story {
                redelivered: |ms| Some(if ms < 30_000 { 7 } else { 0 }),
                ..story()
            },
        ),
        (
            "the last count may be older than the second delivery",
            Story {
                ends: 50_000,
                ..story()
            },
        ),
        (
            "a consumer holds what may be the task's message",
            Story {
                buffered: |_| 1,
                ..story()
            },
        ),
        (
            "the clear moment may lie before the first delivery",
            Story {
                buffered: |ms| i64::from(ms > 20_000),
                ..story()
            },
        ),
        (
            "the second tracer was sent before the clear moment",
            Story {
                buffered: |ms| i64::from(ms < 30_000),
                ..story()
            },
        ),
        (
            "the first tracer came out again",
            Story {
                first: redelivered(tracer(1, 10_000, 20_000)),
                ..story()
            },
        ),
        (
            "the second tracer came out again",
            Story {
                second: redelivered(tracer(2, 25_000, 40_000)),
                ..story()
            },
        ),
        (
            "there is one tracer only",
            Story {
                second: tracer(1, 10_000, 20_000),
                ..story()
            },
        ),
        (
            "the queue was gone in between",
            Story {
                missing_at: Some(30_000),
                ..story()
            },
        ),
        (
            "the broker began anew in between",
            Story {
                restart_at: Some(45_000),
                ..story()
            },
        ),
        (
            "the first tracer is older than the readings",
            Story {
                begins: 15_000,
                ..story()
            },
        ),
    ];
    for (why, story) in refused {
        assert_eq!(story.proof(), None, "{why}");
    }
}

#[test]
fn after_a_refusal_the_next_two_tracers_prove_it() {
    let mut trail = Story {
        redelivered: |ms| Some(if ms < 35_000 { 7 } else { 8 }),
        ..Story::default()
    }
    .trail();
    let third = tracer(3, 65_000, 70_000);
    for ms in (60_000..=90_000).step_by(5_000) {
        let reading = with(sample(ms, false, 5, 1), |sample| sample.facts.held = 1);
        let count = Figure {
            value: 8,
            source: Source::Statistics,
            read_at: at(ms),
        };
        let passed = if ms < 70_000 {
            tracer(2, 25_000, 40_000)
        } else {
            third.clone()
        };
        trail.note(&reading, Some(count), Some(&passed), &THRESHOLDS);
    }
    let proof = trail.proof().expect("the second and the third");
    assert_eq!(proof.before, at(20_000), "the second one is the first now");
}

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
