//! Runs that take longer than is usual for their kind: when they are told, and when not. On both databases.

use std::time::Duration;

use serde_json::json;
use unstuck::domain::{
    evidence::ThresholdName,
    expectation::{Bounds, Runs},
    finding::{CloseReason, Confidence, Variant, Verdict},
    rules::unusual::{LongRun, unusual},
    sketch::Sketch,
    transition::Event,
};
use uuid::Uuid;

use super::{
    stage::Stage,
    support::{THRESHOLDS, at, suspect},
};
use crate::support::store::each_store;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_run_is_unusual_past_its_kind_s_limit_while_its_lease_is_alive() {
    let mut sketch = Sketch::default();
    sketch.add(unstuck::domain::sketch::bucket(40_000), 100);
    let runs = Runs {
        sketch,
        since: at(-2 * 86_400_000),
    };
    let usual = runs.usual(at(0), &Bounds::DEFAULT).expect("enough");
    let judge = |ran_ms: i64, lease_ms: i64| {
        let task = LongRun {
            suspect: suspect(),
            kind: "report".into(),
            worker: Some("w".into()),
            started_at: at(-ran_ms),
            lease_expires_at: at(lease_ms),
        };
        unusual(task, &usual, at(0), &THRESHOLDS)
    };
    assert_eq!(judge(usual.limit_ms, 1), None, "to the millisecond");
    assert_eq!(judge(usual.limit_ms + 1, 0), None, "its lease is over");
    assert_eq!(
        judge(86_400_001, 1),
        None,
        "its kind was not watched for a day when it began"
    );
    let stall = judge(usual.limit_ms + 1, 1).expect("unusual");
    assert_eq!(
        (stall.verdict, stall.confidence),
        (Verdict::Overdue, Confidence::Likely)
    );
    assert_eq!((stall.since, stall.cause), (at(-1), None));
    let facts = stall.evidence.facts;
    assert_eq!(
        (facts.kind.as_deref(), facts.samples, facts.factor),
        (Some("report"), Some(100), Some(3))
    );
    assert_eq!(
        (facts.p99_ms, facts.longest_ms),
        (Some(usual.p99_ms), Some(usual.longest_ms))
    );
    let threshold = stall.evidence.threshold;
    assert_eq!(
        (threshold.name, threshold.value),
        (ThresholdName::Unusual, usual.limit_ms)
    );
}

async fn succeed(stage: &Stage, id: Uuid) {
    let event = Event::Succeed {
        attempt: 1,
        result: json!(1),
        log: None,
    };
    stage.act(id, event).await;
}

/// So many tasks of `q` run for `seconds` each, at once.
async fn runs(stage: &Stage, count: usize, seconds: u64) {
    let ids = stage.queued(count).await;
    for id in &ids {
        stage.claim(*id, "w").await;
    }
    stage.clock.advance(Duration::from_secs(seconds));
    for id in ids {
        succeed(stage, id).await;
    }
}

/// A task that runs; its lease is kept alive by `beat`.
async fn running(stage: &mut Stage, timeout_s: Option<i64>) -> Uuid {
    let id = stage.start_with(1, timeout_s).await[0];
    stage.confirm().await;
    stage.claim(id, "w").await;
    stage.broker(0, 1);
    id
}

/// Looks every 5 s for so many seconds, while these attempts are alive.
async fn watch(stage: &mut Stage, ids: &[Uuid], seconds: u64) {
    for _ in 0..seconds / 5 {
        for id in ids {
            let beat = Event::Heartbeat {
                attempt: 1,
                progress: None,
                message: None,
            };
            stage.act(*id, beat).await;
        }
        stage.pass().await;
    }
}

