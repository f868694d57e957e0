//! The main job: a task whose message somebody purged is found, requeued and finished, with curl's means.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    client::{PATIENCE, items, text},
    plant::{BOTH, Plant},
    truth::check,
    wait::eventually,
};

#[tokio::test]
async fn a_purged_message_is_found_within_20_s_at_default_settings_and_the_task_is_requeued_and_finished() {
    for (engine, queue_type) in BOTH.into_iter().zip(["quorum", "classic"]) {
        let plant = Plant::at_defaults(engine).await.set("QUEUE_TYPE", queue_type);
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("purged");
        let task = client.start(json!({"kind": "print", "queue": queue})).await;
        client
            .until_task(&task, "it is published", |task| task["published_at"].is_string())
            .await;
        let outside = plant.outside().await;
        outside.until_ready(&queue, 1).await;

        outside.purge(&queue).await;
        let purged = Instant::now();
        let stall = eventually(Duration::from_secs(20), "the loss is shown", async || {
            let stalls = items(&client.get(&format!("/api/v1/stalls?queue={queue}")).await.done());
            stalls
                .into_iter()
                .find(|stall| stall["verdict"] == "message_lost")
        })
        .await;
        eprintln!("found {:?} after the purge", purged.elapsed());
        assert_eq!(stall["task_id"], json!(task), "{stall}");
        assert_eq!(stall["confidence"], "proven", "{stall}");
        assert!(
            !text(&stall["sentence"]).is_empty() && !text(&stall["remedy"]).is_empty(),
            "{stall}"
        );
        assert!(stall["evidence"].is_object(), "{stall}");
        assert_eq!(client.task(&task).await["stalls"][0]["verdict"], "message_lost");

        let requeued = client
            .act(&task, "requeue", json!({"reason": "it was purged"}))
            .await
            .done();
        assert_eq!(
            (&requeued["state"], &requeued["dispatch"]),
            (&json!("queued"), &json!(2)),
            "{requeued}"
        );
        let closed = eventually(PATIENCE, "the finding is closed", async || {
            let closed = items(
                &client
                    .get(&format!("/api/v1/stalls?state=closed&queue={queue}"))
                    .await
                    .done(),
            );
            closed
                .into_iter()
                .find(|stall| stall["verdict"] == "message_lost")
        })
        .await;
        assert_eq!(closed["closed_reason"], "requeued", "{closed}");
        let worker = plant.worker(&queue, 1);
        client.until(&task, "succeeded").await;
        eventually(PATIENCE, "nothing is open any more", async || {
            let open = items(&client.get(&format!("/api/v1/stalls?queue={queue}")).await.done());
            let incidents = items(&client.get("/api/v1/incidents").await.done());
            let about = |incident: &serde_json::Value| incident["name"] == json!(queue);
            (open.is_empty() && !incidents.iter().any(about)).then_some(())
        })
        .await;
        assert!(worker.terminate().await.success());
        check(&plant, &[task]).await;
        plant.close().await;
    }
}
