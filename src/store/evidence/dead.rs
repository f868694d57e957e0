//! The queued tasks that dead letters name.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{SuspectRow, suspect_columns};
use crate::{
    domain::{rules::task::Suspect, time::Time},
    store::{
        Store, StoreError,
        db::{Sql, fetch_all, sql},
        types::Batch,
    },
};

const QUEUED: Sql = sql!("SELECT " suspect_columns!() " FROM " rows(1; id uuid) " r CROSS JOIN tasks t
      WHERE t.id = r.id AND t.state = 'queued' AND t.queue = $2");

const DEAD: Sql = sql!(
    "SELECT queue, count(*) FROM stalls WHERE closed_at IS NULL AND verdict = 'dead_lettered' GROUP BY queue"
);

impl Store {
    /// Those of these tasks that are queued on `queue`, with when the broker confirmed the current message.
    pub async fn queued_tasks(
        &self,
        queue: &str,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, (Suspect, Option<Time>)>, StoreError> {
        let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, SuspectRow, QUEUED, Batch::of(&rows), queue)?;
        let tasks = rows.iter().map(|row| {
            let published_at = row.published_at.map(|at| at.0);
            (row.id.0, (row.suspect(), published_at))
        });
        Ok(tasks.collect())
    }

    /// How many tasks of each queue are told as dead-lettered.
    pub async fn dead_lettered(&self) -> Result<HashMap<String, i64>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (String, i64), DEAD)?;
        Ok(rows.into_iter().collect())
    }
}
