//! What becomes of a finding that somebody put off, pass by pass. On both databases.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use unstuck::{
    domain::{audit::AuditEntry, finding::Verdict, ledger::Health, snooze::End, transition::Event},
    services::detector::{Judge, Settings},
    store::{AuditFilter, Store, webhooks::WebhookEvent},
};
use uuid::Uuid;

use super::stage::{EVERY, LEASE, Stage};
use crate::support::store::each_store;

/// A stage whose judge tells a webhook.
async fn told(store: Store, clock: crate::support::store::TestClock) -> Stage {
    let mut stage = Stage::new(store.clone(), clock).await;
    stage.judge.resign().await.expect("resigned");
    let announce = |row: &unstuck::store::findings::IncidentRow| json!({ "verdict": row.verdict });
    stage.judge = Judge::new(
        store,
        Settings {
            broker: "rabbit:5672".into(),
            every: EVERY,
            announce: Some(Arc::new(announce)),
        },
    );
    stage
}

/// So many tasks of `q` have lost their messages; the incident.
async fn lose(stage: &mut Stage, count: usize) -> Uuid {
    stage.queued(count).await;
    stage.passes(4).await;
    let incidents = stage.incidents().await;
    assert_eq!(incidents[0].verdict, Verdict::LedgerShort);
    incidents[0].id
}

async fn snooze(stage: &Stage, id: Uuid, minutes: u64) {
    let ends_at = stage.store.now().await.expect("a time") + Duration::from_secs(60 * minutes);
    let mut audit = AuditEntry::new("user:a@b.example", "snooze", "", id.to_string());
    audit.reason = Some("known".into());
    stage.store.snooze(id, ends_at, audit).await.expect("stored");
}

/// What the webhook's receiver would be told now.
async fn deliveries(store: &Store) -> Vec<WebhookEvent> {
    let taken = store.take_deliveries(LEASE, 10).await.expect("taken");
    for delivery in &taken {
        store.delivery_done(delivery, 200).await.expect("noted");
    }
    taken.into_iter().map(|delivery| delivery.event).collect()
}

async fn end(store: &Store, id: Uuid) -> Option<End> {
    let said = store.said_of(&[id]).await.expect("read").remove(&id)?;
    said.snooze?.ended.map(|(_, end)| end)
}

#[tokio::test]
async fn a_snoozed_incident_is_not_told_to_the_webhook_and_returns_when_its_time_is_over() {
    each_store(async |store, clock| {
        let mut stage = told(store.clone(), clock).await;
        let id = lose(&mut stage, 2).await;
        snooze(&stage, id, 2).await;
        assert_eq!(deliveries(&store).await, [], "not even of its opening");
        stage.passes(6).await;
        assert_eq!(deliveries(&store).await, []);
        assert_eq!(end(&store, id).await, None);
        let sample = store.latest_sample("q").await.expect("read").expect("sampled");
        assert_eq!(sample.health, Health::Stalled, "what is put off is not well");

        stage.passes(20).await;
        assert_eq!(end(&store, id).await, Some(End::Over));
        assert_eq!(
            deliveries(&store).await,
            [WebhookEvent::Opened, WebhookEvent::Returned]
        );
        stage.passes(2).await;
        assert_eq!(deliveries(&store).await, [], "once");
        let filter = AuditFilter {
            target_id: Some(id.to_string()),
            ..AuditFilter::default()
        };
        let rows = store.audit_page(&filter, None, 10).await.expect("read").items;
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].entry.actor.as_str(), rows[0].entry.action.as_str()),
            ("system", "snooze_end")
        );
    })
    .await;
}

#[tokio::test]
async fn a_snoozed_incident_returns_early_when_it_touches_more_than_twice_as_many_tasks() {
    each_store(async |store, clock| {
        let mut stage = told(store.clone(), clock).await;
        let id = lose(&mut stage, 2).await;
        assert_eq!(deliveries(&store).await, [WebhookEvent::Opened]);
        snooze(&stage, id, 60).await;
        stage.queued(4).await;
        stage.passes(4).await;
        assert_eq!(stage.incidents().await[0].tasks, 6);
        assert_eq!(end(&store, id).await, None, "four more are not five");
        stage.queued(1).await;
        stage.passes(4).await;
        assert_eq!(end(&store, id).await, Some(End::Worse));
        assert_eq!(deliveries(&store).await, [WebhookEvent::Returned]);
    })
    .await;
}

#[tokio::test]
async fn a_snooze_ends_with_its_finding_and_then_the_webhook_is_told_of_the_end() {
    each_store(async |store, clock| {
        let mut stage = told(store.clone(), clock).await;
        let ids = stage.queued(1).await;
        stage.passes(4).await;
        let id = stage.incidents().await[0].id;
        assert_eq!(deliveries(&store).await, [WebhookEvent::Opened]);
        snooze(&stage, id, 60).await;
        stage.act(ids[0], Event::Cancel).await;
        stage.passes(2).await;
        assert_eq!(stage.incidents().await, []);
        assert_eq!(end(&store, id).await, Some(End::Closed));
        assert_eq!(deliveries(&store).await, [WebhookEvent::Closed]);
    })
    .await;
}
