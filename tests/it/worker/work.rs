//! The way of one delivery through a worker.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use lapin::{BasicProperties, types::FieldTable};
use serde_json::json;
use tokio::sync::Notify;
use unstuck::{
    domain::{
        task::{AttemptOutcome, State},
        transition::{Claim, Event, LeasePolicy, RequeueBy},
    },
    services::worker::{Job, JobError, StopCause},
};
use uuid::Uuid;

use super::workshop::{PATIENCE, Workshop, start};
use crate::support::wait::eventually;

async fn echo(job: Job) -> Result<serde_json::Value, JobError> {
    job.log(&format!("attempt {}", job.attempt));
    Ok(json!({ "got": *job.payload }))
}

#[tokio::test]
async fn a_task_is_claimed_run_recorded_and_its_message_acknowledged() {
    for shop in [Workshop::sqlite().await, Workshop::postgres().await] {
        let id = shop.send("echo", json!({"n": 1})).await;
        let worker = start(shop.builder().handle("echo", echo));
        let view = shop.until(id, State::Succeeded).await;
        assert_eq!(view.result, Some(json!({"got": {"n": 1}})));
        let attempts = shop.attempts(id).await;
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Succeeded));
        assert_eq!(attempts[0].log.as_deref(), Some("attempt 1\n"));
        worker.end().await;
        shop.outside.until_ready(&shop.queue, 0).await;
        shop.close().await;
    }
}

#[tokio::test]
async fn messages_that_are_not_needed_are_acknowledged() {
    let shop = Workshop::sqlite().await;
    let owned = shop.task("echo", json!(1)).await;
    let claim = Claim {
        claim_id: "other".into(),
        dispatch: Some(1),
        worker: "other".into(),
    };
    shop.act(owned, Event::Claim(claim)).await.expect("claimed");
    shop.message(owned, "echo", 1).await;

    let requeued = shop.task("echo", json!(2)).await;
    let requeue = Event::Requeue {
        by: RequeueBy::Person,
        lease: LeasePolicy::Respect,
        payload: None,
    };
    shop.act(requeued, requeue).await.expect("requeued");
    shop.message(requeued, "echo", 1).await;

    let done = shop.task("echo", json!(3)).await;
    shop.act(done, Event::Cancel).await.expect("cancelled");
    shop.message(done, "echo", 1).await;

    let last = shop.send("echo", json!(4)).await;
    let worker = start(shop.builder().handle("echo", echo));
    shop.until(last, State::Succeeded).await;
    worker.end().await;
    shop.outside.until_ready(&shop.queue, 0).await;
    assert_eq!(
        shop.outside.take(&format!("{}.dead", shop.queue)).await,
        None,
        "none of them is dead-lettered"
    );
    assert_eq!(
        shop.view(owned).await.task.worker.as_deref(),
        Some("other"),
        "whoever has it keeps it"
    );
    assert_eq!(shop.attempts(requeued).await.len(), 0);
    shop.close().await;
}

#[tokio::test]
async fn messages_that_nobody_can_use_go_to_the_dead_letter_queue_with_the_reason() {
    let shop = Workshop::sqlite().await;
    let worker = start(shop.builder().handle("echo", echo));

    shop.outside
        .publish(&shop.queue, BasicProperties::default(), b"not an id")
        .await;
    let (body, reason) = shop.dead_letter().await;
    assert_eq!(body, b"not an id");
    assert!(!reason.is_empty());

    let unknown = Uuid::now_v7();
    shop.message(unknown, "echo", 1).await;
    assert_eq!(
        shop.dead_letter().await,
        (unknown.to_string().into_bytes(), "there is no such task".into())
    );

    let ahead = shop.task("echo", json!(1)).await;
    shop.message(ahead, "echo", 7).await;
    assert_eq!(
        shop.dead_letter().await.1,
        "the message is ahead of the database, whose dispatch is 1"
    );

    let foreign = shop.send("other", json!(1)).await;
    assert_eq!(
        shop.dead_letter().await.1,
        "the worker does not serve tasks of kind other"
    );
    assert_eq!(shop.view(foreign).await.task.state, State::Queued);

    worker.end().await;
    shop.outside.until_ready(&shop.queue, 0).await;
    shop.close().await;
}

