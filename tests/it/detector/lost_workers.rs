//! Passes over a database: workers that are gone, or silent. On both databases.

use serde_json::json;
use unstuck::domain::{
    finding::{Confidence, Scope, Subject, Variant, Verdict},
    transition::Event,
};

use super::stage::Stage;
use crate::support::store::each_store;

#[tokio::test]
async fn a_lost_worker_is_one_card_that_says_what_became_of_its_tasks() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(3).await;
        stage.broker(0, 3);
        stage.passes(3).await;
        for id in &ids {
            stage.claim(*id, "w").await;
        }
        stage.pass().await;
        stage.queue(|queue| queue.tags = Some([("other".to_owned(), Some(1))].into()));
        stage.passes(5).await;
        assert_eq!(stage.stall_verdicts().await, [], "its lease is alive");
        stage.passes(2).await;
        let incidents = stage.incidents().await;
        assert_eq!(incidents.len(), 1);
        assert_eq!(
            incidents[0].subject,
            Subject {
                scope: Scope::Worker,
                name: "w".into()
            }
        );
        assert_eq!(
            (incidents[0].verdict, incidents[0].tasks),
            (Verdict::WorkerLost, 3)
        );
        assert_eq!(incidents[0].evidence.variant, Variant::Recovering);
        assert_eq!(stage.stalls().await[0].confidence, Confidence::Proven);

        // One is taken over, one ends, one waits.
        stage.claim(ids[0], "other").await;
        stage.claim(ids[1], "other").await;
        stage
            .act(
                ids[1],
                Event::Succeed {
                    attempt: 2,
                    result: json!(null),
                    log: None,
                },
            )
            .await;
        stage.pass().await;
        let card = stage.incidents().await.remove(0);
        let facts = &card.evidence.facts;
        assert_eq!(
            (facts.stalled, facts.moved_on, facts.ended),
            (Some(1), Some(1), Some(1))
        );
        stage.claim(ids[2], "other").await;
        stage.pass().await;
        assert_eq!(stage.incidents().await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_worker_is_judged_only_by_consumers_that_were_listed_after_its_lease_and_after_an_outage() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(1).await;
        stage.broker(0, 1);
        stage.passes(3).await;
        stage.claim(ids[0], "w").await;
        stage.sight.consumers_age_ms = Some(60_000);
        stage.passes(8).await;
        assert_eq!(
            stage.stall_verdicts().await,
            [],
            "the list is older than the lease's end"
        );
        stage.sight.consumers_age_ms = Some(0);
        stage.judge.unsettle();
        stage.pass().await;
        assert_eq!(stage.stall_verdicts().await, [], "the database was away");
        stage.passes(3).await;
        assert_eq!(stage.stall_verdicts().await, [Verdict::WorkerSilent]);
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_goes_silent_and_then_goes_is_told_once_at_a_time() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(1).await;
        stage.broker(0, 1);
        stage.passes(3).await;
        stage.claim(ids[0], "w").await;
        stage.passes(8).await;
        assert_eq!(stage.stall_verdicts().await, [Verdict::WorkerSilent]);
        stage.queue(|queue| queue.tags = Some(Default::default()));
        stage.pass().await;
        assert_eq!(stage.stall_verdicts().await, [Verdict::WorkerLost]);
        assert_eq!(stage.incident_verdicts().await, [Verdict::WorkerLost]);
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_never_was_a_consumer_is_only_likely_lost() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(1).await;
        stage.broker(0, 1);
        stage.passes(3).await;
        stage.claim(ids[0], "node-17").await;
        stage.passes(8).await;
        let stalls = stage.stalls().await;
        assert_eq!(
            (stalls[0].verdict, stalls[0].evidence.variant),
            (Verdict::WorkerLost, Variant::Unseen)
        );
        assert_eq!(stalls[0].confidence, Confidence::Likely);
    })
    .await;
}
