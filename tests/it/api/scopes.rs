//! Who may call what: every call of the OpenAPI document, with a token of each single scope and with none.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::Value;
use unstuck::{domain::access::Scope, web::api};

use crate::support::site::TestSite;

/// Method, path and the scopes of which one is enough.
fn calls() -> Vec<(Method, String, Vec<String>)> {
    let document: Value = serde_json::from_str(api::openapi_json()).expect("JSON");
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let scopes = operation["security"]
                .as_array()
                .expect("every call says who may")
                .iter()
                .filter_map(|alternative| alternative["token"][0].as_str().map(str::to_owned))
                .collect();
            calls.push((
                method,
                path.replace("{id}", "019b7a6e-7c00-7000-8000-000000000001")
                    .replace("{n}", "1")
                    .replace("{name}", "q")
                    .replace("{verdict}", "message_lost"),
                scopes,
            ));
        }
    }
    calls
}

async fn status(site: &TestSite, method: &Method, path: &str, token: Option<&str>) -> u16 {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let answer = site
        .send_from(
            "203.0.113.9:4000",
            request.body(Body::empty()).expect("a request"),
        )
        .await;
    answer.status.as_u16()
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_nothing_else() {
    let site = TestSite::sqlite().await;
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        tokens.push((scope.as_str(), site.token(&[*scope]).await));
    }
    for (method, path, scopes) in calls() {
        if scopes.is_empty() {
            assert!(
                path == "/healthz"
                    || path == "/readyz"
                    || path.ends_with("/openapi.json")
                    // A report's own key is the permission.
                    || path.ends_with("/reports/{ref}/messages"),
                "{path} is open to everybody"
            );
            continue;
        }
        assert_eq!(
            status(&site, &method, &path, None).await,
            401,
            "{method} {path} without a token"
        );
        for (scope, token) in &tokens {
            let given = status(&site, &method, &path, Some(token)).await;
            let allowed = scopes.iter().any(|one| one == scope);
            assert_eq!(given != 403, allowed, "{method} {path} with {scope}: {given}");
            assert!(
                given != 405 && given < 500,
                "{method} {path} is no route: {given}"
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_names_the_scope_and_reads_nothing() {
    let site = TestSite::sqlite().await;
    let token = site.token(&[Scope::Work]).await;
    let request = Request::post("/api/v1/tasks")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::from("{ this is no JSON"))
        .expect("a request");
    let problem = site.send(request).await.expect(403);
    assert_eq!(problem["scope"], "produce");
}

#[tokio::test]
async fn what_is_no_token_is_refused_with_a_challenge() {
    let site = TestSite::sqlite().await;
    let token = site.token(Scope::ALL).await;
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer unstuck_wrong",
        "Basic dTpw",
        &format!("Token {token}"),
    ] {
        let request = Request::get("/api/v1/tasks")
            .header(header::AUTHORIZATION, authorization)
            .body(Body::empty())
            .expect("a request");
        let answer = site.send(request).await;
        answer.expect(401);
        let challenge = answer.headers[header::WWW_AUTHENTICATE].to_str().expect("text");
        assert!(challenge.starts_with("Bearer"), "{challenge}");
    }
    let request = Request::get("/api/v1/tasks")
        .header(header::AUTHORIZATION, format!("bearer {token}"))
        .body(Body::empty())
        .expect("a request");
    site.send(request).await.expect(200);
}
