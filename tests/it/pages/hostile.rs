//! Texts that other people chose: shown as they are and never taken for markup, wherever they appear.

use std::time::Duration;

use axum::http::header;
use serde_json::{Value, json};
use unstuck::{
    domain::{
        access::Role,
        audit::AuditEntry,
        broker_queue::{BrokerConsumer, BrokerQueue},
        observation::{BrokerSight, Numbers, Presence, Publishing, QueueSight},
        queue_setup::QueueSetup,
        report::ReportForm,
        ticket::Visibility,
    },
    services::{
        detector::{Judge, Settings},
        ticketing::{Incoming, Sending, StaffMessage},
    },
};

use super::stage::{Program, location};
use crate::support::{
    browser::Browser,
    site::{LEASE, TestSite},
};

/// Each breaks out of a page where it is not escaped. `%` is the place's own mark.
const HOSTILE: &[&str] = &[
    "<script>alert('%')</script>",
    "\"><img src=x onerror=alert('%')>",
    "' autofocus onfocus='alert(%)",
    "</textarea></title></pre><svg onload=alert(%)>",
    "<!--%--><iframe srcdoc=\"&lt;script&gt;\">",
    "&lt;b&gt;% &amp;quot; &#x3c;",
    "{{ 7 * 7 }} {% % %} ${7*7}",
    "javascript:alert('%')//\u{202e}gpj.exe\u{2066}",
    "\u{feff}\u{200b}%\u{1f4a9}\u{301}\u{301}\u{fffd}",
    "=HYPERLINK(\"http://evil.example\",\"%\")",
];

/// The text with its place's mark, and what must not be found on any page: the text as markup.
fn hostile(number: usize, mark: &str) -> String {
    HOSTILE[number % HOSTILE.len()].replace('%', mark)
}

/// Whether some of `text` stands on the page as markup.
fn is_raw(page: &str, text: &str) -> bool {
    text.contains(['<', '>', '"', '\'']) && page.contains(text)
}

/// A mark that is on no page by itself.
const PLACES: &[&str] = &[
    "zqtitle",
    "zqowner",
    "zqpayload",
    "zqkey",
    "zqworker",
    "zqprogress",
    "zqerror",
    "zqlog",
    "zqresult",
    "zqreason",
    "zqsubject",
    "zqtext",
    "zqfile",
    "zqagent",
    "zqnote",
    "zqtag",
    "zqalarm",
];

