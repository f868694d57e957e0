//! No incident that lives through its stalls is ever there without one, for readers and for the webhook. On both databases.

use std::sync::Arc;

use serde_json::json;
use unstuck::{
    domain::finding::Verdict,
    services::detector::{Judge, Settings},
};
use uuid::Uuid;

use super::stage::{EVERY, LEASE, Stage};
use crate::support::{plant::execute, store::TestStore};

/// From now on each of these tasks changes whenever a pass has judged it and has not yet written what it found.
async fn change_behind_the_judge(test: &TestStore, ids: &[Uuid]) {
    let ids: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    let change = format!(
        "UPDATE tasks SET version = version + 1 WHERE id IN ({})",
        ids.join(", ")
    );
    if test.store.engine() == "sqlite" {
        let trigger = format!("CREATE TRIGGER behind AFTER INSERT ON samples BEGIN {change}; END");
        execute(&test.url, trigger).await;
    } else {
        let function = format!(
            "CREATE FUNCTION behind() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {change}; RETURN NULL; END $$"
        );
        execute(&test.url, function).await;
        let trigger = "CREATE TRIGGER behind AFTER INSERT ON samples EXECUTE FUNCTION behind()";
        execute(&test.url, trigger.into()).await;
    }
}

async fn leave_them_alone(test: &TestStore) {
    let table = if test.store.engine() == "sqlite" {
        ""
    } else {
        " ON samples"
    };
    execute(&test.url, format!("DROP TRIGGER behind{table}")).await;
}

/// A judge with a webhook, and so many tasks of a worker that is about to be called lost.
async fn about_to_be_lost(test: &TestStore, count: usize) -> (Stage, Vec<Uuid>) {
    let mut stage = Stage::new(test.store.clone(), test.clock.clone()).await;
    stage.judge.resign().await.expect("resigned");
    stage.judge = Judge::new(
        test.store.clone(),
        Settings {
            broker: "rabbit:5672".into(),
            every: EVERY,
            announce: Some(Arc::new(
                |row| json!({ "verdict": row.verdict, "tasks": row.tasks, "stalled": row.evidence.facts.stalled }),
            )),
        },
    );
    let ids = stage.queued(count).await;
    stage.broker(0, count as i64);
    stage.passes(3).await;
    for id in &ids {
        stage.claim(*id, "w").await;
    }
    stage.pass().await;
    stage.queue(|queue| queue.tags = Some([("other".to_owned(), Some(1))].into()));
    stage.passes(5).await;
    assert_eq!(stage.stall_verdicts().await, [], "its lease is alive");
    stage.clock.advance(EVERY);
    (stage, ids)
}

#[tokio::test]
async fn an_incident_does_not_open_when_each_of_its_tasks_changed_before_the_write() {
    for test in [TestStore::sqlite().await, TestStore::postgres().await] {
        let (mut stage, ids) = about_to_be_lost(&test, 2).await;
        change_behind_the_judge(&test, &ids).await;
        let tally = stage.pass().await;
        assert_eq!((tally.incidents_opened, tally.stalls_opened), (0, 0));
        assert_eq!(stage.incident_verdicts().await, []);
        let told = test.store.take_deliveries(LEASE, 10).await.expect("taken");
        assert_eq!(told.len(), 0, "nobody is told of a card without a task");

        leave_them_alone(&test).await;
        let tally = stage.pass().await;
        assert_eq!((tally.incidents_opened, tally.stalls_opened), (1, 2));
        assert_eq!(stage.incident_verdicts().await, [Verdict::WorkerLost]);
        drop(stage);
        test.close().await;
    }
}

#[tokio::test]
async fn an_incident_opens_with_the_tasks_that_were_written_and_says_how_many() {
    for test in [TestStore::sqlite().await, TestStore::postgres().await] {
        let (mut stage, ids) = about_to_be_lost(&test, 3).await;
        change_behind_the_judge(&test, &ids[..1]).await;
        let tally = stage.pass().await;
        assert_eq!((tally.incidents_opened, tally.stalls_opened), (1, 2));
        let told = test.store.take_deliveries(LEASE, 10).await.expect("taken");
        let body = json!({ "verdict": "worker_lost", "tasks": 2, "stalled": 2 });
        assert_eq!(told.iter().map(|told| &told.body).collect::<Vec<_>>(), [&body]);
        let incidents = stage.incidents().await;
        let stalls = stage.stalls().await;
        assert_eq!((incidents.len(), stalls.len()), (1, 2));
        assert!(
            stalls
                .iter()
                .all(|stall| stall.incident_id == Some(incidents[0].id))
        );
        drop(stage);
        test.close().await;
    }
}
