//! A worker whose database does not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{Connection, SqliteConnection};
use unstuck::{
    domain::task::{AttemptOutcome, State},
    services::worker::{Job, JobError},
};

use super::workshop::{LEASE, PATIENCE, Workshop, start};
use crate::support::wait::eventually;

/// Holds SQLite's write lock, as a stuck process would; dropping the connection lets it go.
async fn lock(shop: &Workshop) -> SqliteConnection {
    let mut connection = SqliteConnection::connect(&shop.database_url)
        .await
        .expect("connected");
    eventually(PATIENCE, "the lock is ours", async || {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.ok()
    })
    .await;
    connection
}

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
    let locked = lock(&shop).await;
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
    locked.close().await.expect("let go");
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
    let locked = lock(&shop).await;
    shop.message(second, "x", 1).await;
    eventually(Duration::from_secs(60), "consuming is paused", async || {
        let (ready, consumers) = shop.outside.look(&shop.queue).await?;
        // The one message is with the worker; it takes no more.
        (ready == 0 && consumers == 0).then_some(())
    })
    .await;
    locked.close().await.expect("let go");
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

#[tokio::test]
async fn a_worker_that_starts_before_its_database_waits_for_it() {
    let shop = Workshop::postgres().await;
    let id = shop.send("x", json!(1)).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let mut url = url::Url::parse(&shop.database_url).expect("a URL");
    let real = url.port().expect("a port");
    url.set_port(Some(port)).expect("has ports");
    let config = unstuck::services::worker::WorkerConfig {
        database_url: url.into(),
        broker: crate::support::broker::config(),
        lease: LEASE,
        queue_type: unstuck::broker::QueueType::Quorum,
        open_queues: true,
    };
    let builder = unstuck::services::worker::Worker::builder(config).queue(&shop.queue);
    let worker = start(builder.handle("x", async |_job: Job| Ok(json!("done"))));
    // Nobody listens on that port until now.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .expect("still free");
    let forward = tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(("127.0.0.1", real))
                    .await
                    .expect("PostgreSQL");
                tokio::io::copy_bidirectional(&mut from, &mut to).await.ok();
            });
        }
    });
    shop.until(id, State::Succeeded).await;
    worker.end().await;
    forward.abort();
    shop.close().await;
}
