//! A worker that is told to end.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::Notify;
use unstuck::{
    domain::task::{AttemptOutcome, State},
    services::worker::{Job, JobError},
};

use super::workshop::{Workshop, start};
use crate::support::broker::unique;

#[tokio::test]
async fn running_work_is_finished_and_waiting_messages_go_back() {
    let shop = Workshop::sqlite().await;
    let (release, go_on) = two(&Arc::new(Notify::new()));
    let handler = move |_job: Job| {
        let go_on = go_on.clone();
        async move {
            go_on.notified().await;
            Ok(json!("finished"))
        }
    };
    let worker = start(shop.builder().handle("x", handler));
    let first = shop.send("x", json!(1)).await;
    shop.until(first, State::Running).await;
    let second = shop.send("x", json!(2)).await;
    worker.drain();
    release.notify_one();
    worker.ended().await;
    assert_eq!(shop.view(first).await.task.state, State::Succeeded);
    assert_eq!(shop.view(second).await.task.state, State::Queued);
    shop.outside.until_ready(&shop.queue, 1).await;
    shop.close().await;
}

/// A worker of one slot and two queues holds a message of each: the one without a slot was never begun.
#[tokio::test]
async fn a_message_that_waits_for_its_turn_goes_back_unclaimed() {
    let (shop, other) = (Workshop::sqlite().await, unique("other"));
    let (release, go_on) = two(&Arc::new(Notify::new()));
    let handler = move |_job: Job| {
        let go_on = go_on.clone();
        async move {
            go_on.notified().await;
            Ok(json!("finished"))
        }
    };
    let worker = start(shop.builder().queue(&other).handle("x", handler));
    let first = shop.send("x", json!(1)).await;
    shop.until(first, State::Running).await;
    let second = shop.send_to(&other, "x", json!(2)).await;
    shop.outside.until_ready(&other, 0).await;
    worker.drain();
    release.notify_one();
    worker.ended().await;
    assert_eq!(shop.view(first).await.task.state, State::Succeeded);
    assert_eq!(shop.view(second).await.task.attempt, 0);
    shop.outside.until_ready(&other, 1).await;
    shop.outside.delete(&other).await;
    shop.close().await;
}

#[tokio::test]
async fn work_that_does_not_finish_in_time_is_handed_back_and_the_attempt_does_not_count() {
    let shop = Workshop::sqlite().await;
    let handler = async |job: Job| {
        job.cancelled().await;
        Err::<serde_json::Value, _>(JobError::stopped())
    };
    let worker = start(
        shop.builder()
            .handle("x", handler)
            .drain_within(Duration::from_millis(100)),
    );
    let id = shop.send("x", json!(1)).await;
    shop.until(id, State::Running).await;
    worker.end().await;
    let task = shop.view(id).await.task;
    assert_eq!((task.state, task.dispatch, task.tries), (State::Queued, 2, 0));
    assert_eq!(shop.attempts(id).await[0].outcome, Some(AttemptOutcome::Released));
    shop.outside.until_ready(&shop.queue, 0).await;
    shop.close().await;
}

#[tokio::test]
async fn a_second_wish_to_end_waits_for_nobody() {
    let shop = Workshop::sqlite().await;
    let handler = async |_job: Job| std::future::pending().await;
    let worker = start(
        shop.builder()
            .handle("x", handler)
            .drain_within(Duration::from_secs(3600)),
    );
    let id = shop.send("x", json!(1)).await;
    shop.until(id, State::Running).await;
    worker.drain();
    worker.at_once();
    worker.ended().await;
    assert_eq!(shop.view(id).await.task.state, State::Queued);
    assert_eq!(shop.attempts(id).await[0].outcome, Some(AttemptOutcome::Released));
    shop.close().await;
}

fn two<T>(shared: &Arc<T>) -> (Arc<T>, Arc<T>) {
    (shared.clone(), shared.clone())
}
