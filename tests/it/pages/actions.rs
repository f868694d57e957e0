//! What is done to one task from its page: once, with its audit row, or not at all.

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use std::time::Duration;
use unstuck::{
    domain::{access::Role, audit::AuditOutcome},
    store::{AuditFilter, AuditRow},
};

use super::stage::{Program, location};
use crate::support::{
    browser::Browser,
    site::{Answer, LEASE, TestSite},
};

/// The audit rows about a task by people, oldest first.
pub async fn audited(site: &TestSite, id: &str) -> Vec<AuditRow> {
    let filter = AuditFilter {
        target: Some("task".into()),
        target_id: Some(id.to_owned()),
        ..AuditFilter::default()
    };
    let page = site
        .store
        .store
        .audit_page(&filter, None, 100)
        .await
        .expect("read");
    let mut rows = page.items;
    rows.retain(|row| row.entry.actor.starts_with("user:"));
    rows.reverse();
    rows
}

/// What an action may change of a task.
pub fn picture(task: &Value) -> Value {
    json!([
        task["state"],
        task["dispatch"],
        task["attempt"],
        task["lease_expires_at"]
    ])
}

/// Sends the form of a task's page as the page shows it, and gives the page after it.
async fn press(browser: &mut Browser<'_>, id: &str, action: &str, reason: &str) -> String {
    let page = browser.get(&format!("/admin/tasks/{id}")).await.text();
    let dispatch = shown_dispatch(&page, id, action);
    let fields = [("dispatch", dispatch.as_str()), ("reason", reason)];
    send(browser, id, action, &fields).await
}

async fn send(browser: &mut Browser<'_>, id: &str, action: &str, fields: &[(&str, &str)]) -> String {
    let answer = browser.post(&format!("/admin/tasks/{id}/{action}"), fields).await;
    after(browser, id, &answer).await
}

async fn after(browser: &mut Browser<'_>, id: &str, answer: &Answer) -> String {
    assert_eq!(
        location(answer),
        format!("/admin/tasks/{id}"),
        "{}",
        answer.text()
    );
    browser.get(location(answer)).await.text()
}

fn shown_dispatch(page: &str, id: &str, action: &str) -> String {
    let form = format!("action=\"/admin/tasks/{id}/{action}\"");
    let (_, form) = page
        .split_once(&form)
        .unwrap_or_else(|| panic!("no form for {action}: {page}"));
    let (_, value) = form
        .split_once("name=\"dispatch\" value=\"")
        .expect("the dispatch");
    value.split('"').next().expect("its end").to_owned()
}

#[tokio::test]
async fn each_action_that_is_allowed_acts_once_and_is_audited_with_its_reason() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let program = Program::of(&site).await;
        let mut operator = Browser::signed_in(&site, Role::Operator).await;
        let queued = json!({ "kind": "k" });
        for (action, id, state, dispatch, said) in [
            ("retry", program.failed("k").await, "queued", 2, "as dispatch 2"),
            (
                "requeue",
                program.started(queued.clone()).await,
                "queued",
                2,
                "Requeued as dispatch 2",
            ),
            (
                "cancel",
                program.started(queued).await,
                "cancelled",
                1,
                "Cancelled.",
            ),
            (
                "rerun",
                program.succeeded("k").await,
                "queued",
                2,
                "as dispatch 2",
            ),
        ] {
            let before = program.task(&id).await;
            let page = press(&mut operator, &id, action, "the customer waits").await;
            assert!(page.contains(said), "{action} says what it did: {page}");
            let task = program.task(&id).await;
            assert_eq!(
                (&task["state"], &task["dispatch"]),
                (&json!(state), &json!(dispatch))
            );
            let rows = audited(&site, &id).await;
            assert_eq!(rows.len(), 1, "{action}: {rows:?}");
            let entry = &rows[0].entry;
            assert_eq!(
                (entry.actor.as_str(), entry.action.as_str(), entry.outcome),
                ("user:operator@example.org", action, AuditOutcome::Done)
            );
            assert_eq!(entry.reason.as_deref(), Some("the customer waits"));
            assert!(entry.request_id.is_some() && entry.address.as_deref() == Some("127.0.0.1"));
            let pictures = (entry.before.as_ref(), entry.after.as_ref());
            let (Some(was), Some(is)) = pictures else {
                panic!("{action} has no picture: {entry:?}");
            };
            assert_eq!((&was["state"], &is["state"]), (&before["state"], &task["state"]));
            assert!(
                operator
                    .get("/admin/audit")
                    .await
                    .text()
                    .contains("the customer waits"),
                "the log shows why"
            );
        }
        site.close().await;
    }
}

