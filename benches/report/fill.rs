//! Fills a database with tasks.

use serde_json::json;
use unstuck::{
    domain::{
        task::NewTask,
        transition::{Claim, Event},
    },
    store::{
        Lane, Store,
        tasks::{Act, Creation},
    },
};
use uuid::Uuid;

const BATCH: usize = 1000;

fn creation(queue: &str, from: usize, count: usize) -> Creation {
    let tasks = (from..from + count)
        .map(|n| NewTask {
            id: Uuid::now_v7(),
            kind: "bench".into(),
            queue: queue.to_owned(),
            title: Some(format!("Report {n}")),
            owner: Some(format!("owner-{}", n % 100)),
            priority: 0,
            payload: json!({ "n": n }),
            timeout_s: None,
            max_attempts: 3,
            available_at: None,
            start: true,
            traceparent: None,
        })
        .collect();
    Creation {
        tasks,
        principal: "system".into(),
        idempotency: None,
    }
}

/// `count` tasks, started and waiting in the outbox.
pub async fn started(store: &Store, queue: &str, count: usize) -> Vec<Uuid> {
    store.add_queue(queue, "quorum").await.expect("a queue");
    let mut ids = Vec::with_capacity(count);
    for from in (0..count).step_by(BATCH) {
        let creation = creation(queue, from, BATCH.min(count - from));
        ids.extend(creation.tasks.iter().map(|task| task.id));
        store
            .create(&[creation])
            .await
            .expect("created")
            .remove(0)
            .expect("not refused");
    }
    ids
}

/// `count` tasks that have run and succeeded, each with its attempt and timeline.
pub async fn succeeded(store: &Store, queue: &str, count: usize) {
    let lease = std::time::Duration::from_secs(30);
    for from in (0..count).step_by(BATCH) {
        let ids = started(store, queue, BATCH.min(count - from)).await;
        let acts: Vec<Act> = ids
            .iter()
            .flat_map(|id| {
                let claim = Claim {
                    claim_id: id.to_string(),
                    dispatch: Some(1),
                    worker: "bench".into(),
                };
                [
                    Event::Claim(claim),
                    Event::Succeed {
                        attempt: 1,
                        result: json!({ "ok": true }),
                        log: None,
                    },
                ]
                .map(|event| Act {
                    task_id: *id,
                    event,
                    actor: "worker:bench".into(),
                    audit: None,
                })
            })
            .collect();
        let outcomes = store.apply(&acts, Lane::Shared, lease).await.expect("applied");
        assert!(outcomes.iter().all(Result::is_ok), "every task succeeded");
    }
}
