//! A store with tasks in it, a broker as the test says it looks, and the detector's judge between the two.

use std::{collections::HashMap, time::Duration};

use serde_json::json;
use unstuck::{
    domain::{
        evidence::{Figure, Source},
        finding::{CloseReason, Verdict},
        observation::{Blind, Blindness, BrokerSight, Numbers, Presence, QueueSight, Snapshot, lag_ms},
        task::NewTask,
        transition::{Claim, Event},
    },
    services::{
        detector::{Judge, Settings, Tally},
        recovery,
    },
    store::{
        Lane, QueueRow, Store,
        findings::{ClosedCursor, IncidentRow, StallFilter, StallRow},
        tasks::{Act, Creation, Outcome},
    },
};
use uuid::Uuid;

use super::support::clear_sight;
use crate::support::store::TestClock;

pub const LEASE: Duration = Duration::from_secs(30);
pub const EVERY: Duration = Duration::from_secs(5);
pub const PACE: recovery::Pace = recovery::Pace {
    lease: LEASE,
    fresh_for: Duration::from_secs(15),
};

pub struct Stage {
    pub store: Store,
    pub clock: TestClock,
    pub judge: Judge,
    pub sight: BrokerSight,
    pub queues: Vec<QueueRow>,
}

pub fn judge(store: &Store) -> Judge {
    let settings = Settings {
        broker: "rabbit:5672".into(),
        every: EVERY,
        announce: None,
    };
    Judge::new(store.clone(), settings)
}

impl Stage {
    /// A judge that leads, and the quorum queue `q` with one consumer called `w`.
    pub async fn new(store: Store, clock: TestClock) -> Self {
        store.add_queue("q", "quorum").await.expect("a queue");
        let mut judge = judge(&store);
        assert!(judge.lead().await.expect("elected"));
        let queues = judge.queues().await.expect("the queues");
        let mut stage = Self {
            store,
            clock,
            judge,
            sight: clear_sight(),
            queues,
        };
        stage.broker(0, 0);
        stage
    }

    /// From now on the broker holds so many messages of `q`.
    pub fn broker(&mut self, ready: i64, unacknowledged: i64) {
        let figure = |value, source| {
            Some(Figure {
                value,
                source,
                read_at: unstuck::domain::time::Time::from_ms(0),
            })
        };
        let numbers = Numbers {
            presence: Presence::Here,
            ready: figure(ready, Source::Declare),
            unacknowledged: figure(unacknowledged, Source::Totals),
            consumers: figure(1, Source::Declare),
            snapshot: Some(Snapshot {
                ready,
                unacknowledged,
                lag_ms: lag_ms(Source::Totals, true),
            }),
            prefetch: Some(1),
        };
        let tags = Some([("w".to_owned(), Some(1))].into());
        self.sight.blind = None;
        self.sight.queues = HashMap::from([(
            "q".to_owned(),
            QueueSight {
                numbers,
                tags,
                settings: None,
                head_at: None,
                redelivered: None,
                dead: None,
                dead_known: true,
                restarted: false,
            },
        )]);
    }

    /// From now on the broker holds so many messages of `q`, and nobody consumes it.
    pub fn deserted(&mut self, ready: i64) {
        self.broker(ready, 0);
        self.queue(|queue| {
            queue.tags = Some(Default::default());
            queue.numbers.prefetch = Some(0);
            if let Some(consumers) = &mut queue.numbers.consumers {
                consumers.value = 0;
            }
        });
    }

    /// From now on `q` looks like this otherwise.
    pub fn queue(&mut self, change: impl FnOnce(&mut QueueSight)) {
        change(self.sight.queues.get_mut("q").expect("it is there"));
    }

    /// From now on nothing of the broker can be seen.
    pub fn blind(&mut self) {
        self.sight.blind = Some(Blind {
            why: Blindness::Unreachable,
            detail: "nothing answers".into(),
        });
        self.queue(|queue| {
            *queue = QueueSight {
                numbers: Numbers::UNSEEN,
                tags: None,
                settings: None,
                head_at: None,
                redelivered: None,
                dead: None,
                dead_known: true,
                restarted: false,
            }
        });
    }

    /// Starts so many tasks of `q`; their messages are not published.
    pub async fn start(&self, count: usize) -> Vec<Uuid> {
        self.start_with(count, None).await
    }

    pub async fn start_with(&self, count: usize, timeout_s: Option<i64>) -> Vec<Uuid> {
        self.create(count, timeout_s, 3, 0).await
    }