#[tokio::test]
async fn a_run_three_times_longer_than_99_of_100_is_told_and_closes_when_it_ends() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        runs(&stage, 60, 25).await;
        stage.clock.advance(DAY);
        let id = running(&mut stage, None).await;
        watch(&mut stage, &[id], 70).await;
        assert_eq!(stage.stall_verdicts().await, [], "70 s, and 3 times 25 s are 75");
        watch(&mut stage, &[id], 20).await;
        let stalls = stage.stalls().await;
        assert_eq!((stalls[0].task_id, stalls[0].verdict), (id, Verdict::Overdue));
        assert_eq!(
            (stalls[0].confidence, stalls[0].incident_id),
            (Confidence::Likely, None)
        );
        let evidence = &stalls[0].evidence;
        assert_eq!(
            (evidence.variant, evidence.facts.samples),
            (Variant::Unusual, Some(60))
        );
        succeed(&stage, id).await;
        stage.pass().await;
        assert_eq!(stage.stall_verdicts().await, []);
        assert_eq!(stage.closed(Verdict::Overdue).await, [Some(CloseReason::Ended)]);
    })
    .await;
}

#[tokio::test]
async fn what_is_usual_follows_what_succeeds() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        runs(&stage, 60, 5).await;
        stage.clock.advance(DAY);
        let [first, second] = [running(&mut stage, None).await, running(&mut stage, None).await];
        watch(&mut stage, &[first, second], 100).await;
        assert_eq!(stage.stall_verdicts().await.len(), 2);
        // One of them only took long: then the other may, too.
        succeed(&stage, first).await;
        watch(&mut stage, &[second], 65).await;
        assert_eq!(stage.stall_verdicts().await, []);
        let closed = stage.closed(Verdict::Overdue).await;
        assert_eq!(closed, [Some(CloseReason::Cleared), Some(CloseReason::Ended)]);
        // Of 61 runs the longest is the 99th of 100: three times as long is unusual again.
        watch(&mut stage, &[second], 160).await;
        assert_eq!(stage.stall_verdicts().await, [Verdict::Overdue]);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_said_of_a_kind_with_few_runs_or_watched_for_less_than_a_day() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        runs(&stage, 49, 1).await;
        stage.clock.advance(DAY);
        let few = running(&mut stage, None).await;
        watch(&mut stage, &[few], 200).await;
        assert_eq!(stage.stall_verdicts().await, [], "49 runs are too few");
        succeed(&stage, few).await;
    })
    .await;
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        // A batch of everything at once: the short ones end first.
        let long = running(&mut stage, None).await;
        runs(&stage, 200, 1).await;
        watch(&mut stage, &[long], 200).await;
        assert_eq!(
            stage.stall_verdicts().await,
            [],
            "the long ones could not end yet"
        );
    })
    .await;
}

#[tokio::test]
async fn long_runs_that_go_on_since_before_the_kind_was_known_keep_the_others_from_being_told() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let old = [running(&mut stage, None).await, running(&mut stage, None).await];
        runs(&stage, 60, 1).await;
        for id in old {
            // Their leases are renewed throughout; only the last renewal matters here.
            let beat = Event::Heartbeat {
                attempt: 1,
                progress: None,
                message: None,
            };
            stage.clock.advance(DAY);
            stage.act(id, beat).await;
        }
        let young = running(&mut stage, None).await;
        watch(&mut stage, &[old[0], old[1], young], 120).await;
        assert_eq!(
            stage.stall_verdicts().await,
            [],
            "two of 62 may be the usual length"
        );
        for id in old {
            stage.act(id, Event::Cancel).await;
            let failed = Event::Fail {
                attempt: 1,
                error: "cancelled".into(),
                retryable: false,
                log: None,
            };
            stage.act(id, failed).await;
        }
        watch(&mut stage, &[young], 65).await;
        assert_eq!(stage.stalls().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_task_with_a_timeout_is_held_against_that_alone() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        runs(&stage, 60, 1).await;
        stage.clock.advance(DAY);
        let id = running(&mut stage, Some(200)).await;
        watch(&mut stage, &[id], 195).await;
        assert_eq!(stage.stall_verdicts().await, []);
        watch(&mut stage, &[id], 15).await;
        let stalls = stage.stalls().await;
        assert_eq!(
            (stalls[0].confidence, stalls[0].evidence.variant),
            (Confidence::Proven, Variant::Plain)
        );
    })
    .await;
}
