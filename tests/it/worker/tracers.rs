//! Tracers in a worker's hands: acknowledged at once, unrun, and noted with the time they came.

use std::time::Duration;

use lapin::{
    message::BasicGetMessage,
    options::{BasicGetOptions, BasicNackOptions},
};
use serde_json::json;
use tokio::sync::Notify;
use unstuck::{
    broker::{PublishOutcome, Publisher},
    domain::{task::State, tracer::Tracer},
    services::worker::{Job, JobError},
};
use uuid::Uuid;

use super::workshop::{PATIENCE, Workshop, start};
use crate::support::{broker::config, tracer::tracer_on, wait::eventually};

/// Puts a tracer on the workshop's queue.
async fn send(shop: &Workshop, id: Uuid) {
    let publisher = Publisher::spawn(config());
    let outcome = eventually(PATIENCE, "the tracer is confirmed", async || {
        let outcome = publisher.publish_tracer(&shop.queue, id).await;
        (!matches!(outcome, PublishOutcome::NotSent { .. } | PublishOutcome::Nacked)).then_some(outcome)
    })
    .await;
    assert_eq!(outcome, PublishOutcome::Confirmed);
    publisher.close();
}

async fn noted(shop: &Workshop) -> Tracer {
    eventually(PATIENCE, "its delivery is noted", async || {
        let mut passed = shop.store.passed_tracers(&[&shop.queue]).await.expect("read");
        passed.pop()
    })
    .await
}

#[tokio::test]
async fn a_tracer_is_noted_and_acknowledged_beside_a_running_task_and_counted_as_none() {
    for shop in [Workshop::sqlite().await, Workshop::postgres().await] {
        let id = tracer_on(&shop.store, &shop.queue).await;
        // Every slot is taken: a tracer needs none.
        let (running, go_on) = (
            std::sync::Arc::new(Notify::new()),
            std::sync::Arc::new(Notify::new()),
        );
        let (told, wait) = (running.clone(), go_on.clone());
        let wait_for_it = move |_: Job| {
            let (told, wait) = (told.clone(), wait.clone());
            async move {
                told.notify_one();
                wait.notified().await;
                Ok::<_, JobError>(json!(null))
            }
        };
        let task = shop.send("wait", json!({})).await;
        let two = std::num::NonZeroU16::new(2).expect("not 0");
        let worker = start(shop.builder().handle("wait", wait_for_it).concurrency(two.get()));
        running.notified().await;
        send(&shop, id).await;
        let tracer = noted(&shop).await;
        assert_eq!((tracer.id, tracer.redelivered), (id, Some(false)));
        assert!(tracer.worker.is_some() && tracer.wait_ms().is_some());
        shop.outside.until_ready(&shop.queue, 0).await;
        go_on.notify_one();
        shop.until(task, State::Succeeded).await;
        worker.end().await;
        assert_eq!(shop.attempts(task).await.len(), 1);
        assert_eq!(
            shop.outside
                .look(&format!("{}.dead", shop.queue))
                .await
                .map(|seen| seen.0),
            Some(0)
        );
        let counts = shop
            .store
            .throughput(unstuck::domain::time::Time::from_ms(0), Some(&shop.queue))
            .await
            .expect("read");
        assert_eq!((counts.claimed, counts.succeeded, counts.lost), (1, 1, 0));
        shop.close().await;
    }
}

#[tokio::test]
async fn a_tracer_whose_worker_died_with_it_measures_nothing() {
    for shop in [Workshop::sqlite().await, Workshop::classic().await] {
        let id = tracer_on(&shop.store, &shop.queue).await;
        send(&shop, id).await;
        let channel = shop.outside.channel().await;
        let taken = eventually(PATIENCE, "somebody takes it", async || {
            let got = channel
                .basic_get(shop.queue.as_str().into(), BasicGetOptions::default())
                .await;
            got.expect("got")
        })
        .await;
        let BasicGetMessage { delivery, .. } = taken;
        let back = BasicNackOptions {
            requeue: true,
            ..Default::default()
        };
        delivery.acker.nack(back).await.expect("given back");
        let worker = start(
            shop.builder()
                .handle("any", |_: Job| async { Ok::<_, JobError>(json!(null)) }),
        );
        let tracer = noted(&shop).await;
        assert_eq!(
            (tracer.id, tracer.redelivered, tracer.wait_ms()),
            (id, Some(true), None)
        );
        worker.end().await;
        shop.close().await;
    }
}

#[tokio::test]
async fn a_tracer_that_nobody_remembers_is_acknowledged() {
    let shop = Workshop::sqlite().await;
    send(&shop, Uuid::now_v7()).await;
    // Behind it: once this is done, the worker has looked at the tracer, and does not give it back for being told to end.
    let task = shop.send("any", json!({})).await;
    let worker = start(
        shop.builder()
            .handle("any", |_: Job| async { Ok::<_, JobError>(json!(null)) }),
    );
    shop.until(task, State::Succeeded).await;
    shop.outside.until_ready(&shop.queue, 0).await;
    tokio::time::timeout(Duration::from_secs(30), worker.end())
        .await
        .expect("in time");
    // Neither back on its queue nor dead.
    shop.outside.until_ready(&shop.queue, 0).await;
    assert_eq!(
        shop.outside
            .look(&format!("{}.dead", shop.queue))
            .await
            .map(|seen| seen.0),
        Some(0)
    );
    shop.close().await;
}
