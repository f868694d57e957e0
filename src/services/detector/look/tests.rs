use std::{sync::Arc, time::Instant};

use super::*;
use crate::broker::management::QueueDetail;

fn read_at(instant: Instant) -> ReadAt {
    ReadAt {
        instant,
        wall: SystemTime::now(),
    }
}

/// A reading of now, with `problem` of the totals.
fn reading(problem: Option<&'static str>) -> BrokerReading {
    let problems = problem.map(|kind| ReadProblem {
        source: ReadFrom::Totals,
        kind,
        detail: "why".into(),
    });
    BrokerReading {
        at: read_at(Instant::now() + Duration::from_secs(3600)),
        queues: HashMap::new(),
        alarms: None,
        problems: problems.into_iter().collect(),
        version: None,
        nodes: None,
        statistics_disabled: None,
    }
}

fn sight(queue: impl FnOnce(&dyn Fn(u64) -> ReadAt) -> QueueReading) -> QueueSight {
    let reading = reading(None);
    let view = View {
        reading: &reading,
        now: Time::from_ms(1_000_000),
        kept: Duration::from_secs(15),
    };
    let ago = |seconds| read_at(reading.at.instant - Duration::from_secs(seconds));
    let row = QueueRow {
        name: "q".into(),
        queue_type: "quorum".into(),
        backlog_target_s: 900,
        traced: false,
    };
    view.queue(&queue(&ago), &row)
}

fn consumer(tag: &str, prefetch: Option<u64>) -> ConsumerDetail {
    ConsumerDetail {
        queue: "q".into(),
        tag: tag.into(),
        prefetch,
        active: None,
        activity_status: None,
        connection_name: None,
    }
}

#[test]
fn what_the_broker_did_not_say_stays_absent() {
    let nothing = sight(|_| QueueReading {
        state: QueueState::Present,
        ..QueueReading::default()
    });
    let expected = Numbers {
        presence: Presence::Here,
        ..Numbers::UNSEEN
    };
    assert_eq!((nothing.numbers, nothing.tags), (expected, None));
    let missing = sight(|_| QueueReading {
        state: QueueState::Missing,
        ready: Some(0),
        ..QueueReading::default()
    });
    assert_eq!(
        (missing.numbers.presence, missing.numbers.ready),
        (Presence::Missing, None)
    );
}

#[test]
fn what_was_kept_too_long_is_unknown() {
    let kept = |age| {
        sight(|ago| QueueReading {
            state: QueueState::Present,
            consumer_details: Some(Arc::new(vec![consumer("w", Some(2)), consumer("v", Some(3))])),
            consumer_details_at: Some(ago(age)),
            detail: Some(Arc::new(QueueDetail {
                messages_ready: Some(4),
                messages_unacknowledged: Some(1),
                ..QueueDetail::default()
            })),
            detail_at: Some(ago(age)),
            ..QueueReading::default()
        })
    };
    let young = kept(10);
    let tags = [("v".to_owned(), Some(3)), ("w".to_owned(), Some(2))];
    assert_eq!(young.tags, Some(ConsumerTags::from(tags)));
    assert_eq!(young.numbers.prefetch, Some(5));
    let snapshot = young.numbers.snapshot.expect("statistics");
    assert_eq!(
        (snapshot.ready, snapshot.unacknowledged, snapshot.lag_ms),
        (4, 1, 22_000)
    );
    let old = kept(16);
    assert_eq!((old.tags, old.numbers.snapshot), (None, None));
}

#[test]
fn a_consumer_without_a_limit_leaves_the_prefetch_unknown() {
    for prefetch in [None, Some(0)] {
        let sight = sight(|ago| QueueReading {
            state: QueueState::Present,
            consumer_details: Some(Arc::new(vec![consumer("w", Some(2)), consumer("v", prefetch)])),
            consumer_details_at: Some(ago(0)),
            ..QueueReading::default()
        });
        assert_eq!(sight.numbers.prefetch, None);
    }
}

#[test]
fn a_worker_that_consumes_on_two_channels_may_hold_what_both_may() {
    let sum = |limits: [Option<u64>; 2]| tags(&limits.map(|limit| consumer("w", limit)))["w"];
    assert_eq!(sum([Some(2), Some(3)]), Some(5));
    assert_eq!(sum([Some(2), Some(0)]), None);
    assert_eq!(sum([None, Some(2)]), None);
}

#[test]
fn the_totals_of_a_quorum_queue_count_as_late_and_so_do_those_of_an_unknown_kind() {
    for (queue_type, lag_ms) in [(Some("classic"), 1_000), (Some("quorum"), 7_000), (None, 7_000)] {
        let sight = sight(|_| QueueReading {
            state: QueueState::Present,
            together: Some((3, 2)),
            queue_type: queue_type.map(str::to_owned),
            ..QueueReading::default()
        });
        let snapshot = sight.numbers.snapshot.expect("totals");
        assert_eq!(snapshot.lag_ms, lag_ms, "{queue_type:?}");
    }
}

#[test]
fn each_kind_of_problem_is_its_own_blindness() {
    for (kind, why) in [
        ("unreachable", Blindness::Unreachable),
        ("timed_out", Blindness::TimedOut),
        ("refused", Blindness::Refused),
        ("disabled", Blindness::StatisticsOff),
        ("garbage", Blindness::Failed),
        ("too_large", Blindness::Failed),
    ] {
        let reading = reading(Some(kind));
        let view = View {
            reading: &reading,
            now: Time::from_ms(0),
            kept: Duration::from_secs(15),
        };
        let blind = view.problem(ReadFrom::Totals).expect("a problem");
        assert_eq!((blind.why, blind.detail.as_str()), (why, "why"));
        assert_eq!(view.problem(ReadFrom::Consumers), None);
    }
}
