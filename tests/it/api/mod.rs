//! The JSON API, asked as a program asks it.

mod actions;
mod create;
mod document;
pub mod findings;
mod health;
mod hostile;
mod races;
mod read;
mod scopes;
mod work;

use axum::{
    body::Body,
    http::{HeaderName, Method, Request, header},
};
use serde_json::{Value, json};
use unstuck::domain::access::Scope;

use crate::support::site::{Answer, TestSite};

/// A program with one token of every scope.
pub struct Program {
    pub site: TestSite,
    pub token: String,
}

impl Program {
    pub async fn sqlite() -> Self {
        Self::of(TestSite::sqlite().await).await
    }

    pub async fn of(site: TestSite) -> Self {
        let token = site.token(Scope::ALL).await;
        Self { site, token }
    }

    /// On SQLite, then on PostgreSQL.
    pub async fn on_each() -> [Self; 2] {
        [
            Self::of(TestSite::sqlite().await).await,
            Self::of(TestSite::postgres().await).await,
        ]
    }

    pub async fn send(&self, request: axum::http::request::Builder, body: Body) -> Answer {
        let request = request
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(body)
            .expect("a request");
        self.site.send(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(format!("/api/v1{path}")), Body::empty())
            .await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    pub async fn post_with(&self, path: &str, body: Value, headers: &[(HeaderName, &str)]) -> Answer {
        let mut request =
            Request::post(format!("/api/v1{path}")).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(request, Body::from(body.to_string())).await
    }

    /// Sends these bytes as JSON.
    pub async fn post_raw(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/v1{path}"))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request, body.into()).await
    }

    /// A task that was started; its id.
    pub async fn started(&self, kind: &str) -> String {
        let task = self
            .post("/tasks", json!({ "kind": kind, "start": true }))
            .await
            .expect(201);
        id_of(&task)
    }

    /// A task that runs as attempt 1 of the worker `w`; its id.
    pub async fn running(&self, kind: &str) -> String {
        let id = self.started(kind).await;
        self.claim(&id, "c1").await.expect(200);
        id
    }

    pub async fn claim(&self, id: &str, claim_id: &str) -> Answer {
        let claim = json!({ "worker": "w", "claim_id": claim_id });
        self.post(&format!("/tasks/{id}/claim"), claim).await
    }

    pub async fn report(&self, id: &str, attempt: i64, verb: &str, body: Value) -> Answer {
        self.post(&format!("/tasks/{id}/attempts/{attempt}/{verb}"), body)
            .await
    }
}

pub fn id_of(task: &Value) -> String {
    task["id"].as_str().expect("an id").to_owned()
}

/// The fields that a 422 names.
pub fn wrong_fields(answer: &Answer) -> Vec<String> {
    let problem = answer.expect(422);
    let errors = problem["errors"].as_array().expect("errors");
    errors
        .iter()
        .map(|wrong| {
            assert!(!wrong["detail"].as_str().expect("a detail").is_empty());
            wrong["field"].as_str().expect("a field").to_owned()
        })
        .collect()
}