/// Puts the text with this number into every place that takes it; gives the addresses of the pages that show one.
async fn spread(site: &TestSite, number: usize) -> Vec<String> {
    let text = |mark: &str| hostile(number, mark);
    let program = Program::of(site).await;
    let mut operator = Browser::signed_in(site, Role::Operator).await;
    let task = json!({
        "kind": "k", "title": text("zqtitle"), "owner": text("zqowner"),
        "payload": { text("zqkey"): text("zqpayload") },
    });
    let running = program.running(task.clone(), &text("zqworker")).await;
    let beat = json!({ "progress": 7, "message": text("zqprogress") });
    program
        .post(&format!("/tasks/{running}/attempts/1/heartbeat"), beat)
        .await
        .expect(200);
    let failed = program.running(task.clone(), &text("zqworker")).await;
    let fail = json!({ "error": text("zqerror"), "log": text("zqlog"), "retryable": false });
    program
        .post(&format!("/tasks/{failed}/attempts/1/fail"), fail)
        .await
        .expect(200);
    let succeeded = program.running(task.clone(), &text("zqworker")).await;
    let succeed = json!({ "result": { text("zqkey"): text("zqresult") }, "log": text("zqlog") });
    program
        .post(&format!("/tasks/{succeeded}/attempts/1/succeed"), succeed)
        .await
        .expect(200);
    let plain = program.running(task, &text("zqworker")).await;
    let succeed = json!({ "result": text("zqresult") });
    program
        .post(&format!("/tasks/{plain}/attempts/1/succeed"), succeed)
        .await
        .expect(200);
    let reason = text("zqreason");
    let form = [("dispatch", "1"), ("reason", reason.as_str())];
    operator
        .post(&format!("/admin/tasks/{succeeded}/cancel"), &form)
        .await;
    let list = operator.get("/admin/tasks").await.text();
    let value = list
        .split("name=\"task\" value=\"")
        .find(|part| part.starts_with(&failed));
    let value = value.and_then(|part| part.split('"').next()).expect("its tick");
    let form = [
        ("action", "requeue"),
        ("reason", reason.as_str()),
        ("task", value),
    ];
    let outcome = operator.post("/admin/tasks/act", &form).await;
    let outcome = location(&outcome).to_owned();

    let desk = &site.site.desk;
    let mut upload = desk
        .attachments
        .begin(&format!("{} zqfile.txt", text("-")))
        .await
        .expect("taken");
    upload.write(b"line\n").await.expect("written");
    let incoming = Incoming {
        form: ReportForm {
            subject: text("zqsubject").chars().filter(|c| !c.is_control()).collect(),
            description: text("zqtext"),
            email: String::new(),
            task_id: running.clone(),
        },
        files: vec![upload.finish().await.expect("fine")],
        sending: Sending::Unnamed,
        lang: Some("en".into()),
        user_agent: Some(text("zqagent")),
    };
    let receipt = desk.file(incoming).await.expect("filed");
    let ticket = desk
        .follow(receipt.reference.as_str(), &receipt.key)
        .await
        .expect("there")
        .id;
    let note = StaffMessage {
        ticket_id: ticket,
        actor: "user:operator@example.org".into(),
        visibility: Visibility::Internal,
        body: text("zqnote"),
        then: None,
        files: Vec::new(),
        audit: AuditEntry::new("user:operator@example.org", "note", "ticket", ticket.to_string()),
    };
    desk.write(note).await.expect("noted");

    look(site, &text("zqtag"), &text("zqalarm")).await;
    vec![
        "/admin".into(),
        "/admin/tasks".into(),
        "/admin/stalls".into(),
        "/admin/stalls?view=closed".into(),
        "/admin/queues".into(),
        "/admin/queues/k".into(),
        "/admin/audit".into(),
        "/admin/tickets?status=all".into(),
        format!("/admin/tickets/{ticket}"),
        format!("/admin/tasks/{running}"),
        format!("/admin/tasks/{failed}"),
        format!("/admin/tasks/{succeeded}"),
        format!("/admin/tasks/{plain}"),
        outcome,
        format!("/r/{}?key={}", receipt.reference, receipt.key),
    ]
}

/// The detector finds the running task's worker lost, a foreign consumer and settings on the queue, and an alarm.
async fn look(site: &TestSite, tag: &str, alarm: &str) {
    let store = &site.store.store;
    let settings = Settings {
        broker: "rabbit:5672".into(),
        every: Duration::from_secs(5),
        announce: None,
    };
    let mut judge = Judge::new(store.clone(), settings);
    assert!(judge.lead().await.expect("elected"));
    let numbers = Numbers {
        presence: Presence::Here,
        ..Numbers::UNSEEN
    };
    let queue = QueueSight {
        numbers,
        tags: Some([(tag.to_owned(), Some(1))].into()),
        restarted: false,
        settings: None,
        head_at: None,
        redelivered: None,
        dead: None,
        dead_known: true,
    };
    let sight = BrokerSight {
        blind: None,
        statistics: None,
        consumers_age_ms: Some(0),
        alarms: Some(vec![alarm.to_owned()]),
        publishing: Publishing::Blocked(alarm.to_owned()),
        restarted: false,
        queues: [("k".to_owned(), queue)].into(),
    };
    let queues = judge.queues().await.expect("the queues");
    site.store.clock.advance(LEASE);
    for _ in 0..6 {
        site.store.clock.advance(Duration::from_secs(5));
        let now = store.now().await.expect("the time");
        assert!(judge.pass(now, &queues, &sight).await.expect("a pass").leading);
    }
    judge.resign().await.expect("resigned");
    let consumer = BrokerConsumer {
        tag: tag.to_owned(),
        connection_name: Some(tag.to_owned()),
        prefetch: Some(1),
        active: Some(true),
    };
    let described = BrokerQueue {
        setup: QueueSetup {
            policy: Some(tag.to_owned()),
            arguments: json!({ "x-dead-letter-exchange": tag }).as_object().cloned(),
            ..QueueSetup::default()
        },
        version: Some(format!("3.10.{tag}")),
        consumers: Some(vec![consumer]),
        ..BrokerQueue::default()
    };
    let now = store.now().await.expect("the time");
    store
        .keep_broker_queues(&[("k".to_owned(), now, described)])
        .await
        .expect("kept");
}

