//! Probes and metrics.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::json;
use unstuck::domain::access::Scope;

use crate::support::site::TestSite;

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn a_site_without_its_broker_is_degraded_and_ready() {
    let site = TestSite::sqlite().await;
    assert_eq!(
        site.send(get("/healthz")).await.expect(200),
        json!({ "status": "ok" })
    );
    let ready = site.send(get("/readyz")).await.expect(200);
    assert_eq!(
        ready,
        json!({
            "status": "degraded",
            "links": { "database": "up", "publisher": "down", "management": "unknown" },
            "causes": { "publisher": "unreachable", "management": "unasked" },
        }),
        "a cause is a word: strangers learn no addresses"
    );
}

#[tokio::test]
async fn a_site_without_its_database_is_not_ready() {
    let site = TestSite::sqlite().await;
    site.store.store.close().await;
    let ready = site.send(get("/readyz")).await.expect(503);
    assert_eq!(
        (&ready["status"], &ready["links"]["database"]),
        (&json!("unavailable"), &json!("down"))
    );
    site.send(get("/healthz")).await.expect(200);
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_for_tokens() {
    let site = TestSite::sqlite().await;
    let answer = site.send(get("/metrics")).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.headers[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .starts_with("text/plain")
    );
    assert!(answer.text().contains("unstuck_link_up{link=\"publisher\"} 0"));
    let elsewhere = "203.0.113.9:4000";
    assert_eq!(site.send_from(elsewhere, get("/metrics")).await.status, 401);
    for (scope, status) in [(Scope::Read, 200), (Scope::Produce, 403)] {
        let token = site.token(&[scope]).await;
        let mut request = get("/metrics");
        let value = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert(header::AUTHORIZATION, value);
        assert_eq!(site.send_from(elsewhere, request).await.status, status);
    }
}
