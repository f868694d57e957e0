//! Retry, rerun, requeue, cancel.

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use super::Program;

async fn state(program: &Program, id: &str) -> Value {
    program.get(&format!("/tasks/{id}")).await.expect(200)
}

#[tokio::test]
async fn a_failed_task_is_retried_with_another_payload() {
    for program in Program::on_each().await {
        let id = program.running("k").await;
        let failed = json!({ "error": "bad input", "retryable": false });
        assert_eq!(
            program.report(&id, 1, "fail", failed).await.expect(200)["state"],
            "failed"
        );
        let task = program
            .post(
                &format!("/tasks/{id}/retry"),
                json!({ "reason": "mended", "payload": { "n": 2 } }),
            )
            .await
            .expect(202);
        assert_eq!((&task["state"], &task["dispatch"]), (&json!("queued"), &json!(2)));
        assert_eq!(
            (&task["payload"], &task["error"]),
            (&json!({ "n": 2 }), &Value::Null)
        );
        assert_eq!(state(&program, &id).await, task);
        program.site.close().await;
    }
}

#[tokio::test]
async fn only_a_rerun_runs_a_succeeded_task_again() {
    let program = Program::sqlite().await;
    let id = program.running("k").await;
    program
        .report(&id, 1, "succeed", json!({ "result": [1] }))
        .await
        .expect(200);
    assert_eq!(state(&program, &id).await["result"], json!([1]));
    let refused = program
        .post(&format!("/tasks/{id}/retry"), json!({}))
        .await
        .expect(409);
    assert_eq!(
        (&refused["code"], &refused["state"]),
        (&json!("not_retryable"), &json!("succeeded"))
    );
    let task = program
        .post(&format!("/tasks/{id}/rerun"), json!({}))
        .await
        .expect(202);
    assert_eq!(
        (&task["state"], &task["result"]),
        (&json!("queued"), &Value::Null)
    );
}

#[tokio::test]
async fn a_living_worker_loses_its_task_only_by_force_and_with_a_reason() {
    let program = Program::sqlite().await;
    let id = program.running("k").await;
    let requeue = format!("/tasks/{id}/requeue");
    let refused = program.post(&requeue, json!({})).await.expect(409);
    assert_eq!(
        (&refused["code"], &refused["attempt"]),
        (&json!("lease_alive"), &json!(1))
    );
    for reason in [
        Value::Null,
        json!(""),
        json!("   "),
        json!("x".repeat(501)),
        json!(5),
    ] {
        let refused = program
            .post(&requeue, json!({ "force": true, "reason": reason }))
            .await;
        assert_eq!(super::wrong_fields(&refused), ["reason"], "{reason}");
    }
    let task = program
        .post(&requeue, json!({ "force": true, "reason": "it hangs" }))
        .await
        .expect(202);
    assert_eq!((&task["state"], &task["dispatch"]), (&json!("queued"), &json!(2)));
    assert_eq!(
        task["available_at"], "2026-01-01T00:00:30.000Z",
        "the old lease's end"
    );
    let late = program
        .report(&id, 1, "succeed", json!({ "result": 1 }))
        .await
        .expect(409);
    assert_eq!(late["code"], "not_current_attempt");
}

#[tokio::test]
async fn force_and_payload_are_refused_where_they_mean_nothing() {
    let program = Program::sqlite().await;
    let id = program.started("k").await;
    for (verb, body, field) in [
        ("retry", json!({ "force": true, "reason": "r" }), "force"),
        ("rerun", json!({ "force": true, "reason": "r" }), "force"),
        ("cancel", json!({ "force": true, "reason": "r" }), "force"),
        ("cancel", json!({ "payload": {} }), "payload"),
        ("requeue", json!({ "force": 1 }), "force"),
    ] {
        let refused = program.post(&format!("/tasks/{id}/{verb}"), body).await;
        assert_eq!(super::wrong_fields(&refused), [field], "{verb}");
    }
    program
        .post(&format!("/tasks/{id}/start"), json!({ "reason": "r" }))
        .await
        .expect(400);
}

