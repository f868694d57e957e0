//! `serve` killed at any moment.

use std::{collections::HashSet, time::Duration};

use reqwest::Method;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{PAIRS, all_succeed, load, until_published};
use crate::support::{
    chaos::Chaos,
    client::id,
    load::promised_at_last,
    plant::{BOTH, Plant, TOKEN},
    truth::count,
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

#[tokio::test]
async fn a_client_that_was_gone_before_its_answer_gets_that_very_task_with_the_same_key() {
    for engine in BOTH {
        let plant = Plant::new(engine).await;
        let serve = plant.serve().await;
        let queue = plant.queue("gone");
        let address = serve.client.base().trim_start_matches("http://").to_owned();
        let mut sent = Vec::new();
        for number in 0..40 {
            let key = uuid::Uuid::new_v4().to_string();
            let task = json!({"kind": "one", "queue": queue, "title": format!("{number}"), "start": true});
            let body = task.to_string();
            let head = format!(
                "POST /api/v1/tasks HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\
                 Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let mut stream = TcpStream::connect(&address).await.expect("a connection");
            stream.set_zero_linger().expect("it will be reset");
            stream.write_all((head + &body).as_bytes()).await.expect("sent");
            // Anywhere in what a start does.
            tokio::time::sleep(Duration::from_micros(rand::random::<u64>() % 200_000)).await;
            drop(stream);
            sent.push((key, task));
        }
        let (mut ids, mut replayed) = (Vec::new(), 0);
        for (key, task) in &sent {
            let reply = serve
                .client
                .call(Method::POST, "/api/v1/tasks", Some(key), Some(task))
                .await
                .expect("an answer");
            replayed += usize::from(reply.replayed);
            ids.push(id(&reply.done()));
        }
        assert!(replayed > 0, "some were done for nobody");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), sent.len());
        let stored = count(&plant, "SELECT count(*) FROM tasks").await;
        assert_eq!(
            stored,
            i64::try_from(sent.len()).expect("few"),
            "one task for each key"
        );
        let _worker = plant.worker(&queue, 8);
        all_succeed(&plant, &ids).await;
        plant.close().await;
    }
}
