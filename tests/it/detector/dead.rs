//! Tasks whose message lies on the dead-letter queue.

use std::sync::Arc;

use unstuck::domain::{
    evidence::{Figure, Source},
    finding::{CloseReason, Confidence, Variant, Verdict},
    ledger::Health,
    observation::{DeadLetter, DeadSight, DeathCause},
    rules::dead::dead_lettered,
    time::Time,
    transition::{Event, LeasePolicy, RequeueBy},
};
use uuid::Uuid;

use super::{
    stage::Stage,
    support::{THRESHOLDS, at, letter, queued, suspect},
};
use crate::support::store::each_store;

const DEPTH: Figure = Figure {
    value: 3,
    source: Source::Declare,
    read_at: Time::from_ms(0),
};

#[test]
fn only_the_letter_of_the_current_dispatch_counts_and_not_one_that_died_long_before() {
    let judge = |letter: &DeadLetter| dead_lettered(queued(), letter, DEPTH, at(0), &THRESHOLDS);
    let of = |dispatch, seconds| DeadLetter {
        dispatch,
        ..letter(DeathCause::Rejected, seconds)
    };
    let current = suspect().dispatch;
    let stall = judge(&of(Some(current), 10)).expect("dead");
    assert_eq!(
        (stall.confidence, stall.evidence.variant, stall.since),
        (Confidence::Proven, Variant::Rejected, at(-10_000))
    );
    assert!(
        judge(&of(None, 10)).is_some(),
        "without one it is the current one"
    );
    assert!(judge(&of(Some(current - 1), 10)).is_none(), "an old dispatch");
    assert!(
        judge(&of(Some(current + 1), 10)).is_none(),
        "one ahead of the database"
    );
    // Confirmed 30 s ago, by another clock than the letter's.
    assert!(judge(&of(Some(current), 90)).is_some());
    assert!(judge(&of(Some(current), 91)).is_none(), "an older copy");
    let unsaid = DeadLetter {
        died_at: None,
        ..of(Some(current), 0)
    };
    assert_eq!(judge(&unsaid).expect("dead").since, at(-30_000));
    let ahead = DeadLetter {
        died_at: Some(at(3_600_000)),
        ..of(Some(current), 0)
    };
    assert_eq!(judge(&ahead).expect("dead").since, at(0), "a clock ahead of ours");
}

impl Stage {
    /// From now on the last look at `q.dead` saw these letters.
    fn letters(&mut self, look: u64, letters: Vec<DeadLetter>, complete: bool) {
        self.queue(|queue| {
            queue.dead = Some(DeadSight {
                look,
                depth: DEPTH,
                letters: Arc::new(letters),
                complete,
            });
        });
    }
}

fn of_task(task_id: Uuid, dispatch: i64) -> DeadLetter {
    DeadLetter {
        task_id,
        dispatch: Some(dispatch),
        cause: DeathCause::Expired,
        detail: None,
        died_at: None,
    }
}

#[tokio::test]
async fn nothing_is_called_lost_before_the_dead_letters_are_known() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(2).await;
        stage.broker(2, 0);
        stage.passes(4).await;
        stage.broker(0, 0);
        stage.queue(|queue| queue.dead_known = false);
        stage.passes(4).await;
        assert_eq!(
            (stage.stalls().await, stage.incident_verdicts().await),
            (vec![], vec![])
        );
        stage.letters(1, vec![of_task(ids[0], 1)], true);
        stage.queue(|queue| queue.dead_known = true);
        stage.pass().await;
        let mut told = stage.stall_verdicts().await;
        told.sort_by_key(|verdict| verdict.as_str());
        assert_eq!(told, [Verdict::DeadLettered, Verdict::MessageLost]);
        let closed = [Verdict::DeadLettered, Verdict::MessageLost].map(|verdict| stage.closed(verdict));
        for closed in closed {
            assert_eq!(closed.await, [], "neither was told otherwise before");
        }
    })
    .await;
}

