//! Passes over a database: what opens, how it is folded, what stays, what closes and why. On both databases.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use unstuck::{
    domain::{
        finding::{CloseReason, Confidence, Scope, Variant, Verdict},
        ledger::Health,
        observation::{Presence, QueueSight},
        transition::{Event, LeasePolicy, RequeueBy},
    },
    services::detector::{Judge, Settings},
    store::{
        Failure, KeptFor, PublishCause,
        findings::{ClosedCursor, StallFilter},
    },
};

use super::stage::{EVERY, LEASE, Stage, judge};
use crate::support::store::each_store;

fn requeue() -> Event {
    Event::Requeue {
        by: RequeueBy::Person,
        lease: LeasePolicy::Respect,
        payload: None,
    }
}

#[tokio::test]
async fn a_healthy_queue_has_samples_and_no_findings() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(5).await;
        stage.claim(ids[0], "w").await;
        stage.broker(4, 1);
        for _ in 0..4 {
            let tally = stage.pass().await;
            assert!(tally.leading && !tally.is_news());
        }
        let sample = stage
            .store
            .latest_sample("q")
            .await
            .expect("read")
            .expect("sampled");
        assert_eq!(
            (sample.ledger.queued, sample.ledger.running, sample.ledger.balance),
            (4, 1, Some(0))
        );
        assert_eq!(sample.health, Health::Ok);
        assert_eq!(sample.detail["messages_ready"]["source"], "passive_declare");
    })
    .await;
}

#[tokio::test]
async fn a_purge_is_one_card_with_every_task_under_it_until_they_are_requeued() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(7).await;
        stage.broker(7, 0);
        stage.passes(3).await;
        stage.broker(0, 0);
        stage.pass().await;
        assert_eq!(stage.incident_verdicts().await, [], "one reading proves nothing");
        let tally = stage.pass().await;
        assert_eq!((tally.incidents_opened, tally.stalls_opened), (1, 7));
        let incidents = stage.incidents().await;
        assert_eq!(
            (incidents[0].verdict, incidents[0].tasks),
            (Verdict::LedgerShort, 7)
        );
        let stalls = stage.stalls().await;
        assert_eq!(stalls.len(), 7);
        for stall in &stalls {
            assert_eq!(
                (stall.verdict, stall.confidence),
                (Verdict::MessageLost, Confidence::Proven)
            );
            assert_eq!((stall.evidence.variant, stall.dispatch), (Variant::Empty, 1));
            assert_eq!(stall.incident_id, Some(incidents[0].id));
        }
        assert!(!stage.pass().await.is_news(), "nothing is found twice");
        assert_eq!(
            stage
                .store
                .latest_sample("q")
                .await
                .expect("read")
                .expect("sampled")
                .health,
            Health::Stalled
        );

        // Blind meanwhile: what was proven stays, and nothing is added.
        stage.blind();
        stage.passes(2).await;
        assert_eq!(stage.stalls().await.len(), 7);
        stage.broker(0, 0);

        for id in &ids {
            stage.act(*id, requeue()).await;
        }
        stage.confirm().await;
        stage.broker(7, 0);
        stage.passes(4).await;
        assert_eq!(
            (stage.stalls().await.len(), stage.incidents().await.len()),
            (0, 0)
        );
        let filter = StallFilter {
            queue: Some("q".into()),
            ..StallFilter::default()
        };
        let closed = stage
            .store
            .closed_stalls(&filter, ClosedCursor::START, 100)
            .await
            .expect("read");
        assert_eq!(closed.len(), 7);
        assert!(
            closed
                .iter()
                .all(|stall| stall.closed_reason == Some(CloseReason::Requeued))
        );
        let closed = stage
            .store
            .closed_incidents(None, Some("q"), ClosedCursor::START, 100)
            .await
            .expect("read");
        assert_eq!(closed[0].closed_reason, Some(CloseReason::Cleared));
    })
    .await;
}

#[tokio::test]
async fn what_is_not_published_is_told_once_under_its_cause() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.start(3).await;
        let rows = stage
            .store
            .take_due(10, Duration::from_secs(1))
            .await
            .expect("taken");
        let failed: Vec<Failure> = rows
            .iter()
            .map(|row| Failure {
                id: row.id,
                cause: PublishCause::Unreachable,
                detail: "connection refused".into(),
                backoff: Duration::from_secs(60),
            })
            .collect();
        stage.store.settle(&[], &failed).await.expect("noted");
        stage.passes(2).await;
        assert_eq!(stage.incident_verdicts().await, [], "the grace of 15 s");
        stage.passes(2).await;
        let incidents = stage.incidents().await;
        assert_eq!(incidents.len(), 1);
        assert_eq!(
            (incidents[0].verdict, incidents[0].subject.scope),
            (Verdict::Unpublished, Scope::Broker)
        );
        assert_eq!(
            (incidents[0].tasks, incidents[0].evidence.variant),
            (3, Variant::Unreachable)
        );
        assert_eq!(stage.stall_verdicts().await, [Verdict::Unpublished; 3]);
        stage.clock.advance(Duration::from_secs(60));
        stage.confirm().await;
        stage.broker(3, 0);
        stage.passes(2).await;
        assert_eq!(
            (stage.stalls().await.len(), stage.incidents().await.len()),
            (0, 0)
        );
        let closed = stage
            .store
            .closed_incidents(None, None, ClosedCursor::START, 10)
            .await
            .expect("read");
        assert_eq!(closed[0].closed_reason, Some(CloseReason::Settled));
        assert_eq!(closed[0].evidence.facts.stalled, Some(3));
    })
    .await;
}

