//! A program that uses Unstuck's API, as any other would, and never forgets what it was answered.

use std::{
    sync::{Arc, Mutex, Once},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use super::wait::eventually;

/// How long a test waits for what happens by itself; generous, as machines under test are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever asks is answered within five seconds; the rest is what a busy test machine adds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx: what was asked for is promised.
    Done,
    /// 4xx: it was not done.
    Refused(u16),
    /// No answer, or 5xx: it may have been done or not.
    Unknown(String),
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
    calls: Arc<Calls>,
}

/// How many of its calls a failed test shows.
const LAST_CALLS: usize = 20;

/// What was called, and what came of it; shown when the test fails.
#[derive(Default)]
struct Calls(Mutex<Vec<(String, Outcome)>>);

impl Drop for Calls {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(calls) = self.0.lock()
        {
            eprintln!("— the last calls:");
            for (call, outcome) in calls.iter().rev().take(LAST_CALLS).rev() {
                eprintln!("{call}: {outcome:?}");
            }
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
    pub replayed: bool,
    /// It says when to try again.
    retry_after: bool,
}

impl Reply {
    /// The body of a 2xx; panics otherwise.
    pub fn done(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self.body
    }

    /// The body of a refusal; panics when it is another status.
    pub fn refused(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

impl Client {
    pub fn new(base: String, token: &str) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            // Another test's client may have been first.
            rustls::crypto::ring::default_provider().install_default().ok();
        });
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .no_proxy()
            .build();
        Self {
            http: http.expect("a client"),
            base,
            token: token.to_owned(),
            calls: Arc::default(),
        }
    }

    /// Where the server is, as `http://…` without a path.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Calls once. Errors: there was no answer. Panics when the answer took too long, or was a 5xx other than 503 with the
    /// time to try again.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Reply, String> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let began = Instant::now();
        let answered = read(request).await;
        let took = began.elapsed();
        let outcome = match &answered {
            Ok(reply) if reply.status < 300 => Outcome::Done,
            Ok(reply) if reply.status < 500 => Outcome::Refused(reply.status),
            Ok(reply) => Outcome::Unknown(format!("{} {}", reply.status, reply.body)),
            Err(error) => Outcome::Unknown(error.clone()),
        };
        let mut calls = self.calls.0.lock().expect("not poisoned");
        calls.push((format!("{method} {path} {}", key.unwrap_or_default()), outcome));
        drop(calls);
        if let Ok(reply) = &answered {
            assert!(
                took < ANSWERED_WITHIN,
                "{method} {path} was answered after {took:?}"
            );
            let honest = reply.status < 500 || (reply.status == 503 && reply.retry_after);
            assert!(honest, "{method} {path}: {} {}", reply.status, reply.body);
        }
        answered
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None, None).await.expect("an answer")
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, None, Some(&body))
            .await
            .expect("an answer")
    }

    /// Creates and starts a task; gives its id.
    pub async fn start(&self, task: Value) -> String {
        let mut task = task;
        task["start"] = json!(true);
        id(&self.post("/api/v1/tasks", task).await.done())
    }

    pub async fn task(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/tasks/{id}")).await.done()
    }

    /// retry, requeue, cancel, rerun.
    pub async fn act(&self, id: &str, action: &str, body: Value) -> Reply {
        self.post(&format!("/api/v1/tasks/{id}/{action}"), body).await
    }

    pub async fn attempts(&self, id: &str) -> Vec<Value> {
        items(
            &self
                .get(&format!("/api/v1/tasks/{id}/attempts?limit=200"))
                .await
                .done(),
        )
    }

    /// How its attempts ended, in order; empty for one that runs.
    pub async fn outcomes(&self, id: &str) -> Vec<String> {
        let attempts = self.attempts(id).await;
        attempts.iter().map(|attempt| text(&attempt["outcome"])).collect()
    }

    pub async fn history(&self, id: &str) -> Vec<Value> {
        items(
            &self
                .get(&format!("/api/v1/tasks/{id}/history?limit=200"))
                .await
                .done(),
        )
    }

    /// The events of its timeline, in order.
    pub async fn events(&self, id: &str) -> Vec<String> {
        self.history(id)
            .await
            .iter()
            .map(|entry| text(&entry["event"]))
            .collect()
    }

    /// Waits until the task is in `state`.
    pub async fn until(&self, id: &str, state: &str) -> Value {
        self.until_task(id, &format!("task {id} is {state}"), |task| {
            task["state"] == state
        })
        .await
    }

    pub async fn until_task(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(PATIENCE, what, async || {
            let reply = self
                .call(Method::GET, &format!("/api/v1/tasks/{id}"), None, None)
                .await
                .ok()?;
            (reply.status == 200 && is(&reply.body)).then_some(reply.body)
        })
        .await
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Reply, String> {
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = response.status().as_u16();
    let has = |name: &str| response.headers().contains_key(name);
    let (replayed, retry_after) = (has("idempotent-replayed"), has("retry-after"));
    let text = response.text().await.map_err(|error| format!("{error:?}"))?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Reply {
        status,
        body,
        replayed,
        retry_after,
    })
}

pub fn id(task: &Value) -> String {
    text(&task["id"])
}

/// A JSON text; empty for null.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().expect("a page").clone()
}
