//! Creating and starting tasks.

use std::sync::Arc;

use axum::http::HeaderName;
use serde_json::{Value, json};

use super::{Program, id_of, wrong_fields};
use crate::support::{site::TestSite, store::TestStore};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The fields of a task, as the design lists them.
const FIELDS: [&str; 22] = [
    "id",
    "kind",
    "queue",
    "state",
    "title",
    "owner",
    "priority",
    "payload",
    "dispatch",
    "attempt",
    "max_attempts",
    "timeout_s",
    "progress",
    "result",
    "error",
    "created_at",
    "available_at",
    "published_at",
    "started_at",
    "lease_expires_at",
    "finished_at",
    "stalls",
];

#[tokio::test]
async fn a_task_is_created_with_its_defaults_and_read_back_the_same() {
    for program in Program::on_each().await {
        let answer = program.post("/tasks", json!({ "kind": "report" })).await;
        let task = answer.expect(201);
        for field in FIELDS {
            assert!(task.get(field).is_some(), "{field} is missing: {task}");
        }
        assert_eq!(task["queue"], "report");
        assert_eq!(task["state"], "new");
        assert_eq!(task["payload"], json!({}));
        assert_eq!((&task["priority"], &task["max_attempts"]), (&json!(0), &json!(3)));
        assert_eq!((&task["dispatch"], &task["attempt"]), (&json!(0), &json!(0)));
        assert_eq!(
            (&task["result"], &task["timeout_s"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(task["created_at"], "2026-01-01T00:00:00.000Z");
        assert_eq!(task["stalls"], json!([]));
        let place = answer.headers["location"].to_str().expect("a place");
        assert_eq!(place, format!("/api/v1/tasks/{}", id_of(&task)));
        let again = program.get(&format!("/tasks/{}", id_of(&task))).await.expect(200);
        assert_eq!(again, task, "the answer to a create is the task as it is stored");
        program.site.close().await;
    }
}

#[tokio::test]
async fn everything_that_was_asked_for_is_kept() {
    for program in Program::on_each().await {
        let asked = json!({
            "kind": "render", "queue": "gpu", "payload": { "deep": [1, 2.5, "\u{1F600}", null, { "a": true }] },
            "title": "四月报告 <b>", "owner": "customer-42", "priority": 9, "available_at": "2026-02-01T08:00:00+08:00",
            "timeout_s": 60, "max_attempts": 100, "start": true,
        });
        let task = program.post("/tasks", asked.clone()).await.expect(201);
        for field in [
            "kind",
            "queue",
            "payload",
            "title",
            "owner",
            "priority",
            "timeout_s",
            "max_attempts",
        ] {
            assert_eq!(task[field], asked[field], "{field}");
        }
        assert_eq!(task["available_at"], "2026-02-01T00:00:00.000Z");
        assert_eq!((&task["state"], &task["dispatch"]), (&json!("queued"), &json!(1)));
        assert_eq!(task["published_at"], Value::Null, "no broker has confirmed it");
        program.site.close().await;
    }
}

#[tokio::test]
async fn a_new_task_is_started_once() {
    let program = Program::sqlite().await;
    let task = program
        .post("/tasks", json!({ "kind": "report" }))
        .await
        .expect(201);
    let start = format!("/tasks/{}/start", id_of(&task));
    let started = program.post(&start, json!({})).await.expect(202);
    assert_eq!(
        (&started["state"], &started["dispatch"]),
        (&json!("queued"), &json!(1))
    );
    let refused = program.post(&start, json!({})).await.expect(409);
    assert_eq!(
        (&refused["code"], &refused["state"]),
        (&json!("already_started"), &json!("queued"))
    );
    assert_eq!(
        refused["detail"],
        "the task is queued; only a new task can be started"
    );
}

#[tokio::test]
async fn a_start_needs_no_body() {
    let program = Program::sqlite().await;
    let task = program
        .post("/tasks", json!({ "kind": "report" }))
        .await
        .expect(201);
    let request = axum::http::Request::post(format!("/api/v1/tasks/{}/start", id_of(&task)));
    program.send(request, axum::body::Body::empty()).await.expect(202);
}

#[tokio::test]
async fn a_batch_is_recorded_whole_in_its_order() {
    for program in Program::on_each().await {
        let tasks: Vec<Value> = (0..1000)
            .map(|n| json!({ "kind": "k", "payload": n, "start": n % 2 == 0 }))
            .collect();
        let made = program
            .post("/tasks/batch", json!({ "tasks": tasks }))
            .await
            .expect(201);
        let items = made["items"].as_array().expect("items");
        assert_eq!(items.len(), 1000);
        for (n, item) in items.iter().enumerate() {
            assert_eq!(item["payload"], n);
            assert_eq!(item["state"], if n % 2 == 0 { "queued" } else { "new" });
        }
        program.site.close().await;
    }
}

#[tokio::test]
async fn one_wrong_task_refuses_its_whole_batch_and_is_named_by_its_index() {
    let program = Program::sqlite().await;
    let tasks = json!({ "tasks": [{ "kind": "a" }, { "kind": "b" }, { "kind": "c", "priority": 10 }, { "queue": "d" }] });
    let refused = program.post("/tasks/batch", tasks).await;
    assert_eq!(wrong_fields(&refused), ["tasks[2].priority", "tasks[3].kind"]);
    let unknown = program
        .post(
            "/tasks/batch",
            json!({ "tasks": [{ "kind": "a" }, { "kind": "b", "state": "running" }] }),
        )
        .await;
    let detail = unknown.expect(400)["detail"]
        .as_str()
        .expect("a detail")
        .to_owned();
    assert!(
        detail.starts_with("tasks[1] is malformed: unknown field `state`"),
        "{detail}"
    );
    assert_eq!(
        program.get("/tasks").await.expect(200)["items"],
        json!([]),
        "nothing was recorded"
    );
}

#[tokio::test]
async fn a_batch_has_1_to_1000_tasks() {
    let program = Program::sqlite().await;
    for tasks in [
        json!([]),
        json!(vec![json!({ "kind": "a" }); 1001]),
        json!("a"),
        Value::Null,
    ] {
        let refused = program.post("/tasks/batch", json!({ "tasks": tasks })).await;
        assert_eq!(wrong_fields(&refused), ["tasks"]);
    }
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_task() {
    for program in Program::on_each().await {
        let body = json!({ "kind": "report", "payload": { "a": 1, "b": 2 } });
        let first = program.post_with("/tasks", body.clone(), &[(KEY, "k-1")]).await;
        assert!(!first.headers.contains_key("idempotent-replayed"));
        let again = program.post_with("/tasks", body, &[(KEY, "k-1")]).await;
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.expect(201)["id"], first.expect(201)["id"]);
        let other = program
            .post_with("/tasks", json!({ "kind": "other" }), &[(KEY, "k-1")])
            .await;
        assert_eq!(other.expect(409)["code"], "idempotency_key_reused");
        let batch = program
            .post_with(
                "/tasks/batch",
                json!({ "tasks": [{ "kind": "report" }] }),
                &[(KEY, "k-1")],
            )
            .await;
        assert_eq!(batch.expect(409)["code"], "idempotency_key_reused");
        assert_eq!(
            program.get("/tasks").await.expect(200)["items"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        program.site.close().await;
    }
}

#[tokio::test]
async fn a_key_says_what_it_made_also_after_the_task_moved_on() {
    let program = Program::sqlite().await;
    let body = json!({ "kind": "report", "start": true });
    let id = id_of(
        &program
            .post_with("/tasks", body.clone(), &[(KEY, "k")])
            .await
            .expect(201),
    );
    program.claim(&id, "c1").await.expect(200);
    let again = program.post_with("/tasks", body, &[(KEY, "k")]).await.expect(201);
    assert_eq!((&again["id"], &again["state"]), (&json!(id), &json!("running")));
}

#[tokio::test]
async fn fifty_requests_with_one_key_at_once_make_one_task() {
    for program in Program::on_each().await {
        let program = Arc::new(program);
        let calls = (0..50).map(|_| {
            let program = program.clone();
            tokio::spawn(async move {
                let body = json!({ "kind": "report", "start": true });
                id_of(
                    &program
                        .post_with("/tasks", body, &[(KEY, "same")])
                        .await
                        .expect(201),
                )
            })
        });
        let mut ids = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            ids.push(call.await.expect("answered"));
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "one key, one task");
        assert_eq!(
            program.get("/tasks").await.expect(200)["items"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        Arc::into_inner(program)
            .expect("all calls ended")
            .site
            .close()
            .await;
    }
}

#[tokio::test]
async fn keys_of_two_programs_are_apart() {
    let mut program = Program::sqlite().await;
    let body = json!({ "kind": "report" });
    let first = program
        .post_with("/tasks", body.clone(), &[(KEY, "k")])
        .await
        .expect(201);
    program.token = program
        .site
        .token(&[unstuck::domain::access::Scope::Produce])
        .await;
    let second = program.post_with("/tasks", body, &[(KEY, "k")]).await.expect(201);
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test]
async fn a_malformed_key_is_refused() {
    let program = Program::sqlite().await;
    for keys in [&[""][..], &["with space"], &["a", "a"], &[&"x".repeat(256)]] {
        let headers: Vec<(HeaderName, &str)> = keys.iter().map(|key| (KEY, *key)).collect();
        program
            .post_with("/tasks", json!({ "kind": "k" }), &headers)
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn each_field_has_its_bounds() {
    let program = Program::sqlite().await;
    let long = "x".repeat(201);
    for (field, wrong) in [
        ("kind", json!("")),
        ("kind", json!("a b")),
        ("kind", json!("amq.gen")),
        ("kind", json!(7)),
        ("kind", json!("x".repeat(101))),
        ("queue", json!("reports.dead")),
        ("queue", json!("ä")),
        ("queue", json!(["reports"])),
        ("title", json!("")),
        ("title", json!(long)),
        ("title", json!("a\u{0}b")),
        ("title", json!("\u{1b}[31m")),
        ("owner", json!(long)),
        ("owner", json!(false)),
        ("priority", json!(-1)),
        ("priority", json!(10)),
        ("priority", json!(1.5)),
        ("priority", json!("high")),
        ("max_attempts", json!(0)),
        ("max_attempts", json!(101)),
        ("timeout_s", json!(0)),
        ("timeout_s", json!(31_536_001)),
        ("timeout_s", json!(u64::MAX)),
        ("available_at", json!("tomorrow")),
        ("available_at", json!("99999-01-01T00:00:00Z")),
        ("available_at", json!("2099-01-01T00:00:00Z")),
        ("available_at", json!(1_767_225_600)),
        ("start", json!("yes")),
        ("payload", json!("x".repeat(262_143))),
        ("payload", json!({ "a": "\u{0}" })),
    ] {
        let mut body = json!({ "kind": "k" });
        body[field] = wrong.clone();
        let shown: String = wrong.to_string().chars().take(60).collect();
        assert_eq!(
            wrong_fields(&program.post("/tasks", body).await),
            [field],
            "{field} = {shown}"
        );
    }
    for (field, right) in [
        ("kind", json!("x".repeat(100))),
        ("title", json!("x".repeat(200))),
        ("title", Value::Null),
        ("priority", json!(9)),
        ("max_attempts", json!(100)),
        ("timeout_s", json!(31_536_000)),
        ("available_at", json!("1970-01-01T00:00:00Z")),
        ("payload", json!("x".repeat(262_142))),
        ("payload", Value::Null),
    ] {
        let mut body = json!({ "kind": "k" });
        body[field] = right;
        program.post("/tasks", body).await.expect(201);
    }
}

#[tokio::test]
async fn a_closed_list_of_queues_takes_no_new_one() {
    let site = TestSite::on(TestStore::sqlite().await, false).await;
    site.store
        .store
        .add_queue("known", "quorum")
        .await
        .expect("added");
    let program = Program::of(site).await;
    program
        .post("/tasks", json!({ "kind": "known" }))
        .await
        .expect(201);
    let refused = program
        .post("/tasks", json!({ "kind": "k", "queue": "new" }))
        .await;
    assert_eq!(wrong_fields(&refused), ["queue"]);
}
