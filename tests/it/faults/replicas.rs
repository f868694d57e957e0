//! Two `serve` on one PostgreSQL database.

use std::time::Duration;

use serde_json::json;

use super::{all_succeed, load, until_published, until_stalled};
use crate::support::{
    client::Client,
    load::promised_at_last,
    plant::{Engine, Plant, Serve},
    truth::findings,
};

#[tokio::test]
async fn two_servers_share_the_relays_work_and_either_can_be_killed() {
    let plant = Plant::new(Engine::Postgres).await;
    let (mut one, mut two) = (plant.serve().await, plant.serve_beside().await);
    let queue = plant.queue("two");
    let _worker = plant.worker(&queue, 4);
    for round in 0..2 {
        let load = load(
            vec![
                one.client.clone(),
                two.client.clone(),
                one.client.clone(),
                two.client.clone(),
            ],
            &queue,
        );
        load.until_more(40).await;
        let dead = if round == 0 { &mut one } else { &mut two };
        let alive = plant.serve_beside().await;
        let killed = std::mem::replace(dead, alive);
        killed.process.kill9();
        load.until_more(40).await;
        let ids = promised_at_last(&two_clients(&one, &two)[round], load.stop().await).await;
        all_succeed(&plant, &ids).await;
    }
    plant.close().await;
}

fn two_clients(one: &Serve, two: &Serve) -> [Client; 2] {
    [one.client.clone(), two.client.clone()]
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