#[tokio::test]
async fn the_same_form_pressed_twice_acts_once_and_says_so() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    for (action, id) in [
        ("retry", program.failed("k").await),
        ("requeue", program.started(json!({ "kind": "k" })).await),
        ("cancel", program.started(json!({ "kind": "k" })).await),
        ("rerun", program.succeeded("k").await),
    ] {
        let fields = [("dispatch", "1"), ("reason", "why")];
        send(&mut operator, &id, action, &fields).await;
        let once = picture(&program.task(&id).await);
        let page = send(&mut operator, &id, action, &fields).await;
        assert!(page.contains("Nothing was done"), "{action}: {page}");
        assert_eq!(picture(&program.task(&id).await), once, "{action}");
        let done = audited(&site, &id).await;
        let done = done.iter().filter(|row| row.entry.outcome == AuditOutcome::Done);
        assert_eq!(done.count(), 1, "{action}");
    }
    site.close().await;
}

#[tokio::test]
async fn a_form_pressed_twice_at_the_same_moment_acts_once() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let program = Program::of(&site).await;
        let operator = Browser::signed_in(&site, Role::Operator).await;
        for round in 0..10 {
            let (action, id) = match round % 2 {
                0 => ("requeue", program.started(json!({ "kind": "k" })).await),
                _ => ("retry", program.failed("k").await),
            };
            let press = || {
                let form = "dispatch=1&reason=twice".to_owned();
                let path = format!("/admin/tasks/{id}/{action}");
                site.send(operator.request(Method::POST, &path, Some(form)))
            };
            let answers = tokio::join!(press(), press(), press());
            for answer in [answers.0, answers.1, answers.2] {
                assert_eq!(answer.status, 303, "{}", answer.text());
            }
            let task = program.task(&id).await;
            assert_eq!(task["dispatch"], 2, "{action} took one dispatch: {task}");
            let rows = audited(&site, &id).await;
            let done = rows.iter().filter(|row| row.entry.outcome == AuditOutcome::Done);
            assert_eq!(done.count(), 1, "{action}: {rows:?}");
        }
        site.close().await;
    }
}

#[tokio::test]
async fn what_the_guard_refuses_changes_nothing_says_why_and_is_audited() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    let alive = program.running(json!({ "kind": "k" }), "w").await;
    let succeeded = program.succeeded("k").await;
    let queued = program.started(json!({ "kind": "k" })).await;
    for (id, action, why) in [
        (&alive, "requeue", "Attempt 1 is alive"),
        (&alive, "retry", "only failed and cancelled"),
        (&succeeded, "requeue", "only queued and running"),
        (&succeeded, "retry", "only failed and cancelled"),
        (&succeeded, "cancel", "It has ended already"),
        (&queued, "retry", "only failed and cancelled"),
        (&queued, "rerun", "only a succeeded task"),
    ] {
        let before = picture(&program.task(id).await);
        let rows = audited(&site, id).await.len();
        let fields = [("dispatch", "1"), ("reason", "I insist")];
        let page = send(&mut operator, id, action, &fields).await;
        assert!(
            page.contains("Nothing was done") && page.contains(why),
            "{action} of {before} says why: {page}"
        );
        assert_eq!(picture(&program.task(id).await), before, "{action}");
        let after = audited(&site, id).await;
        assert_eq!(after.len(), rows + 1, "{action} leaves a row");
        let entry = &after[rows].entry;
        assert_eq!(
            (entry.outcome, entry.reason.as_deref()),
            (AuditOutcome::Refused, Some("I insist"))
        );
    }
    site.close().await;
}

#[tokio::test]
async fn what_was_decided_on_an_old_page_is_not_done() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    let id = program.started(json!({ "kind": "k" })).await;
    let page = operator.get(&format!("/admin/tasks/{id}")).await.text();
    let old = shown_dispatch(&page, &id, "requeue");
    let requeue = json!({ "reason": "somebody was faster" });
    program
        .post(&format!("/tasks/{id}/requeue"), requeue)
        .await
        .expect(202);
    let before = picture(&program.task(&id).await);
    for action in ["requeue", "cancel"] {
        let fields = [("dispatch", old.as_str()), ("reason", "why")];
        let page = send(&mut operator, &id, action, &fields).await;
        assert!(page.contains("somebody put this task out anew"), "{page}");
        assert_eq!(picture(&program.task(&id).await), before, "{action}");
    }
    for wrong in [&[("reason", "why")][..], &[("dispatch", "x"), ("reason", "why")]] {
        let answer = operator.post(&format!("/admin/tasks/{id}/requeue"), wrong).await;
        assert!(answer.status.is_client_error(), "{wrong:?}: {}", answer.status);
    }
    assert_eq!(picture(&program.task(&id).await), before);
    site.close().await;
}

