//! A worker whose database does not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{sync::Notify, time::timeout};
use unstuck::{
    domain::task::{AttemptOutcome, State},
    services::worker::{Job, JobError, Worker, WorkerBuilder, WorkerConfig},
};

use super::{
    proxy::{Proxy, detour},
    workshop::{LEASE, PATIENCE, Workshop, start},
};
use crate::support::{broker, lock::Lock, wait::eventually};

#[tokio::test]
async fn a_handler_is_stopped_before_its_lease_ends_and_the_task_is_handed_back_later() {
    let shop = Workshop::sqlite().await;
    let runs = Arc::new(AtomicBool::new(false));
    let seen = runs.clone();
    let handler = move |_job: Job| {
        let runs = Running(seen.clone());
        async move {
            runs.0.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
            drop(runs);
            Err::<serde_json::Value, _>(JobError::failed("never"))
        }
    };
    let worker = start(shop.builder().handle("x", handler));
    let id = shop.send("x", json!(1)).await;
    shop.until(id, State::Running).await;
    let locked = Lock::take(&shop.database_url).await;
    let renewed_at = Instant::now();
    eventually(PATIENCE, "the handler stopped", async || {
        (!runs.load(Ordering::SeqCst)).then_some(())
    })
    .await;
    assert!(
        renewed_at.elapsed() < LEASE,
        "stopped after {:?}",
        renewed_at.elapsed()
    );
    locked.release().await;
    let view = shop.until(id, State::Queued).await;
    assert_eq!((view.task.dispatch, view.task.tries), (2, 0));
    assert_eq!(shop.attempts(id).await[0].outcome, Some(AttemptOutcome::Released));
    worker.end().await;
    shop.close().await;
}

/// Says no when dropped.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_message_is_held_until_the_database_answers_and_a_finished_result_is_not_lost() {
    let shop = Workshop::classic().await;
    let worker = start(shop.builder().handle("x", async |_job: Job| Ok(json!("done"))));
    let first = shop.send("x", json!(1)).await;
    shop.until(first, State::Succeeded).await;
    let second = shop.task("x", json!(2)).await;
    let locked = Lock::take(&shop.database_url).await;
    shop.message(second, "x", 1).await;
    eventually(Duration::from_secs(60), "consuming is paused", async || {
        let (ready, consumers) = shop.outside.look(&shop.queue).await?;
        // The one message is with the worker; it takes no more.
        (ready == 0 && consumers == 0).then_some(())
    })
    .await;
    locked.release().await;
    shop.until(second, State::Succeeded).await;
    assert_eq!(
        shop.attempts(second).await.len(),
        1,
        "one claim, however often it was tried"
    );
    let third = shop.send("x", json!(3)).await;
    shop.until(third, State::Succeeded).await;
    worker.end().await;
    shop.close().await;
}

fn through(shop: &Workshop, database_url: String) -> WorkerBuilder {
    let config = WorkerConfig {
        lease: LEASE,
        ..WorkerConfig::new(database_url, broker::config())
    };
    Worker::builder(config).queue(&shop.queue)
}

#[tokio::test]
async fn a_worker_that_starts_before_its_database_waits_for_it() {
    let shop = Workshop::postgres().await;
    let id = shop.send("x", json!(1)).await;
    let (port, url) = detour(&shop.database_url).await;
    let worker = start(through(&shop, url).handle("x", async |_job: Job| Ok(json!("done"))));
    let _open = Proxy::open(port, &shop.database_url).await;
    shop.until(id, State::Succeeded).await;
    worker.end().await;
    shop.close().await;
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_neither_lost_nor_repeated() {
    let shop = Workshop::postgres().await;
    let (port, url) = detour(&shop.database_url).await;
    let proxy = Proxy::open(port, &shop.database_url).await;
    let (begun, go_on) = <(Arc<Notify>, Arc<Notify>)>::default();
    let signals = (begun.clone(), go_on.clone());
    let handler = move |_job: Job| {
        let (begun, go_on) = signals.clone();
        async move {
            begun.notify_one();
            go_on.notified().await;
            Ok(json!("done"))
        }
    };
    let worker = start(through(&shop, url).handle("x", handler));
    let warm = shop.send("x", json!(0)).await;
    timeout(PATIENCE, begun.notified()).await.expect("it begins");
    go_on.notify_one();
    shop.until(warm, State::Succeeded).await;

    proxy.lose_next_commit();
    let id = shop.send("x", json!(1)).await;
    timeout(PATIENCE, begun.notified()).await.expect("it begins");
    assert!(proxy.has_lost_it(), "the claim's answer");
    proxy.lose_next_commit();
    go_on.notify_one();
    shop.until(id, State::Succeeded).await;
    eventually(PATIENCE, "the report's answer was lost", async || {
        proxy.has_lost_it().then_some(())
    })
    .await;
    worker.end().await;
    let attempts = shop.attempts(id).await;
    assert_eq!(attempts.len(), 1, "the same claim again gives the same attempt");
    assert_eq!(
        (attempts[0].outcome, &attempts[0].late),
        (Some(AttemptOutcome::Succeeded), &None)
    );
    shop.outside.until_ready(&shop.queue, 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn heartbeats_go_on_while_a_handler_hogs_the_runtime() {
    let shop = Workshop::sqlite().await;
    let handler = async |_job: Job| {
        // Against the rules: it blocks the only thread that there is.
        let (_never, nothing) = std::sync::mpsc::channel::<()>();
        nothing.recv_timeout(LEASE).expect_err("nobody sends anything");
        Ok(json!("done"))
    };
    let worker = start(shop.builder().handle("x", handler));
    let id = shop.send("x", json!(1)).await;
    let task = shop.until(id, State::Succeeded).await.task;
    let (beat_at, started_at) = (
        task.beat_at.expect("a heartbeat"),
        task.started_at.expect("a start"),
    );
    assert!(beat_at.ms_since(started_at) > 3000, "{beat_at} {started_at}");
    worker.end().await;
    shop.close().await;
}
