//! What is lost, dead or forgotten is shown, and finishes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{all_succeed, broker::plant_on, requeue_what_is_lost, until_published, until_stalled};
use crate::support::{
    client::{Client, PATIENCE, text},
    node::Node,
    plant::{Engine, Plant},
    truth::findings,
    wait::eventually,
};

#[tokio::test]
async fn a_dead_worker_is_shown_within_its_lease_and_15_s_and_its_task_comes_back_by_itself() {
    let plant = Plant::at_defaults(Engine::Sqlite).await.set("LEASE_S", 5);
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("dead");
    let worker = plant.worker(&queue, 1);
    let task = client
        .start(json!({"kind": "one", "queue": queue, "payload": "hold=go"}))
        .await;
    plant.until_noted("BEGIN", &task, 1).await;
    let name = text(&client.task(&task).await["worker"]);
    // Long enough for the detector to have seen its consumer.
    eventually(PATIENCE, "the worker is listed", async || {
        let row = client.get(&format!("/api/v1/queues/{queue}")).await.done();
        (row["consumers"] == 1).then_some(())
    })
    .await;

    worker.kill9();
    let killed = Instant::now();
    let stall = until_stalled(client, &task, "worker_lost", Duration::from_secs(5 + 15)).await;
    eprintln!("shown {:?} after the kill", killed.elapsed());
    assert!(
        text(&stall["sentence"]).contains(&name),
        "it names the worker: {stall}"
    );
    plant.open("go");
    let _next = plant.worker(&queue, 1);
    client.until(&task, "succeeded").await;
    client
        .until_task(&task, "the finding is closed", |task| task["stalls"] == json!([]))
        .await;
    all_succeed(&plant, &[task]).await;
    plant.close().await;
}

#[tokio::test]
async fn one_detector_is_elected_and_another_takes_over_when_it_is_killed() {
    let plant = Plant::new(Engine::Postgres).await;
    let (one, two) = (plant.serve().await, plant.serve_beside().await);
    let queue = plant.queue("elected");
    let outside = plant.outside().await;
    let lose = async |client: &Client| {
        let task = client.start(json!({"kind": "one", "queue": queue})).await;
        until_published(client, &task).await;
        outside.until_ready(&queue, 1).await;
        outside.purge(&queue).await;
        task
    };

    let first = lose(&one.client).await;
    until_stalled(&two.client, &first, "message_lost", Duration::from_secs(30)).await;
    two.client
        .act(&first, "cancel", json!({"reason": "not needed"}))
        .await
        .done();
    // Whichever of them was elected: one after the other dies, and both times somebody goes on looking.
    one.process.kill9();
    let second = lose(&two.client).await;
    until_stalled(&two.client, &second, "message_lost", Duration::from_secs(60)).await;
    two.client
        .act(&second, "cancel", json!({"reason": "not needed"}))
        .await
        .done();
    let three = plant.serve_beside().await;
    two.process.kill9();
    let third = lose(&three.client).await;
    until_stalled(&three.client, &third, "message_lost", Duration::from_secs(60)).await;
    three
        .client
        .act(&third, "cancel", json!({"reason": "not needed"}))
        .await
        .done();

    let lost: Vec<String> = findings(&plant)
        .await
        .into_iter()
        .filter(|finding| finding.verdict == "message_lost")
        .map(|finding| finding.about)
        .collect();
    assert_eq!(lost, [first, second, third], "each loss is found once");
    plant.close().await;
}

#[tokio::test]
async fn what_a_broker_forgot_although_it_confirmed_it_is_shown_as_lost_and_finishes_once_requeued() {
    let node = Node::start(&[("RMQ_FAST", "1")]).await;
    let (plant, serve) = plant_on(&node, Engine::Sqlite, "quorum").await;
    let client = &serve.client;
    let queue = plant.queue("forgotten");
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(client.start(json!({"kind": "one", "queue": queue})).await);
    }
    for id in &ids {
        until_published(client, id).await;
    }
    // RabbitMQ 3.10 writes down that a quorum queue exists up to 5 s after its declaration. Killed after about a second,
    // it comes back with the queue and without its messages; killed at once, with a queue that never confirms again;
    // later, with everything. All of it has to end well, and the first is worth the most.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    node.run(&["kill9"]).await;
    node.run(&["start"]).await;
    let _worker = plant.worker(&queue, 4);
    let requeued = requeue_what_is_lost(&plant, client, &queue).await;
    eprintln!("the broker forgot {requeued} of 10");
    all_succeed(&plant, &ids).await;
}
