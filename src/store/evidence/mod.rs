//! What the detector reads: counts per queue, and tasks that may be stalled. Only open tasks are looked at, so nothing
//! here costs more as finished ones pile up.

mod attempts;
mod dead;
mod long;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Store, StoreError,
    db::{Sql, fetch_all, sql},
    types::{At, Batch, Id},
};
use crate::domain::{
    rules::{
        messages::Loss,
        overtaken::{Oldest, Taken},
        task::{Lapsed, Suspect, Timed, Unpublished},
    },
    time::Time,
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

/// Where a pass through a long list goes on: a time and an id. The start is before everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub at: Time,
    pub id: Uuid,
}

impl Cursor {
    pub const START: Self = Self {
        at: Time::from_ms(i64::MIN),
        id: Uuid::nil(),
    };
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

#[derive(sqlx::FromRow)]
struct SuspectRow {
    id: Id,
    queue: String,
    dispatch: i64,
    attempt: i64,
    version: i64,
    priority: i64,
    worker: Option<String>,
    timeout_s: Option<i64>,
    available_at: At,
    published_at: Option<At>,
    started_at: Option<At>,
    lease_expires_at: Option<At>,
    resent_at: Option<At>,
}

#[derive(sqlx::FromRow)]
struct UnpublishedRow {
    task_id: Id,
    queue: String,
    dispatch: i64,
    attempt: i64,
    version: i64,
    due_at: At,
    tries: i64,
    cause: Option<String>,
    detail: Option<String>,
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

/// The outbox first: it is short while all is well.
const UNPUBLISHED: Sql = sql!(
    "SELECT o.task_id, t.queue, o.dispatch, t.attempt, t.version, o.due_at, o.tries, o.cause, o.detail
      FROM outbox o CROSS JOIN tasks t WHERE t.id = o.task_id AND t.dispatch = o.dispatch AND o.due_at <= $1 AND t.state = 'queued' AND (o.due_at, o.task_id) > ($2, $3)
      ORDER BY o.due_at, o.task_id LIMIT $4"
);

/// The columns of `SuspectRow`.
macro_rules! suspect_columns {
    () => {
        "t.id, t.queue, t.dispatch, t.attempt, t.version, t.priority, t.worker, t.timeout_s, t.available_at, t.published_at, \
         t.started_at, t.lease_expires_at, t.resent_at"
    };
}
use suspect_columns;

const SETTLED: Sql = sql!("SELECT " suspect_columns!() " FROM tasks t
      WHERE t.state = 'queued' AND t.queue = $1 AND t.published_at <= $2 AND (t.published_at, t.id) > ($3, $4)
        AND NOT EXISTS (SELECT 1 FROM stalls s WHERE s.task_id = t.id AND s.verdict = 'dead_lettered' AND s.closed_at IS NULL)
      ORDER BY t.published_at, t.id LIMIT $5");

/// Tasks that are called lost already say nothing about the order of the others.
const OLDEST: Sql = sql!("SELECT " suspect_columns!() " FROM tasks t
      WHERE t.state = 'queued' AND t.queue = $1 AND t.published_at <= $2 AND NOT EXISTS (
        SELECT 1 FROM stalls s WHERE s.task_id = t.id AND s.verdict IN ('message_lost', 'dead_lettered')
          AND s.closed_at IS NULL)
      ORDER BY t.published_at, t.id LIMIT $3");

/// Those of the highest priority of the queue's open tasks: the head of a priority queue tells nothing about the others.
const OLDER: Sql = sql!("SELECT " suspect_columns!() " FROM tasks t
      WHERE t.state = 'queued' AND t.queue = $1 AND t.published_at <= $2
        AND t.priority >= (SELECT coalesce(max(q.priority), 0) FROM tasks q" sqlite(" INDEXED BY tasks_queued") "
          WHERE q.state = 'queued' AND q.queue = $1)
        AND t.priority >= (SELECT coalesce(max(r.priority), 0) FROM tasks r" sqlite(" INDEXED BY tasks_running") "
          WHERE r.state = 'running' AND r.queue = $1)
        AND NOT EXISTS (SELECT 1 FROM stalls s WHERE s.task_id = t.id AND s.verdict = 'dead_lettered' AND s.closed_at IS NULL)
      ORDER BY t.published_at, t.id LIMIT $3");

/// Tasks of the tracers' priority. What is proven already, or found among the dead, is told.
const COVERED: Sql = sql!("SELECT " suspect_columns!() " FROM tasks t
      WHERE t.state = 'queued' AND t.queue = $1 AND t.published_at <= $2 AND t.priority = 0 AND NOT EXISTS (
        SELECT 1 FROM stalls s WHERE s.task_id = t.id AND s.closed_at IS NULL AND (s.verdict = 'dead_lettered'
          OR (s.verdict = 'message_lost' AND s.confidence = 'proven')))
      ORDER BY t.published_at, t.id LIMIT $3");

const LAPSED: Sql = sql!("SELECT " suspect_columns!() " FROM tasks t
      WHERE t.state = 'running' AND t.lease_expires_at <= $1 AND (t.lease_expires_at, t.id) > ($2, $3)
      ORDER BY t.lease_expires_at, t.id LIMIT $4");

const TIMED: Sql = sql!("SELECT " suspect_columns!() " FROM tasks t
      WHERE t.state = 'running' AND t.timeout_s IS NOT NULL AND t.lease_expires_at > $1 AND "
      sqlite("t.started_at + min(t.timeout_s, 1000000000) * 1000 < $1")
      pg("t.started_at + least(t.timeout_s, 1000000000) * interval '1 second' < $1")
      " AND (t.started_at, t.id) > ($2, $3) ORDER BY t.started_at, t.id LIMIT $4");

/// The newest leases are the newest claims and renewals.
const TAKEN_RUNNING: Sql = sql!("SELECT " suspect_columns!() " FROM tasks t
      WHERE t.state = 'running' AND t.lease_expires_at > $2 AND t.queue IN (SELECT queue FROM " rows(1; queue text) " r)
      ORDER BY t.lease_expires_at DESC, t.id LIMIT $3");

/// Looked for among the newest ends of all queues: a queue that is next to a much busier one is seen in part.
const TAKEN_FINISHED: Sql = sql!("SELECT " suspect_columns!() " FROM
        (SELECT " suspect_columns!() ", t.finished_at FROM tasks t WHERE t.finished_at > $2
          ORDER BY t.finished_at DESC, t.id LIMIT 5000) t
      WHERE t.queue IN (SELECT queue FROM " rows(1; queue text) " r) ORDER BY t.finished_at DESC, t.id LIMIT $3");

impl SuspectRow {
    fn suspect(&self) -> Suspect {
        Suspect {
            task_id: self.id.0,
            queue: self.queue.clone(),
            dispatch: self.dispatch,
            attempt: self.attempt,
            version: self.version,
        }
    }

    fn oldest(&self) -> Option<Oldest> {
        Some(Oldest {
            suspect: self.suspect(),
            priority: self.priority,
            published_at: self.published_at?.0,
        })
    }
}

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

    /// Up to `limit` queued tasks whose current message was due before `due_before` and is not confirmed, oldest first.
    pub async fn unpublished(
        &self,
        due_before: Time,
        after: Cursor,
        limit: i64,
    ) -> Result<Vec<Unpublished>, StoreError> {
        let mut conn = self.read().await?;
        let (at, id) = (At(after.at), Id(after.id));
        let rows = fetch_all!(
            &mut conn,
            UnpublishedRow,
            UNPUBLISHED,
            At(due_before),
            at,
            id,
            limit
        )?;
        Ok(rows
            .into_iter()
            .map(|row| Unpublished {
                suspect: Suspect {
                    task_id: row.task_id.0,
                    queue: row.queue,
                    dispatch: row.dispatch,
                    attempt: row.attempt,
                    version: row.version,
                },
                due_at: row.due_at.0,
                tries: row.tries,
                cause: row.cause,
                detail: row.detail,
            })
            .collect())
    }

    /// Up to `limit` tasks that `loss` covers, with the time of their confirm, oldest first.
    pub async fn lost_tasks(
        &self,
        queue: &str,
        loss: &Loss,
        after: Cursor,
        limit: i64,
    ) -> Result<Vec<(Suspect, Time)>, StoreError> {
        let mut conn = self.read().await?;
        let (before, at, id) = (At(loss.before), At(after.at), Id(after.id));
        let rows = fetch_all!(&mut conn, SuspectRow, SETTLED, queue, before, at, id, limit)?;
        Ok(rows
            .iter()
            .filter_map(|row| Some((row.suspect(), row.published_at?.0)))
            .collect())
    }

    /// Up to `limit` of the queue's tasks that have waited longest since their confirm before `before`, without those
    /// that are called lost already.
    pub async fn oldest_waiting(
        &self,
        queue: &str,
        before: Time,
        limit: i64,
    ) -> Result<Vec<Oldest>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, SuspectRow, OLDEST, queue, At(before), limit)?;
        Ok(rows.iter().filter_map(SuspectRow::oldest).collect())
    }

    /// Up to `limit` of the queue's tasks of priority 0 that have waited since their confirm before `before`, oldest first,
    /// without those that are proven lost, or dead-lettered, already.
    pub async fn covered_tasks(
        &self,
        queue: &str,
        before: Time,
        limit: i64,
    ) -> Result<Vec<Oldest>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, SuspectRow, COVERED, queue, At(before), limit)?;
        Ok(rows.iter().filter_map(SuspectRow::oldest).collect())
    }

    /// Up to `limit` of the queue's tasks that have waited since their confirm before `before`, with its time, oldest
    /// first; of the highest priority that an open task of the queue has.
    pub async fn waiting_before(
        &self,
        queue: &str,
        before: Time,
        limit: i64,
    ) -> Result<Vec<(Suspect, Time)>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, SuspectRow, OLDER, queue, At(before), limit)?;
        Ok(rows
            .iter()
            .filter_map(|row| Some((row.suspect(), row.published_at?.0)))
            .collect())
    }

    /// Up to `limit` running tasks whose lease ended before `before`, the longest over first.
    pub async fn lapsed_tasks(
        &self,
        before: Time,
        after: Cursor,
        limit: i64,
    ) -> Result<Vec<Lapsed>, StoreError> {
        let mut conn = self.read().await?;
        let (at, id) = (At(after.at), Id(after.id));
        let rows = fetch_all!(&mut conn, SuspectRow, LAPSED, At(before), at, id, limit)?;
        Ok(rows
            .iter()
            .filter_map(|row| {
                Some(Lapsed {
                    suspect: row.suspect(),
                    worker: row.worker.clone().unwrap_or_default(),
                    started_at: row.started_at.map(|at| at.0),
                    lease_expires_at: row.lease_expires_at?.0,
                    resent_at: row.resent_at.map(|at| at.0),
                })
            })
            .collect())
    }

    /// Up to `limit` running tasks with a live lease that are past their timeout at `now`, the longest running first.
    pub async fn timed_tasks(&self, now: Time, after: Cursor, limit: i64) -> Result<Vec<Timed>, StoreError> {
        let mut conn = self.read().await?;
        let (at, id) = (At(after.at), Id(after.id));
        let rows = fetch_all!(&mut conn, SuspectRow, TIMED, At(now), at, id, limit)?;
        Ok(rows
            .iter()
            .filter_map(|row| {
                Some(Timed {
                    suspect: row.suspect(),
                    worker: row.worker.clone(),
                    started_at: row.started_at?.0,
                    timeout_s: row.timeout_s?,
                    lease_expires_at: row.lease_expires_at?.0,
                })
            })
            .collect())
    }

    /// Tasks of `queues` that were taken lately: up to `limit` that run at `now`, and up to `limit` that finished after
    /// `since`.
    pub async fn taken(
        &self,
        queues: &[&str],
        since: Time,
        now: Time,
        limit: i64,
    ) -> Result<Vec<Taken>, StoreError> {
        let names = || {
            let rows: Vec<Value> = queues.iter().map(|queue| json!({ "queue": queue })).collect();
            Batch::of(&rows)
        };
        let mut conn = self.read().await?;
        let mut rows = fetch_all!(&mut conn, SuspectRow, TAKEN_RUNNING, names(), At(now), limit)?;
        rows.extend(fetch_all!(
            &mut conn,
            SuspectRow,
            TAKEN_FINISHED,
            names(),
            At(since),
            limit
        )?);
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                Some(Taken {
                    task_id: row.id.0,
                    queue: row.queue,
                    priority: row.priority,
                    due_at: row.available_at.0,
                    started_at: row.started_at?.0,
                    worker: row.worker?,
                })
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
