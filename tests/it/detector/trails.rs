//! Passes over a queue that is traced: when tracers go out, what they count for, and what they prove. On both databases.

use std::time::Duration;

use unstuck::{
    domain::{
        audit::AuditEntry,
        evidence::{Figure, Source},
        finding::{CloseReason, Confidence, Variant, Verdict},
        observation::QueueSettings,
        queue_setup::AckTimeout,
        transition::{Event, LeasePolicy, RequeueBy},
    },
    store::TracerDelivery,
};
use uuid::Uuid;

use super::stage::Stage;
use crate::support::store::each_store;

impl Stage {
    /// From now on `q` is traced; its redeliveries are counted, and none happens.
    async fn trace(&mut self) {
        let audit = AuditEntry::new("user:a@example.org", "trace", "queue", "q");
        assert!(self.store.set_traced("q", true, &audit).await.expect("set"));
        self.queues = self.judge.queues().await.expect("the queues");
    }

    /// A pass with so many messages, of which the tracer is one. Gives the tracers that it sends.
    async fn look(&mut self, ready: i64, unacknowledged: i64, redelivered: i64) -> Vec<Uuid> {
        self.broker(ready, unacknowledged);
        let now = self.store.now().await.expect("a time") + super::stage::EVERY;
        self.queue(|queue| {
            queue.settings = Some(QueueSettings {
                mismatches: Vec::new(),
                ack_timeout: AckTimeout::Unknown,
                obstacle: None,
            });
            queue.redelivered = Some(Figure {
                value: redelivered,
                source: Source::Statistics,
                read_at: now,
            });
        });
        self.pass().await;
        let sent = self.judge.take_tracers();
        assert!(sent.iter().all(|(_, queue)| queue == "q"));
        for (id, _) in &sent {
            self.store.settle_tracer(*id, Ok(())).await.expect("confirmed");
        }
        sent.into_iter().map(|(id, _)| id).collect()
    }

    async fn came_out(&self, id: Uuid, redelivered: Option<bool>) -> bool {
        let delivery = TracerDelivery {
            id,
            worker: "w".into(),
            held: Duration::ZERO,
            redelivered,
        };
        self.store.note_tracer(&delivery).await.expect("noted").is_some()
    }
}

#[tokio::test]
async fn a_loss_that_a_surplus_copy_hides_is_proven_by_two_tracers() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.trace().await;
        let ids = stage.queued(2).await;
        stage.claim(ids[0], "w").await;
        stage.clock.advance(Duration::from_secs(10));
        // The second one's message is gone; an old copy lies there instead.
        let first = stage.look(1, 1, 3).await;
        assert_eq!(first.len(), 1, "something waits, and somebody takes it");
        assert_eq!(stage.look(2, 1, 3).await, [] as [Uuid; 0], "one at a time");
        let sample = stage
            .store
            .latest_sample("q")
            .await
            .expect("read")
            .expect("sampled");
        assert_eq!((sample.ledger.tracers, sample.ledger.balance), (1, Some(0)));

        assert!(stage.came_out(first[0], Some(false)).await);
        assert!(
            !stage.came_out(first[0], Some(true)).await,
            "the first word counts"
        );
        let young = stage.queued(2).await;
        let mut second = Vec::new();
        for _ in 0..4 {
            beat(&stage, ids[0]).await;
            second.extend(stage.look(3, 1, 3).await);
        }
        assert_eq!(second.len(), 1, "the one that completes the proof");
        stage.came_out(second[0], Some(false)).await;
        for _ in 0..2 {
            beat(&stage, ids[0]).await;
            stage.look(3, 1, 3).await;
        }
        assert_eq!(stage.stalls().await, [], "a redelivery may still be counted");
        beat(&stage, ids[0]).await;
        stage.look(3, 1, 3).await;

        let stalls = stage.stalls().await;
        assert_eq!(stalls.len(), 1, "{stalls:?}");
        assert_eq!(
            (stalls[0].task_id, stalls[0].verdict, stalls[0].confidence),
            (ids[1], Verdict::MessageLost, Confidence::Proven)
        );
        assert_eq!(stalls[0].evidence.variant, Variant::Traced);
        assert_eq!(stalls[0].evidence.facts.tracer_id, Some(first[0]));
        assert!(!young.contains(&stalls[0].task_id));
        let incidents = stage.incidents().await;
        assert_eq!(
            (incidents.len(), incidents[0].verdict, incidents[0].tasks),
            (1, Verdict::MessageLost, 1)
        );
        assert_eq!(stalls[0].incident_id, Some(incidents[0].id));

        // It stays as it was told until somebody acts.
        for _ in 0..3 {
            beat(&stage, ids[0]).await;
            stage.look(3, 1, 3).await;
        }
        assert_eq!(stage.stalls().await.len(), 1);
        let requeue = Event::Requeue {
            by: RequeueBy::Person,
            lease: LeasePolicy::Respect,
            payload: None,
        };
        stage.act(ids[1], requeue).await;
        stage.confirm().await;
        beat(&stage, ids[0]).await;
        stage.look(4, 1, 3).await;
        stage.look(4, 1, 3).await;
        assert_eq!(
            stage.closed(Verdict::MessageLost).await,
            [Some(CloseReason::Requeued)]
        );
        assert_eq!(stage.incident_verdicts().await, []);
    })
    .await;
}

