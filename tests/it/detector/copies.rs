//! When the message of a running task whose worker is gone is put out again, and when its last copy must still be there. On
//! both databases.

use std::time::Duration;

use unstuck::{domain::finding::Verdict, services::recovery};
use uuid::Uuid;

use super::stage::{EVERY, LEASE, PACE, Stage};
use crate::support::store::each_store;

/// How many copies recovery puts out now.
async fn resent(stage: &Stage) -> usize {
    recovery::tick(&stage.store, PACE).await.expect("looked").resent
}

/// A lease passes under the detector's eyes; then recovery looks.
async fn resent_after_a_lease(stage: &mut Stage) -> usize {
    stage
        .passes(usize::try_from(LEASE.as_secs() / EVERY.as_secs()).expect("few"))
        .await;
    resent(stage).await
}

/// A task whose worker died, and whose message was put out again while nobody was there to take it.
async fn orphaned(stage: &mut Stage) -> Uuid {
    let id = stage.queued(1).await.remove(0);
    stage.claim(id, "w").await;
    stage.broker(0, 1);
    stage.passes(2).await;
    // It dies, and the broker puts its message back.
    stage.deserted(1);
    assert_eq!(resent_after_a_lease(stage).await, 1, "always once");
    stage.confirm().await;
    stage.deserted(2);
    id
}

#[tokio::test]
async fn a_copy_that_nobody_can_take_is_not_followed_by_another() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        orphaned(&mut stage).await;
        for _ in 0..3 {
            assert_eq!(resent_after_a_lease(&mut stage).await, 0, "it lies there");
        }
        // A worker comes: from then on its copy may be with somebody who loses it.
        stage.broker(2, 0);
        stage.pass().await;
        assert_eq!(resent(&stage).await, 1);
        stage.confirm().await;
        assert_eq!(resent(&stage).await, 0, "once a lease");
        assert_eq!(resent_after_a_lease(&mut stage).await, 1);
    })
    .await;
}

#[tokio::test]
async fn without_evidence_that_its_copy_lies_there_a_task_gets_another_each_lease() {
    type Change = fn(&mut Stage);
    const NO_LONGER: [(&str, Change); 5] = [
        ("the queue was emptied", |stage| stage.deserted(0)),
        ("nothing is seen", Stage::blind),
        ("it is not told who consumes", |stage| {
            stage.queue(|queue| queue.numbers.consumers = None)
        }),
        ("the broker began anew", |stage| stage.sight.restarted = true),
        ("the queue counts anew", |stage| {
            stage.queue(|queue| queue.restarted = true)
        }),
    ];
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        orphaned(&mut stage).await;
        for (why, change) in NO_LONGER {
            assert_eq!(resent_after_a_lease(&mut stage).await, 0, "until {why}");
            change(&mut stage);
            stage.pass().await;
            assert_eq!(resent(&stage).await, 1, "{why}");
            stage.confirm().await;
            stage.sight.restarted = false;
            stage.deserted(2);
            let again = resent_after_a_lease(&mut stage).await;
            assert_eq!(again, 1, "nobody saw what became of that one: {why}");
            stage.confirm().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_copy_is_not_believed_in_by_an_old_reading() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        orphaned(&mut stage).await;
        assert_eq!(resent_after_a_lease(&mut stage).await, 0);
        // Nobody looks any more.
        stage.clock.advance(PACE.fresh_for);
        assert_eq!(resent(&stage).await, 0, "to the millisecond");
        stage.clock.advance(Duration::from_millis(1));
        assert_eq!(resent(&stage).await, 1);
    })
    .await;
}

#[tokio::test]
async fn whoever_fetches_without_consuming_may_have_taken_the_copy() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        orphaned(&mut stage).await;
        assert_eq!(resent_after_a_lease(&mut stage).await, 0);
        let other = stage.queued(1).await.remove(0);
        stage.claim(other, "fetcher").await;
        stage.pass().await;
        assert_eq!(resent(&stage).await, 1);
        stage.confirm().await;
        let both = resent_after_a_lease(&mut stage).await;
        assert_eq!(both, 2, "the fetcher is dead by now, and took who knows what");
        stage.confirm().await;
        assert_eq!(resent_after_a_lease(&mut stage).await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_copies_of_a_running_task_hide_no_loss_of_others() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        orphaned(&mut stage).await;
        stage.queued(5).await;
        stage.deserted(7);
        stage.passes(4).await;
        assert!(!stage.incident_verdicts().await.contains(&Verdict::LedgerShort));
        for _ in 0..3 {
            assert_eq!(resent_after_a_lease(&mut stage).await, 0);
        }
        // Three are taken away: its own message and its copy are still there, and two of the others.
        stage.deserted(4);
        stage.passes(3).await;
        let incidents = stage.incidents().await;
        let short = incidents
            .iter()
            .find(|incident| incident.verdict == Verdict::LedgerShort)
            .expect("a shortage");
        let facts = &short.evidence.facts;
        assert_eq!((facts.missing, facts.queued), (Some(2), Some(6)));
    })
    .await;
}
