//! The queues that carry tasks, and their settings here.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Lane, Store, StoreError,
    audit::insert_audit,
    db::{Sql, execute, fetch_all, fetch_optional, sql},
    types::{At, Batch},
};
use crate::domain::{audit::AuditEntry, time::Time};

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct QueueRow {
    pub name: String,
    /// `quorum` or `classic`.
    pub queue_type: String,
    /// The wait that staff find acceptable, in seconds.
    pub backlog_target_s: i64,
    /// Whether tracers are sent to it.
    pub traced: bool,
}

const ADD: Sql = sql!(
    "INSERT INTO queues (name, queue_type, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING"
);

const ONE: Sql = sql!("SELECT name, queue_type, backlog_target_s, traced FROM queues WHERE name = $1");

const SET_BACKLOG_TARGET: Sql = sql!("UPDATE queues SET backlog_target_s = $2 WHERE name = $1");

const SET_TRACED: Sql = sql!("UPDATE queues SET traced = $2 WHERE name = $1 AND traced <> $2");

/// The end of the index of queued tasks, for each queue.
const OLDEST: Sql = sql!("SELECT r.queue, (SELECT min(t.published_at) FROM tasks t WHERE t.queue = r.queue AND t.state = 'queued')
      FROM " rows(1; queue text) " r");

const PAGE: Sql = sql!(
    "SELECT name, queue_type, backlog_target_s, traced FROM queues WHERE name > $1 ORDER BY name LIMIT $2"
);

impl Store {
    /// Since when the longest waiting task of each of these queues has been on it: when the broker confirmed its message.
    /// Queues on which none waits are left out.
    pub async fn waiting_since(&self, queues: &[&str]) -> Result<Vec<(String, Time)>, StoreError> {
        let rows: Vec<Value> = queues.iter().map(|queue| json!({ "queue": queue })).collect();
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (String, Option<At>), OLDEST, Batch::of(&rows))?;
        Ok(rows
            .into_iter()
            .filter_map(|(queue, at)| Some((queue, at?.0)))
            .collect())
    }

    /// Makes `name` known with `queue_type`. A queue that is known already keeps its settings.
    pub async fn add_queue(&self, name: &str, queue_type: &str) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        execute!(&mut tx, ADD, name, queue_type, At(now))?;
        tx.commit().await
    }

    /// Sets the wait that staff find acceptable, in whole seconds. A queue that is not known stays unknown.
    pub async fn set_backlog_target(&self, name: &str, target: Duration) -> Result<(), StoreError> {
        let seconds = i64::try_from(target.as_secs()).unwrap_or(i64::MAX);
        let mut tx = self.begin(Lane::Shared).await?;
        execute!(&mut tx, SET_BACKLOG_TARGET, name, seconds)?;
        tx.commit().await
    }

    /// Says whether tracers are sent to the queue, with its audit row; false when it is not known, or was so already: then
    /// nothing is written.
    pub async fn set_traced(&self, name: &str, traced: bool, audit: &AuditEntry) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        if execute!(&mut tx, SET_TRACED, name, traced)? == 0 {
            return Ok(false);
        }
        let now = self.now_in(&mut tx).await?;
        insert_audit(&mut tx, now, std::slice::from_ref(audit)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The queue's settings; `None` when no task or worker has named it yet.
    pub async fn queue(&self, name: &str) -> Result<Option<QueueRow>, StoreError> {
        let mut conn = self.read().await?;
        fetch_optional!(&mut conn, QueueRow, ONE, name)
    }

    /// Up to `limit` queues by name, after the name `after` (empty for the first).
    pub async fn queues(&self, after: &str, limit: i64) -> Result<Vec<QueueRow>, StoreError> {
        let mut conn = self.read().await?;
        fetch_all!(&mut conn, QueueRow, PAGE, after, limit)
    }
}
