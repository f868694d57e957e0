//! Input that nobody honest sends: every answer is a problem document, none is a 5xx, nothing is stored.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};

use super::Program;

/// RFC 9457's members, whatever went wrong.
fn is_problem(answer: &crate::support::site::Answer, status: u16) -> Value {
    let problem = answer.expect(status);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(problem["status"], status);
    let kind = problem["type"].as_str().expect("a type");
    assert!(kind.starts_with("urn:unstuck:problem:"), "{kind}");
    for member in ["title", "detail", "instance", "request_id"] {
        assert!(
            !problem[member].as_str().expect(member).is_empty(),
            "{member} in {problem}"
        );
    }
    assert_eq!(
        answer.headers["x-request-id"],
        problem["request_id"].as_str().expect("an id")
    );
    problem
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let program = Program::sqlite().await;
    let deep = format!(r#"{{"kind":"k","payload":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let abyss = format!(
        r#"{{"kind":"k","payload":{}{}}}"#,
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    for body in [
        "",
        " ",
        "{",
        "null",
        "[]",
        "[\"k\"]",
        "\"k\"",
        "{\"kind\":\"k\"} {}",
        "{\"kind\":\"k\",\"kind\":\"l\"}",
        "{\"kind\":\"k\",\"payload\":{\"a\":1,\"a\":2}}",
        "{\"kind\":\"k\",\"payload\":1e999}",
        "{\"kind\":\"\\ud800\"}",
        "{\"kind\":\"k\",\"state\":\"succeeded\"}",
        "{\"kind\":\"k\",\"dispatch\":7}",
        "{\"kind\":\"k\",\"created_by\":\"user:root\"}",
        "{\"kind\":\"k\",\"id\":\"019b7a6e-7c00-7000-8000-000000000001\"}",
        "{\"Kind\":\"k\"}",
        "{\"__proto__\":{\"a\":1},\"kind\":\"k\"}",
        &deep,
        &abyss,
    ] {
        is_problem(&program.post_raw("/tasks", body.to_owned()).await, 400);
    }
    is_problem(
        &program.post_raw("/tasks", &b"{\"kind\":\"\xff\"}"[..]).await,
        400,
    );
    is_problem(&program.post_raw("/tasks/batch", r#"{"tasks":[1]}"#).await, 400);
    is_problem(
        &program.post_raw("/tasks/batch", r#"{"tasks":[["k"]]}"#).await,
        400,
    );
    assert_eq!(program.get("/tasks").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn nesting_up_to_64_levels_is_taken() {
    let program = Program::sqlite().await;
    let fits = format!(r#"{{"kind":"k","payload":{}{}}}"#, "[".repeat(63), "]".repeat(63));
    program.post_raw("/tasks", fits).await.expect(201);
}

#[tokio::test]
async fn a_large_body_is_refused_with_its_limit() {
    let program = Program::sqlite().await;
    let filled = |bytes: usize| format!("{{\"kind\":\"{}\"}}", "k".repeat(bytes - 11));
    let problem = is_problem(&program.post_raw("/tasks", filled(1_048_577)).await, 413);
    assert!(
        problem["detail"]
            .as_str()
            .expect("a detail")
            .contains("1048576 bytes"),
        "{problem}"
    );
    assert_eq!(
        super::wrong_fields(&program.post_raw("/tasks", filled(1_048_576)).await),
        ["kind"]
    );
    let problem = is_problem(&program.post_raw("/tasks/batch", filled(8_388_609)).await, 413);
    assert!(
        problem["detail"]
            .as_str()
            .expect("a detail")
            .contains("8388608 bytes"),
        "{problem}"
    );
}

#[tokio::test]
async fn only_plain_json_is_taken() {
    let program = Program::sqlite().await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
    ] {
        let request = Request::post("/api/v1/tasks").header(header::CONTENT_TYPE, kind);
        is_problem(&program.send(request, Body::from(r#"{"kind":"k"}"#)).await, 415);
    }
    for encoding in ["gzip", "br", "deflate", "zstd", "x"] {
        let request = Request::post("/api/v1/tasks")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, encoding);
        is_problem(&program.send(request, Body::from(r#"{"kind":"k"}"#)).await, 415);
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_document_too() {
    let program = Program::sqlite().await;
    for path in [
        "/api",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v1/tasks/",
        "/api/v2/tasks",
    ] {
        let answer = program.send(Request::get(path), Body::empty()).await;
        assert_eq!(is_problem(&answer, 404)["instance"], path);
    }
    for (method, path) in [
        (Method::DELETE, "/api/v1/tasks"),
        (Method::PUT, "/api/v1/tasks/x"),
        (Method::TRACE, "/api/v1/tasks"),
        (Method::GET, "/api/v1/tasks/x/claim"),
    ] {
        let answer = program
            .send(Request::builder().method(method).uri(path), Body::empty())
            .await;
        is_problem(&answer, 405);
    }
}

#[tokio::test]
async fn a_long_wrong_name_is_not_sent_back_whole() {
    let program = Program::sqlite().await;
    let body = format!(r#"{{"kind":"k","{}":1}}"#, "x".repeat(500_000));
    let problem = is_problem(&program.post_raw("/tasks", body).await, 400);
    assert!(problem.to_string().len() < 1000);
    let query = program.get(&format!("/tasks?{}=1", "y".repeat(5000))).await;
    assert!(is_problem(&query, 400).to_string().len() < 1000);
}

#[tokio::test]
async fn a_database_that_is_gone_is_503_and_says_when_to_try_again() {
    let program = Program::sqlite().await;
    let id = program.running("k").await;
    program.site.store.store.close().await;
    for answer in [
        program.post("/tasks", json!({ "kind": "k" })).await,
        program.get("/tasks").await,
        program.get(&format!("/tasks/{id}")).await,
        program.claim(&id, "c2").await,
        program.report(&id, 1, "succeed", json!({})).await,
        program.post(&format!("/tasks/{id}/cancel"), json!({})).await,
    ] {
        is_problem(&answer, 503);
        let wait: u64 = answer.headers[header::RETRY_AFTER]
            .to_str()
            .expect("text")
            .parse()
            .expect("seconds");
        assert!(wait >= 1);
    }
}

#[tokio::test]
async fn no_field_is_ever_taken_for_sql_or_a_pattern() {
    for program in Program::on_each().await {
        program
            .post(
                "/tasks",
                json!({ "kind": "k", "title": "a' OR 1=1 --", "owner": "%" }),
            )
            .await
            .expect(201);
        for query in ["owner=%25", "q=a%27+OR+1%3D1+--"] {
            let page = program.get(&format!("/tasks?{query}")).await.expect(200);
            assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{query}");
        }
        for query in [
            "owner=_",
            "q=%25%25",
            "q=(a%2B)%2B%24",
            "kind=k%27%3B+DROP+TABLE+tasks",
            "payload.a=%7B%7D",
        ] {
            let page = program.get(&format!("/tasks?{query}")).await.expect(200);
            assert_eq!(page["items"], json!([]), "{query}");
        }
        program.site.close().await;
    }
}
