//! Kept counters per queue and minute, so that no page ever counts the history.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    Store, StoreError,
    db::{Sql, Tx, execute, fetch_optional, sql},
    types::{At, Batch},
};
use crate::domain::time::Time;

/// What happened to a queue's tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Counts {
    pub created: i64,
    pub claimed: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub lost: i64,
}

const ADD: Sql = sql!("INSERT INTO throughput (queue, minute_at, source, created, claimed, succeeded, failed, cancelled, lost)
      SELECT queue, minute_at, source, created, claimed, succeeded, failed, cancelled, lost FROM "
      rows(1; queue text, minute_at time, source text, created bigint, claimed bigint, succeeded bigint, failed bigint,
           cancelled bigint, lost bigint) " r
      WHERE " sqlite("true") pg("true") "
      ON CONFLICT (queue, minute_at, source) DO UPDATE SET created = throughput.created + excluded.created,
        claimed = throughput.claimed + excluded.claimed, succeeded = throughput.succeeded + excluded.succeeded,
        failed = throughput.failed + excluded.failed, cancelled = throughput.cancelled + excluded.cancelled,
        lost = throughput.lost + excluded.lost");

// Whole numbers in both databases: PostgreSQL's sum of bigint is a numeric.
const SINCE: Sql = sql!("SELECT CAST(coalesce(sum(created), 0) AS bigint) AS created,
        CAST(coalesce(sum(claimed), 0) AS bigint) AS claimed, CAST(coalesce(sum(succeeded), 0) AS bigint) AS succeeded,
        CAST(coalesce(sum(failed), 0) AS bigint) AS failed, CAST(coalesce(sum(cancelled), 0) AS bigint) AS cancelled,
        CAST(coalesce(sum(lost), 0) AS bigint) AS lost
      FROM throughput WHERE minute_at >= $1");

const SINCE_OF: Sql = sql!("SELECT CAST(coalesce(sum(created), 0) AS bigint) AS created,
        CAST(coalesce(sum(claimed), 0) AS bigint) AS claimed, CAST(coalesce(sum(succeeded), 0) AS bigint) AS succeeded,
        CAST(coalesce(sum(failed), 0) AS bigint) AS failed, CAST(coalesce(sum(cancelled), 0) AS bigint) AS cancelled,
        CAST(coalesce(sum(lost), 0) AS bigint) AS lost
      FROM throughput WHERE queue = $2 AND minute_at >= $1");

impl Store {
    /// What happened since `after`, to the minute, to the tasks of `queue`, or of all. Reads the kept counters of that
    /// time only, so it costs the same however many tasks there are.
    pub async fn throughput(&self, after: Time, queue: Option<&str>) -> Result<Counts, StoreError> {
        let mut conn = self.read().await?;
        let after = At(after.minute());
        let counts = match queue {
            None => fetch_optional!(&mut conn, Counts, SINCE, after)?,
            Some(queue) => fetch_optional!(&mut conn, Counts, SINCE_OF, after, queue)?,
        };
        Ok(counts.unwrap_or_default())
    }
}

/// Adds `counts` by queue to the minute of `now`. Each store writes rows of its own, so writers never wait for one another.
pub(crate) async fn add_throughput(
    store: &Store,
    tx: &mut Tx,
    now: Time,
    counts: &HashMap<String, Counts>,
) -> Result<(), StoreError> {
    let rows: Vec<Value> = counts
        .iter()
        .filter(|(_, counts)| **counts != Counts::default())
        .map(|(queue, counts)| {
            json!({ "queue": queue, "minute_at": now.minute().ms(), "source": store.source(), "created": counts.created,
                "claimed": counts.claimed, "succeeded": counts.succeeded, "failed": counts.failed,
                "cancelled": counts.cancelled, "lost": counts.lost })
        })
        .collect();
    if !rows.is_empty() {
        execute!(tx, ADD, Batch::of(&rows))?;
    }
    Ok(())
}