#[tokio::test]
async fn a_live_lease_is_taken_by_force_with_a_reason_only() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    let id = program.running(json!({ "kind": "k" }), "w").await;
    let before = picture(&program.task(&id).await);
    for reason in ["", "   ", &"x".repeat(501)] {
        let fields = [("dispatch", "1"), ("force", "true"), ("reason", reason)];
        let page = send(&mut operator, &id, "requeue", &fields).await;
        assert!(page.contains("give a reason"), "{page}");
        assert_eq!(picture(&program.task(&id).await), before);
    }
    let fields = [("dispatch", "1"), ("force", "true"), ("reason", "it hangs")];
    send(&mut operator, &id, "requeue", &fields).await;
    let task = program.task(&id).await;
    assert_eq!((&task["state"], &task["dispatch"]), (&json!("queued"), &json!(2)));
    let late = json!({ "result": 1 });
    program
        .post(&format!("/tasks/{id}/attempts/1/succeed"), late)
        .await
        .expect(409);
    assert_eq!(audited(&site, &id).await.len(), 1);
    site.close().await;
}

#[tokio::test]
async fn a_lost_worker_s_task_is_requeued_without_force() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    let id = program.running(json!({ "kind": "k" }), "w").await;
    site.store.clock.advance(LEASE + Duration::from_secs(1));
    let page = press(&mut operator, &id, "requeue", "").await;
    assert!(page.contains("Requeued as dispatch 2"), "{page}");
    site.close().await;
}

#[tokio::test]
async fn a_viewer_is_shown_no_form_and_refused_when_sending_one() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut viewer = Browser::signed_in(&site, Role::Viewer).await;
    for (id, action) in [
        (program.failed("k").await, "retry"),
        (program.started(json!({ "kind": "k" })).await, "requeue"),
        (program.started(json!({ "kind": "k" })).await, "cancel"),
        (program.succeeded("k").await, "rerun"),
    ] {
        let page = viewer.get(&format!("/admin/tasks/{id}")).await.text();
        assert!(!page.contains(&format!("/admin/tasks/{id}/{action}\"")), "{page}");
        let before = picture(&program.task(&id).await);
        let fields = [("dispatch", "1"), ("reason", "why")];
        let answer = viewer.post(&format!("/admin/tasks/{id}/{action}"), &fields).await;
        assert_eq!(answer.status, 403, "{action}");
        assert_eq!(picture(&program.task(&id).await), before, "{action}");
        assert_eq!(audited(&site, &id).await.len(), 0);
    }
    site.close().await;
}

#[tokio::test]
async fn an_action_whose_audit_row_can_t_be_written_is_not_done() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let operator = Browser::signed_in(&site, Role::Operator).await;
    let tasks = [
        ("retry", program.failed("k").await),
        ("requeue", program.started(json!({ "kind": "k" })).await),
        ("cancel", program.started(json!({ "kind": "k" })).await),
        ("rerun", program.succeeded("k").await),
    ];
    let mut db = SqliteConnection::connect(&site.store.url)
        .await
        .expect("the database");
    sqlx::query("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
        .execute(&mut db)
        .await
        .expect("the trigger");
    for (action, id) in &tasks {
        let before = picture(&program.task(id).await);
        let events = program.get(&format!("/tasks/{id}/history")).await;
        let form = Some("dispatch=1&reason=why".to_owned());
        let path = format!("/admin/tasks/{id}/{action}");
        let answer = site.send(operator.request(Method::POST, &path, form)).await;
        assert!(answer.status.is_server_error(), "{action}: {}", answer.status);
        assert!(
            !answer.text().contains("no room"),
            "no cause is shown: {}",
            answer.text()
        );
        assert_eq!(picture(&program.task(id).await), before, "{action}");
        assert_eq!(
            program.get(&format!("/tasks/{id}/history")).await,
            events,
            "{action}"
        );
    }
    site.close().await;
}
