//! A site with one of everything on it.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use unstuck::{
    domain::{
        access::{Role, Scope},
        audit::AuditEntry,
        finding::Confidence,
        report::ReportForm,
        ticket::Visibility,
    },
    services::ticketing::{Incoming, Sending},
};

use crate::support::{
    browser::Browser,
    finding::Finder,
    site::{Answer, TestSite},
};

/// A program's token of every scope.
pub struct Program<'a> {
    site: &'a TestSite,
    token: String,
}

impl<'a> Program<'a> {
    pub async fn of(site: &'a TestSite) -> Self {
        Self {
            site,
            token: site.token(Scope::ALL).await,
        }
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json");
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        self.site.send(request.body(body).expect("a request")).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, &Value::Null).await.expect(200)
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, &body).await
    }

    pub async fn task(&self, id: &str) -> Value {
        self.get(&format!("/tasks/{id}")).await
    }

    /// A started task; its id.
    pub async fn started(&self, task: Value) -> String {
        let mut task = task;
        task["start"] = json!(true);
        let task = self.post("/tasks", task).await.expect(201);
        task["id"].as_str().expect("an id").to_owned()
    }

    /// A task that runs as attempt 1 of `worker`; its id.
    pub async fn running(&self, task: Value, worker: &str) -> String {
        let id = self.started(task).await;
        let claim = json!({ "worker": worker, "claim_id": id });
        self.post(&format!("/tasks/{id}/claim"), claim).await.expect(200);
        id
    }

    pub async fn failed(&self, kind: &str) -> String {
        let id = self.running(json!({ "kind": kind }), "w").await;
        let report = json!({ "error": "it broke", "retryable": false });
        self.post(&format!("/tasks/{id}/attempts/1/fail"), report)
            .await
            .expect(200);
        id
    }

    pub async fn succeeded(&self, kind: &str) -> String {
        let id = self.running(json!({ "kind": kind }), "w").await;
        let report = json!({ "result": { "n": 1 } });
        self.post(&format!("/tasks/{id}/attempts/1/succeed"), report)
            .await
            .expect(200);
        id
    }
}

/// Where an answer leads; empty when it leads nowhere.
pub fn location(answer: &Answer) -> &str {
    answer
        .headers
        .get(header::LOCATION)
        .and_then(|path| path.to_str().ok())
        .unwrap_or_default()
}

/// What addresses stand for on a site with one of everything.
pub struct Furnished {
    /// A task that succeeded.
    pub task: String,
    pub request_id: String,
    pub ticket: String,
    /// A file of the ticket's first message.
    pub file: String,
    pub reference: String,
    pub key: String,
    pub delivery: String,
    /// An open incident.
    pub finding: String,
}

/// Puts one of everything on the site.
pub async fn furnish(site: &TestSite) -> Furnished {
    let program = Program::of(site).await;
    let task = program.succeeded("report.render").await;
    let store = &site.store.store;
    store
        .enqueue_test(&AuditEntry::new("system", "test", "webhook", ""))
        .await
        .expect("a delivery");
    let deliveries = store.deliveries(None, 1).await.expect("read");
    let desk = &site.site.desk;
    let mut upload = desk.attachments.begin("log.txt").await.expect("taken");
    upload.write(b"line\n").await.expect("written");
    let incoming = Incoming {
        form: ReportForm {
            subject: "It stands still".into(),
            description: "Since noon.".into(),
            email: "a@b.example".into(),
            task_id: task.clone(),
        },
        files: vec![upload.finish().await.expect("fine")],
        sending: Sending::Unnamed,
        lang: Some("en".into()),
        user_agent: None,
    };
    let receipt = desk.file(incoming).await.expect("filed");
    let ticket = desk
        .follow(receipt.reference.as_str(), &receipt.key)
        .await
        .expect("there");
    let files = store.ticket_attachments(ticket.id, Visibility::Internal).await;
    let mut operator = Browser::signed_in(site, Role::Operator).await;
    let again = program.succeeded("again").await;
    let form = [
        ("action", "requeue"),
        ("reason", "to see it refused"),
        ("task", again.as_str()),
    ];
    let outcome = operator.post("/admin/tasks/act", &form).await;
    let outcome = location(&outcome)
        .strip_prefix("/admin/tasks/outcome/")
        .expect("an outcome");
    let finder = Finder::of(store).await;
    let finding = finder.open("report.render", Confidence::Proven, 1).await;
    Furnished {
        finding: finding.to_string(),
        task,
        request_id: outcome.split('?').next().expect("an id").to_owned(),
        ticket: ticket.id.to_string(),
        file: files.expect("read")[0].id.to_string(),
        reference: receipt.reference.as_str().to_owned(),
        key: receipt.key,
        delivery: deliveries[0].id.to_string(),
    }
}

