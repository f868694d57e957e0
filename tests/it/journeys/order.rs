//! When a task runs: its time and its priority.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::{
    client::{PATIENCE, text},
    plant::{Engine, Plant},
    truth::check,
    wait::eventually,
};

#[tokio::test]
async fn a_scheduled_task_runs_when_it_is_due_and_not_before() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("due");
    let _worker = plant.worker(&queue, 2);

    let due = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(4)).expect("a time");
    let later = client
        .start(json!({"kind": "one", "queue": queue, "available_at": due.to_string()}))
        .await;
    let now = client.start(json!({"kind": "one", "queue": queue})).await;
    client.until(&now, "succeeded").await;
    let waiting = client.task(&later).await;
    if jiff::Timestamp::now() < due {
        assert_eq!(
            (&waiting["state"], &waiting["published_at"]),
            (&json!("queued"), &json!(null)),
            "{waiting}"
        );
    }
    let done = client.until(&later, "succeeded").await;
    let began: jiff::Timestamp = text(&done["started_at"]).parse().expect("a time");
    assert!(began >= due, "it was due at {due} and began at {began}");
    check(&plant, &[later, now]).await;
    plant.close().await;
}

#[tokio::test]
async fn of_what_waits_the_higher_priority_runs_first_on_a_classic_queue() {
    let plant = Plant::new(Engine::Sqlite).await.set("QUEUE_TYPE", "classic");
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("first");
    let mut ids = Vec::new();
    for priority in [0, 5, 9, 0, 9, 5] {
        ids.push(
            client
                .start(json!({"kind": "one", "queue": queue, "priority": priority}))
                .await,
        );
    }
    eventually(PATIENCE, "all of them wait", async || {
        let mut confirmed = 0;
        for id in &ids {
            confirmed += usize::from(client.task(id).await["published_at"].is_string());
        }
        (confirmed == ids.len()).then_some(())
    })
    .await;
    let _worker = plant.worker(&queue, 1);
    check(&plant, &ids).await;
    let expected: Vec<String> = [2, 4, 1, 5, 0, 3]
        .iter()
        .map(|at: &usize| ids[*at].clone())
        .collect();
    assert_eq!(plant.journal().order(), expected, "by priority, then by age");
    plant.close().await;
}
