//! Crash loops, cancels that nobody obeys, and work that was done twice.

use std::time::Duration;

use serde_json::json;
use unstuck::{
    domain::{
        finding::{CloseReason, Confidence, Scope, Variant, Verdict},
        ledger::Health,
        rules::attempts::{cancel_ignored, crash_loop, double_run},
        task::{AttemptOutcome, State},
        transition::{Event, LeasePolicy, RequeueBy},
    },
    store::findings::StallRow,
};
use uuid::Uuid;

use super::{
    stage::{LEASE, PACE, Stage},
    support::{THRESHOLDS, at, cancelling, crashed, late_success, run},
};
use crate::support::store::each_store;

use AttemptOutcome::{Failed, Lost, Released, Superseded};

#[test]
fn three_lost_workers_since_the_last_grant_are_a_crash_loop() {
    for (tries, outcomes, expected) in [
        (3, vec![Some(Lost); 3], Some(3)),
        (2, vec![Some(Lost); 3], None),
        (4, vec![None, Some(Lost), Some(Lost), Some(Lost)], Some(3)),
        (4, vec![Some(Failed), Some(Lost), Some(Lost), Some(Lost)], Some(3)),
        (3, vec![Some(Failed), Some(Lost), Some(Lost), Some(Lost)], None),
        // One handed back is no try, so the three behind it still count.
        (
            3,
            vec![Some(Released), Some(Lost), Some(Lost), Some(Lost)],
            Some(3),
        ),
        (
            3,
            vec![Some(Superseded), Some(Lost), Some(Lost), Some(Lost)],
            None,
        ),
        (5, vec![Some(Lost); 5], Some(5)),
    ] {
        let runs = outcomes.iter().map(|outcome| run(*outcome)).collect();
        let stall = crash_loop(crashed(State::Queued, tries, runs), at(0), &THRESHOLDS);
        let found = stall.map(|stall| stall.evidence.facts.lost_attempts.expect("a number"));
        assert_eq!(found, expected, "{tries} tries of {outcomes:?}");
    }
}

#[test]
fn a_crash_loop_is_told_of_tasks_that_are_tried_on_and_of_those_that_failed_by_it() {
    for (state, variant) in [
        (State::Queued, Some(Variant::Trying)),
        (State::Running, Some(Variant::Trying)),
        (State::Failed, Some(Variant::GaveUp)),
        (State::Succeeded, None),
        (State::Cancelled, None),
        (State::New, None),
    ] {
        let runs = vec![run(Some(Lost)); 3];
        let stall = crash_loop(crashed(state, 3, runs), at(0), &THRESHOLDS);
        let told = stall
            .as_ref()
            .map(|stall| (stall.evidence.variant, stall.confidence));
        assert_eq!(
            told,
            variant.map(|variant| (variant, Confidence::Proven)),
            "{state}"
        );
    }
}

#[test]
fn a_cancel_is_ignored_two_minutes_after_its_worker_heard_of_it() {
    let judge = |task| cancel_ignored(task, at(0), &THRESHOLDS).is_some();
    assert!(judge(cancelling()));
    let with = |change: fn(&mut _)| {
        let mut task = cancelling();
        change(&mut task);
        judge(task)
    };
    assert!(!with(|task| task.cancel_requested_at = at(-129_999)), "its time");
    assert!(
        !with(|task| task.lease_expires_at = at(0)),
        "a lease that is over is another story"
    );
    assert!(
        !with(|task| task.beat_at = at(-130_000)),
        "no heartbeat since: it was never told"
    );
    // A lease of an hour is renewed each 20 minutes: that is how long a worker may not know.
    assert!(!with(|task| {
        task.cancel_requested_at = at(-1_000_000);
        task.beat_at = at(-60_000);
        task.lease_expires_at = at(3_540_000);
    }));
    assert!(with(|task| {
        task.cancel_requested_at = at(-1_320_000);
        task.beat_at = at(-120_000);
        task.lease_expires_at = at(3_480_000);
    }));
}

#[test]
fn a_late_success_is_a_double_run_only_when_the_next_attempt_had_begun() {
    let stall = double_run(late_success(), at(0)).expect("twice");
    assert_eq!((stall.confidence, stall.attempt), (Confidence::Likely, 1));
    let mut before = late_success();
    before.next_started_at = before.reported_at;
    assert_eq!(double_run(before, at(0)), None);
}

fn succeed(attempt: i64) -> Event {
    Event::Succeed {
        attempt,
        result: json!({"by": attempt}),
        log: None,
    }
}

fn requeue() -> Event {
    Event::Requeue {
        by: RequeueBy::Person,
        lease: LeasePolicy::Respect,
        payload: None,
    }
}

impl Stage {
    async fn only(&self, verdict: Verdict) -> StallRow {
        let mut stalls = self.stalls().await;
        stalls.retain(|stall| stall.verdict == verdict);
        assert_eq!(stalls.len(), 1, "one {verdict}");
        stalls.remove(0)
    }

    async fn none(&self, verdict: Verdict) -> bool {
        !self.stall_verdicts().await.contains(&verdict)
    }

    /// The running attempt's worker dies: its lease runs out and somebody takes over.
    async fn die(&self, task_id: Uuid, next: &str) {
        self.clock.advance(LEASE + Duration::from_secs(1));
        self.claim(task_id, next).await;
    }

    async fn health(&self) -> Health {
        let sample = self.store.latest_sample("q").await.expect("read");
        sample.expect("sampled").health
    }
}

