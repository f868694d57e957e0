//! A disk that is full or fails, and a file that is moved away, under a server with SQLite.

use std::process::Command;

use reqwest::Method;
use serde_json::json;

use super::{all_succeed, load};
use crate::support::{
    client::{Client, PATIENCE, id},
    load::promised_at_last,
    plant::{Engine, Plant, Serve},
    wait::eventually,
};

/// Lets the process write no file beyond so many bytes, or any.
fn limit_files(serve: &Serve, bytes: &str) {
    let pid = serve.process.pid().to_string();
    let set = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")])
        .status();
    assert!(set.expect("prlimit runs").success());
}

/// Starts a task; its id, or the status of the refusal.
async fn start(client: &Client, queue: &str) -> Result<String, u16> {
    let task = json!({"kind": "one", "queue": queue, "start": true});
    let key = uuid::Uuid::new_v4().to_string();
    let reply = client
        .call(Method::POST, "/api/v1/tasks", Some(&key), Some(&task))
        .await;
    let reply = reply.expect("every call is answered");
    if reply.status == 201 {
        Ok(id(&reply.body))
    } else {
        Err(reply.status)
    }
}

#[tokio::test]
async fn a_full_disk_refuses_starts_with_503_and_the_server_goes_on_once_there_is_room() {
    let plant = Plant::new(Engine::Sqlite).await;
    // Where a limit stands for a full disk, its signal must not end the process: a full disk sends none.
    let serve = plant
        .serve_under(&["/bin/sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .await;
    let client = &serve.client;
    let queue = plant.queue("full");
    let mut promised = vec![start(client, &queue).await.expect("there is room")];
    // The database's log is longer already, or will be soon.
    limit_files(&serve, "131072");
    let refused = eventually(PATIENCE * 2, "a start is refused", async || {
        match start(client, &queue).await {
            Ok(id) => {
                promised.push(id);
                None
            }
            Err(status) => Some(status),
        }
    })
    .await;
    assert_eq!(refused, 503);
    for _ in 0..5 {
        match start(client, &queue).await {
            Ok(id) => promised.push(id),
            Err(status) => assert_eq!(status, 503),
        }
    }
    assert_eq!(client.get("/healthz").await.status, 200, "it lives on");
    assert_eq!(
        client.task(&promised[0]).await["kind"],
        "one",
        "what is there is shown"
    );

    limit_files(&serve, "unlimited");
    promised.push(
        eventually(PATIENCE, "a start is promised again", async || {
            start(client, &queue).await.ok()
        })
        .await,
    );
    let _worker = plant.worker(&queue, 4);
    all_succeed(&plant, &promised).await;
    assert!(serve.process.terminate().await.success());
    plant.close().await;
}

#[tokio::test]
async fn a_disk_that_fails_to_flush_costs_no_promised_start() {
    let plant = Plant::new(Engine::Sqlite).await;
    // Every so often, for each thread: what was promised before must not be among what is lost.
    let failing = "inject=fsync,fdatasync:error=EIO:when=60+9";
    let serve = plant
        .serve_under(&[
            "strace",
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            failing,
        ])
        .await;
    let queue = plant.queue("flush");
    let load = load((0..3).map(|_| serve.client.clone()).collect(), &queue);
    load.until_more(40).await;
    load.until_one_is_not_promised().await; // a flush failed
    serve.process.kill9();
    let serve = plant.serve().await;
    load.until_more(10).await;
    let sent = load.stop().await;
    let unknown = sent.iter().filter(|sent| sent.id.is_none()).count();
    assert!(unknown > 0, "some flushes failed");
    let ids = promised_at_last(&serve.client, sent).await;
    let _worker = plant.worker(&queue, 4);
    all_succeed(&plant, &ids).await;
    plant.close().await;
}

#[tokio::test]
async fn a_database_file_that_is_moved_away_is_not_made_anew_and_taken_again_once_it_is_back() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let queue = plant.queue("moved");
    let mut promised = vec![start(&serve.client, &queue).await.expect("promised")];
    let (place, away) = (plant.folder().join("unstuck.db"), plant.folder().join("moved.db"));
    std::fs::rename(&place, &away).expect("moved away");
    for _ in 0..20 {
        match start(&serve.client, &queue).await {
            Ok(id) => promised.push(id),
            Err(status) => assert_eq!(status, 503),
        }
    }
    assert!(!place.exists(), "no empty database in its place");
    assert_eq!(serve.client.get("/healthz").await.status, 200, "it lives on");

    std::fs::rename(&away, &place).expect("moved back");
    promised.push(
        eventually(PATIENCE, "a start is promised again", async || {
            start(&serve.client, &queue).await.ok()
        })
        .await,
    );
    let _worker = plant.worker(&queue, 4);
    all_succeed(&plant, &promised).await;
    plant.close().await;
}
