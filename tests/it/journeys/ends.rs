//! Ends that somebody asks for.

use serde_json::json;

use crate::support::{
    plant::{BOTH, Engine, Plant},
    truth::check,
};

#[tokio::test]
async fn a_running_task_that_is_cancelled_has_its_program_told_to_end() {
    for engine in BOTH {
        let plant = Plant::new(engine).await;
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("cancel");
        let _worker = plant.worker(&queue, 1);

        let task = client
            .start(json!({"kind": "long", "queue": queue, "payload": "hold=never"}))
            .await;
        plant.until_noted("BEGIN", &task, 1).await;
        let asked = client
            .act(&task, "cancel", json!({"reason": "not needed"}))
            .await
            .done();
        assert_eq!(asked["state"], "running", "its worker has to obey first: {asked}");
        assert!(asked["cancel_requested_at"].is_string(), "{asked}");
        client.act(&task, "cancel", json!({})).await.done();
        client.until(&task, "cancelled").await;
        assert_eq!(client.outcomes(&task).await, ["cancelled"]);
        assert!(
            plant.journal().noted("TERM", &task, 1),
            "the program was asked before it was killed"
        );
        assert_eq!(plant.programs(), Vec::<i32>::new());
        client.act(&task, "cancel", json!({})).await.refused(409);
        check(&plant, &[task]).await;
        plant.close().await;
    }
}

#[tokio::test]
async fn a_program_that_ignores_its_end_is_killed() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("deaf");
    let _worker = plant.worker(&queue, 1);
    let task = client
        .start(json!({"kind": "long", "queue": queue, "payload": "hold=never deaf=1"}))
        .await;
    plant.until_noted("BEGIN", &task, 1).await;
    client.act(&task, "cancel", json!({})).await.done();
    client.until(&task, "cancelled").await;
    assert_eq!(plant.programs(), Vec::<i32>::new());
    check(&plant, &[task]).await;
    plant.close().await;
}

#[tokio::test]
async fn a_task_that_waits_is_cancelled_at_once_and_its_message_does_nothing() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("waits");
    let created = client
        .post("/api/v1/tasks", json!({"kind": "one", "queue": queue}))
        .await
        .done();
    let fresh = crate::support::client::id(&created);
    assert_eq!(
        client.act(&fresh, "cancel", json!({})).await.done()["state"],
        "cancelled"
    );
    let queued = client.start(json!({"kind": "one", "queue": queue})).await;
    assert_eq!(
        client.act(&queued, "cancel", json!({})).await.done()["state"],
        "cancelled"
    );
    let last = client.start(json!({"kind": "one", "queue": queue})).await;
    let _worker = plant.worker(&queue, 1);
    client.until(&last, "succeeded").await;
    assert_eq!(
        plant.journal().order(),
        std::slice::from_ref(&last),
        "only the one that was not cancelled ran"
    );
    check(&plant, &[fresh, queued, last]).await;
    plant.close().await;
}

#[tokio::test]
async fn a_worker_that_drains_finishes_what_it_can_and_hands_back_the_rest() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("drain");
    let worker = plant.worker_with(&queue, &["--concurrency", "2", "--drain-s", "2"]);
    let short = client
        .start(json!({"kind": "one", "queue": queue, "payload": "steps=20"}))
        .await;
    let long = client
        .start(json!({"kind": "one", "queue": queue, "payload": "hold=go"}))
        .await;
    plant.until_noted("STEP", &short, 1).await;
    plant.until_noted("STEP", &long, 1).await;
    assert!(worker.terminate().await.success());
    assert_eq!(client.task(&short).await["state"], "succeeded");
    assert_eq!(client.task(&long).await["state"], "queued", "handed back");
    assert_eq!(plant.programs(), Vec::<i32>::new());
    plant.open("go");
    let _next = plant.worker(&queue, 1);
    let done = client.until(&long, "succeeded").await;
    assert_eq!(client.outcomes(&long).await, ["released", "succeeded"]);
    assert_eq!(done["dispatch"], 2);
    check(&plant, &[short, long]).await;
    plant.close().await;
}
