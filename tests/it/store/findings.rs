//! What is written of a finding when its task moved on meanwhile.

use std::time::Duration;

use serde_json::json;
use unstuck::{
    domain::{
        evidence::{Evidence, Facts, Threshold, ThresholdName},
        finding::{Confidence, Stall, Variant, Verdict},
        transition::Event,
    },
    store::findings::{IncidentChanges, StallChanges},
};
use uuid::Uuid;

use super::tasks::{act, claim, created};
use crate::support::store::each_store;

#[tokio::test]
async fn a_heartbeat_refutes_that_a_worker_is_silent_and_not_that_it_takes_too_long() {
    each_store(async |store, clock| {
        let leadership = store
            .lead("detector", "test", Duration::from_secs(600))
            .await
            .expect("stored")
            .expect("the only one");
        let id = created(&store, true).await;
        act(&store, id, claim("c", 1)).await.expect("claimed");
        let judged = store.task(id).await.expect("read").expect("a task").task;
        clock.advance(Duration::from_secs(1));
        let beat = Event::Heartbeat {
            attempt: 1,
            progress: None,
            message: None,
        };
        act(&store, id, beat).await.expect("beaten");
        let now = store.now().await.expect("the time");
        let opens = async |verdict, attempt| {
            let threshold = Threshold {
                name: ThresholdName::LeaseGrace,
                value: 5_000,
            };
            let stall = Stall {
                task_id: id,
                queue: judged.queue.clone(),
                dispatch: judged.dispatch,
                attempt,
                version: judged.version,
                verdict,
                confidence: Confidence::Proven,
                since: now,
                evidence: Evidence {
                    variant: Variant::Plain,
                    threshold,
                    judged_at: now,
                    facts: Facts::default(),
                },
                cause: None,
            };
            let changes = StallChanges {
                opened: vec![(Uuid::now_v7(), stall, None)],
                ..StallChanges::default()
            };
            let written = store
                .write_stalls(&leadership, now, &changes, |_| IncidentChanges::default())
                .await;
            written.expect("stored").expect("led").opened
        };
        assert_eq!(opens(Verdict::WorkerSilent, 1).await, 0);
        assert_eq!(opens(Verdict::Overdue, 2).await, 0, "another attempt");
        assert_eq!(opens(Verdict::Overdue, 1).await, 1);
        assert_eq!(opens(Verdict::CancelIgnored, 1).await, 1);
        let succeed = Event::Succeed {
            attempt: 1,
            result: json!(null),
            log: None,
        };
        act(&store, id, succeed).await.expect("ended");
        assert_eq!(opens(Verdict::AckDeadline, 1).await, 0, "it runs no more");
    })
    .await;
}