#[tokio::test]
async fn a_blind_detector_says_so_and_gives_no_other_verdict() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(4).await;
        stage.broker(3, 1);
        stage.passes(3).await;
        stage.claim(ids[0], "w").await;
        stage.blind();
        stage.passes(3).await;
        assert_eq!(stage.incident_verdicts().await, [], "10 s");
        stage.pass().await;
        let incidents = stage.incidents().await;
        assert_eq!(
            (incidents[0].verdict, incidents[0].evidence.variant),
            (Verdict::Unknown, Variant::Unreachable)
        );
        stage.passes(6).await;
        assert_eq!(stage.incident_verdicts().await, [Verdict::Unknown]);
        let stalls = stage.stalls().await;
        assert_eq!((stalls.len(), stalls[0].verdict), (1, Verdict::Unknown));
        assert_eq!(stalls[0].incident_id, Some(incidents[0].id));
        let sample = stage
            .store
            .latest_sample("q")
            .await
            .expect("read")
            .expect("sampled");
        assert_eq!(
            (sample.health, sample.ledger.balance, sample.ledger.messages_ready),
            (Health::Unknown, None, None)
        );

        // Sight returns: first nothing more, then what is so.
        stage.broker(3, 1);
        stage.pass().await;
        assert_eq!(stage.incident_verdicts().await, []);
        stage.passes(3).await;
        assert_eq!(stage.stall_verdicts().await, [Verdict::WorkerSilent]);
        let filter = StallFilter {
            verdict: Some(Verdict::Unknown),
            ..StallFilter::default()
        };
        let closed = stage
            .store
            .closed_stalls(&filter, ClosedCursor::START, 10)
            .await
            .expect("read");
        assert_eq!(closed[0].closed_reason, Some(CloseReason::SeenAgain));
    })
    .await;
}

#[tokio::test]
async fn a_missing_queue_keeps_its_lost_tasks_until_they_moved_on() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(2).await;
        stage.broker(2, 0);
        stage.passes(2).await;
        let here = stage.sight.queues["q"].clone();
        stage.queue(|queue| {
            *queue = QueueSight {
                settings: None,
                head_at: None,
                redelivered: None,
                dead: None,
                tags: None,
                ..queue.clone()
            };
            queue.numbers = unstuck::domain::observation::Numbers {
                presence: Presence::Missing,
                ..unstuck::domain::observation::Numbers::UNSEEN
            };
        });
        stage.passes(2).await;
        assert_eq!(stage.incident_verdicts().await, [Verdict::QueueMissing]);
        assert_eq!(stage.stall_verdicts().await, [Verdict::MessageLost; 2]);
        let health = async |stage: &Stage| {
            let sample = stage.store.latest_sample("q").await.expect("read");
            sample.expect("sampled").health
        };
        assert_eq!(
            health(&stage).await,
            Health::Stalled,
            "that there is none was seen"
        );
        stage.blind();
        stage.pass().await;
        assert_eq!(stage.incident_verdicts().await, [Verdict::QueueMissing]);
        assert_eq!(health(&stage).await, Health::Unknown, "and now nothing is");
        // Declared again, and empty: the tasks stay lost, now under the ledger's card.
        stage.queue(|queue| *queue = here);
        stage.broker(0, 0);
        stage.pass().await;
        assert_eq!(stage.incident_verdicts().await, [Verdict::QueueMissing]);
        stage.passes(2).await;
        let incidents = stage.incidents().await;
        assert_eq!(incidents.len(), 1);
        assert_eq!(incidents[0].verdict, Verdict::LedgerShort);
        assert!(
            stage
                .stalls()
                .await
                .iter()
                .all(|stall| stall.incident_id == Some(incidents[0].id))
        );
        for id in ids {
            stage.act(id, Event::Cancel).await;
        }
        stage.passes(2).await;
        assert_eq!(
            (stage.stalls().await.len(), stage.incidents().await.len()),
            (0, 0)
        );
    })
    .await;
}

