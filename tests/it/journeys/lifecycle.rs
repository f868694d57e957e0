//! From its creation to its end.

use serde_json::{Value, json};

use super::KINDS;
use crate::support::{
    client::{id, items, text},
    plant::{Engine, Plant},
    truth::check,
};

#[tokio::test]
async fn a_task_is_created_started_run_and_succeeds() {
    for (engine, queue_type) in KINDS {
        let plant = Plant::new(engine).await.set("QUEUE_TYPE", queue_type);
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("life");

        let task = json!({"kind": "print", "queue": queue, "payload": "hold=go", "title": "one"});
        let created = client.post("/api/v1/tasks", task).await.done();
        assert_eq!(
            (&created["state"], &created["dispatch"]),
            (&json!("new"), &json!(0)),
            "{created}"
        );
        let task = id(&created);
        let started = client.act(&task, "start", json!({})).await.done();
        assert_eq!(
            (&started["state"], &started["dispatch"]),
            (&json!("queued"), &json!(1)),
            "{started}"
        );
        client.act(&task, "start", json!({})).await.refused(409);

        let worker = plant.worker(&queue, 1);
        let running = client.until(&task, "running").await;
        assert!(
            running["published_at"].is_string(),
            "the broker confirmed it: {running}"
        );
        assert!(running["lease_expires_at"].is_string(), "{running}");
        plant.open("go");
        let done = client.until(&task, "succeeded").await;
        assert_eq!(done["result"], json!({"attempt": 1}), "{done}");
        assert_eq!(done["stalls"], json!([]), "{done}");
        assert_eq!(client.outcomes(&task).await, ["succeeded"]);
        assert_eq!(
            client.events(&task).await,
            ["created", "started", "claimed", "succeeded"]
        );

        assert!(
            worker.terminate().await.success(),
            "a worker that is told to end ends well"
        );
        assert!(serve.process.terminate().await.success(), "so does serve");
        check(&plant, &[task]).await;
        plant.close().await;
    }
}

#[tokio::test]
async fn a_failing_task_is_tried_again_until_it_is_good_or_has_no_attempts_left() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("fail");
    let _worker = plant.worker(&queue, 4);
    let task = |payload: &str| json!({"kind": "try", "queue": queue, "payload": payload, "max_attempts": 2});

    let later = client.start(task("good=2")).await;
    let never = client.start(task("good=9")).await;
    let wrong = client.start(task("exit=3")).await;

    let wrong_ended = client.until(&wrong, "failed").await;
    assert_eq!(
        client.outcomes(&wrong).await,
        ["failed"],
        "only exit status 75 is worth another try"
    );
    assert!(text(&wrong_ended["error"]).contains('3'), "{wrong_ended}");
    client.until(&later, "succeeded").await;
    assert_eq!(client.outcomes(&later).await, ["failed", "succeeded"]);
    let never_ended = client.until(&never, "failed").await;
    assert_eq!(client.outcomes(&never).await, ["failed", "failed"]);
    assert!(
        text(&never_ended["error"]).contains("not yet good"),
        "the program's last words: {never_ended}"
    );
    let log = client.attempts(&never).await[1]["log"].clone();
    assert_eq!(log, "not yet good\n");
    check(&plant, &[later, never, wrong]).await;
    plant.close().await;
}

#[tokio::test]
async fn a_failed_task_is_retried_and_a_succeeded_one_rerun_only_when_a_person_says_so() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("again");
    let _worker = plant.worker(&queue, 1);

    let task = client
        .start(json!({"kind": "try", "queue": queue, "payload": "exit=1"}))
        .await;
    client.until(&task, "failed").await;
    client.act(&task, "rerun", json!({})).await.refused(409);
    client.act(&task, "requeue", json!({})).await.refused(409);
    let retried = client
        .act(&task, "retry", json!({"reason": "mended", "payload": "steps=1"}))
        .await
        .done();
    assert_eq!(
        (&retried["state"], &retried["dispatch"]),
        (&json!("queued"), &json!(2)),
        "{retried}"
    );
    client.until(&task, "succeeded").await;

    client.act(&task, "retry", json!({})).await.refused(409);
    client
        .act(&task, "rerun", json!({"reason": "once more"}))
        .await
        .done();
    client
        .until_task(&task, "it ran a third time", |task| {
            task["state"] == "succeeded" && task["attempt"] == 3
        })
        .await;
    assert_eq!(client.outcomes(&task).await, ["failed", "succeeded", "succeeded"]);
    check(&plant, &[task]).await;
    plant.close().await;
}

#[tokio::test]
async fn a_batch_is_recorded_as_a_whole_or_not_at_all() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let plant = Plant::new(engine).await;
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("batch");
        let _worker = plant.worker(&queue, 8);

        let task = json!({"kind": "one", "queue": queue, "start": true});
        let mut tasks = vec![task.clone(); 200];
        let made = client
            .post("/api/v1/tasks/batch", json!({"tasks": tasks}))
            .await
            .done();
        let ids: Vec<String> = items(&made).iter().map(id).collect();
        assert_eq!(ids.len(), 200);

        tasks[137]["priority"] = json!(77);
        let refused = client
            .post("/api/v1/tasks/batch", json!({"tasks": tasks}))
            .await
            .refused(422);
        assert!(
            refused["errors"][0]["field"]
                .as_str()
                .is_some_and(|field| field.contains("137")),
            "{refused}"
        );

        check(&plant, &ids).await;
        let truth = crate::support::truth::Truth::read(&plant).await;
        assert_eq!(truth.tasks.len(), 200, "nothing of the refused batch is there");
        assert!(truth.tasks.values().all(|task| task.state == "succeeded"));
        plant.close().await;
    }
}

#[tokio::test]
async fn an_idempotency_key_makes_one_task_however_often_it_is_used() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let plant = Plant::new(engine).await;
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("once");
        let _worker = plant.worker(&queue, 1);
        let post = async |key: &str, task: &Value| {
            client
                .call(reqwest::Method::POST, "/api/v1/tasks", Some(key), Some(task))
                .await
                .expect("an answer")
        };

        let task = json!({"kind": "one", "queue": queue, "payload": "steps=1", "start": true});
        let twenty = futures_util::future::join_all((0..20).map(|_| post("key-1", &task))).await;
        let first = id(&twenty[0].clone().done());
        assert_eq!(
            twenty.iter().filter(|reply| !reply.replayed).count(),
            1,
            "one of them made it"
        );
        for reply in twenty {
            assert_eq!(id(&reply.done()), first);
        }
        client.until(&first, "succeeded").await;
        let again = post("key-1", &task).await;
        assert!(again.replayed);
        assert_eq!(again.done()["state"], "succeeded", "the task as it is now");

        let mut other = task.clone();
        other["payload"] = json!("steps=2");
        post("key-1", &other).await.refused(409);
        assert_ne!(id(&post("key-2", &other).await.done()), first);
        check(&plant, &[first]).await;
        plant.close().await;
    }
}
