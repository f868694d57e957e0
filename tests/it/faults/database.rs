//! A PostgreSQL server that is restarted or killed under load.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

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

#[tokio::test]
async fn reports_that_take_every_connection_cost_no_worker_its_lease() {
    let plant = Plant::new(Engine::Postgres).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("reports");
    let task = client.start(json!({"kind": "one", "queue": queue})).await;
    let claim = json!({"worker": "w", "claim_id": "c", "dispatch": 1});
    client.act(&task, "claim", claim).await.done();

    // Whoever reads findings waits for as long as a page may.
    let mut outside = PgConnection::connect(&plant.database_url)
        .await
        .expect("PostgreSQL answers");
    for statement in ["BEGIN", "LOCK TABLE incidents IN ACCESS EXCLUSIVE MODE"] {
        sqlx::query(statement).execute(&mut outside).await.expect("done");
    }
    let mut readers = JoinSet::new();
    for _ in 0..60 {
        let client = client.clone();
        readers.spawn(async move {
            let mut refused = 0;
            for _ in 0..3 {
                let read = client.call(Method::GET, "/api/v1/incidents", None, None).await;
                refused += usize::from(read.is_ok_and(|reply| reply.status == 503));
            }
            refused
        });
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(11) {
        let asked = Instant::now();
        client.act(&task, "attempts/1/heartbeat", json!({})).await.done();
        assert_eq!(client.get("/healthz").await.status, 200);
        // The lease.
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let refused: usize = readers.join_all().await.into_iter().sum();
    assert!(refused > 0, "there were more readers than connections");
    outside.close().await.expect("let go");

    client.get("/api/v1/incidents").await.done();
    let end = json!({"result": "done"});
    let ended = client.act(&task, "attempts/1/succeed", end).await.done();
    assert_eq!(
        (&ended["state"], &ended["attempt"]),
        (&json!("succeeded"), &json!(1))
    );
    plant.close().await;
}
