//! Creating and starting tasks over HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    databases::Database,
    server::{Server, TOKEN},
};

/// `connections` clients, one request each at a time, `count` requests in all; every answer must be 201.
pub async fn create_and_start(database: &Database, connections: usize, count: usize) -> Duration {
    let server = Server::start(database).await;
    let queue = format!("bench.{}", uuid::Uuid::new_v4().simple());
    let body = serde_json::json!({ "kind": "bench", "queue": queue, "payload": { "n": 1 }, "start": true })
        .to_string();
    // The first request declares the queue.
    post(&reqwest::Client::new(), &server.base, &body).await;
    let left = Arc::new(AtomicUsize::new(count));
    let started = Instant::now();
    let clients = (0..connections).map(|_| {
        let (left, base, body) = (left.clone(), server.base.clone(), body.clone());
        tokio::spawn(async move {
            let client = reqwest::Client::new();
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                post(&client, &base, &body).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("every request was answered with 201");
    }
    started.elapsed()
}

async fn post(client: &reqwest::Client, base: &str, body: &str) {
    let request = client
        .post(format!("{base}/api/v1/tasks"))
        .bearer_auth(TOKEN)
        .header("content-type", "application/json")
        .body(body.to_owned());
    let answer = request.send().await.expect("an answer");
    assert_eq!(
        answer.status(),
        201,
        "{}",
        answer.text().await.unwrap_or_default()
    );
    answer.bytes().await.expect("a body");
}
