//! A PostgreSQL server that is restarted or killed under load.

use std::time::Duration;

use serde_json::json;

use super::{all_succeed, load};
use crate::support::{
    client::PATIENCE,
    cluster::Cluster,
    load::promised_at_last,
    plant::{Engine, Plant},
    wait::eventually,
};

#[tokio::test]
async fn a_database_that_is_restarted_and_killed_under_load_loses_no_started_task() {
    let cluster = Cluster::start().await;
    let plant = Plant::new(Engine::Sqlite)
        .await
        .on_database(&cluster.database_url().await);
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("database");
    let mut worker = plant.worker(&queue, 4);
    let long = client
        .start(json!({"kind": "one", "queue": queue, "payload": "hold=go"}))
        .await;
    plant.until_noted("STEP", &long, 1).await;

    let load = load((0..3).map(|_| client.clone()).collect(), &queue);
    load.until_more(30).await;
    cluster.run("restart").await;
    load.until_more(30).await;
    cluster.run("kill9").await;
    eventually(PATIENCE, "it says that the database is away", async || {
        let ready = client.get("/readyz").await;
        (ready.status == 503 && ready.body["links"]["database"] == "down").then_some(())
    })
    .await;
    assert_eq!(client.get("/healthz").await.status, 200, "it lives on");
    let asked = std::time::Instant::now();
    client
        .post("/api/v1/tasks", json!({"kind": "one", "queue": queue}))
        .await
        .refused(503);
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "an outage is answered, not waited out"
    );
    cluster.run("start").await;
    load.until_more(30).await;
    plant.open("go");

    let mut ids = promised_at_last(client, load.stop().await).await;
    ids.push(long);
    all_succeed(&plant, &ids).await;
    assert!(worker.is_running());
    assert!(worker.terminate().await.success());
    assert!(serve.process.terminate().await.success());
    plant.close().await;
}