#[tokio::test]
async fn a_message_with_nothing_but_the_id_is_enough() {
    let shop = Workshop::sqlite().await;
    let worker = start(shop.builder().handle("echo", echo));
    let id = shop.task("echo", json!(1)).await;
    let bare = BasicProperties::default().with_headers(FieldTable::default());
    shop.outside
        .publish(&shop.queue, bare.clone(), id.to_string().as_bytes())
        .await;
    shop.until(id, State::Succeeded).await;
    let foreign = shop.task("other", json!(1)).await;
    shop.outside
        .publish(&shop.queue, bare, foreign.to_string().as_bytes())
        .await;
    assert_eq!(
        shop.dead_letter().await.1,
        "the worker does not serve tasks of kind other"
    );
    worker.end().await;
    shop.close().await;
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_attempt_and_the_worker_lives_on() {
    let shop = Workshop::sqlite().await;
    let handler = async |job: Job| {
        assert!(job.payload.is_number(), "no number");
        Ok(json!(null))
    };
    let worker = start(shop.builder().handle_every_kind(handler));
    let bad = shop.send("x", json!("word")).await;
    let good = shop.send("x", json!(1)).await;
    let view = shop.until(bad, State::Failed).await;
    assert_eq!(
        view.task.error.as_deref(),
        Some("the handler panicked: no number")
    );
    shop.until(good, State::Succeeded).await;
    worker.end().await;
    shop.close().await;
}

#[tokio::test]
async fn a_retryable_failure_goes_back_to_the_queue_and_another_one_ends_the_task() {
    let shop = Workshop::sqlite().await;
    let handler = async |job: Job| match job.kind.as_str() {
        "later" => Err(JobError::retryable("not now")),
        _ => Err(JobError::failed("never")),
    };
    let worker = start(shop.builder().handle_every_kind(handler));
    let (later, never) = (
        shop.send("later", json!(1)).await,
        shop.send("never", json!(1)).await,
    );
    let view = shop.until(never, State::Failed).await;
    assert_eq!(view.task.error.as_deref(), Some("never"));
    let view = eventually(PATIENCE, "the first attempt ended", async || {
        let view = shop.view(later).await;
        (view.task.dispatch == 2).then_some(view)
    })
    .await;
    assert_eq!(view.task.state, State::Queued);
    assert!(
        view.task.available_at > view.updated_at,
        "it waits before its next attempt"
    );
    worker.end().await;
    shop.close().await;
}

#[tokio::test]
async fn no_more_tasks_run_at_once_than_allowed_and_each_runs_once() {
    let shop = Workshop::sqlite().await;
    const TASKS: usize = 60;
    let mut ids = Vec::new();
    for n in 0..TASKS {
        ids.push(shop.send("count", json!(n)).await);
    }
    let (now, most, runs) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let counters = (now, most.clone(), runs.clone());
    let handler = move |_job: Job| {
        let (now, most, runs) = counters.clone();
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            runs.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(json!(null))
        }
    };
    let worker = start(shop.builder().handle("count", handler).concurrency(8));
    for id in ids {
        shop.until(id, State::Succeeded).await;
    }
    worker.end().await;
    assert_eq!(runs.load(Ordering::SeqCst), TASKS);
    assert!(most.load(Ordering::SeqCst) <= 8);
    shop.outside.until_ready(&shop.queue, 0).await;
    shop.close().await;
}

#[tokio::test]
async fn progress_is_seen_while_the_work_goes_on() {
    let shop = Workshop::sqlite().await;
    let release = Arc::new(Notify::new());
    let go_on = release.clone();
    let handler = move |job: Job| {
        let go_on = go_on.clone();
        async move {
            job.progress_with(40.0, "reading");
            go_on.notified().await;
            Ok(json!(null))
        }
    };
    let worker = start(shop.builder().handle("long", handler));
    let id = shop.send("long", json!(1)).await;
    eventually(PATIENCE, "progress is stored", async || {
        let task = shop.view(id).await.task;
        (task.progress == Some(40.0) && task.progress_message.as_deref() == Some("reading")).then_some(())
    })
    .await;
    release.notify_one();
    shop.until(id, State::Succeeded).await;
    worker.end().await;
    shop.close().await;
}

/// Waits to be stopped and notes why.
fn obedient(noted: Arc<std::sync::Mutex<Option<StopCause>>>) -> impl unstuck::services::worker::Handler {
    move |job: Job| {
        let noted = noted.clone();
        async move {
            let cause = job.cancelled().await;
            *noted.lock().expect("not poisoned") = Some(cause);
            Err(JobError::stopped())
        }
    }
}

#[tokio::test]
async fn a_cancelled_task_stops_its_handler_at_the_next_heartbeat() {
    let shop = Workshop::sqlite().await;
    let noted = Arc::default();
    let worker = start(shop.builder().handle("long", obedient(Arc::clone(&noted))));
    let id = shop.send("long", json!(1)).await;
    shop.until(id, State::Running).await;
    shop.act(id, Event::Cancel).await.expect("asked");
    shop.until(id, State::Cancelled).await;
    assert_eq!(*noted.lock().expect("not poisoned"), Some(StopCause::Cancelled));
    assert_eq!(
        shop.attempts(id).await[0].outcome,
        Some(AttemptOutcome::Cancelled)
    );
    worker.end().await;
    shop.close().await;
}

#[tokio::test]
async fn a_task_that_was_taken_away_stops_its_handler_and_nothing_is_reported() {
    let shop = Workshop::sqlite().await;
    let noted = Arc::default();
    let worker = start(shop.builder().handle("long", obedient(Arc::clone(&noted))));
    let id = shop.send("long", json!(1)).await;
    shop.until(id, State::Running).await;
    let force = Event::Requeue {
        by: RequeueBy::Person,
        lease: LeasePolicy::Override,
        payload: None,
    };
    shop.act(id, force).await.expect("forced");
    eventually(PATIENCE, "the handler stopped", async || {
        *noted.lock().expect("not poisoned")
    })
    .await;
    worker.end().await;
    assert_eq!(*noted.lock().expect("not poisoned"), Some(StopCause::Disowned));
    let attempts = shop.attempts(id).await;
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Superseded));
    assert_eq!(attempts[0].late, None);
    assert_eq!(shop.view(id).await.task.state, State::Queued);
    shop.outside.until_ready(&shop.queue, 0).await;
    shop.close().await;
}
