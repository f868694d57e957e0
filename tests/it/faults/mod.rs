//! Processes, brokers, databases and networks that fail under load, and what holds all the same: no started task is
//! lost, none runs twice at once, every one ends (`support::truth::check`).

mod broker;
mod database;
mod found;
mod link;
mod log;
mod messages;
mod queue;
mod replicas;
mod selection;
mod server;
mod soak;
mod start;
mod storage;
mod sweep;
mod uploads;
mod worker;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    client::{Client, PATIENCE, items, text},
    load::Load,
    plant::{Engine, Plant},
    truth::{Truth, check, open_tasks},
    wait::eventually,
};

/// Each database and each queue type, once.
const PAIRS: [(Engine, &str); 2] = [(Engine::Sqlite, "quorum"), (Engine::Postgres, "classic")];

/// Several programs start tasks of `queue`, each every 100 ms; a task takes a moment, some need a second try.
fn load(clients: Vec<Client>, queue: &str) -> Load {
    let queue = queue.to_owned();
    Load::start(clients, Duration::from_millis(100), move |n| {
        let payload = match n % 10 {
            0 => "steps=5",
            5 => "good=2",
            _ => "steps=1",
        };
        json!({"kind": "load", "queue": queue, "payload": payload, "max_attempts": 10})
    })
}

/// Waits until all of them ended, checks every rule, and that all of them succeeded.
async fn all_succeed(plant: &Plant, ids: &[String]) {
    check(plant, ids).await;
    let truth = Truth::read(plant).await;
    for id in ids {
        assert_eq!(truth.tasks[id].state, "succeeded", "{:?}", truth.tasks[id]);
    }
}

/// Plays the person who does what the remedies say, until every task ended: requeues what is lost, and deletes a queue
/// that confirms nothing any more. Gives how many were requeued.
async fn requeue_what_is_lost(plant: &Plant, client: &Client, queue: &str) -> usize {
    let (mut requeued, mut deleted) = (0, false);
    eventually(
        PATIENCE * 2,
        "what was lost is shown, and ends once the remedies were followed",
        async || {
            for stall in stalls(client, queue, "message_lost").await {
                let reply = client
                    .act(
                        &text(&stall["task_id"]),
                        "requeue",
                        json!({"reason": "its message was lost"}),
                    )
                    .await;
                // A second look at the same stall may come before the detector's next one.
                if reply.status == 202 {
                    requeued += 1;
                } else {
                    reply.refused(409);
                }
            }
            let unpublished = stalls(client, queue, "unpublished").await;
            let unconfirmed = |stall: &Value| stall["evidence"]["variant"] == "unconfirmed";
            if !deleted && unpublished.iter().any(unconfirmed) {
                deleted = true;
                plant.outside().await.delete_only(queue).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            (open_tasks(plant).await == 0).then_some(())
        },
    )
    .await;
    requeued
}

/// The queue's open stalls with this verdict.
async fn stalls(client: &Client, queue: &str, verdict: &str) -> Vec<Value> {
    let path = format!("/api/v1/stalls?limit=200&verdict={verdict}&queue={queue}");
    items(&client.get(&path).await.done())
}

/// Waits until the task has an open stall with this verdict.
async fn until_stalled(client: &Client, task: &str, verdict: &str, deadline: Duration) -> Value {
    eventually(deadline, &format!("{verdict} is shown"), async || {
        let stalls = client.task(task).await["stalls"].as_array()?.clone();
        stalls.into_iter().find(|stall| stall["verdict"] == verdict)
    })
    .await
}

/// The task's newest dispatch is confirmed by the broker.
async fn until_published(client: &Client, task: &str) -> Value {
    let what = format!("task {task} is published");
    client
        .until_task(task, &what, |task| task["published_at"].is_string())
        .await
}