#[tokio::test]
async fn a_text_is_never_markup_on_any_page_in_any_language() {
    for number in 0..HOSTILE.len() {
        let site = if number % 5 == 4 {
            TestSite::postgres().await
        } else {
            TestSite::sqlite().await
        };
        let pages = spread(&site, number).await;
        let mut operator = Browser::signed_in(&site, Role::Operator).await;
        let mut shown = String::new();
        for language in ["en", "zh-CN"] {
            operator.language = language;
            for path in &pages {
                let answer = operator.get(path).await;
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                let page = answer.text();
                for place in PLACES {
                    let text = hostile(number, place);
                    assert!(!is_raw(&page, &text), "{text:?} is markup on {path}");
                }
                for place in ["<script>", "<img src=x", "<svg onload", "<iframe"] {
                    assert!(!page.contains(place), "{place} is on {path}");
                }
                shown.push_str(&page);
            }
        }
        for place in PLACES {
            assert!(
                shown.contains(place),
                "{place} of text {number} is shown somewhere"
            );
        }
        site.close().await;
    }
}

#[tokio::test]
async fn a_document_goes_out_as_a_file_that_no_browser_opens() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut viewer = Browser::signed_in(&site, Role::Viewer).await;
    let payload = json!({ "page": "<script>alert(1)</script>" });
    let id = program
        .running(json!({ "kind": "k", "payload": payload }), "w")
        .await;
    let succeed = json!({ "result": "<html><script>alert(1)</script>" });
    program
        .post(&format!("/tasks/{id}/attempts/1/succeed"), succeed)
        .await
        .expect(200);
    for document in ["payload", "result"] {
        let answer = viewer.get(&format!("/admin/tasks/{id}/{document}")).await;
        let head = |name| answer.headers[name].to_str().expect("text");
        assert!(head(header::CONTENT_DISPOSITION).starts_with("attachment; filename=\""));
        assert_eq!(head(header::CONTENT_TYPE), "application/json");
        assert_eq!(head(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(head(header::CONTENT_SECURITY_POLICY).contains("default-src 'none'"));
    }
    site.close().await;
}

#[tokio::test]
async fn a_text_of_100_kb_is_refused_or_cut_and_every_page_stays_small() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    let long = "<b>".repeat(34_000);
    for field in ["title", "owner", "kind", "queue"] {
        let mut task = json!({ "kind": "k" });
        task[field] = Value::String(long.clone());
        program.post("/tasks", task).await.expect(422);
    }
    let id = program
        .running(json!({ "kind": "k", "payload": { "long": long } }), "w")
        .await;
    let fail = json!({ "error": long, "log": long, "retryable": false });
    program
        .post(&format!("/tasks/{id}/attempts/1/fail"), fail)
        .await
        .expect(200);
    let other = program.running(json!({ "kind": "k" }), "w").await;
    let succeed = json!({ "result": long, "log": long });
    program
        .post(&format!("/tasks/{other}/attempts/1/succeed"), succeed)
        .await
        .expect(200);
    for path in [
        "/admin".to_owned(),
        "/admin/tasks".into(),
        "/admin/audit".into(),
        format!("/admin/tasks/{id}"),
        format!("/admin/tasks/{other}"),
    ] {
        let answer = operator.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        let page = answer.text();
        assert!(page.len() < 600_000, "{path} has {} bytes", page.len());
        assert!(!page.contains("<b>"), "{path}");
    }
    let reason = [("dispatch", "1"), ("reason", long.as_str())];
    let answer = operator.post(&format!("/admin/tasks/{id}/retry"), &reason).await;
    assert_eq!(answer.status, 303);
    assert_eq!(program.task(&id).await["state"], "failed");
    site.close().await;
}
