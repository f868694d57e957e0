//! Workers in other languages: claim, heartbeat, ends.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Program, wrong_fields};
use crate::support::{site::LEASE, tracer::tracer_on};

#[tokio::test]
async fn a_claim_gives_what_the_work_needs() {
    for program in Program::on_each().await {
        let task = json!({ "kind": "pdf", "queue": "slow", "payload": { "n": 7 }, "title": "T", "owner": "o", "timeout_s": 9, "start": true });
        let id = super::id_of(&program.post("/tasks", task).await.expect(201));
        let claimed = program
            .post(
                &format!("/tasks/{id}/claim"),
                json!({ "worker": "w", "claim_id": "c1", "dispatch": 1 }),
            )
            .await
            .expect(200);
        assert_eq!(
            claimed,
            json!({ "id": id, "attempt": 1, "dispatch": 1, "kind": "pdf", "queue": "slow", "title": "T", "owner": "o",
                "payload": { "n": 7 }, "timeout_s": 9, "max_attempts": 3, "lease_s": 30,
                "lease_expires_at": "2026-01-01T00:00:30.000Z" })
        );
        let again = program
            .post(
                &format!("/tasks/{id}/claim"),
                json!({ "worker": "w", "claim_id": "c1", "dispatch": 1 }),
            )
            .await
            .expect(200);
        assert_eq!(again, claimed, "the first answer may have been lost on the way");
        program.site.close().await;
    }
}

#[tokio::test]
async fn a_refused_claim_says_what_to_do_with_the_message() {
    let program = Program::sqlite().await;
    let new = super::id_of(&program.post("/tasks", json!({ "kind": "k" })).await.expect(201));
    let running = program.running("k").await;
    let done = program.running("k").await;
    program.report(&done, 1, "succeed", json!({})).await.expect(200);
    let requeued = program.started("k").await;
    program
        .post(&format!("/tasks/{requeued}/requeue"), json!({}))
        .await
        .expect(202);
    for (id, dispatch, code, action) in [
        (running.as_str(), 1, "owned_elsewhere", "ack"),
        (&running, 2, "ahead_of_database", "dead_letter"),
        (&done, 1, "already_ended", "ack"),
        (&requeued, 1, "old_dispatch", "ack"),
        (&new, 0, "never_started", "dead_letter"),
        (&new, i64::MAX, "ahead_of_database", "dead_letter"),
        (
            "019b7a6e-7c00-7000-8000-000000000001",
            1,
            "unknown_task",
            "dead_letter",
        ),
        ("not-a-task-id", 1, "unknown_task", "dead_letter"),
        ("%F0%9F%92%A9", 1, "unknown_task", "dead_letter"),
    ] {
        let claim = json!({ "worker": "other", "claim_id": "c2", "dispatch": dispatch });
        let refused = program
            .post(&format!("/tasks/{id}/claim"), claim)
            .await
            .expect(409);
        assert_eq!(
            (&refused["code"], &refused["action"]),
            (&json!(code), &json!(action)),
            "{refused}"
        );
        assert_eq!(refused["reason"], refused["detail"]);
    }
}

#[tokio::test]
async fn a_claim_says_who_claims() {
    let program = Program::sqlite().await;
    let id = program.started("k").await;
    let path = format!("/tasks/{id}/claim");
    for (body, fields) in [
        (json!({}), &["worker", "claim_id"][..]),
        (json!({ "worker": "", "claim_id": "c" }), &["worker"]),
        (json!({ "worker": "w\n", "claim_id": "c" }), &["worker"]),
        (
            json!({ "worker": "w", "claim_id": "x".repeat(201) }),
            &["claim_id"],
        ),
        (
            json!({ "worker": "w", "claim_id": "c", "dispatch": -1 }),
            &["dispatch"],
        ),
        (
            json!({ "worker": "w", "claim_id": "c", "dispatch": 9_223_372_036_854_775_808_u64 }),
            &["dispatch"],
        ),
        (
            json!({ "worker": "w", "claim_id": "c", "dispatch": "1" }),
            &["dispatch"],
        ),
    ] {
        assert_eq!(wrong_fields(&program.post(&path, body).await), fields);
    }
}