impl Furnished {
    /// The address of a route, with something that is there in each of its places.
    pub fn address(&self, path: &str) -> String {
        let path = path
            .replace("/admin/tickets/{id}", &format!("/admin/tickets/{}", self.ticket))
            .replace(
                "/admin/webhook/{id}",
                &format!("/admin/webhook/{}", self.delivery),
            )
            .replace("/admin/stalls/{id}", &format!("/admin/stalls/{}", self.finding))
            .replace("/files/{id}", &format!("/files/{}", self.file))
            .replace("{file_id}", &self.file)
            .replace("{request_id}", &self.request_id)
            .replace("{ref}", &self.reference)
            .replace("{action}", "requeue")
            .replace("{verdict}", "message_lost")
            .replace("{name}", "report.render")
            .replace("{*path}", "css/pages.css")
            .replace("{id}", &self.task);
        assert!(!path.contains('{'), "{path}");
        if path == "/r" {
            format!("/r?ref={}&key={}", self.reference, self.key)
        } else if path.starts_with("/r/") {
            format!("{path}?key={}", self.key)
        } else {
            path
        }
    }

    /// A form that the route takes; a multipart one for the routes that take files.
    pub fn form(&self, path: &str) -> Body {
        let pairs: &[(&str, &str)] = match path {
            "/admin/queues/{name}/policies/{verdict}" => &[
                ("action", "when_proven"),
                ("per_minute", "60"),
                ("breaker_percent", "20"),
                ("breaker_tasks", "10"),
                ("version", "0"),
                ("reason", "why"),
            ],
            "/admin/queues/{name}/policies/{verdict}/reset" => &[("reason", "why")],
            "/admin/account/password" => &[("present", "not it"), ("new", "another few words")],
            "/admin/stalls/{id}/snooze" => &[("span", "2h"), ("until", ""), ("reason", "why")],
            "/admin/stalls/{id}/false-alarm" => &[("reason", "why")],
            "/admin/queues/{name}/tracer" => &[("traced", "true")],
            "/admin/tasks/act" => &[("action", "requeue"), ("reason", "why"), ("task", &self.task)],
            "/admin/tasks/{id}/{action}" => &[("dispatch", "1"), ("reason", "why")],
            "/admin/tickets/{id}" => &[
                ("status_was", "new"),
                ("status", "open"),
                ("assignee_was", ""),
                ("assignee", ""),
            ],
            "/lang" => &[("lang", "en")],
            "/login" => &[("email", "nobody@example.org"), ("password", "wrong")],
            "/admin/tickets/{id}/messages" => {
                &[("body", "We look."), ("visibility", "internal"), ("then", "")]
            }
            "/r/{ref}" => &[("body", "Still so.")],
            "/report" => &[("subject", "s"), ("description", "d"), ("seal", "none")],
            _ => &[],
        };
        if is_multipart(path) {
            let part = |(name, value): &(&str, &str)| {
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let parts: String = pairs.iter().map(part).collect();
            return Body::from(format!("{parts}--b--\r\n"));
        }
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        Body::from(form.extend_pairs(pairs).finish())
    }

    /// A request of `browser` for a route, as a person's click makes it.
    pub fn request(&self, browser: &Browser<'_>, method: &Method, path: &str) -> Request<Body> {
        let mut request = browser.request(method.clone(), &self.address(path), None);
        if *method == Method::POST {
            let kind = if is_multipart(path) {
                "multipart/form-data; boundary=b"
            } else {
                "application/x-www-form-urlencoded"
            };
            let kind = header::HeaderValue::from_static(kind);
            request.headers_mut().insert(header::CONTENT_TYPE, kind);
            *request.body_mut() = self.form(path);
        }
        request
    }
}

fn is_multipart(path: &str) -> bool {
    matches!(path, "/admin/tickets/{id}/messages" | "/r/{ref}" | "/report")
}
