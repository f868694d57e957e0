//! Two `serve` on one PostgreSQL database.

use super::{all_succeed, load};
use crate::support::{
    client::Client,
    load::promised_at_last,
    plant::{Engine, Plant, Serve},
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
