//! Tracers on a real RabbitMQ, on both queue types: what they prove, what they must not, and what a busy queue looks like.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::{
    Acker, BasicProperties, Channel, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};
use serde_json::json;
use unstuck::{
    broker::{QueueReading, QueueType},
    domain::{
        audit::AuditEntry,
        finding::{Confidence, Variant, Verdict},
        transition::Event,
    },
    store::TracerDelivery,
};
use uuid::Uuid;

use super::scene::{BOTH, Scene};
use crate::support::{broker::Outside, wait::eventually};

/// A worker that does as the test says.
struct Hand {
    name: &'static str,
    // Keeps the connection.
    _theirs: Outside,
    _channel: Channel,
    consumer: Consumer,
}

/// What a hand got.
enum Got {
    Task(Uuid, Acker),
    Tracer(Uuid),
}

impl Hand {
    /// Takes one message at a time.
    async fn on(scene: &Scene, name: &'static str) -> Self {
        let theirs = Outside::connect().await;
        let channel = theirs.channel().await;
        channel
            .basic_qos(1, BasicQosOptions::default())
            .await
            .expect("prefetch");
        let consumer = channel
            .basic_consume(
                scene.queue.as_str().into(),
                name.into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .expect("consuming");
        Self {
            name,
            _theirs: theirs,
            _channel: channel,
            consumer,
        }
    }

    /// The next message; a tracer is noted and acknowledged at once.
    async fn take(&mut self, scene: &Scene) -> Got {
        let next = tokio::time::timeout(Duration::from_secs(20), self.consumer.next()).await;
        let delivery = next.expect("in time").expect("still there").expect("a message");
        let id: Uuid = std::str::from_utf8(&delivery.data)
            .expect("text")
            .parse()
            .expect("an id");
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        if !headers.inner().contains_key("x-tracer") {
            return Got::Task(id, delivery.acker);
        }
        let noted = TracerDelivery {
            id,
            worker: self.name.into(),
            held: Duration::ZERO,
            redelivered: Some(delivery.redelivered),
        };
        assert!(scene.store.note_tracer(&noted).await.expect("noted").is_some());
        delivery
            .acker
            .ack(BasicAckOptions::default())
            .await
            .expect("acknowledged");
        Got::Tracer(id)
    }

    async fn task(&mut self, scene: &Scene) -> (Uuid, Acker) {
        match self.take(scene).await {
            Got::Task(id, acker) => (id, acker),
            Got::Tracer(id) => panic!("{} got the tracer {id}", self.name),
        }
    }

    async fn tracer(&mut self, scene: &Scene) {
        assert!(
            matches!(self.take(scene).await, Got::Tracer(_)),
            "{} got a task",
            self.name
        );
    }

    async fn begins(&mut self, scene: &Scene) -> (Uuid, Acker) {
        let (id, acker) = self.task(scene).await;
        self.claims(scene, id).await;
        (id, acker)
    }

    async fn claims(&self, scene: &Scene, id: Uuid) {
        scene.claim(id, self.name).await;
    }
}

async fn ends(scene: &Scene, (id, acker): (Uuid, Acker)) {
    let succeeded = Event::Succeed {
        attempt: 1,
        result: json!(null),
        log: None,
    };
    scene.act(id, succeeded).await;
    acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
}

async fn beat(scene: &Scene, id: Uuid) {
    scene
        .act(
            id,
            Event::Heartbeat {
                attempt: 1,
                progress: None,
                message: None,
            },
        )
        .await;
}

impl Scene {
    async fn trace(&self) {
        let audit = AuditEntry::new("system", "trace", "queue", self.queue.as_str());
        assert!(
            self.store
                .set_traced(&self.queue, true, &audit)
                .await
                .expect("set")
        );
        // Settings come with the statistics, some seconds after the queue.
        let told = |queue: &QueueReading| {
            queue.detail.as_ref().is_some_and(|detail| {
                detail.setup.policy_definition.is_some() && detail.counters.redeliver.is_some()
            })
        };
        self.reads("its settings and redeliveries are told", told).await;
    }

    /// Looks until a tracer was sent and the broker has it.
    async fn sends_tracer(&mut self, running: &[Uuid]) -> Uuid {
        for _ in 0..30 {
            for id in running {
                beat(self, *id).await;
            }
            self.look().await;
            if let Some(id) = self.tracer_out().await {
                return id;
            }
        }
        panic!("no tracer was sent");
    }

