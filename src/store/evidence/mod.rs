//! What the detector reads: counts per queue, and tasks that may be stalled. Only open tasks are looked at, so nothing
//! here costs more as finished ones pile up.

mod attempts;
mod counts;
mod dead;
mod long;

pub use counts::{Bounds, Minute, Running, Waiting};
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
