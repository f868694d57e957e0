//! Connections to the broker that are cut or lose something.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{PAIRS, all_succeed, load, until_published};
use crate::support::{
    broker::{amqp_url, management_url},
    chaos::Chaos,
    client::{PATIENCE, id},
    load::promised_at_last,
    plant::{BOTH, Engine, Plant, free_port},
    stub_http::{self, Answer},
    wait::eventually,
};

#[tokio::test]
async fn a_broker_that_is_away_at_start_and_while_publishing_costs_no_start_and_is_found_again_within_5_s() {
    for engine in BOTH {
        let chaos = Chaos::before(&amqp_url()).await;
        chaos.go_away();
        let plant = Plant::new(engine).await.through(&chaos);
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("away");
        let _worker = plant.worker(&queue, 4);
        let ready = client.get("/readyz").await.done();
        assert_eq!(
            ready["status"], "degraded",
            "it takes starts all the same: {ready}"
        );
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(client.start(json!({"kind": "one", "queue": queue})).await);
        }
        chaos.come_back();
        let mended = Instant::now();
        client
            .until_task(&ids[0], "its message went out", |task| task["state"] != "queued")
            .await;
        eprintln!("run {:?} after the broker came back", mended.elapsed());
        // Five seconds, and what a busy test machine adds.
        assert!(
            mended.elapsed() < Duration::from_secs(8),
            "{:?}",
            mended.elapsed()
        );

        let load = load(vec![client.clone(), client.clone()], &queue);
        for _ in 0..3 {
            load.until_more(15).await;
            chaos.go_away();
            load.until_more(15).await;
            chaos.come_back();
            eventually(PATIENCE, "the links are up", async || {
                let ready = client.get("/readyz").await.done();
                (ready["status"] == "ok").then_some(())
            })
            .await;
        }
        ids.extend(promised_at_last(client, load.stop().await).await);
        all_succeed(&plant, &ids).await;
        plant.close().await;
    }
}