#[tokio::test]
async fn a_heartbeat_renews_the_lease_and_shows_the_progress() {
    let program = Program::sqlite().await;
    let id = program.running("k").await;
    program.site.store.clock.advance(Duration::from_secs(20));
    let beat = json!({ "progress": 42.5, "message": "half way" });
    let alive = program.report(&id, 1, "heartbeat", beat).await.expect(200);
    assert_eq!(
        alive,
        json!({ "lease_expires_at": "2026-01-01T00:00:50.000Z", "cancel_requested": false })
    );
    let task = program.get(&format!("/tasks/{id}")).await.expect(200);
    assert_eq!(
        (&task["progress"], &task["progress_message"]),
        (&json!(42.5), &json!("half way"))
    );
    for progress in [json!(-0.1), json!(100.1), json!("42")] {
        let refused = program
            .report(&id, 1, "heartbeat", json!({ "progress": progress }))
            .await;
        assert_eq!(wrong_fields(&refused), ["progress"]);
    }
}

#[tokio::test]
async fn an_end_may_be_reported_twice() {
    for program in Program::on_each().await {
        let id = program.running("k").await;
        let success = json!({ "result": { "pages": 3 }, "log": "done\n" });
        let first = program
            .report(&id, 1, "succeed", success.clone())
            .await
            .expect(200);
        assert_eq!(
            program.report(&id, 1, "succeed", success).await.expect(200),
            first
        );
        assert_eq!(
            (&first["state"], &first["attempt"]),
            (&json!("succeeded"), &json!(1))
        );
        let task = program.get(&format!("/tasks/{id}")).await.expect(200);
        assert_eq!(task["result"], json!({ "pages": 3 }));
        let attempts = program.get(&format!("/tasks/{id}/attempts")).await.expect(200);
        assert_eq!(attempts["items"][0]["log"], "done\n");
        program.site.close().await;
    }
}

#[tokio::test]
async fn a_failure_is_tried_again_while_attempts_are_left() {
    let program = Program::sqlite().await;
    let body = json!({ "kind": "k", "max_attempts": 2, "start": true });
    let id = super::id_of(&program.post("/tasks", body).await.expect(201));
    program.claim(&id, "c1").await.expect(200);
    let again = program
        .report(&id, 1, "fail", json!({ "error": "no answer" }))
        .await
        .expect(200);
    assert_eq!(
        (&again["state"], &again["dispatch"]),
        (&json!("queued"), &json!(2))
    );
    program.site.store.clock.advance(Duration::from_secs(10));
    program.claim(&id, "c2").await.expect(200);
    let ended = program
        .report(&id, 2, "fail", json!({ "error": "no answer" }))
        .await
        .expect(200);
    assert_eq!(ended["state"], "failed");
    let task = program.get(&format!("/tasks/{id}")).await.expect(200);
    assert_eq!(task["error"], "no answer");
}

#[tokio::test]
async fn the_report_of_a_lost_attempt_is_refused_and_kept() {
    let program = Program::sqlite().await;
    let id = program.running("k").await;
    program.site.store.clock.advance(LEASE + Duration::from_secs(1));
    program.claim(&id, "c2").await.expect(200);
    let late = program
        .report(&id, 1, "succeed", json!({ "result": "late" }))
        .await
        .expect(409);
    assert_eq!(
        (&late["code"], &late["state"], &late["attempt"]),
        (&json!("not_current_attempt"), &json!("running"), &json!(2))
    );
    program.report(&id, 1, "heartbeat", json!({})).await.expect(409);
    let attempts = program.get(&format!("/tasks/{id}/attempts")).await.expect(200);
    assert_eq!(attempts["items"][0]["outcome"], "lost");
    assert_eq!(attempts["items"][0]["late"]["result"], "late");
    program
        .report(&id, 2, "succeed", json!({ "result": "right" }))
        .await
        .expect(200);
    let task = program.get(&format!("/tasks/{id}")).await.expect(200);
    assert_eq!(task["result"], "right");
}