#[tokio::test]
async fn a_queued_task_is_cancelled_at_once_and_a_running_one_by_its_worker() {
    let program = Program::sqlite().await;
    let queued = program.started("k").await;
    let task = program
        .post(&format!("/tasks/{queued}/cancel"), json!({}))
        .await
        .expect(202);
    assert_eq!(task["state"], "cancelled");
    let again = program
        .post(&format!("/tasks/{queued}/cancel"), json!({}))
        .await
        .expect(409);
    assert_eq!(
        (&again["code"], &again["state"]),
        (&json!("already_ended"), &json!("cancelled"))
    );

    let running = program.running("k").await;
    let cancel = format!("/tasks/{running}/cancel");
    let task = program.post(&cancel, json!({})).await.expect(202);
    assert_eq!(
        (&task["state"], task["cancel_requested_at"].is_string()),
        (&json!("running"), true)
    );
    program.post(&cancel, json!({})).await.expect(202);
    let beat = program
        .report(&running, 1, "heartbeat", json!({}))
        .await
        .expect(200);
    assert_eq!(beat["cancel_requested"], true);
    let ended = program
        .report(&running, 1, "fail", json!({ "error": "stopped" }))
        .await
        .expect(200);
    assert_eq!(ended["state"], "cancelled");
}

#[tokio::test]
async fn an_unknown_task_can_not_be_acted_on() {
    let program = Program::sqlite().await;
    for id in [
        "019b7a6e-7c00-7000-8000-000000000001",
        "7",
        "%00",
        "019b7a6e7c0070008000000000000001",
    ] {
        for verb in ["start", "retry", "rerun", "requeue", "cancel"] {
            let problem = program
                .post(&format!("/tasks/{id}/{verb}"), json!({}))
                .await
                .expect(404);
            assert_eq!(problem["detail"], "there is no task of this id");
        }
    }
}

#[tokio::test]
async fn an_action_and_its_refusal_are_both_in_the_audit_log() {
    let program = Program::sqlite().await;
    let id = program.running("k").await;
    program
        .post(&format!("/tasks/{id}/requeue"), json!({ "reason": "too slow" }))
        .await
        .expect(409);
    program
        .post(
            &format!("/tasks/{id}/requeue"),
            json!({ "reason": "it hangs", "force": true }),
        )
        .await
        .expect(202);
    let mut database = SqliteConnection::connect(&program.site.store.url)
        .await
        .expect("connected");
    let rows: Vec<(String, String, String, String, bool, bool)> = sqlx::query_as(
        "SELECT actor, action, outcome, reason, request_id IS NOT NULL, address = '127.0.0.1' FROM audit
          WHERE target = 'task' AND target_id = $1 ORDER BY id",
    )
    .bind(&id)
    .fetch_all(&mut database)
    .await
    .expect("the audit log");
    let [refused, done] = rows.as_slice() else {
        panic!("{rows:?}");
    };
    assert!(refused.0.starts_with("token:"), "{refused:?}");
    assert_eq!(
        (refused.1.as_str(), refused.2.as_str(), refused.3.as_str()),
        ("requeue", "refused", "too slow")
    );
    assert_eq!(
        (done.2.as_str(), done.3.as_str(), done.4, done.5),
        ("done", "it hangs", true, true)
    );
}

#[tokio::test]
async fn a_double_click_requeues_once_for_each_press_that_found_it_queued() {
    let program = Program::sqlite().await;
    let id = program.started("k").await;
    let path = format!("/tasks/{id}/requeue");
    let presses = futures_util::future::join_all((0..20).map(|_| program.post(&path, json!({})))).await;
    assert!(presses.iter().all(|press| press.status == 202));
    let task = state(&program, &id).await;
    assert_eq!(
        task["dispatch"], 21,
        "each press takes the next dispatch; the newest fences all others"
    );
    let mut database = SqliteConnection::connect(&program.site.store.url)
        .await
        .expect("connected");
    let (waiting,): (i64,) = sqlx::query_as("SELECT count(*) FROM outbox WHERE task_id = $1")
        .bind(&id)
        .fetch_one(&mut database)
        .await
        .expect("the outbox");
    assert_eq!(waiting, 1, "only the newest dispatch waits for the broker");
}
