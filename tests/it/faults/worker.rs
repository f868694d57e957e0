//! Workers that are killed or frozen.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::{PAIRS, all_succeed, until_stalled};
use crate::support::{
    client::PATIENCE,
    plant::{Engine, Plant},
    truth::check,
    wait::eventually,
};

#[tokio::test]
async fn a_worker_killed_before_during_or_after_the_work_loses_no_task_and_runs_none_twice_at_once() {
    for (engine, queue_type) in PAIRS {
        let plant = Plant::new(engine).await.set("QUEUE_TYPE", queue_type);
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("killed");
        let first = plant.worker(&queue, 3);
        let task = async |payload: &str| {
            client
                .start(json!({"kind": "one", "queue": queue, "payload": payload}))
                .await
        };
        let before = task("before=go").await;
        let during = task("hold=go").await;
        let after = task("after=go").await;
        client.until(&before, "running").await;
        plant.until_noted("STEP", &during, 1).await;
        plant.until_noted("END", &after, 1).await;

        first.kill9();
        let _second = plant.worker(&queue, 3);
        eventually(PATIENCE, "no program outlives its worker", async || {
            plant.programs().is_empty().then_some(())
        })
        .await;
        plant.open("go");
        all_succeed(&plant, &[before.clone(), during.clone(), after.clone()]).await;

        for id in [&before, &during, &after] {
            assert_eq!(client.outcomes(id).await, ["lost", "succeeded"]);
            assert_eq!(
                client.task(id).await["dispatch"],
                1,
                "the same dispatch came again"
            );
        }
        let journal = plant.journal();
        assert_eq!(journal.begun(&before), [2]);
        assert_eq!(journal.begun(&during), [1, 2]);
        assert_eq!(
            journal.done(&after),
            [1, 2],
            "a receiver of effects tells them apart by their attempt"
        );
        plant.close().await;
    }
}

#[tokio::test]
async fn a_task_that_kills_its_workers_fails_after_its_attempts_instead_of_looping() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("poison");
    let poison = json!({"kind": "one", "queue": queue, "payload": "hold=never"});
    let task = client.start(poison).await;
    for attempt in [1, 2, 3] {
        let worker = plant.worker(&queue, 1);
        plant.until_noted("BEGIN", &task, attempt).await;
        worker.kill9();
    }
    let _worker = plant.worker(&queue, 1);
    let failed = client.until(&task, "failed").await;
    assert_eq!(failed["error"], "its worker died 3 times", "{failed}");
    assert_eq!(client.outcomes(&task).await, ["lost"; 3]);
    until_stalled(client, &task, "crash_loop", Duration::from_secs(15)).await;
    let other = client.start(json!({"kind": "one", "queue": queue})).await;
    client.until(&other, "succeeded").await;
    check(&plant, &[task, other]).await;
    plant.close().await;
}

#[tokio::test]
async fn a_worker_frozen_past_its_lease_runs_nothing_beside_the_next_attempt_and_is_fenced_when_it_wakes() {
    for (engine, queue_type) in PAIRS {
        let plant = Plant::new(engine).await.set("QUEUE_TYPE", queue_type);
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("frozen");
        let mut first = plant.worker(&queue, 2);
        let long = client
            .start(json!({"kind": "one", "queue": queue, "payload": "hold=go"}))
            .await;
        plant.until_noted("STEP", &long, 1).await;
        first.signal(Signal::SIGSTOP);
        let frozen = Instant::now();
        eventually(
            Duration::from_secs(5),
            "the program is gone before the lease ends",
            async || plant.programs().is_empty().then_some(()),
        )
        .await;
        eprintln!("gone {:?} after the freeze", frozen.elapsed());
        assert_eq!(
            client.task(&long).await["attempt"],
            1,
            "nobody else could begin before"
        );

        let _second = plant.worker(&queue, 2);
        plant.until_noted("STEP", &long, 2).await;
        first.signal(Signal::SIGCONT);
        let next = client
            .start(json!({"kind": "one", "queue": queue, "payload": "steps=1"}))
            .await;
        client.until(&next, "succeeded").await;
        plant.open("go");
        all_succeed(&plant, &[long.clone(), next]).await;
        let outcomes = client.outcomes(&long).await;
        assert_eq!(
            outcomes,
            ["lost", "succeeded"],
            "what the woken worker says changes nothing"
        );
        assert_eq!(client.task(&long).await["result"], json!({"attempt": 2}));
        assert!(first.is_running(), "it lives on");
        assert!(first.terminate().await.success());
        plant.close().await;
    }
}
