//! Publish intents: taken by a relay under a lease, deleted when the broker confirmed them.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Lane, Store, StoreError,
    db::{Sql, execute, fetch_all, fetch_optional, sql},
    types::{At, Batch, Id},
};
use crate::domain::{time::Time, words::words};

words! {
    /// Why a publish was not confirmed.
    pub enum PublishCause {
        Unreachable = "unreachable",
        /// The broker stopped reading our connection: a memory or disk alarm.
        Blocked = "blocked",
        Nacked = "nacked",
        Unroutable = "unroutable",
        /// No confirm in time, or the channel closed: the message may be there or not.
        Unconfirmed = "unconfirmed",
        Refused = "refused",
        QueueMismatch = "queue_mismatch",
    }
}

/// One message to put out.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    pub id: i64,
    pub task_id: Uuid,
    pub dispatch: i64,
    pub queue: String,
    pub kind: String,
    pub priority: i64,
    pub traceparent: Option<String>,
    pub tries: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    task_id: Id,
    dispatch: i64,
    queue: String,
    kind: String,
    priority: i64,
    traceparent: Option<String>,
    tries: i64,
}

/// A publish that did not work out, and when to try again.
#[derive(Clone, Debug)]
pub struct Failure {
    pub id: i64,
    pub cause: PublishCause,
    pub detail: String,
    pub backoff: Duration,
}

const TAKE: Sql = sql!("UPDATE outbox SET next_try_at = $2, tries = tries + 1 WHERE id IN (
        SELECT id FROM outbox WHERE next_try_at <= $1 ORDER BY next_try_at, id LIMIT $3" pg(" FOR UPDATE SKIP LOCKED") ")
      RETURNING id, task_id, dispatch, queue, kind, priority, traceparent, tries");

const CONFIRM: Sql = sql!("DELETE FROM outbox WHERE id IN (SELECT id FROM " rows(1; id bigint) " r)");

/// The plus keeps SQLite from going through every open task for each row of the window, by the index of the states.
const MARK_PUBLISHED: Sql = sql!("UPDATE tasks SET published_at = $2, version = version + 1 FROM "
      rows(1; task_id uuid, dispatch bigint) " r
      WHERE tasks.id = r.task_id AND tasks.dispatch = r.dispatch AND " sqlite("+") "tasks.state IN ('queued', 'running')");

const LOCK_TASKS: Sql = sql!("SELECT id FROM tasks WHERE id IN (SELECT id FROM " rows(1; id uuid) " r) ORDER BY id"
      pg(" FOR UPDATE"));

const FAIL: Sql = sql!("UPDATE outbox SET next_try_at = r.next_try_at, cause = r.cause, detail = r.detail, failed_at = $2 FROM "
      rows(1; id bigint, next_try_at time, cause text, detail text) " r WHERE outbox.id = r.id");

/// Counted no further than the cap.
const WAITING: Sql =
    sql!("SELECT count(*) FROM (SELECT 1 FROM outbox WHERE due_at <= $1 ORDER BY due_at LIMIT $2) o");

const NEXT_DUE: Sql = sql!("SELECT next_try_at FROM outbox ORDER BY next_try_at, id LIMIT 1");

impl Store {
    /// Takes up to `limit` rows that are due, oldest first, and leases them for `lease`.
    ///
    /// Two relays never hold the same row. A relay that dies loses its rows when the lease ends; they are then taken
    /// again, so a message may be published twice: claims are fenced by dispatch. Empty when nothing is due.
    pub async fn take_due(&self, limit: i64, lease: Duration) -> Result<Vec<OutboxRow>, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let mut rows = fetch_all!(&mut tx, Row, TAKE, At(now), At(now + lease), limit)?;
        tx.commit().await?;
        rows.sort_by_key(|row| row.id);
        Ok(rows
            .into_iter()
            .map(|row| OutboxRow {
                id: row.id,
                task_id: row.task_id.0,
                dispatch: row.dispatch,
                queue: row.queue,
                kind: row.kind,
                priority: row.priority,
                traceparent: row.traceparent,
                tries: row.tries,
            })
            .collect())
    }

    /// Writes what became of a window: confirmed rows go and their tasks get `published_at`; failed rows wait.
    ///
    /// A row that a requeue or cancel deleted meanwhile is no error, and its task's newer dispatch is not touched.
    pub async fn settle(&self, confirmed: &[OutboxRow], failed: &[Failure]) -> Result<Time, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        if !confirmed.is_empty() {
            // The same order of locks as every other batch: tasks by id, then the outbox.
            let tasks: Vec<Value> = confirmed.iter().map(|row| json!({ "id": row.task_id })).collect();
            fetch_all!(&mut tx, (Id,), LOCK_TASKS, Batch::of(&tasks))?;
        }
        let now = self.now_in(&mut tx).await?;
        if !confirmed.is_empty() {
            let rows: Vec<Value> = confirmed
                .iter()
                .map(|row| json!({ "id": row.id, "task_id": row.task_id, "dispatch": row.dispatch }))
                .collect();
            execute!(&mut tx, MARK_PUBLISHED, Batch::of(&rows), At(now))?;
            execute!(&mut tx, CONFIRM, Batch::of(&rows))?;
        }
        if !failed.is_empty() {
            let rows: Vec<Value> = failed
                .iter()
                .map(|failure| {
                    json!({ "id": failure.id, "next_try_at": (now + failure.backoff).ms(), "cause": failure.cause,
                        "detail": failure.detail })
                })
                .collect();
            execute!(&mut tx, FAIL, Batch::of(&rows), At(now))?;
        }
        tx.commit().await?;
        Ok(now)
    }

    /// How many rows are due and not confirmed yet, counted up to `at_most`.
    pub async fn messages_waiting(&self, at_most: i64) -> Result<i64, StoreError> {
        let now = self.now().await?;
        let mut conn = self.read().await?;
        let waiting = fetch_optional!(&mut conn, (i64,), WAITING, At(now), at_most)?;
        Ok(waiting.map_or(0, |(waiting,)| waiting))
    }

    /// How long until the next row is due; `None` when the outbox is empty.
    pub async fn next_due_in(&self) -> Result<Option<Duration>, StoreError> {
        let now = self.now().await?;
        let mut conn = self.read().await?;
        let next = fetch_optional!(&mut conn, (At,), NEXT_DUE)?;
        Ok(next.map(|(at,)| Duration::from_millis(u64::try_from(at.0.ms_since(now)).unwrap_or(0))))
    }
}