async fn beat(stage: &Stage, id: Uuid) {
    let beat = Event::Heartbeat {
        attempt: 1,
        progress: None,
        message: None,
    };
    stage.act(id, beat).await;
}

#[tokio::test]
async fn a_redelivery_between_two_tracers_proves_nothing() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.trace().await;
        let ids = stage.queued(2).await;
        stage.claim(ids[0], "w").await;
        stage.clock.advance(Duration::from_secs(10));
        let first = stage.look(1, 1, 3).await;
        stage.came_out(first[0], Some(false)).await;
        let mut second = Vec::new();
        while second.is_empty() {
            beat(&stage, ids[0]).await;
            second = stage.look(1, 1, 3).await;
        }
        stage.came_out(second[0], Some(false)).await;
        for _ in 0..6 {
            beat(&stage, ids[0]).await;
            stage.look(1, 1, 4).await;
        }
        assert_eq!(stage.stalls().await, []);
    })
    .await;
}

#[tokio::test]
async fn a_tracer_alone_in_its_queue_is_no_finding() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.trace().await;
        let ids = stage.queued(1).await;
        stage.clock.advance(Duration::from_secs(10));
        let sent = stage.look(1, 0, 0).await;
        assert_eq!(sent.len(), 1);
        stage.claim(ids[0], "w").await;
        let succeeded = Event::Succeed {
            attempt: 1,
            result: serde_json::json!(null),
            log: None,
        };
        stage.act(ids[0], succeeded).await;
        // The worker ends with its task; the tracer stays behind, and nobody consumes.
        for _ in 0..20 {
            stage.broker(1, 0);
            stage.queue(|queue| {
                let consumers = queue.numbers.consumers.as_mut().expect("a number");
                consumers.value = 0;
            });
            stage.pass().await;
            assert_eq!(stage.incident_verdicts().await, []);
        }
        let sample = stage
            .store
            .latest_sample("q")
            .await
            .expect("read")
            .expect("sampled");
        assert_eq!((sample.ledger.tracers, sample.ledger.balance), (1, Some(0)));
        // It is not forgotten while it is out.
        assert!(stage.came_out(sent[0], Some(false)).await);
    })
    .await;
}

#[tokio::test]
async fn a_tracer_that_can_not_come_is_given_up_and_the_next_one_sent() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.trace().await;
        stage.queued(3).await;
        let sent = stage.look(3, 0, 0).await;
        assert_eq!(sent.len(), 1);
        // Somebody purged the queue; new tasks come and are taken.
        let ids = {
            stage.clock.advance(Duration::from_secs(90));
            stage.queued(2).await
        };
        stage.claim(ids[0], "w").await;
        assert_eq!(stage.look(1, 1, 0).await, [] as [Uuid; 0], "given up first");
        let again = stage.look(1, 1, 0).await;
        assert_eq!(again.len(), 1, "and then the next one");
        assert_ne!(again, sent);
        let tracers = stage.store.queue_tracers(&["q"]).await.expect("read");
        assert_eq!(tracers["q"].at_most, 2, "it may be there after all");
        // A day later nobody waits for it, and its row goes.
        stage.clock.advance(Duration::from_secs(86_400));
        stage.look(1, 1, 0).await;
        assert!(!stage.store.is_tracer(sent[0]).await.expect("read"));
    })
    .await;
}

#[tokio::test]
async fn no_tracer_goes_to_a_queue_that_is_not_traced_or_has_priorities_in_use() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        stage.queued(2).await;
        assert_eq!(stage.look(2, 0, 0).await, [] as [Uuid; 0], "off by default");
        stage.trace().await;
        let urgent = stage.queued_at(1, 5).await;
        assert_eq!(stage.look(3, 0, 0).await, [] as [Uuid; 0], "one is urgent");
        stage.act(urgent[0], Event::Cancel).await;
        stage.clock.advance(Duration::from_secs(60));
        assert_eq!(stage.look(2, 0, 0).await.len(), 1);
        // Switched off while one is out: that one is still counted, and no other follows.
        let audit = AuditEntry::new("user:a@example.org", "trace", "queue", "q");
        assert!(stage.store.set_traced("q", false, &audit).await.expect("set"));
        assert!(
            !stage.store.set_traced("q", false, &audit).await.expect("set"),
            "it is"
        );
        stage.queues = stage.judge.queues().await.expect("the queues");
        stage.clock.advance(Duration::from_secs(60));
        assert_eq!(stage.look(3, 0, 0).await, [] as [Uuid; 0]);
        let sample = stage
            .store
            .latest_sample("q")
            .await
            .expect("read")
            .expect("sampled");
        assert_eq!((sample.ledger.tracers, sample.ledger.balance), (1, Some(0)));
    })
    .await;
}
