//! What the page of a running task, and that of its queue, tell of how long its kind takes.

use std::time::Duration;

use serde_json::json;
use unstuck::domain::{access::Role, broker_queue::BrokerQueue, queue_setup::QueueSetup};

use super::stage::Program;
use crate::support::{
    browser::Browser,
    site::{LEASE, TestSite},
};

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

/// From now on the broker says this about the queue `report`.
async fn describe(site: &TestSite, version: &str, arguments: serde_json::Value) {
    let now = site.store.store.now().await.expect("a time");
    let described = BrokerQueue {
        setup: QueueSetup {
            queue_type: Some("quorum".into()),
            arguments: arguments.as_object().cloned(),
            policy_definition: Some(Default::default()),
            ..QueueSetup::default()
        },
        version: Some(version.into()),
        ..BrokerQueue::default()
    };
    let described = [("report".to_owned(), now, described)];
    site.store
        .store
        .keep_broker_queues(&described)
        .await
        .expect("kept");
}

#[tokio::test]
async fn a_running_task_counts_down_to_when_the_broker_takes_its_delivery_back_or_says_why_not() {
    let site = TestSite::sqlite().await;
    let program = Program::of(&site).await;
    let mut browser = Browser::signed_in(&site, Role::Viewer).await;
    let id = program.running(json!({ "kind": "report" }), "w").await;
    let path = format!("/admin/tasks/{id}");
    let told = async || {
        let attempts = program.get(&format!("/tasks/{id}/attempts")).await;
        let items = attempts["items"].as_array().expect("items").clone();
        items.last().expect("one")["delivery"].clone()
    };
    let page = browser.get(&path).await.text();
    assert!(
        page.contains("the management API has not described the queue yet"),
        "{page}"
    );
    assert_eq!(told().await["not_taken_back"], "undescribed");

    describe(&site, "3.10.8", json!({ "x-consumer-timeout": 600_000 })).await;
    let page = browser.get(&path).await.text();
    assert!(
        page.contains("RabbitMQ 3.10.8 does not tell its consumer timeout"),
        "{page}"
    );
    assert!(page.contains("no limit on how often it hands a message out"));

    let set = json!({ "x-consumer-timeout": 600_000, "x-delivery-limit": 20 });
    describe(&site, "4.1.0", set).await;
    site.store.clock.advance(LEASE + LEASE);
    let claim = json!({ "worker": "v", "claim_id": "c2" });
    program
        .post(&format!("/tasks/{id}/claim"), claim)
        .await
        .expect(200);
    site.store.clock.advance(Duration::from_secs(228));
    let page = browser.get(&path).await.text();
    assert!(page.contains("back in 6 min 12 s at the latest"), "{page}");
    assert!(
        page.contains("delivery 2 of its message, at least; after 21"),
        "{page}"
    );
    let delivery = told().await;
    assert_eq!(
        (&delivery["at_least"], &delivery["at_most"]),
        (&json!(2), &json!(21))
    );
    assert_eq!(delivery["taken_back_at"], "2026-01-01T00:11:00.000Z");

    // Another worker met the attempt while it was alive: the message is acknowledged.
    let beat = json!({ "progress": 1 });
    program
        .post(&format!("/tasks/{id}/attempts/2/heartbeat"), beat)
        .await
        .expect(200);
    let copy = json!({ "worker": "u", "claim_id": "c3" });
    program
        .post(&format!("/tasks/{id}/claim"), copy)
        .await
        .expect(409);
    let page = browser.get(&path).await.text();
    assert!(page.contains("the broker has nothing to take back"), "{page}");
    site.close().await;
}
