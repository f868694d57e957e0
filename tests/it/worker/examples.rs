//! The example workers in other languages, as they are shipped, against a real `unstuck serve`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use unstuck::domain::{
    task::{AttemptOutcome, State},
    transition::Event,
};
use uuid::Uuid;

use super::{
    process::Process,
    workshop::{LEASE, PATIENCE, Workshop},
};
use crate::support::{broker, wait::eventually};

const TOKEN: &str = "a-token-for-the-example-workers";

fn example(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "examples", path].iter().collect()
}

/// `unstuck serve` on the workshop's database; gives its address.
async fn serve(shop: &Workshop) -> (Process, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let mut command = Command::new(env!("CARGO_BIN_EXE_unstuck"));
    command
        .arg("serve")
        .env("UNSTUCK_DATABASE_URL", &shop.database_url)
        .env("UNSTUCK_AMQP_URL", broker::amqp_url())
        .env("UNSTUCK_MANAGEMENT_URL", broker::management_url())
        .env("UNSTUCK_DATA_DIR", shop.folder())
        .env("UNSTUCK_LISTEN", &address)
        .env("UNSTUCK_API_TOKEN", TOKEN)
        .env("UNSTUCK_LEASE_S", LEASE.as_secs().to_string())
        .env("UNSTUCK_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let process = Process::start(&mut command);
    eventually(PATIENCE, "the site listens", async || {
        TcpStream::connect(&address).await.ok()
    })
    .await;
    (process, address)
}

fn worker(shop: &Workshop, address: &str, program: &str, script: &str) -> Process {
    let mut command = Command::new(program);
    command
        .arg(example(script))
        .env("UNSTUCK_URL", format!("http://{address}"))
        .env("UNSTUCK_TOKEN", TOKEN)
        .env("AMQP_URL", broker::amqp_url())
        .env("QUEUE", &shop.queue)
        .stdin(Stdio::null());
    Process::start(&mut command)
}

async fn works_as_documented(program: &str, script: &str) {
    let shop = Workshop::sqlite().await;
    let (serving, address) = serve(&shop).await;
    let mut working = worker(&shop, &address, program, script);

    let quick = shop.task("nap", json!({"seconds": 0.2})).await;
    let view = shop.until(quick, State::Succeeded).await;
    assert_eq!(view.result, Some(json!({"slept_s": 0.2})));

    let broken = shop
        .task("nap", json!({"seconds": 0, "fail": "out of paper"}))
        .await;
    eventually(PATIENCE, "the failure is reported", async || {
        let task = shop.view(broken).await.task;
        task.error.filter(|error| error.contains("out of paper"))
    })
    .await;
    assert_eq!(
        shop.attempts(broken).await[0].outcome,
        Some(AttemptOutcome::Failed)
    );
    shop.act(broken, Event::Cancel).await.expect("no more of it");

    let unknown = Uuid::now_v7();
    shop.message(unknown, "nap", 1).await;
    let (body, reason) = shop.dead_letter().await;
    assert_eq!(body, unknown.to_string().into_bytes());
    assert!(!reason.is_empty());

    let cancelled = shop.task("nap", json!({"seconds": 600})).await;
    shop.until(cancelled, State::Running).await;
    shop.act(cancelled, Event::Cancel).await.expect("asked");
    shop.until(cancelled, State::Cancelled).await;
    assert_eq!(
        shop.attempts(cancelled).await[0].outcome,
        Some(AttemptOutcome::Cancelled)
    );

    // Longer than the lease: it is renewed, or somebody would take it over. It ends although the worker is told to.
    let long = shop.task("nap", json!({"seconds": LEASE.as_secs() + 2})).await;
    shop.until(long, State::Running).await;
    working.signal(Signal::SIGTERM);
    assert!(working.ended().await.success());
    assert_eq!(shop.view(long).await.task.state, State::Succeeded);
    assert_eq!(shop.attempts(long).await.len(), 1);

    drop(serving);
    shop.outside.until_ready(&shop.queue, 0).await;
    shop.close().await;
}

#[tokio::test]
async fn the_worker_in_node_js_works_as_documented() {
    works_as_documented("node", "node/worker.mjs").await;
}

#[tokio::test]
async fn the_worker_in_python_works_as_documented() {
    let python = std::env::var("UNSTUCK_TEST_PYTHON");
    let python = python.expect("UNSTUCK_TEST_PYTHON is not set: `make test` finds a Python with pika");
    works_as_documented(&python, "python/worker.py").await;
}

/// Frozen past its lease, it finds on waking that the task went on without it.
#[tokio::test]
async fn an_http_worker_that_wakes_up_too_late_changes_nothing() {
    let shop = Workshop::sqlite().await;
    let (serving, address) = serve(&shop).await;
    let mut frozen = worker(&shop, &address, "node", "node/worker.mjs");
    let id = shop.task("nap", json!({"seconds": 3})).await;
    shop.until(id, State::Running).await;
    frozen.signal(Signal::SIGSTOP);
    let other = worker(&shop, &address, "node", "node/worker.mjs");
    let view = shop.until(id, State::Succeeded).await;
    assert_eq!(view.task.attempt, 2);
    frozen.signal(Signal::SIGCONT);
    // It is well again and takes the next task; the other one is gone by then.
    drop(other);
    let next = shop.task("nap", json!({"seconds": 0.1})).await;
    shop.until(next, State::Succeeded).await;
    let outcomes: Vec<_> = shop
        .attempts(id)
        .await
        .into_iter()
        .map(|attempt| attempt.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [Some(AttemptOutcome::Lost), Some(AttemptOutcome::Succeeded)]
    );
    frozen.signal(Signal::SIGTERM);
    assert!(frozen.ended().await.success());
    drop(serving);
    shop.outside.until_ready(&shop.queue, 0).await;
    shop.close().await;
}