#[tokio::test]
async fn dead_letters_that_nobody_can_read_hold_a_loss_back_for_a_minute() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.queued(2).await;
        stage.broker(2, 0);
        stage.passes(4).await;
        stage.broker(0, 0);
        stage.queue(|queue| queue.dead_known = false);
        stage.passes(2).await;
        stage.passes(10).await;
        assert_eq!(stage.stalls().await, []);
        stage.passes(3).await;
        let told: Vec<(Verdict, Confidence)> = stage
            .stalls()
            .await
            .iter()
            .map(|stall| (stall.verdict, stall.confidence))
            .collect();
        assert_eq!(told, [(Verdict::MessageLost, Confidence::Likely); 2]);
        stage.queue(|queue| queue.dead_known = true);
        stage.pass().await;
        assert!(
            stage
                .stalls()
                .await
                .iter()
                .all(|stall| stall.confidence == Confidence::Proven)
        );
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_is_told_instead_of_a_loss_until_the_task_is_requeued() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(2).await;
        stage.broker(2, 0);
        stage.passes(3).await;
        // Both are gone from the queue; the dead-letter queue was looked at a moment later.
        stage.broker(0, 0);
        stage.passes(3).await;
        assert_eq!(stage.stall_verdicts().await, [Verdict::MessageLost; 2]);
        let letters = vec![of_task(ids[0], 1), of_task(Uuid::now_v7(), 1)];
        stage.letters(1, letters, true);
        stage.pass().await;
        let mut told: Vec<(Uuid, Verdict)> = stage
            .stalls()
            .await
            .iter()
            .map(|stall| (stall.task_id, stall.verdict))
            .collect();
        told.sort();
        assert_eq!(
            told,
            [(ids[0], Verdict::DeadLettered), (ids[1], Verdict::MessageLost)]
        );
        assert_eq!(
            stage.closed(Verdict::MessageLost).await,
            [Some(CloseReason::Replaced)]
        );
        stage.passes(2).await;
        assert_eq!(stage.stalls().await.len(), 2, "it stays so");
        let cards = stage.incidents().await;
        let short = cards
            .iter()
            .find(|card| card.verdict == Verdict::LedgerShort)
            .expect("one is missing");
        assert_eq!(short.evidence.facts.missing, Some(1), "the dead one is explained");
        let sample = stage.store.latest_sample("q").await.expect("read");
        assert_eq!(sample.expect("sampled").health, Health::Stalled);

        let requeue = Event::Requeue {
            by: RequeueBy::Person,
            lease: LeasePolicy::Respect,
            payload: None,
        };
        stage.act(ids[0], requeue).await;
        stage.confirm().await;
        let seen = vec![of_task(ids[0], 1)];
        stage.broker(1, 0);
        stage.letters(2, seen, true);
        stage.passes(2).await;
        assert_eq!(
            stage.closed(Verdict::DeadLettered).await,
            [Some(CloseReason::Requeued)],
            "the old letter says nothing about the new dispatch"
        );
    })
    .await;
}

#[tokio::test]
async fn what_alone_is_dead_is_no_shortage_and_what_left_the_dead_letter_queue_is_lost() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(3).await;
        stage.broker(2, 0);
        stage.letters(1, vec![of_task(ids[0], 1)], true);
        stage.passes(4).await;
        assert_eq!(stage.stall_verdicts().await, [Verdict::DeadLettered]);
        assert_eq!(stage.incident_verdicts().await, [Verdict::DeadLettered]);

        // Not told any more: it stays. Not seen by a look that saw not all: it stays.
        stage.queue(|queue| queue.dead = None);
        stage.passes(2).await;
        stage.letters(2, Vec::new(), false);
        stage.pass().await;
        assert_eq!(stage.stall_verdicts().await, [Verdict::DeadLettered]);
        stage.letters(3, Vec::new(), true);
        stage.pass().await;
        assert_eq!(
            stage.closed(Verdict::DeadLettered).await,
            [Some(CloseReason::Cleared)]
        );
        stage.passes(3).await;
        assert_eq!(
            stage.incident_verdicts().await,
            [Verdict::LedgerShort],
            "one of three has no message"
        );
    })
    .await;
}
