//! Counts per queue: what waits, what runs, what each minute brought.

use serde_json::{Value, json};

use crate::{
    domain::time::Time,
    store::{
        Store, StoreError,
        db::{Sql, fetch_all, sql},
        types::{At, Batch},
    },
};

/// Up to which moments a queue's tasks are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub queue: String,
    /// Queued tasks confirmed up to here are settled; `None`: none is.
    pub settled_before: Option<Time>,
    /// Attempts that began up to here held their message when the broker was read.
    pub held_before: Time,
}

/// Counts of a queue's waiting tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub queue: String,
    /// Queued, confirmed or not.
    pub waiting: i64,
    /// Queued and confirmed.
    pub queued: i64,
    pub settled: i64,
    pub oldest_published_at: Option<Time>,
    /// Something of the queue is stalled.
    pub stalled: bool,
    /// Something of the queue runs, and not as it should.
    pub warned: bool,
}

/// Counts of one worker's tasks of one queue.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Running {
    pub queue: String,
    pub worker: Option<String>,
    pub running: i64,
    /// Their message is held.
    pub holding: i64,
    /// Their lease is alive.
    pub live: i64,
    /// Both, since before `held_before`.
    pub held: i64,
    /// Their lease is over, and a copy was put out for whoever takes over, confirmed before `settled_before`.
    pub copies: i64,
}

/// What one queue's tasks did in one minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minute {
    pub queue: String,
    pub minute_at: Time,
    pub claimed: i64,
    pub ended: i64,
    pub lost: i64,
}

#[derive(sqlx::FromRow)]
struct WaitingRow {
    queue: String,
    waiting: i64,
    queued: i64,
    settled: i64,
    oldest_published_at: Option<At>,
    stalled: bool,
    warned: bool,
}

#[derive(sqlx::FromRow)]
struct MinuteRow {
    queue: String,
    minute_at: At,
    claimed: i64,
    ended: i64,
    lost: i64,
}

/// The verdicts about tasks that do not keep them from moving.
macro_rules! warnings {
    () => {
        "'overdue', 'crash_loop', 'cancel_ignored', 'double_run', 'ack_deadline'"
    };
}

/// PostgreSQL reads a queue's tasks once for all counts; SQLite counts its index faster one by one.
const WAITING: Sql = sql!("SELECT b.queue, " pg("c.waiting, c.queued, c.settled, ")
      sqlite("(SELECT count(*) FROM tasks t WHERE t.state = 'queued' AND t.queue = b.queue) AS waiting,
        (SELECT count(*) FROM tasks t WHERE t.state = 'queued' AND t.queue = b.queue AND t.published_at IS NOT NULL) AS queued,
        (SELECT count(*) FROM tasks t WHERE t.state = 'queued' AND t.queue = b.queue
           AND t.published_at <= b.settled_before) AS settled, ")
      "(SELECT min(t.published_at) FROM tasks t WHERE t.state = 'queued' AND t.queue = b.queue) AS oldest_published_at,
        EXISTS (SELECT 1 FROM stalls s WHERE s.closed_at IS NULL AND s.queue = b.queue
          AND s.verdict NOT IN (" warnings!() ")) AS stalled,
        EXISTS (SELECT 1 FROM stalls s WHERE s.closed_at IS NULL AND s.queue = b.queue
          AND s.verdict IN (" warnings!() ")) AS warned
      FROM " rows(1; queue text, settled_before time) " b"
      pg(" CROSS JOIN LATERAL (SELECT count(*) AS waiting, count(t.published_at) AS queued,
          count(CASE WHEN t.published_at <= b.settled_before THEN 1 END) AS settled
        FROM tasks t WHERE t.state = 'queued' AND t.queue = b.queue) c"));

/// Counted up to 10,000: it only matters whether there are any.
const IN_FLIGHT: Sql = sql!("SELECT queue, count(*) FROM
        (SELECT queue FROM outbox WHERE due_at <= $1 ORDER BY due_at LIMIT 10000) o GROUP BY queue ORDER BY queue");

const RUNNING: Sql = sql!("SELECT t.queue, t.worker, count(*) AS running,
        count(CASE WHEN NOT t.message_gone THEN 1 END) AS holding,
        count(CASE WHEN t.lease_expires_at > $2 THEN 1 END) AS live,
        count(CASE WHEN t.lease_expires_at > $2 AND NOT t.message_gone AND t.started_at <= b.held_before THEN 1 END) AS held,
        count(CASE WHEN t.lease_expires_at <= $2 AND t.resent_at >= t.lease_expires_at AND t.published_at >= t.resent_at
          AND t.published_at <= b.settled_before THEN 1 END) AS copies
      FROM " rows(1; queue text, settled_before time, held_before time) " b CROSS JOIN tasks t
      WHERE t.state = 'running' AND t.queue = b.queue GROUP BY t.queue, t.worker");

const MINUTES: Sql = sql!(
    "SELECT queue, minute_at, CAST(sum(claimed) AS BIGINT) AS claimed,
        CAST(sum(succeeded + failed + cancelled) AS BIGINT) AS ended, CAST(sum(lost) AS BIGINT) AS lost
      FROM throughput WHERE minute_at >= $1 GROUP BY queue, minute_at"
);

impl Store {
    /// Counts the waiting tasks of every queue in `bounds`.
    pub async fn waiting(&self, bounds: &[Bounds]) -> Result<Vec<Waiting>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, WaitingRow, WAITING, bounds_batch(bounds))?;
        Ok(rows
            .into_iter()
            .map(|row| Waiting {
                queue: row.queue,
                waiting: row.waiting,
                queued: row.queued,
                settled: row.settled,
                oldest_published_at: row.oldest_published_at.map(|at| at.0),
                stalled: row.stalled,
                warned: row.warned,
            })
            .collect())
    }

    /// Publish intents due at `now`, by queue, counted up to 10,000 in all.
    pub async fn in_flight(&self, now: Time) -> Result<Vec<(String, i64)>, StoreError> {
        let mut conn = self.read().await?;
        fetch_all!(&mut conn, (String, i64), IN_FLIGHT, At(now))
    }

    /// Counts the running tasks of every queue in `bounds` by worker.
    pub async fn running(&self, bounds: &[Bounds], now: Time) -> Result<Vec<Running>, StoreError> {
        let mut conn = self.read().await?;
        fetch_all!(&mut conn, Running, RUNNING, bounds_batch(bounds), At(now))
    }

    /// What every queue's tasks did, by minute, from the minute `since` on.
    pub async fn minutes(&self, since: Time) -> Result<Vec<Minute>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, MinuteRow, MINUTES, At(since.minute()))?;
        Ok(rows
            .into_iter()
            .map(|row| Minute {
                queue: row.queue,
                minute_at: row.minute_at.0,
                claimed: row.claimed,
                ended: row.ended,
                lost: row.lost,
            })
            .collect())
    }
}

fn bounds_batch(bounds: &[Bounds]) -> Batch {
    let rows: Vec<Value> = bounds
        .iter()
        .map(|bounds| {
            json!({ "queue": bounds.queue, "settled_before": bounds.settled_before.map(Time::ms),
                "held_before": bounds.held_before.ms() })
        })
        .collect();
    Batch::of(&rows)
}
