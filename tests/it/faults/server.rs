//! `serve` killed at any moment.

use std::time::Duration;

use serde_json::json;

use super::{PAIRS, all_succeed, load, until_published};
use crate::support::{
    chaos::Chaos,
    client::id,
    load::promised_at_last,
    plant::{BOTH, Plant},
};

const KILLS: usize = 6;

#[tokio::test]
async fn a_server_killed_at_any_moment_under_load_loses_no_promised_start() {
    for (engine, queue_type) in PAIRS {
        let plant = Plant::new(engine).await.set("QUEUE_TYPE", queue_type);
        let mut serve = plant.serve().await;
        let queue = plant.queue("server");
        let _worker = plant.worker(&queue, 4);
        let load = load((0..4).map(|_| plant.client()).collect(), &queue);
        for _ in 0..KILLS {
            load.until_more(15).await;
            // Anywhere in what a start does.
            tokio::time::sleep(Duration::from_micros(rand::random::<u64>() % 40_000)).await;
            serve.process.kill9();
            serve = plant.serve().await;
        }
        load.until_more(15).await;
        let sent = load.stop().await;
        eprintln!(
            "{} starts, {} without an answer",
            sent.len(),
            sent.iter().filter(|sent| sent.id.is_none()).count()
        );
        let ids = promised_at_last(&serve.client, sent).await;
        all_succeed(&plant, &ids).await;
        plant.close().await;
    }
}

#[tokio::test]
async fn a_start_promised_while_the_broker_was_away_goes_out_after_a_kill_between_commit_and_publish() {
    for engine in BOTH {
        let chaos = Chaos::before(&crate::support::broker::amqp_url()).await;
        chaos.go_away();
        let plant = Plant::new(engine).await.through(&chaos);
        let serve = plant.serve().await;
        let queue = plant.queue("between");
        let task = json!({"kind": "one", "queue": queue, "start": true});
        let started = serve.client.post("/api/v1/tasks", task).await.done();
        assert_eq!(
            (&started["state"], &started["published_at"]),
            (&json!("queued"), &json!(null)),
            "{started}"
        );
        serve.process.kill9();

        chaos.come_back();
        let serve = plant.serve().await;
        let task = id(&started);
        until_published(&serve.client, &task).await;
        let _worker = plant.worker(&queue, 1);
        all_succeed(&plant, &[task]).await;
        plant.close().await;
    }
}
