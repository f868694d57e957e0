//! The queues that carry tasks, and their settings here.

use std::time::Duration;

use super::{
    Lane, Store, StoreError,
    db::{Sql, execute, fetch_all, fetch_optional, sql},
    types::At,
};

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct QueueRow {
    pub name: String,
    /// `quorum` or `classic`.
    pub queue_type: String,
    /// The wait that staff find acceptable, in seconds.
    pub backlog_target_s: i64,
}

const ADD: Sql = sql!(
    "INSERT INTO queues (name, queue_type, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING"
);

const ONE: Sql = sql!("SELECT name, queue_type, backlog_target_s FROM queues WHERE name = $1");

const SET_BACKLOG_TARGET: Sql = sql!("UPDATE queues SET backlog_target_s = $2 WHERE name = $1");

const PAGE: Sql =
    sql!("SELECT name, queue_type, backlog_target_s FROM queues WHERE name > $1 ORDER BY name LIMIT $2");

impl Store {
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
