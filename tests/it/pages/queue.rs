//! A queue's page: what is done by itself, who may change that, and what is not as it should be about its settings.

use serde_json::json;
use unstuck::{
    domain::{
        access::Role,
        broker_queue::BrokerQueue,
        finding::Verdict,
        policy::{Policy, PolicyAction},
        queue_setup::QueueSetup,
    },
    store::{AuditFilter, AuditRow},
};

use super::stage::{Program, location};
use crate::support::{browser::Browser, site::TestSite};

const QUEUE: &str = "jobs.mail";
const PAGE: &str = "/admin/queues/jobs.mail";

async fn site_with_queue() -> TestSite {
    let site = TestSite::sqlite().await;
    Program::of(&site)
        .await
        .started(json!({ "kind": "mail", "queue": QUEUE }))
        .await;
    site
}

async fn policy(site: &TestSite) -> (Policy, i64) {
    let row = site.store.store.policy(QUEUE, Verdict::MessageLost).await;
    let row = row.expect("read");
    (row.policy, row.version)
}

async fn audited(site: &TestSite) -> Vec<AuditRow> {
    let filter = AuditFilter {
        target: Some("queue".into()),
        ..AuditFilter::default()
    };
    let page = site.store.store.audit_page(&filter, None, 100).await;
    page.expect("read").items
}

/// Sends the form of the policy, and gives the page after it.
async fn send(browser: &mut Browser<'_>, fields: &[(&str, &str)]) -> String {
    let answer = browser
        .post(&format!("{PAGE}/policies/message_lost"), fields)
        .await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(location(&answer).starts_with(PAGE), "{}", location(&answer));
    browser.get(PAGE).await.text()
}

fn form<'a>(version: &'a str, percent: &'a str, reason: &'a str) -> [(&'a str, &'a str); 6] {
    [
        ("action", "when_proven"),
        ("per_minute", "60"),
        ("breaker_percent", percent),
        ("breaker_tasks", "5"),
        ("version", version),
        ("reason", reason),
    ]
}

#[tokio::test]
async fn an_administrator_sets_a_policy_with_a_reason_and_everybody_sees_it() {
    let site = site_with_queue().await;
    let mut viewer = Browser::signed_in(&site, Role::Viewer).await;
    let page = viewer.get(PAGE).await.text();
    assert!(page.contains("Nothing is done by itself"), "{page}");
    assert!(
        !page.contains("name=\"breaker_percent\""),
        "a viewer changes nothing"
    );

    let mut admin = Browser::signed_in(&site, Role::Admin).await;
    let page = admin.get(PAGE).await.text();
    assert!(page.contains("name=\"breaker_percent\""));
    let page = send(&mut admin, &form("0", "30", "  ")).await;
    assert!(page.contains("give a reason"), "{page}");
    let page = send(&mut admin, &form("0", "101", "why not")).await;
    assert!(page.contains("out of its bounds"), "{page}");
    assert_eq!(
        (policy(&site).await, audited(&site).await.len()),
        ((Policy::default(), 0), 0)
    );

    let page = send(&mut admin, &form("0", "30", "a purge must not wake anybody")).await;
    assert!(page.contains("The policy was changed."), "{page}");
    let wanted = Policy {
        action: PolicyAction::WhenProven,
        per_minute: 60,
        breaker_percent: 30,
        breaker_tasks: 5,
    };
    assert_eq!(policy(&site).await, (wanted, 1));
    let page = send(&mut admin, &form("0", "40", "the same page sent again")).await;
    assert!(page.contains("somebody changed this policy"), "{page}");
    assert_eq!(policy(&site).await, (wanted, 1));
    let rows = audited(&site).await;
    assert_eq!(rows.len(), 1);
    let entry = &rows[0].entry;
    assert_eq!(
        (
            entry.action.as_str(),
            entry.target_id.as_str(),
            entry.reason.as_deref()
        ),
        ("policy_set", QUEUE, Some("a purge must not wake anybody"))
    );
    let log = admin.get("/admin/audit?action=policy_set").await.text();
    assert!(log.contains("Change a policy") && log.contains(PAGE), "{log}");
    let page = viewer.get(PAGE).await.text();
    assert!(page.contains("proven to be lost is put out again"), "{page}");
    for path in ["/policies/crash_loop", "/policies/nonsense"] {
        let answer = admin
            .post(&format!("{PAGE}{path}"), &form("0", "30", "why"))
            .await;
        assert_eq!(answer.status, 404, "{path}");
    }
    site.close().await;
}