    /// The tracer that is out, once the broker has it: five seconds pass with each look, and it would be given up.
    async fn tracer_out(&self) -> Option<Uuid> {
        let confirmed = eventually(Duration::from_secs(5), "the broker confirms", async || {
            let tracers = self.store.queue_tracers(&[]).await.expect("read");
            match tracers.get(&self.queue).and_then(|tracers| tracers.out.clone()) {
                None => Some(None),
                Some(out) => out.confirmed_at.map(|_| Some(out.id)),
            }
        });
        confirmed.await
    }

    /// Looks until the broker lists consumers that may hold `prefetch` messages in all: its list is some seconds late, by
    /// its clock.
    async fn lists(&mut self, prefetch: i64, running: &[Uuid]) {
        eventually(Duration::from_secs(20), "the consumers are listed", async || {
            self.looks(1, running).await;
            let listed = self.sample().await.detail["reading"]["prefetch"].as_i64();
            (listed == Some(prefetch)).then_some(())
        })
        .await;
    }

    async fn looks(&mut self, count: u32, running: &[Uuid]) {
        for _ in 0..count {
            for id in running {
                beat(self, *id).await;
            }
            self.look().await;
            self.tracer_out().await;
        }
    }

    /// Adds a message that no task needs: what a publish that was sent twice leaves behind.
    async fn surplus(&self, of: Uuid) {
        let properties = BasicProperties::default().with_delivery_mode(2);
        self.outside
            .publish(&self.queue, properties, of.to_string().as_bytes())
            .await;
    }