#[tokio::test]
async fn an_overdue_task_is_told_alone_and_closes_when_it_ends() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.start_with(1, Some(20)).await;
        stage.confirm().await;
        stage.broker(0, 1);
        stage.claim(ids[0], "w").await;
        for _ in 0..5 {
            stage
                .act(
                    ids[0],
                    Event::Heartbeat {
                        attempt: 1,
                        progress: None,
                        message: None,
                    },
                )
                .await;
            stage.pass().await;
        }
        let stalls = stage.stalls().await;
        assert_eq!(
            (stalls[0].verdict, stalls[0].incident_id),
            (Verdict::Overdue, None)
        );
        stage.pass().await;
        let sample = stage
            .store
            .latest_sample("q")
            .await
            .expect("read")
            .expect("sampled");
        assert_eq!(sample.health, Health::Warning);
        stage
            .act(
                ids[0],
                Event::Succeed {
                    attempt: 1,
                    result: json!(1),
                    log: None,
                },
            )
            .await;
        stage.pass().await;
        assert_eq!(stage.stalls().await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_replaced_leader_writes_nothing_and_the_new_one_begins_without_readings() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.queued(2).await;
        stage.broker(0, 0);
        stage.pass().await;
        let mut other = judge(&stage.store);
        assert!(!other.lead().await.expect("asked"), "the lease is alive");
        stage.clock.advance(Duration::from_secs(11));
        assert!(other.lead().await.expect("asked"), "within 15 s");
        let now = stage.store.now().await.expect("a time");
        let tally = stage
            .judge
            .pass(now, &stage.queues, &stage.sight)
            .await
            .expect("judged");
        assert!(!tally.leading);
        assert_eq!(
            stage.incident_verdicts().await,
            [],
            "the second reading was not judged"
        );
        assert!(!stage.judge.lead().await.expect("asked"));
        // The new one needs two readings of its own.
        let tally = other
            .pass(now, &stage.queues, &stage.sight)
            .await
            .expect("judged");
        assert!(tally.leading && !tally.is_news());
        other.resign().await.expect("resigned");
        assert!(stage.judge.lead().await.expect("asked"), "at once");
        stage.pass().await;
        assert_eq!(stage.incident_verdicts().await, []);
        stage.pass().await;
        assert_eq!(stage.incident_verdicts().await, [Verdict::LedgerShort]);
    })
    .await;
}

#[tokio::test]
async fn the_webhook_is_told_of_each_incident_that_opens_and_closes() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store.clone(), clock).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        stage.judge.resign().await.expect("resigned");
        stage.judge = Judge::new(
            store.clone(),
            Settings {
                broker: "rabbit:5672".into(),
                every: EVERY,
                announce: Some(Arc::new(move |row| {
                    let line = (row.verdict, row.closed_reason);
                    heard.lock().expect("not poisoned").push(line);
                    json!({ "verdict": row.verdict })
                })),
            },
        );
        let ids = stage.queued(1).await;
        stage.passes(3).await;
        stage.act(ids[0], Event::Cancel).await;
        stage.passes(2).await;
        let expected = [
            (Verdict::LedgerShort, None),
            (Verdict::LedgerShort, Some(CloseReason::Cleared)),
        ];
        assert_eq!(*told.lock().expect("not poisoned"), expected);
        let due = store.take_deliveries(LEASE, 10).await.expect("taken");
        assert_eq!(due.len(), 2);
        assert_eq!(due[0].body["verdict"], "ledger_short");
    })
    .await;
}

#[tokio::test]
async fn samples_thin_out_with_age() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.passes(24 * 6).await;
        let count = async |stage: &Stage, every| {
            let from = unstuck::domain::time::Time::from_ms(0);
            let until = stage.store.now().await.expect("a time");
            stage
                .store
                .samples("q", from, until, every, 10_000)
                .await
                .expect("read")
                .len()
        };
        assert_eq!(count(&stage, KeptFor::Hour).await, 144);
        assert_eq!(count(&stage, KeptFor::Day).await, 13);
        assert_eq!(count(&stage, KeptFor::Week).await, 2);
        for (later_s, left) in [(3_700, 13), (86_400, 2), (7 * 86_400, 0)] {
            stage.clock.advance(Duration::from_secs(later_s));
            let now = stage.store.now().await.expect("a time");
            stage.store.thin_samples(now, 1_000).await.expect("thinned");
            assert_eq!(count(&stage, KeptFor::Hour).await, left, "{later_s} s later");
        }
    })
    .await;
}

/// FAULTS T18: rows that nothing can be done about must not keep the others from being found.
#[tokio::test]
async fn a_large_loss_is_found_page_by_page() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.queued(5_500).await;
        stage.broker(0, 0);
        for expected in [0, 5_000, 5_500, 5_500] {
            stage.pass().await;
            if expected == 0 {
                stage.pass().await;
            }
            let folded: i64 = stage
                .store
                .folded()
                .await
                .expect("read")
                .into_iter()
                .map(|(_, count)| count)
                .sum();
            if expected > 0 {
                assert_eq!(folded, expected);
                assert_eq!(stage.incidents().await[0].tasks, 5_500);
            }
        }
    })
    .await;
}
