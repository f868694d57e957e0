//! A broker that is killed.

use serde_json::json;

use super::{all_succeed, load, until_published};
use crate::support::{
    client::PATIENCE,
    load::promised_at_last,
    node::Node,
    plant::{Engine, Plant, Serve},
    wait::eventually,
};

pub(super) async fn plant_on(node: &Node, engine: Engine, queue_type: &str) -> (Plant, Serve) {
    let (amqp, management) = (node.amqp_url().await, node.management_url().await);
    let plant = Plant::new(engine)
        .await
        .set("QUEUE_TYPE", queue_type)
        .on_broker(&amqp, &management);
    let serve = plant.serve().await;
    (plant, serve)
}

#[tokio::test]
async fn a_broker_killed_with_messages_waiting_and_under_load_loses_no_started_task() {
    let node = Node::start(&[("RMQ_FAST", "1")]).await;
    let (first, first_serve) = plant_on(&node, Engine::Sqlite, "quorum").await;
    let (second, second_serve) = plant_on(&node, Engine::Postgres, "classic").await;
    let both = [(&first, &first_serve.client), (&second, &second_serve.client)];
    let (mut workers, mut loads, mut waiting, mut queues) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (plant, client) in both {
        let queue = plant.queue("killed");
        let idle = plant.queue("waiting");
        workers.push(plant.worker(&queue, 2));
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(client.start(json!({"kind": "one", "queue": idle})).await);
        }
        ids.push(
            client
                .start(json!({"kind": "one", "queue": queue, "payload": "hold=go"}))
                .await,
        );
        plant.until_noted("STEP", &ids[20], 1).await;
        for id in &ids {
            until_published(client, id).await;
        }
        loads.push(load(vec![client.clone()], &queue));
        waiting.push(ids);
        queues.push((queue, idle));
    }
    node.run(&["sync"]).await;
    for load in &loads {
        load.until_more(20).await;
    }

    node.run(&["kill9"]).await;
    for load in &loads {
        load.until_more(20).await;
    }
    node.run(&["start"]).await;
    for (plant, client) in both {
        eventually(PATIENCE, "the links are up", async || {
            (client.get("/readyz").await.done()["status"] == "ok").then_some(())
        })
        .await;
        plant.open("go");
    }
    for load in &loads {
        load.until_more(20).await;
    }
    for (at, ((plant, client), load)) in both.into_iter().zip(loads).enumerate() {
        let (queue, idle) = &queues[at];
        workers.extend([plant.worker(idle, 4), plant.worker(queue, 4)]);
        let mut ids = promised_at_last(client, load.stop().await).await;
        ids.append(&mut waiting[at]);
        // A message may have been handed to a worker, acknowledged and forgotten with the crash, but never the other
        // way round: nothing needs a person.
        all_succeed(plant, &ids).await;
    }
    drop(workers);
}
