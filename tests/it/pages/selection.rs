//! What is done to the ticked tasks of a list: each once or not at all, each with its outcome and its audit row.

use axum::http::Method;
use serde_json::json;
use unstuck::domain::{access::Role, audit::AuditOutcome};

use super::{
    actions::{audited, picture},
    stage::{Program, location},
};
use crate::support::{browser::Browser, site::TestSite};

/// The form over a list as the page shows it, with these tasks ticked and this button pressed.
fn ticked(page: &str, ids: &[&str], action: &str, reason: &str) -> Vec<(String, String)> {
    let (_, form) = page
        .split_once("action=\"/admin/tasks/act\"")
        .unwrap_or_else(|| panic!("no form: {page}"));
    let form = form.split("</form>").next().expect("its end");
    let mut fields = vec![
        ("action".to_owned(), action.to_owned()),
        ("reason".to_owned(), reason.to_owned()),
    ];
    let mut left = ids.len();
    for input in form.split("<input").skip(1) {
        let tag = input.split('>').next().expect("its end");
        let attribute = |name: &str| {
            let (_, value) = tag.split_once(&format!(" {name}=\""))?;
            Some(value.split('"').next()?.replace("&#38;", "&"))
        };
        let (Some(name), Some(value)) = (attribute("name"), attribute("value")) else {
            continue;
        };
        match attribute("type").as_deref() {
            Some("hidden") => fields.push((name, value)),
            Some("checkbox") if ids.iter().any(|id| value.starts_with(id)) => {
                fields.push((name, value));
                left -= 1;
            }
            _ => {}
        }
    }
    assert_eq!(left, 0, "each of them has its tick");
    fields
}

async fn press(browser: &mut Browser<'_>, form: &[(String, String)]) -> String {
    let form: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer = browser.post("/admin/tasks/act", &form).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let to = location(&answer).to_owned();
    browser.get(&to).await.text()
}

async fn done(site: &TestSite, id: &str) -> usize {
    let rows = audited(site, id).await;
    rows.iter()
        .filter(|row| row.entry.outcome == AuditOutcome::Done)
        .count()
}

#[tokio::test]
async fn each_ticked_task_is_done_or_refused_and_the_page_says_which_and_why() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let program = Program::of(&site).await;
        let mut operator = Browser::signed_in(&site, Role::Operator).await;
        let named = |title: &str| json!({ "kind": "k", "title": title });
        let waits = program.started(named("waits")).await;
        let alive = program.running(named("alive"), "w").await;
        let over = program.succeeded("over").await;
        let left_alone = program.started(named("left alone")).await;
        let before = (program.task(&alive).await, program.task(&over).await);
        let page = operator.get("/admin/tasks").await.text();
        let form = ticked(&page, &[&waits, &alive, &over], "requeue", "after the purge");
        let outcome = press(&mut operator, &form).await;
        assert!(outcome.contains("after the purge"), "{outcome}");
        assert!(outcome.contains("Attempt 1 is alive"), "{outcome}");
        assert!(
            outcome.contains("only queued and running tasks can be requeued"),
            "{outcome}"
        );
        assert_eq!(program.task(&waits).await["dispatch"], 2);
        assert_eq!(program.task(&left_alone).await["dispatch"], 1);
        assert_eq!(picture(&program.task(&alive).await), picture(&before.0));
        assert_eq!(picture(&program.task(&over).await), picture(&before.1));
        for (id, outcome) in [
            (&waits, AuditOutcome::Done),
            (&alive, AuditOutcome::Refused),
            (&over, AuditOutcome::Refused),
        ] {
            let rows = audited(&site, id).await;
            assert_eq!(rows.len(), 1, "{rows:?}");
            let entry = &rows[0].entry;
            assert_eq!(
                (entry.outcome, entry.reason.as_deref()),
                (outcome, Some("after the purge"))
            );
        }
        assert_eq!(audited(&site, &left_alone).await.len(), 0);
        site.close().await;
    }
}

