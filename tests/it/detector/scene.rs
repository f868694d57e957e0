//! A detector on a real RabbitMQ whose clock is set: five seconds pass from look to look.

use std::time::Duration;

use lapin::types::AMQPValue;
use serde_json::json;
use unstuck::{
    broker::{BrokerConfig, BrokerReader, LinkState, Management, Probe, Publisher, QueueReading, QueueType},
    domain::{
        finding::Verdict,
        task::NewTask,
        transition::{Claim, Event},
    },
    services::{
        detector::{Detector, Tally},
        queues::QueueBook,
        relay::Relay,
    },
    store::{
        Lane, LedgerSample, Store,
        findings::{IncidentRow, StallFilter, StallRow},
        tasks::{Act, Creation},
    },
};
use uuid::Uuid;

use crate::support::{
    broker::{Outside, config, unique},
    store::{TestClock, TestStore},
    wait::eventually,
};

pub(super) const EVERY: Duration = Duration::from_secs(5);

pub(super) const LEASE: Duration = Duration::from_secs(30);

/// A queue of the test's own, with the parts that publish to it and look at it.
pub(super) struct Scene {
    test: Option<TestStore>,
    pub(super) store: Store,
    pub(super) clock: TestClock,
    pub(super) queue: String,
    pub(super) relay: Relay,
    pub(super) publisher: Publisher,
    pub(super) detector: Detector,
    pub(super) outside: Outside,
    /// Tells the test when the broker is as far as it needs.
    reader: BrokerReader,
    pub(super) looks: u32,
}

impl Scene {
    pub(super) async fn new(queue_type: QueueType) -> Self {
        Self::watched(Self::seen_through(queue_type, config()).await).await
    }

    /// With a queue that somebody else declared with these arguments.
    pub(super) async fn found_with(queue_type: QueueType, arguments: &[(&str, AMQPValue)]) -> Self {
        let queue = unique("detector");
        Outside::connect().await.declare(&queue, arguments).await;
        Self::watched(Self::of(queue, queue_type, config()).await).await
    }

    pub(super) async fn watched(mut scene: Self) -> Self {
        // The counts of a new queue take a moment, and so does the detector's own connection.
        scene.settled(0, 0).await;
        let mut link = scene.detector.link();
        link.wait_for(|state| matches!(state, LinkState::Up { .. }))
            .await
            .expect("connected");
        scene.look().await;
        scene
    }

    /// `eyes` is where the detector looks.
    pub(super) async fn seen_through(queue_type: QueueType, eyes: BrokerConfig) -> Self {
        Self::of(unique("detector"), queue_type, eyes).await
    }

    pub(super) async fn of(queue: String, queue_type: QueueType, eyes: BrokerConfig) -> Self {
        let test = TestStore::sqlite().await;
        let (store, clock) = (test.store.clone(), test.clock.clone());
        let queues = QueueBook::new(store.clone(), queue_type, true);
        queues.name(&queue).await.expect("named");
        let publisher = Publisher::spawn(config());
        let mut link = publisher.link();
        link.wait_for(|state| matches!(state, LinkState::Up { .. }))
            .await
            .expect("connected");
        publisher
            .declare(&queues.spec(&queue).await.expect("a spec"))
            .await
            .expect("declared");
        let detector = Detector::spawn(store.clone(), &eyes, publisher.clone(), EVERY, None);
        Self {
            relay: Relay::new(store.clone(), publisher.clone(), queues),
            test: Some(test),
            store,
            clock,
            queue,
            publisher,
            detector,
            outside: Outside::connect().await,
            reader: BrokerReader::new(Probe::spawn(config()), Management::new(&config()))
                .with_details_every(Duration::ZERO),
            looks: 0,
        }
    }

