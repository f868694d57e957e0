//! Queues as the broker last described them.

use serde_json::{Value, json};
use sqlx::types::Json;

use super::{
    Lane, Store, StoreError,
    db::{Sql, execute, fetch_optional, sql},
    types::{At, Batch},
};
use crate::domain::{broker_queue::BrokerQueue, time::Time};

const KEEP: Sql = sql!("INSERT INTO broker_queues (queue, read_at, detail)
      SELECT queue, read_at, detail FROM " rows(1; queue text, read_at time, detail jsonb) " r WHERE true
      ON CONFLICT (queue) DO UPDATE SET read_at = excluded.read_at, detail = excluded.detail");

const ONE: Sql = sql!("SELECT read_at, detail FROM broker_queues WHERE queue = $1");

impl Store {
    /// Keeps what the broker said about each queue, and when, instead of what it said before. Queues must differ.
    pub async fn keep_broker_queues(&self, queues: &[(String, Time, BrokerQueue)]) -> Result<(), StoreError> {
        let rows: Vec<Value> = queues
            .iter()
            .map(|(queue, read_at, detail)| json!({ "queue": queue, "read_at": read_at.ms(), "detail": detail }))
            .collect();
        let mut tx = self.begin(Lane::Shared).await?;
        execute!(&mut tx, KEEP, Batch::of(&rows))?;
        tx.commit().await
    }

    /// The queue as the broker last described it, and when; `None` when it never did.
    pub async fn broker_queue(&self, name: &str) -> Result<Option<(Time, BrokerQueue)>, StoreError> {
        let mut conn = self.read().await?;
        let row = fetch_optional!(&mut conn, (At, Json<BrokerQueue>), ONE, name)?;
        Ok(row.map(|(read_at, detail)| (read_at.0, detail.0)))
    }
}