#[tokio::test]
async fn a_policy_that_stopped_is_told_wherever_trouble_is_looked_for_until_it_goes_on() {
    let site = site_with_queue().await;
    let store = &site.store.store;
    let mut admin = Browser::signed_in(&site, Role::Admin).await;
    send(&mut admin, &form("0", "30", "try")).await;
    let row = store.policy(QUEUE, Verdict::MessageLost).await.expect("read");
    let leader = store.lead("detector", "test", std::time::Duration::from_secs(10));
    let leader = leader.await.expect("asked").expect("elected");
    assert!(store.trip_policy(&leader, &row, 12, 34).await.expect("written"));
    for (path, text) in [
        (PAGE, "Stopped: 12 of 34 open tasks"),
        ("/admin", "has stopped: 12 of 34 open tasks"),
        ("/admin/stalls", "has stopped: 12 of 34 open tasks"),
    ] {
        let page = admin.get(path).await.text();
        assert!(page.contains(text), "{path}: {page}");
    }
    let reset = format!("{PAGE}/policies/message_lost/reset");
    let mut viewer = Browser::signed_in(&site, Role::Operator).await;
    assert_eq!(viewer.post(&reset, &[("reason", "why")]).await.status, 403);
    admin.post(&reset, &[("reason", "looked at")]).await;
    assert!(admin.get(PAGE).await.text().contains("The policy goes on."));
    admin.post(&reset, &[("reason", "again")]).await;
    assert!(admin.get(PAGE).await.text().contains("was not stopped"));
    assert!(!admin.get("/admin").await.text().contains("has stopped"));
    let actions: Vec<String> = audited(&site)
        .await
        .into_iter()
        .map(|row| row.entry.action)
        .collect();
    assert_eq!(actions, ["policy_reset", "policy_trip", "policy_set"]);
    site.close().await;
}

#[tokio::test]
async fn what_is_not_as_it_should_be_about_a_queue_s_settings_stands_on_its_page_with_the_command_that_mends_it()
 {
    let site = site_with_queue().await;
    let store = &site.store.store;
    let now = store.now().await.expect("a time");
    let mut viewer = Browser::signed_in(&site, Role::Viewer).await;
    let heading = "Settings to look at";
    assert!(
        !viewer.get(PAGE).await.text().contains(heading),
        "nothing is known"
    );
    let described = BrokerQueue {
        setup: QueueSetup {
            queue_type: Some("quorum".into()),
            durable: Some(true),
            arguments: json!({ "x-queue-type": "quorum", "x-delivery-limit": 10_000 })
                .as_object()
                .cloned(),
            policy_definition: Some(Default::default()),
            ..QueueSetup::default()
        },
        version: Some("3.10.8".into()),
        ..BrokerQueue::default()
    };
    let keep = async |described: &BrokerQueue| {
        let rows = [(QUEUE.to_owned(), now, described.clone())];
        store.keep_broker_queues(&rows).await.expect("kept");
    };
    keep(&described).await;
    let page = viewer.get(PAGE).await.text();
    assert!(
        page.contains(heading) && page.contains("It has no dead-letter target"),
        "{page}"
    );
    assert!(
        page.contains("rabbitmqctl set_policy -p / --priority 10 --apply-to queues unstuck-jobs.mail"),
        "{page}"
    );
    let mut untold = described.clone();
    untold.setup.policy_definition = None;
    keep(&untold).await;
    let page = viewer.get(PAGE).await.text();
    assert!(page.contains("does not list its settings"), "never fine: {page}");
    let mut fine = described;
    let declared = json!({ "x-queue-type": "quorum", "x-delivery-limit": 10_000, "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "jobs.mail.dead" });
    fine.setup.arguments = declared.as_object().cloned();
    keep(&fine).await;
    let page = viewer.get(PAGE).await.text();
    assert!(page.contains("Declared as it should be"), "{page}");
    site.close().await;
}