#[tokio::test]
async fn a_full_outbox_refuses_starts_says_so_and_takes_them_again_once_it_drains() {
    const CAP: usize = 20;
    for engine in BOTH {
        let chaos = Chaos::before(&amqp_url()).await;
        let plant = Plant::new(engine).await.set("OUTBOX_MAX", CAP).through(&chaos);
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("full");
        let task = json!({"kind": "one", "queue": queue, "start": true});
        let keyed = async |body: &Value| {
            client
                .call(Method::POST, "/api/v1/tasks", Some("kept"), Some(body))
                .await
        };
        let mut ids = vec![id(&keyed(&task).await.expect("it answers").done())];
        // What the broker takes at once does not count.
        for _ in 0..3 * CAP {
            ids.push(id(&client.post("/api/v1/tasks", task.clone()).await.done()));
        }
        for id in &ids {
            until_published(client, id).await;
        }
        chaos.go_away();
        eventually(PATIENCE, "the broker is away", async || {
            let ready = client.get("/readyz").await.done();
            (ready["links"]["publisher"] == "down").then_some(())
        })
        .await;
        let before = ids.len();
        // It counts once a second: what was on its way out is still in that number, what is taken meanwhile is not.
        let mut full_since: Option<Instant> = None;
        while full_since.is_none_or(|since| since.elapsed() < Duration::from_secs(3)) {
            let reply = client.post("/api/v1/tasks", task.clone()).await;
            if reply.status == 201 {
                ids.push(id(&reply.done()));
                full_since = None;
            } else {
                assert_eq!(reply.refused(503)["code"], "outbox_full");
                full_since.get_or_insert_with(Instant::now);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let taken = ids.len() - before;
        assert!((CAP..2 * CAP).contains(&taken), "{taken}");
        let ready = client.get("/readyz").await.done();
        let outbox = (&ready["links"]["outbox"], &ready["causes"]["outbox"]);
        assert_eq!(outbox, (&json!("blocked"), &json!("full")), "{ready}");
        let recorded = json!({"kind": "one", "queue": queue});
        let later = id(&client.post("/api/v1/tasks", recorded).await.done());
        let again = keyed(&task).await.expect("it answers");
        assert_eq!(
            id(&again.done()),
            ids[0],
            "what was taken before is answered again"
        );
        let other = keyed(&json!({"kind": "other", "queue": queue, "start": true}))
            .await
            .expect("it answers");
        assert_eq!(other.refused(409)["code"], "idempotency_key_reused");
        let started = client.act(&later, "start", json!({})).await.refused(503);
        assert_eq!(started["code"], "outbox_full");
        assert_eq!(client.task(&later).await["state"], "new", "nothing happened");
        client.act(&ids[before], "requeue", json!({})).await.done();

        let _worker = plant.worker(&queue, 4);
        chaos.come_back();
        eventually(PATIENCE, "it is started", async || {
            let reply = client.act(&later, "start", json!({})).await;
            (reply.status != 503).then(|| reply.done())
        })
        .await;
        eventually(PATIENCE, "nothing is said of the outbox", async || {
            let ready = client.get("/readyz").await.done();
            ready["links"].get("outbox").is_none().then_some(())
        })
        .await;
        ids.push(later);
        all_succeed(&plant, &ids).await;
        plant.close().await;
    }
}

#[tokio::test]
async fn messages_and_confirms_that_are_lost_on_the_way_cost_no_task_and_run_none_twice() {
    for (engine, queue_type) in PAIRS {
        let chaos = Chaos::before(&amqp_url()).await;
        let plant = Plant::new(engine)
            .await
            .set("QUEUE_TYPE", queue_type)
            .through(&chaos);
        let serve = plant.serve().await;
        let queue = plant.queue("confirm");
        let _worker = plant.worker(&queue, 4);
        let load = load(vec![serve.client.clone(), serve.client.clone()], &queue);
        load.until_more(10).await;
        for _ in 0..2 {
            chaos.cut_on_confirm();
            eventually(PATIENCE, "a confirm is cut", async || {
                chaos.is_spent().then_some(())
            })
            .await;
            load.until_more(10).await;
            chaos.cut_on_publish();
            eventually(PATIENCE, "a message is cut", async || {
                chaos.is_spent().then_some(())
            })
            .await;
            load.until_more(10).await;
        }
        chaos.drop_confirms(2);
        eventually(PATIENCE, "confirms are swallowed", async || {
            chaos.is_spent().then_some(())
        })
        .await;
        load.until_more(10).await;
        let ids = promised_at_last(&serve.client, load.stop().await).await;
        all_succeed(&plant, &ids).await;
        plant.close().await;
    }
}

#[tokio::test]
async fn an_acknowledgement_that_is_lost_brings_a_copy_that_does_nothing() {
    for (engine, queue_type) in PAIRS {
        let chaos = Chaos::before(&amqp_url()).await;
        let plant = Plant::new(engine)
            .await
            .set("QUEUE_TYPE", queue_type)
            .through(&chaos);
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("ack");
        let _worker = plant.worker(&queue, 2);
        let mut ids = Vec::new();
        for _ in 0..3 {
            chaos.cut_on_client_ack();
            let task = client
                .start(json!({"kind": "one", "queue": queue, "payload": "steps=2"}))
                .await;
            client.until(&task, "succeeded").await;
            eventually(PATIENCE, "the acknowledgement is cut", async || {
                chaos.is_spent().then_some(())
            })
            .await;
            ids.push(task);
        }
        let outside = plant.outside().await;
        eventually(PATIENCE, "the copies are gone", async || {
            (outside.look(&queue).await? == (0, 1)).then_some(())
        })
        .await;
        all_succeed(&plant, &ids).await;
        for id in &ids {
            assert_eq!(client.outcomes(id).await, ["succeeded"]);
        }
        plant.close().await;
    }
}

#[tokio::test]
async fn a_worker_cut_from_the_broker_alone_keeps_its_task_while_it_beats() {
    let chaos = Chaos::before(&amqp_url()).await;
    let plant = Plant::new(Engine::Sqlite).await.through(&chaos);
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("cut");
    let (_one, _two) = (plant.worker(&queue, 2), plant.worker(&queue, 2));
    let task = client
        .start(json!({"kind": "one", "queue": queue, "payload": "hold=go"}))
        .await;
    plant.until_noted("STEP", &task, 1).await;
    // Its message goes back to the queue and to the other worker, while the first one works on.
    chaos.cut();
    let next = client.start(json!({"kind": "one", "queue": queue})).await;
    client.until(&next, "succeeded").await;
    assert_eq!(
        client.task(&task).await["attempt"],
        1,
        "a copy takes nothing from a living worker"
    );
    plant.open("go");
    client.until(&task, "succeeded").await;
    assert_eq!(client.outcomes(&task).await, ["succeeded"]);
    all_succeed(&plant, &[task, next]).await;
    plant.close().await;
}

#[tokio::test]
async fn a_management_api_that_gives_nothing_is_named_with_its_cause_and_stops_no_start() {
    let silent = free_port();
    let refusing = stub_http::serve(Answer::http("401 Unauthorized", "", "{}")).await;
    let with_secret = |url: &str| url.replace("http://", "http://monitor:s3cr3t-of-figures@");
    for (management_url, cause) in [
        (
            with_secret(&format!("http://127.0.0.1:{silent}")),
            Some("unreachable"),
        ),
        (with_secret(&refusing), Some("refused")),
        (management_url(), None),
    ] {
        let plant = Plant::new(Engine::Sqlite)
            .await
            .on_broker(&amqp_url(), &management_url);
        let serve = plant.serve().await;
        let wanted = match cause {
            Some(cause) => json!({"management": cause}),
            None => json!({}),
        };
        let ready = eventually(PATIENCE, "the links are known", async || {
            let ready = serve.client.get("/readyz").await.done();
            (ready["causes"] == wanted).then_some(ready)
        })
        .await;
        let (status, health) = match cause {
            Some(_) => ("degraded", "down"),
            None => ("ok", "up"),
        };
        assert_eq!(
            (ready["status"].as_str(), ready["links"]["management"].as_str()),
            (Some(status), Some(health))
        );
        let queue = plant.queue("figures");
        let id = serve.client.start(json!({"kind": "one", "queue": queue})).await;
        serve
            .client
            .until_task(&id, "its message went out", |task| {
                task["published_at"].is_string()
            })
            .await;
        let log = serve.process.log();
        match cause {
            Some(cause) => {
                let said = log.lines().filter(|line| line.contains("gives no figures"));
                let said: Vec<&str> = said.collect();
                assert!(
                    said.len() == 1 && said[0].contains(cause),
                    "once, with its cause: {said:?}"
                );
            }
            None => assert!(log.contains("the management API answers"), "{log}"),
        }
        assert!(!log.contains("s3cr3t-of-figures") && !ready.to_string().contains("127.0.0.1"));
        plant.close().await;
    }
}