    pub(super) async fn start(&self, count: usize) -> Vec<Uuid> {
        let task = || NewTask {
            id: Uuid::now_v7(),
            kind: self.queue.clone(),
            queue: self.queue.clone(),
            title: None,
            owner: None,
            priority: 0,
            payload: json!({}),
            timeout_s: None,
            max_attempts: 3,
            available_at: None,
            start: true,
            traceparent: None,
        };
        let tasks: Vec<NewTask> = (0..count).map(|_| task()).collect();
        let ids = tasks.iter().map(|task| task.id).collect();
        let creation = Creation {
            tasks,
            principal: "token:t".into(),
            idempotency: None,
        };
        self.store.create(&[creation]).await.expect("created");
        self.relay.tick().await.expect("published");
        ids
    }

    /// One look, 5 s after the one before by the store's clock. In real time a moment passes: the broker's own counts
    /// of a quorum queue come with its tick.
    pub(super) async fn look(&mut self) -> Tally {
        self.clock.advance(EVERY);
        self.looks += 1;
        let now = self.store.now().await.expect("a time");
        let tally = self.detector.tick(now).await.expect("looked");
        assert!(tally.leading);
        tally
    }

    /// Looks until `so`, at most `looks` times.
    pub(super) async fn until(&mut self, what: &str, looks: u32, mut so: impl AsyncFnMut(&Self) -> bool) {
        let last = self.looks + looks;
        loop {
            self.look().await;
            if so(self).await {
                return;
            }
            assert!(
                self.looks < last,
                "not within {looks} looks: {what}; {:?}",
                self.incidents().await
            );
        }
    }

    pub(super) async fn sample(&self) -> LedgerSample {
        self.store
            .latest_sample(&self.queue)
            .await
            .expect("read")
            .expect("sampled")
    }

    pub(super) async fn incidents(&self) -> Vec<IncidentRow> {
        self.store.open_incidents(100).await.expect("read")
    }

    pub(super) async fn verdicts(&self) -> Vec<Verdict> {
        self.incidents()
            .await
            .into_iter()
            .map(|incident| incident.verdict)
            .collect()
    }

    pub(super) async fn stalls(&self) -> Vec<StallRow> {
        self.store
            .open_stalls(&StallFilter::default(), None, 1_000)
            .await
            .expect("read")
    }

    /// Waits until every source of the broker counts so many messages: those of a quorum queue are late.
    pub(super) async fn settled(&self, ready: u64, unacknowledged: u64) {
        let what = format!("{ready} ready and {unacknowledged} unacknowledged");
        let counts = (Some(ready), Some((ready, unacknowledged)));
        self.reads(&what, |queue| (queue.ready, queue.together) == counts)
            .await;
    }

    /// Waits until `so` can be read of the queue.
    pub(super) async fn reads(&self, what: &str, so: impl Fn(&QueueReading) -> bool) {
        let names = [self.queue.clone()];
        eventually(Duration::from_secs(20), what, async || {
            so(&self.reader.read(&names).await.queues[&self.queue]).then_some(())
        })
        .await;
    }

    pub(super) async fn act(&self, task_id: Uuid, event: Event) {
        let act = Act {
            task_id,
            event,
            actor: "worker:w".into(),
            audit: None,
        };
        let outcome = self
            .store
            .apply(&[act], Lane::Shared, LEASE)
            .await
            .expect("applied")
            .remove(0);
        outcome.expect("not refused");
    }

    /// Like `act`, for what must be refused.
    pub(super) async fn refused(&self, task_id: Uuid, event: Event) {
        let act = Act {
            task_id,
            event,
            actor: "worker:w".into(),
            audit: None,
        };
        let outcomes = self.store.apply(&[act], Lane::Shared, LEASE).await;
        assert!(outcomes.expect("applied")[0].is_err(), "refused");
    }

    pub(super) async fn claim(&self, task_id: Uuid, worker: &str) {
        let claim = Claim {
            claim_id: Uuid::new_v4().to_string(),
            dispatch: None,
            worker: worker.into(),
        };
        self.act(task_id, Event::Claim(claim)).await;
    }

    pub(super) async fn close(mut self) {
        self.outside.delete(&self.queue).await;
        self.publisher.close();
        if let Some(test) = self.test.take() {
            test.close().await;
        }
    }
}

pub(super) const BOTH: [QueueType; 2] = [QueueType::Quorum, QueueType::Classic];
