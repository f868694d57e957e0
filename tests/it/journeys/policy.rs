//! Messages that somebody purged come back by themselves where a policy says so, and too many of them do not.

use reqwest::Method;
use serde_json::{Value, json};
use unstuck::store::{AuditFilter, Store};

use crate::support::{
    client::{Client, PATIENCE, items},
    plant::{BOTH, Plant},
    truth::check,
    wait::eventually,
};

/// Sets a policy with what `more` says beside its action.
async fn set(client: &Client, queue: &str, more: Value) {
    let mut body = json!({"action": "when_proven", "reason": "a purge must not wake anybody"});
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    let path = format!("/api/v1/queues/{queue}/policies/message_lost");
    let set = client.call(Method::PUT, &path, None, Some(&body)).await;
    assert_eq!(set.expect("an answer").done()["action"], "when_proven");
}

/// Tasks of `queue` whose messages lie there.
async fn published(plant: &Plant, client: &Client, queue: &str, count: usize) -> Vec<String> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        tasks.push(client.start(json!({"kind": "print", "queue": queue})).await);
    }
    for task in &tasks {
        client
            .until_task(task, "it is published", |task| task["published_at"].is_string())
            .await;
    }
    plant.outside().await.until_ready(queue, count as u32).await;
    tasks
}

/// The tasks whose messages were put out again, by the audit log.
async fn audited(plant: &Plant, action: &str) -> Vec<String> {
    let store = Store::open(&plant.database_url).await.expect("opened");
    let filter = AuditFilter {
        action: Some(action.into()),
        ..AuditFilter::default()
    };
    let page = store.audit_page(&filter, None, 1_000).await.expect("read");
    store.close().await;
    let mut ids: Vec<String> = page.items.into_iter().map(|row| row.entry.target_id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn purged_messages_come_back_by_policy_and_a_purge_of_too_many_stops_it() {
    for (engine, queue_type) in BOTH.into_iter().zip(["quorum", "classic"]) {
        let plant = Plant::new(engine).await.set("QUEUE_TYPE", queue_type);
        let serve = plant.serve().await;
        let client = &serve.client;
        let outside = plant.outside().await;

        let queue = plant.queue("policy");
        let mut tasks = published(&plant, client, &queue, 6).await;
        set(client, &queue, json!({})).await;
        outside.purge(&queue).await;
        // Nobody does anything: the messages come back, and the tasks end.
        eventually(PATIENCE, "the messages are back", async || {
            (outside.look(&queue).await?.0 == 6).then_some(())
        })
        .await;
        for task in &tasks {
            let task = client.task(task).await;
            assert_eq!(
                (&task["dispatch"], &task["attempt"]),
                (&json!(1), &json!(0)),
                "{task}"
            );
        }
        let worker = plant.worker(&queue, 2);
        for task in &tasks {
            client.until(task, "succeeded").await;
        }
        tasks.sort();
        assert_eq!(
            audited(&plant, "resend").await,
            tasks,
            "a row for each act, and no other"
        );
        let closed = items(
            &client
                .get(&format!("/api/v1/stalls?state=closed&queue={queue}"))
                .await
                .done(),
        );
        assert_eq!(closed.len(), 6);
        assert!(
            closed.iter().all(|stall| stall["closed_reason"] == "resent"),
            "{closed:?}"
        );
        let shown = client.get(&format!("/api/v1/queues/{queue}")).await.done();
        assert_eq!(shown["policies"][0]["done_this_hour"], 6, "{shown}");

        let large = plant.queue("policy-large");
        let lost = published(&plant, client, &large, 12).await;
        // Looks may find the loss part by part: whichever is first is too large.
        set(client, &large, json!({"breaker_percent": 1, "breaker_tasks": 0})).await;
        outside.purge(&large).await;
        let stopped = eventually(PATIENCE, "the policy stops", async || {
            let shown = client.get(&format!("/api/v1/queues/{large}")).await.done();
            let tripped = shown["policies"][0]["tripped"].clone();
            tripped.is_object().then_some(tripped)
        })
        .await;
        let would = stopped["would"].as_i64().expect("a number");
        assert!((1..=12).contains(&would), "{stopped}");
        assert_eq!(stopped["open"], json!(12), "{stopped}");
        assert_eq!(audited(&plant, "resend").await, tasks, "nothing more was put out");
        assert_eq!(audited(&plant, "policy_trip").await, std::slice::from_ref(&large));
        assert_eq!(outside.look(&large).await.map(|(ready, _)| ready), Some(0));

        // A person looks, requeues the tasks and lets the policy go on.
        for task in &lost {
            client
                .act(task, "requeue", json!({"reason": "it was purged"}))
                .await
                .done();
        }
        let path = format!("/api/v1/queues/{large}/policies/message_lost/reset");
        let reset: Value = client.post(&path, json!({"reason": "looked at"})).await.done();
        assert_eq!(reset["tripped"], Value::Null);
        client.post(&path, json!({"reason": "again"})).await.refused(409);
        let other = plant.worker(&large, 4);
        for task in &lost {
            client.until(task, "succeeded").await;
        }
        assert!(worker.terminate().await.success());
        assert!(other.terminate().await.success());
        tasks.extend(lost);
        check(&plant, &tasks).await;
        plant.close().await;
    }
}
