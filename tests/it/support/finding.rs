//! Findings as the detector would leave them.

use std::time::Duration;

use unstuck::{
    domain::{
        evidence::{Evidence, Facts, Figure, Source, Threshold, ThresholdName},
        finding::{CloseReason, Confidence, Incident, Subject, Variant, Verdict},
    },
    store::{Leadership, Store, findings::IncidentChanges},
};
use uuid::Uuid;

/// Writes findings under the detector's leadership.
pub struct Finder {
    pub store: Store,
    pub leadership: Leadership,
}

impl Finder {
    pub async fn of(store: &Store) -> Self {
        let leadership = store.lead("detector", "test", Duration::from_secs(600)).await;
        Self {
            store: store.clone(),
            leadership: leadership.expect("stored").expect("the only one"),
        }
    }

    async fn write(&self, changes: IncidentChanges) {
        let now = self.store.now().await.expect("a time");
        let written = self.store.write_incidents(&self.leadership, now, &changes).await;
        assert!(written.expect("stored"), "the leadership was lost");
    }

    /// A queue without consumers, as it is found now.
    pub async fn incident(&self, queue: &str, confidence: Confidence, tasks: i64) -> Incident {
        let now = self.store.now().await.expect("a time");
        let threshold = Threshold {
            name: ThresholdName::NoConsumers,
            value: 60_000,
        };
        let live = |value| {
            Some(Figure {
                value,
                source: Source::Declare,
                read_at: now,
            })
        };
        Incident {
            verdict: Verdict::NoConsumers,
            subject: Subject::queue(queue),
            confidence,
            since: now,
            tasks,
            evidence: Evidence {
                variant: Variant::Plain,
                threshold,
                judged_at: now,
                facts: Facts {
                    queue: Some(queue.to_owned()),
                    span_ms: Some(60_000),
                    messages_ready: live(tasks),
                    consumers: live(0),
                    queued: Some(tasks),
                    ..Facts::default()
                },
            },
        }
    }

    pub async fn open(&self, queue: &str, confidence: Confidence, tasks: i64) -> Uuid {
        let id = Uuid::now_v7();
        let incident = self.incident(queue, confidence, tasks).await;
        self.write(IncidentChanges {
            opened: vec![(id, incident)],
            ..IncidentChanges::default()
        })
        .await;
        id
    }

    pub async fn close(&self, id: Uuid) {
        self.write(IncidentChanges {
            closed: vec![(id, CloseReason::Cleared)],
            ..IncidentChanges::default()
        })
        .await;
    }
}