    async fn nothing_is_told(&self) {
        assert_eq!((self.verdicts().await, self.stalls().await), (vec![], vec![]));
    }
}

/// Acknowledges the surplus copy that comes next, as a worker does whose claim is refused.
async fn discards(hand: &mut Hand, scene: &Scene, of: Uuid) {
    let (id, acker) = hand.task(scene).await;
    assert_eq!(id, of, "the surplus copy");
    acker.ack(BasicAckOptions::default()).await.expect("discarded");
}

/// A queue with a delivery behind it, so that its redeliveries are counted, and nobody on it yet.
async fn traced_scene(queue_type: QueueType) -> Scene {
    let scene = Scene::new(queue_type).await;
    let warm = scene.start(1).await[0];
    scene.act(warm, Event::Cancel).await;
    // Its channel stays open meanwhile: what one did that is closed at once may never be counted.
    let channel = scene.outside.channel().await;
    let no_ack = BasicGetOptions { no_ack: true };
    let got = channel.basic_get(scene.queue.as_str().into(), no_ack).await;
    assert!(got.expect("got").is_some(), "its message");
    scene.trace().await;
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_that_surplus_copies_hide_is_found_in_a_queue_that_is_never_empty() {
    for queue_type in BOTH {
        let mut scene = traced_scene(queue_type).await;
        let lost = scene.start(1).await[0];
        scene.outside.take(&scene.queue).await.expect("its message");
        let ids = scene.start(3).await;
        scene.surplus(ids[0]).await;
        let (mut one, mut two) = (Hand::on(&scene, "one").await, Hand::on(&scene, "two").await);
        let mut a = one.begins(&scene).await;
        let mut b = two.begins(&scene).await;
        if a.0 != ids[0] {
            (one, two, a, b) = (two, one, b, a);
        }
        scene.settled(2, 2).await;
        scene.lists(2, &[a.0, b.0]).await;
        let first = scene.sends_tracer(&[a.0, b.0]).await;
        scene.settled(3, 2).await;
        // It is out for more than a minute, so that the next one could be sent as soon as it comes.
        scene.looks(12, &[a.0, b.0]).await;
        assert_eq!(scene.sample().await.ledger.balance, Some(0));
        scene.nothing_is_told().await;

        // Both go on behind the tracer, and the queue holds other messages all the while.
        let next = scene.start(2).await;
        scene.surplus(ids[0]).await;
        ends(&scene, a).await;
        let c = one.begins(&scene).await;
        ends(&scene, b).await;
        discards(&mut two, &scene, ids[0]).await;
        two.tracer(&scene).await;
        let d = two.begins(&scene).await;
        assert_eq!((c.0, d.0), (ids[2], next[0]), "in their order");
        scene.settled(2, 2).await;
        let second = scene.sends_tracer(&[c.0, d.0]).await;
        assert_ne!(first, second);
        scene.settled(3, 2).await;
        scene.nothing_is_told().await;

        let more = scene.start(2).await;
        scene.surplus(ids[0]).await;
        ends(&scene, c).await;
        let e = one.begins(&scene).await;
        ends(&scene, d).await;
        discards(&mut two, &scene, ids[0]).await;
        two.tracer(&scene).await;
        let f = two.begins(&scene).await;
        assert_eq!((e.0, f.0), (next[1], more[0]), "in their order");
        scene.settled(2, 2).await;
        scene.looks(5, &[e.0, f.0]).await;
        let stalls = scene.stalls().await;
        assert_eq!(stalls.len(), 1, "{queue_type:?}: {stalls:?}");
        assert_eq!(
            (stalls[0].task_id, stalls[0].verdict, stalls[0].confidence),
            (lost, Verdict::MessageLost, Confidence::Proven)
        );
        assert_eq!(stalls[0].evidence.variant, Variant::Traced);
        assert_eq!(stalls[0].evidence.facts.second_tracer_id, Some(second));
        assert_eq!(scene.verdicts().await, [Verdict::MessageLost]);
        scene.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_given_back_behind_a_tracer_is_not_called_lost() {
    for queue_type in BOTH {
        let mut scene = traced_scene(queue_type).await;
        let theirs = scene.outside.channel().await;
        let queue = scene.queue.clone();
        let get = async |channel: &Channel| {
            let got = channel.basic_get(queue.as_str().into(), BasicGetOptions::default());
            got.await.expect("got").expect("a message").delivery
        };
        let back = BasicNackOptions {
            requeue: true,
            ..Default::default()
        };
        // Somebody takes the oldest message, and gives it back only after a tracer came out.
        let given_back = scene.start(1).await[0];
        let held = get(&theirs).await;
        scene.start(3).await;
        let mut one = Hand::on(&scene, "one").await;
        let a = one.begins(&scene).await;
        scene.settled(2, 2).await;
        scene.lists(1, &[a.0]).await;
        scene.sends_tracer(&[a.0]).await;
        // Longer than the list of consumers is late: a quorum queue counts him as one.
        scene.looks(5, &[a.0]).await;
        let next = scene.start(2).await;
        ends(&scene, a).await;
        for _ in 0..2 {
            let begun = one.begins(&scene).await;
            ends(&scene, begun).await;
        }
        one.tracer(&scene).await;
        let b = one.begins(&scene).await;
        assert_eq!(b.0, next[0]);
        held.acker.nack(back).await.expect("given back");
        scene.settled(2, 1).await;
        // Now every message in somebody's hands is accounted for, and the task waits still.
        scene.sends_tracer(&[b.0]).await;
        scene.looks(4, &[b.0]).await;
        // The second tracer comes out, behind it: so somebody must take it first.
        let again = get(&theirs).await;
        assert_eq!(
            again.data,
            given_back.to_string().into_bytes(),
            "it is the first one"
        );
        assert!(again.redelivered);
        scene.start(1).await;
        ends(&scene, b).await;
        let begun = one.begins(&scene).await;
        ends(&scene, begun).await;
        one.tracer(&scene).await;
        let c = one.begins(&scene).await;
        again.acker.nack(back).await.expect("given back");
        scene.settled(1, 1).await;
        let counted = |queue: &QueueReading| {
            let detail = queue.detail.as_ref();
            detail.is_some_and(|detail| detail.counters.redeliver == Some(1))
        };
        scene.reads("the redelivery is counted", counted).await;
        scene.looks(8, &[c.0]).await;
        scene.nothing_is_told().await;
        scene.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_healthy_queue_that_is_traced_has_no_findings_and_a_time() {
    for queue_type in BOTH {
        let mut scene = traced_scene(queue_type).await;
        scene.start(3).await;
        let mut one = Hand::on(&scene, "one").await;
        let mut running = one.begins(&scene).await;
        let mut tracers = 0;
        for _ in 0..28 {
            scene.start(1).await;
            ends(&scene, running).await;
            running = loop {
                match one.take(&scene).await {
                    Got::Tracer(_) => tracers += 1,
                    Got::Task(id, acker) => {
                        one.claims(&scene, id).await;
                        break (id, acker);
                    }
                }
            };
            let out = scene.store.queue_tracers(&[]).await.expect("read");
            let out = out.get(&scene.queue).map_or(0, |tracers| tracers.at_most);
            scene.settled(2 + u64::try_from(out).expect("few"), 1).await;
            scene.looks(1, &[running.0]).await;
            scene.nothing_is_told().await;
        }
        assert!(tracers >= 2, "{queue_type:?}: {tracers}");
        let passed = scene.store.passed_tracers(&[&scene.queue]).await.expect("read");
        let wait_ms = passed[0].wait_ms().expect("a time");
        assert!(
            (5_000..=20_000).contains(&wait_ms),
            "behind two tasks of 5 s each: {wait_ms}"
        );
        scene.close().await;
    }
}
