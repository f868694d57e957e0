//! What two tracers prove, and each thing that keeps them from proving it.

use unstuck::domain::{
    evidence::{Figure, Source},
    finding::{Confidence, Variant, Verdict},
    observation::Presence,
    rules::{
        overtaken::Oldest,
        traced::{Proof, Trail, traced},
    },
    tracer::Tracer,
};
use uuid::Uuid;

use super::support::{THRESHOLDS, at, sample, suspect, with};

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
pub struct Story {
    pub first: Tracer,
    pub second: Tracer,
    /// Redeliveries as they are counted at each look.
    pub redelivered: fn(i64) -> Option<i64>,
    /// Messages in consumers' hands that are no running attempt's.
    pub buffered: fn(i64) -> i64,
    pub missing_at: Option<i64>,
    pub restart_at: Option<i64>,
    pub begins: i64,
    pub ends: i64,
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
    pub fn trail(&self) -> Trail {
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
