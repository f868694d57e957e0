//! Consumer tags that the broker listed: whether a worker ever consumed under its own name.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Lane, Store, StoreError,
    db::{Sql, execute, fetch_all, sql},
    types::{At, Batch},
};
use crate::domain::time::Time;

/// Longer than any attempt is expected to run.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

const NOTE: Sql = sql!("INSERT INTO consumer_tags (tag, queue, first_seen_at, seen_at)
      SELECT tag, queue, $2, $2 FROM " rows(1; tag text, queue text) " r WHERE " sqlite("true") pg("true") "
      ON CONFLICT (tag) DO UPDATE SET queue = excluded.queue, seen_at = excluded.seen_at");

const SEEN: Sql =
    sql!("SELECT t.tag, t.seen_at FROM " rows(1; tag text) " r JOIN consumer_tags t ON t.tag = r.tag");

const FORGET: Sql = sql!(
    "DELETE FROM consumer_tags WHERE tag IN (
        SELECT tag FROM consumer_tags WHERE seen_at < $1 ORDER BY seen_at LIMIT $2)"
);

impl Store {
    /// Notes that each tag was listed at `now`, with one queue it consumes. Tags must differ.
    pub async fn note_consumer_tags(&self, now: Time, tags: &[(String, String)]) -> Result<(), StoreError> {
        let rows: Vec<Value> = tags
            .iter()
            .map(|(tag, queue)| json!({ "tag": tag, "queue": queue }))
            .collect();
        let mut tx = self.begin(Lane::Shared).await?;
        execute!(&mut tx, NOTE, Batch::of(&rows), At(now))?;
        tx.commit().await
    }

    /// When each of these tags was last listed; tags that never were are left out.
    pub async fn consumer_tags_seen(&self, tags: &[String]) -> Result<Vec<(String, Time)>, StoreError> {
        let rows: Vec<Value> = tags.iter().map(|tag| json!({ "tag": tag })).collect();
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (String, At), SEEN, Batch::of(&rows))?;
        Ok(rows.into_iter().map(|(tag, at)| (tag, at.0)).collect())
    }

    /// Forgets up to `limit` tags that were not listed for a week; how many.
    pub async fn forget_consumer_tags(&self, now: Time, limit: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let gone = execute!(&mut tx, FORGET, At(now - KEPT), limit)?;
        tx.commit().await?;
        Ok(gone)
    }
}
