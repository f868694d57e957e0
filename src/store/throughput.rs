//! Kept counters per queue and minute, so that no page ever counts the history.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    Store, StoreError,
    db::{Sql, Tx, execute, sql},
    types::Batch,
};
use crate::domain::time::Time;

/// What happened to a queue's tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) created: i64,
    pub(crate) claimed: i64,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) cancelled: i64,
    pub(crate) lost: i64,
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