#[tokio::test]
async fn a_long_report_is_cut_and_not_refused() {
    let program = Program::sqlite().await;
    let id = program.running("k").await;
    let log = format!("{}end", "é".repeat(70_000));
    let report = json!({ "error": "x\u{0}".repeat(20_000), "log": log, "retryable": false });
    program.report(&id, 1, "fail", report).await.expect(200);
    let attempts = program.get(&format!("/tasks/{id}/attempts")).await.expect(200);
    let attempt = &attempts["items"][0];
    assert_eq!(attempt["error"].as_str().map(str::len), Some(10_000));
    let kept = attempt["log"].as_str().expect("a log");
    assert_eq!((kept.chars().count(), kept.ends_with("éend")), (65_536, true));
}

#[tokio::test]
async fn a_report_names_an_attempt_that_was() {
    let program = Program::sqlite().await;
    let id = program.running("k").await;
    for attempt in ["0", "-1", "x", "9223372036854775808"] {
        program
            .post(&format!("/tasks/{id}/attempts/{attempt}/heartbeat"), json!({}))
            .await
            .expect(404);
    }
    program.report(&id, 2, "succeed", json!({})).await.expect(409);
    let unknown = "019b7a6e-7c00-7000-8000-000000000001";
    for verb in ["heartbeat", "succeed", "release"] {
        program.report(unknown, 1, verb, json!({})).await.expect(404);
    }
    assert_eq!(
        wrong_fields(&program.report(&id, 1, "fail", json!({ "error": " " })).await),
        ["error"]
    );
    assert_eq!(
        wrong_fields(
            &program
                .report(&id, 1, "fail", json!({ "error": "e", "retryable": 1 }))
                .await
        ),
        ["retryable"]
    );
    let large = json!({ "result": "x".repeat(262_143) });
    assert_eq!(
        wrong_fields(&program.report(&id, 1, "succeed", large).await),
        ["result"]
    );
    let null = program
        .report(&id, 1, "succeed", json!({ "result": Value::Null }))
        .await;
    assert_eq!(null.expect(200)["state"], "succeeded");
}

#[tokio::test]
async fn a_tracers_message_is_acknowledged_and_its_delivery_noted_once() {
    for program in Program::on_each().await {
        let store = &program.site.site.store;
        let tracer = tracer_on(store, "slow").await;
        let mut claim = json!({ "worker": "python", "claim_id": "c1" });
        for worker in ["python", "node"] {
            claim["worker"] = json!(worker);
            let path = format!("/tasks/{tracer}/claim");
            let refused = program.post(&path, claim.clone()).await.expect(409);
            assert_eq!(
                (&refused["action"], &refused["reason"], &refused["code"]),
                (&json!("ack"), &json!("tracer"), &json!("tracer"))
            );
        }
        let noted = store.passed_tracers(&["slow"]).await.expect("read").remove(0);
        assert_eq!(
            (noted.id, noted.worker.as_deref(), noted.redelivered),
            (tracer, Some("python"), None)
        );
        let queue = program.get("/queues/slow").await.expect(200);
        assert_eq!(
            (&queue["traced"], &queue["time_in_queue_ms"]),
            (&json!(true), &json!(0))
        );
        assert!(queue["time_in_queue_at"].is_string());
        let listed = program.get("/queues").await.expect(200);
        assert_eq!(listed["items"][0]["time_in_queue_ms"], 0);
        // Nothing of it is a task's.
        program.get(&format!("/tasks/{tracer}")).await.expect(404);
        assert_eq!(program.get("/tasks").await.expect(200)["items"], json!([]));
        program.site.close().await;
    }
}
