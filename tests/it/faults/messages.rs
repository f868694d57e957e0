//! Messages that nobody should have sent.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::json;
use uuid::Uuid;

use super::{PAIRS, all_succeed, until_published};
use crate::support::{
    client::PATIENCE,
    plant::{Engine, Plant},
    wait::eventually,
};

fn dispatch(number: i64) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("x-dispatch".into(), AMQPValue::LongLongInt(number));
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_headers(headers)
}

#[tokio::test]
async fn a_message_that_comes_51_times_runs_its_task_once() {
    for (engine, queue_type) in PAIRS {
        let plant = Plant::new(engine).await.set("QUEUE_TYPE", queue_type);
        let serve = plant.serve().await;
        let queue = plant.queue("copies");
        let task = serve
            .client
            .start(json!({"kind": "one", "queue": queue, "payload": "steps=20"}))
            .await;
        until_published(&serve.client, &task).await;
        let outside = plant.outside().await;
        for number in 0..50 {
            // Half of them as another program would send them: the id and nothing else.
            let properties = if number % 2 == 0 {
                dispatch(1)
            } else {
                BasicProperties::default()
            };
            outside.publish(&queue, properties, task.as_bytes()).await;
        }
        let (_one, _two) = (plant.worker(&queue, 4), plant.worker(&queue, 4));
        all_succeed(&plant, std::slice::from_ref(&task)).await;
        outside.until_ready(&queue, 0).await;
        assert_eq!(serve.client.outcomes(&task).await, ["succeeded"]);
        assert_eq!(plant.journal().begun(&task), [1]);
        assert_eq!(
            outside.take(&format!("{queue}.dead")).await,
            None,
            "copies are no dead letters"
        );
        plant.close().await;
    }
}

#[tokio::test]
async fn what_is_no_task_of_ours_goes_to_the_dead_letter_queue_and_the_worker_goes_on() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let queue = plant.queue("junk");
    let ended = serve.client.start(json!({"kind": "one", "queue": queue})).await;
    let worker = plant.worker(&queue, 2);
    serve.client.until(&ended, "succeeded").await;
    let outside = plant.outside().await;
    let unknown = Uuid::now_v7().to_string();
    let junk: [(BasicProperties, &[u8]); 7] = [
        (dispatch(1), b""),
        (dispatch(1), b"{\"id\": 1}"),
        (dispatch(1), b"\xff\xfe\x00 not text"),
        (dispatch(1), b"00000000-0000-0000-0000-000000000000"),
        (dispatch(1), unknown.as_bytes()),
        (dispatch(-1), ended.as_bytes()),
        (dispatch(i64::MAX), ended.as_bytes()),
    ];
    let count = junk.len();
    for (properties, body) in junk {
        outside.publish(&queue, properties, body).await;
    }
    outside.publish(&queue, dispatch(1), &[b'x'; 3_000_000]).await;
    let dead = format!("{queue}.dead");
    for _ in 0..=count {
        let (properties, _) = eventually(PATIENCE, "it is dead-lettered", async || {
            outside.take(&dead).await
        })
        .await;
        let headers = properties.headers().clone().expect("headers");
        let reason = headers
            .inner()
            .get("x-unstuck-reason")
            .expect("the reason travels with it")
            .clone();
        assert!(
            reason
                .as_long_string()
                .is_some_and(|reason| !reason.as_bytes().is_empty())
        );
    }
    let next = serve.client.start(json!({"kind": "one", "queue": queue})).await;
    serve.client.until(&next, "succeeded").await;
    outside.until_ready(&queue, 0).await;
    all_succeed(&plant, &[ended.clone(), next]).await;
    assert_eq!(plant.journal().begun(&ended), [1], "nothing of it ran");
    assert!(worker.terminate().await.success());
    plant.close().await;
}