    /// Starts so many tasks that are tried so often.
    pub async fn start_attempts(&self, count: usize, max_attempts: i64) -> Vec<Uuid> {
        self.create(count, None, max_attempts, 0).await
    }

    /// Started tasks of this priority whose messages are confirmed.
    pub async fn queued_at(&self, count: usize, priority: i64) -> Vec<Uuid> {
        let ids = self.create(count, None, 3, priority).await;
        self.confirm().await;
        ids
    }

    async fn create(
        &self,
        count: usize,
        timeout_s: Option<i64>,
        max_attempts: i64,
        priority: i64,
    ) -> Vec<Uuid> {
        let task = || NewTask {
            id: Uuid::now_v7(),
            kind: "q".into(),
            queue: "q".into(),
            title: None,
            owner: None,
            priority,
            payload: json!({}),
            timeout_s,
            max_attempts,
            available_at: None,
            start: true,
            traceparent: None,
        };
        let creations: Vec<Creation> = (0..count)
            .map(|_| Creation {
                tasks: vec![task()],
                principal: "token:t".into(),
                idempotency: None,
            })
            .collect();
        for chunk in creations.chunks(500) {
            self.store.create(chunk).await.expect("created");
        }
        creations.iter().map(|creation| creation.tasks[0].id).collect()
    }

    /// The broker confirms every message that is due.
    pub async fn confirm(&self) {
        loop {
            let rows = self.store.take_due(1_000, LEASE).await.expect("taken");
            if rows.is_empty() {
                return;
            }
            self.store.settle(&rows, &[]).await.expect("settled");
        }
    }

    /// Started tasks whose messages are confirmed.
    pub async fn queued(&self, count: usize) -> Vec<Uuid> {
        let ids = self.start(count).await;
        self.confirm().await;
        ids
    }

    pub async fn act(&self, task_id: Uuid, event: Event) {
        self.apply(task_id, event).await.expect("not refused");
    }

    /// The same, for what must be refused.
    pub async fn refused(&self, task_id: Uuid, event: Event) {
        assert!(self.apply(task_id, event).await.is_err(), "refused");
    }

    async fn apply(&self, task_id: Uuid, event: Event) -> Outcome {
        let act = Act {
            task_id,
            event,
            actor: "worker:w".into(),
            audit: None,
        };
        self.store
            .apply(&[act], Lane::Shared, LEASE)
            .await
            .expect("applied")
            .remove(0)
    }

    pub async fn claim(&self, task_id: Uuid, worker: &str) {
        let claim = Claim {
            claim_id: Uuid::new_v4().to_string(),
            dispatch: None,
            worker: worker.into(),
        };
        self.act(task_id, Event::Claim(claim)).await;
    }

    /// One pass, 5 s after the one before.
    pub async fn pass(&mut self) -> Tally {
        self.clock.advance(EVERY);
        let now = self.store.now().await.expect("a time");
        for queue in self.sight.queues.values_mut() {
            let Numbers {
                ready,
                unacknowledged,
                consumers,
                ..
            } = &mut queue.numbers;
            for figure in [ready, unacknowledged, consumers].into_iter().flatten() {
                figure.read_at = now;
            }
        }
        assert!(
            self.judge.lead().await.expect("elected"),
            "the leadership is ours"
        );
        self.judge
            .pass(now, &self.queues, &self.sight)
            .await
            .expect("judged")
    }

    pub async fn passes(&mut self, count: usize) {
        for _ in 0..count {
            self.pass().await;
        }
    }

    pub async fn incidents(&self) -> Vec<IncidentRow> {
        self.store.open_incidents(100).await.expect("read")
    }

    pub async fn incident_verdicts(&self) -> Vec<Verdict> {
        self.incidents()
            .await
            .into_iter()
            .map(|incident| incident.verdict)
            .collect()
    }

    pub async fn stalls(&self) -> Vec<StallRow> {
        self.store
            .open_stalls(&StallFilter::default(), None, 100_000)
            .await
            .expect("read")
    }

    pub async fn stall_verdicts(&self) -> Vec<Verdict> {
        self.stalls()
            .await
            .into_iter()
            .map(|stall| stall.verdict)
            .collect()
    }

    /// Why the stalls of this verdict closed, the last one first.
    pub async fn closed(&self, verdict: Verdict) -> Vec<Option<CloseReason>> {
        let filter = StallFilter {
            verdict: Some(verdict),
            ..StallFilter::default()
        };
        let rows = self
            .store
            .closed_stalls(&filter, ClosedCursor::START, 100)
            .await
            .expect("read");
        rows.into_iter().map(|row| row.closed_reason).collect()
    }
}
