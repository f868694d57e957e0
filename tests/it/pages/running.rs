//! What the page of a running task, and that of its queue, tell of how long its kind takes.

use std::time::Duration;

use serde_json::json;
use unstuck::domain::access::Role;

use super::stage::Program;
use crate::support::{browser::Browser, site::TestSite};

#[tokio::test]
async fn a_running_task_is_shown_beside_what_is_usual_for_its_kind() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut browser = Browser::signed_in(&site, Role::Viewer).await;
    let clock = &site.store.clock;
    let early = program.running(json!({ "kind": "report" }), "w").await;
    let page = browser.get(&format!("/admin/tasks/{early}")).await.text();
    assert!(
        page.contains("0 succeeded in the last seven days, and 50 are needed"),
        "{page}"
    );
    assert!(page.contains("never called overdue"));
    let queue = browser.get("/admin/queues/report").await.text();
    assert!(
        queue.contains("99 of 100 within"),
        "the wait of the first one is measured: {queue}"
    );

    let mut ids = Vec::new();
    for _ in 0..60 {
        ids.push(program.running(json!({ "kind": "report" }), "w").await);
    }
    clock.advance(Duration::from_secs(40));
    for id in &ids {
        let path = format!("/tasks/{id}/attempts/1/succeed");
        program.post(&path, json!({ "result": 1 })).await.expect(200);
    }
    let page = browser.get(&format!("/admin/tasks/{early}")).await.text();
    assert!(
        page.contains("60 successful runs in the last seven days"),
        "{page}"
    );
    assert!(page.contains("This one has run for 40 s."));
    assert!(page.contains("it began before its kind had been watched for long enough"));

    clock.advance(Duration::from_secs(86_400));
    let mut browser = Browser::signed_in(&site, Role::Viewer).await;
    let late = program.running(json!({ "kind": "report" }), "w").await;
    let path = format!("/admin/tasks/{late}");
    assert!(
        browser
            .get(&path)
            .await
            .text()
            .contains("by what is usual for its kind")
    );
    browser.language = "zh-CN";
    let page = browser.get(&path).await.text();
    assert!(page.contains("最近七天成功运行 60 次"), "{page}");
    browser.language = "en";
    let timed = program
        .running(json!({ "kind": "report", "timeout_s": 90 }), "w")
        .await;
    let page = browser.get(&format!("/admin/tasks/{timed}")).await.text();
    assert!(
        page.contains("called overdue after its timeout of 1 min 30 s"),
        "{page}"
    );
    let ended = browser.get(&format!("/admin/tasks/{}", ids[0])).await.text();
    assert!(!ended.contains("id=\"usual\""), "it does not run");
    site.close().await;
}
