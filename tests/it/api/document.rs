//! The OpenAPI document and the page made of it.

use std::collections::BTreeSet;

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::{Value, json};
use unstuck::web::api;

use super::{Program, wrong_fields};
use crate::support::site::TestSite;

fn document() -> Value {
    serde_json::from_str(api::openapi_json()).expect("JSON")
}

/// The calls that the design promises.
const CALLS: &[&str] = &[
    "POST /api/v1/tasks",
    "GET /api/v1/tasks",
    "POST /api/v1/tasks/batch",
    "GET /api/v1/tasks/{id}",
    "GET /api/v1/tasks/{id}/history",
    "GET /api/v1/tasks/{id}/attempts",
    "POST /api/v1/tasks/{id}/start",
    "POST /api/v1/tasks/{id}/retry",
    "POST /api/v1/tasks/{id}/rerun",
    "POST /api/v1/tasks/{id}/requeue",
    "POST /api/v1/tasks/{id}/cancel",
    "POST /api/v1/tasks/{id}/claim",
    "POST /api/v1/tasks/{id}/attempts/{n}/heartbeat",
    "POST /api/v1/tasks/{id}/attempts/{n}/succeed",
    "POST /api/v1/tasks/{id}/attempts/{n}/fail",
    "POST /api/v1/tasks/{id}/attempts/{n}/release",
    "GET /api/v1/queues",
    "GET /api/v1/queues/{name}",
    "GET /api/v1/queues/{name}/samples",
    "GET /api/v1/stalls",
    "GET /api/v1/incidents",
    "POST /api/v1/reports",
    "POST /api/v1/reports/{ref}/messages",
    "GET /api/v1/openapi.json",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
];

#[test]
fn the_command_prints_the_document_without_any_setting() {
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_unstuck"))
        .arg("openapi")
        .env("UNSTUCK_LISTEN", "nonsense")
        .output()
        .expect("the binary starts");
    assert!(said.status.success(), "{said:?}");
    assert_eq!(
        String::from_utf8_lossy(&said.stdout).trim_end(),
        api::openapi_json()
    );
}

#[test]
fn every_promised_call_is_described() {
    let document = document();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().expect("operations");
            operations
                .keys()
                .map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    for call in CALLS {
        assert!(described.contains(*call), "{call} is not described");
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn walk(document: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(place) = fields.get("$ref").and_then(Value::as_str) {
                    let target = document.pointer(place.trim_start_matches('#'));
                    assert!(target.is_some(), "{place} is missing");
                }
                fields.values().for_each(|value| walk(document, value));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(document, value)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
    assert_eq!(
        document["openapi"].as_str().map(|version| &version[..3]),
        Some("3.1")
    );
}

#[test]
fn every_call_has_its_own_name_a_summary_and_its_errors() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{name} twice");
            assert!(operation["summary"].is_string(), "{method} {path}");
            if operation["security"]
                .as_array()
                .is_some_and(|all| all.len() == 1 && all[0]["token"].is_array())
            {
                for status in ["401", "403"] {
                    assert!(
                        operation["responses"][status].is_object(),
                        "{method} {path} {status}"
                    );
                }
            }
        }
    }
}

/// The bounds that the document tells are those that the code holds.
#[tokio::test]
async fn a_value_outside_its_described_bounds_is_refused_and_one_on_them_is_taken() {
    let program = Program::sqlite().await;
    let document = document();
    let fields = document["components"]["schemas"]["CreateTask"]["properties"]
        .as_object()
        .expect("fields");
    let mut checked = 0;
    for (field, schema) in fields {
        let mut cases: Vec<(Value, bool)> = Vec::new();
        if let (Some(least), Some(most)) = (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
            cases.extend([
                (json!(least), true),
                (json!(most), true),
                (json!(least - 1), false),
                (json!(most + 1), false),
            ]);
        }
        if let (Some(least), Some(most)) = (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
            let text = |length: u64| json!("x".repeat(length as usize));
            cases.extend([
                (text(least), true),
                (text(most), true),
                (text(least - 1), false),
                (text(most + 1), false),
            ]);
        }
        for (value, fits) in cases {
            let mut body = json!({ "kind": "k" });
            body[field] = value.clone();
            let answer = program.post("/tasks", body).await;
            if fits {
                answer.expect(201);
            } else {
                assert_eq!(wrong_fields(&answer), [field.as_str()], "{value}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 28, "only {checked} bounds were found in the document");
}

/// A described field is one that the code takes: serde names those that it knows when it meets another.
#[tokio::test]
async fn the_described_fields_are_those_that_are_taken() {
    let program = Program::sqlite().await;
    let id = program.running("k").await;
    let document = document();
    for (schema, path) in [
        ("CreateTask", "/tasks".to_owned()),
        ("CreateBatch", "/tasks/batch".to_owned()),
        ("Action", format!("/tasks/{id}/requeue")),
        ("Claim", format!("/tasks/{id}/claim")),
        ("Heartbeat", format!("/tasks/{id}/attempts/1/heartbeat")),
        ("Success", format!("/tasks/{id}/attempts/1/succeed")),
        ("Failure", format!("/tasks/{id}/attempts/1/fail")),
    ] {
        let described: BTreeSet<&str> = document["components"]["schemas"][schema]["properties"]
            .as_object()
            .unwrap_or_else(|| panic!("{schema} has no fields"))
            .keys()
            .map(String::as_str)
            .collect();
        let problem = program
            .post(&path, json!({ "no_such_field": 1 }))
            .await
            .expect(400);
        let detail = problem["detail"].as_str().expect("a detail");
        let taken: BTreeSet<&str> = detail.split('`').skip(3).step_by(2).collect();
        assert_eq!(described, taken, "{schema}: {detail}");
    }
}

#[tokio::test]
async fn the_document_is_served_and_needs_no_token() {
    let site = TestSite::sqlite().await;
    let request = Request::get("/api/v1/openapi.json")
        .body(Body::empty())
        .expect("a request");
    let answer = site.send(request).await;
    assert_eq!(answer.expect(200), document());
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn the_page_shows_every_call_without_a_script_in_both_languages() {
    let site = TestSite::sqlite().await;
    for (language, word) in [("en", "Answers"), ("zh-CN", "响应")] {
        let request = Request::get("/api/docs")
            .header(header::ACCEPT_LANGUAGE, language)
            .body(Body::empty())
            .expect("a request");
        let answer = site.send(request).await;
        assert_eq!(answer.status, 200);
        let page = answer.text();
        assert!(page.contains(word) && page.contains(&format!("<html lang=\"{language}\">")));
        for call in CALLS {
            let (method, path) = call.split_once(' ').expect("method and path");
            assert!(page.contains(&format!("{method} {path}")), "{call}");
        }
        for forbidden in ["style=", "onclick=", "javascript:", "http://", "https://"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        for link in page.split("href=\"#").skip(1) {
            let target = link.split('"').next().expect("a target");
            assert!(
                page.contains(&format!("id=\"{target}\"")),
                "#{target} leads nowhere"
            );
        }
    }
}