#[tokio::test]
async fn the_same_selection_pressed_twice_acts_once() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let program = Program::of(&site).await;
        let mut operator = Browser::signed_in(&site, Role::Operator).await;
        for action in ["requeue", "retry", "cancel"] {
            let mut ids = Vec::new();
            for _ in 0..3 {
                ids.push(match action {
                    "retry" => program.failed("k").await,
                    _ => program.started(json!({ "kind": "k" })).await,
                });
            }
            let page = operator.get("/admin/tasks").await.text();
            let names: Vec<&str> = ids.iter().map(String::as_str).collect();
            let form = ticked(&page, &names, action, "twice");
            press(&mut operator, &form).await;
            let mut once = Vec::new();
            for id in &ids {
                once.push(picture(&program.task(id).await));
            }
            press(&mut operator, &form).await;
            for (id, once) in ids.iter().zip(&once) {
                assert_eq!(picture(&program.task(id).await), *once, "{action}");
                assert_eq!(done(&site, id).await, 1, "{action}");
            }
        }
        site.close().await;
    }
}

#[tokio::test]
async fn a_selection_pressed_twice_at_the_same_moment_acts_once() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let program = Program::of(&site).await;
        let mut operator = Browser::signed_in(&site, Role::Operator).await;
        for _ in 0..5 {
            let mut ids = Vec::new();
            for _ in 0..4 {
                ids.push(program.started(json!({ "kind": "k" })).await);
            }
            let page = operator.get("/admin/tasks").await.text();
            let names: Vec<&str> = ids.iter().map(String::as_str).collect();
            let form = ticked(&page, &names, "requeue", "twice");
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&form)
                .finish();
            let press = || site.send(operator.request(Method::POST, "/admin/tasks/act", Some(form.clone())));
            let (one, two) = tokio::join!(press(), press());
            assert_eq!((one.status.as_u16(), two.status.as_u16()), (303, 303));
            for id in &ids {
                assert_eq!(
                    program.task(id).await["dispatch"],
                    2,
                    "one dispatch for one decision"
                );
                assert_eq!(done(&site, id).await, 1);
            }
        }
        site.close().await;
    }
}

#[tokio::test]
async fn a_task_that_changed_since_the_list_was_shown_is_left_alone() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    let id = program.started(json!({ "kind": "k" })).await;
    let page = operator.get("/admin/tasks").await.text();
    let form = ticked(&page, &[&id], "requeue", "it waits too long");
    let faster = json!({ "reason": "somebody was faster" });
    program
        .post(&format!("/tasks/{id}/requeue"), faster)
        .await
        .expect(202);
    press(&mut operator, &form).await;
    assert_eq!(program.task(&id).await["dispatch"], 2);
    assert_eq!(done(&site, &id).await, 0);
    site.close().await;
}

#[tokio::test]
async fn a_selection_without_a_reason_or_without_ticks_does_nothing() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    let id = program.started(json!({ "kind": "k" })).await;
    let page = operator.get("/admin/tasks").await.text();
    for (ids, reason) in [
        (&[id.as_str()][..], ""),
        (&[id.as_str()], "  "),
        (&[id.as_str()], &*"x".repeat(501)),
        (&[], "why"),
    ] {
        let after = press(&mut operator, &ticked(&page, ids, "cancel", reason)).await;
        assert!(
            after.contains("role=\"alert\"") || after.contains("data-tone=\"bad\""),
            "{after}"
        );
    }
    assert_eq!(program.task(&id).await["state"], "queued");
    assert_eq!(audited(&site, &id).await.len(), 0);
    site.close().await;
}

#[tokio::test]
async fn a_viewer_has_no_ticks_and_a_selection_of_theirs_is_refused() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut viewer = Browser::signed_in(&site, Role::Viewer).await;
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    let id = program.started(json!({ "kind": "k" })).await;
    let theirs = viewer.get("/admin/tasks").await.text();
    assert!(!theirs.contains("type=\"checkbox\""), "{theirs}");
    let page = operator.get("/admin/tasks").await.text();
    let form = ticked(&page, &[&id], "cancel", "why");
    let form: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(viewer.post("/admin/tasks/act", &form).await.status, 403);
    assert_eq!(program.task(&id).await["state"], "queued");
    assert_eq!(audited(&site, &id).await.len(), 0);
    site.close().await;
}
