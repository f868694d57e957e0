//! Rows that somebody else locks in the other order.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use unstuck::{
    domain::{
        audit::AuditEntry,
        transition::{Event, LeasePolicy, RequeueBy},
    },
    store::{Lane, Store, tasks::Act},
};
use uuid::Uuid;

use super::tasks::{LEASE, created, events};
use crate::support::{store::TestStore, wait::eventually};

async fn run(connection: &mut PgConnection, statement: &str) -> u64 {
    let done = sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(connection)
        .await;
    done.expect(statement).rows_affected()
}

async fn lock(connection: &mut PgConnection, task: Uuid) {
    let statement = format!("SELECT id FROM tasks WHERE id = '{task}' FOR UPDATE");
    assert_eq!(run(connection, &statement).await, 1);
}

fn requeue(task_id: Uuid) -> Act {
    Act {
        task_id,
        event: Event::Requeue {
            by: RequeueBy::Person,
            lease: LeasePolicy::Respect,
            payload: None,
        },
        actor: "user:operator".into(),
        audit: Some(AuditEntry::new(
            "user:operator",
            "requeue",
            "task",
            task_id.to_string(),
        )),
    }
}

/// Only PostgreSQL locks rows; SQLite has one writer.
#[tokio::test]
async fn a_batch_that_loses_a_deadlock_is_done_again_whole_and_once() {
    let test = TestStore::postgres().await;
    // The batch looks for a deadlock after 2 s, still before it gives the lock up; the other one never does.
    let store = Store::open(&format!("{}?options[deadlock_timeout]=2s", test.url))
        .await
        .expect("the store opens");
    let mut ids = [created(&store, true).await, created(&store, true).await];
    ids.sort();
    let mut other = PgConnection::connect(&test.url).await.expect("connected");
    let mut watch = PgConnection::connect(&test.url).await.expect("connected");
    run(&mut other, "BEGIN").await;
    run(&mut other, "SET LOCAL deadlock_timeout = '10min'").await;
    lock(&mut other, ids[1]).await;
    let batch = tokio::spawn({
        let store = store.clone();
        async move { store.apply(&ids.map(requeue), Lane::Shared, LEASE).await }
    });
    eventually(Duration::from_secs(10), "the batch waits for the second row", async || {
        let waiting =
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (run(&mut watch, waiting).await == 1).then_some(())
    })
    .await;

    lock(&mut other, ids[0]).await;
    assert!(!batch.is_finished(), "it waits again");
    run(&mut other, "ROLLBACK").await;
    let outcomes = batch.await.expect("no panic").expect("applied");
    for (id, outcome) in ids.into_iter().zip(outcomes) {
        assert_eq!(outcome.expect("not refused").task.dispatch, 2);
        let requeued = events(&store, id)
            .await
            .into_iter()
            .filter(|event| event == "requeued");
        assert_eq!(requeued.count(), 1);
        let audited = format!("SELECT id FROM audit WHERE target_id = '{id}'");
        assert_eq!(run(&mut watch, &audited).await, 1, "one act, one row");
    }
    store.close().await;
    test.close().await;
}