#[tokio::test]
async fn a_crash_loop_opens_with_the_third_loss_and_a_person_who_grants_attempts_closes_it() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.start_attempts(1, 5).await;
        stage.confirm().await;
        stage.broker(0, 1);
        stage.passes(3).await;
        stage.claim(ids[0], "w").await;
        for worker in ["w2", "w3"] {
            stage.die(ids[0], worker).await;
        }
        stage.passes(2).await;
        assert!(stage.none(Verdict::CrashLoop).await, "two are not three");
        stage.die(ids[0], "w4").await;
        stage.pass().await;
        let stall = stage.only(Verdict::CrashLoop).await;
        assert_eq!(
            (stall.evidence.variant, stall.evidence.facts.lost_attempts),
            (Variant::Trying, Some(3))
        );
        assert_eq!(stall.evidence.facts.worker.as_deref(), Some("w3"));
        let card = stage.incidents().await;
        let card = card
            .iter()
            .find(|card| card.verdict == Verdict::CrashLoop)
            .expect("one card");
        assert_eq!((card.subject.scope, card.tasks), (Scope::Queue, 1));
        stage.pass().await;
        assert_eq!(stage.health().await, Health::Warning, "it moves, in circles");

        // The fourth loss is the same story, told anew.
        stage.die(ids[0], "w5").await;
        stage.pass().await;
        let stall = stage.only(Verdict::CrashLoop).await;
        assert_eq!((stall.attempt, stall.evidence.facts.lost_attempts), (5, Some(4)));
        stage.clock.advance(LEASE + Duration::from_secs(1));
        stage.act(ids[0], requeue()).await;
        stage.pass().await;
        assert!(stage.none(Verdict::CrashLoop).await);
        assert_eq!(
            stage.closed(Verdict::CrashLoop).await,
            [Some(CloseReason::Requeued)]
        );
        stage.pass().await;
        assert!(stage.none(Verdict::CrashLoop).await, "it does not come back");
    })
    .await;
}

#[tokio::test]
async fn a_task_that_failed_by_its_crashes_is_told_for_a_day_and_by_every_leader() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(1).await;
        stage.broker(0, 1);
        stage.passes(3).await;
        stage.claim(ids[0], "w").await;
        stage.die(ids[0], "w2").await;
        stage.die(ids[0], "w3").await;
        stage.clock.advance(LEASE + Duration::from_secs(10));
        let acted = unstuck::services::recovery::tick(&stage.store, PACE)
            .await
            .expect("recovered");
        assert_eq!(acted.ended, 1);
        stage.pass().await;
        let stall = stage.only(Verdict::CrashLoop).await;
        assert_eq!(stall.evidence.variant, Variant::GaveUp);
        stage.clock.advance(Duration::from_secs(22 * 3600));
        stage.judge.forget();
        stage.passes(2).await;
        stage.only(Verdict::CrashLoop).await;
        stage.clock.advance(Duration::from_secs(2 * 3600));
        stage.passes(3).await;
        assert_eq!(stage.closed(Verdict::CrashLoop).await, [Some(CloseReason::Past)]);
        stage.judge.forget();
        stage.passes(2).await;
        assert!(stage.none(Verdict::CrashLoop).await);
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_beats_on_after_a_cancel_is_told_until_it_obeys() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(1).await;
        stage.broker(0, 1);
        stage.passes(2).await;
        stage.claim(ids[0], "w").await;
        stage.act(ids[0], Event::Cancel).await;
        let beat = || Event::Heartbeat {
            attempt: 1,
            progress: None,
            message: None,
        };
        for _ in 0..25 {
            stage.act(ids[0], beat()).await;
            stage.pass().await;
            assert!(stage.none(Verdict::CancelIgnored).await, "its time");
        }
        stage.act(ids[0], beat()).await;
        stage.passes(2).await;
        let stall = stage.only(Verdict::CancelIgnored).await;
        assert_eq!(stall.confidence, Confidence::Proven);
        let card = stage.incidents().await.remove(0);
        assert_eq!(
            (card.subject.scope, card.subject.name.as_str()),
            (Scope::Worker, "w")
        );
        let failed = Event::Fail {
            attempt: 1,
            error: "stopped".into(),
            retryable: false,
            log: None,
        };
        stage.act(ids[0], failed).await;
        stage.pass().await;
        assert_eq!(
            stage.closed(Verdict::CancelIgnored).await,
            [Some(CloseReason::Ended)]
        );
        assert_eq!(stage.incidents().await, []);
    })
    .await;
}

#[tokio::test]
async fn a_success_that_came_when_the_next_attempt_ran_is_told_for_a_day_even_after_the_end() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(2).await;
        stage.broker(0, 2);
        stage.passes(2).await;
        for id in &ids {
            stage.claim(*id, "w").await;
            stage.die(*id, "v").await;
        }
        stage.refused(ids[0], succeed(1)).await;
        // A late failure is on the timeline, and no sign of work done twice.
        let failed = Event::Fail {
            attempt: 1,
            error: "late".into(),
            retryable: true,
            log: None,
        };
        stage.refused(ids[1], failed).await;
        stage.act(ids[0], succeed(2)).await;
        stage.pass().await;
        let stall = stage.only(Verdict::DoubleRun).await;
        assert_eq!((stall.task_id, stall.confidence), (ids[0], Confidence::Likely));
        let facts = &stall.evidence.facts;
        assert_eq!((facts.attempt, facts.next_attempt), (Some(1), Some(2)));
        assert_eq!(
            (facts.worker.as_deref(), facts.next_worker.as_deref()),
            (Some("w"), Some("v"))
        );
        stage.passes(3).await;
        stage.only(Verdict::DoubleRun).await;
        stage.clock.advance(Duration::from_secs(24 * 3600));
        stage.passes(2).await;
        assert_eq!(stage.closed(Verdict::DoubleRun).await, [Some(CloseReason::Past)]);
    })
    .await;
}
