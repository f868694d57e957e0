//! One task, its timeline and its attempts.

use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::{AttemptRow, HeadRow, HistoryRow, ViewRow, head_columns, view_columns};
use crate::{
    domain::{
        delivery::Held,
        resend::Orphan,
        task::{Attempt, HistoryEntry, State, Task, TaskHead, TaskView},
        time::Time,
    },
    store::{
        Store, StoreError,
        db::{Sql, fetch_all, fetch_optional, fetch_scalar, sql},
        types::{At, Batch, Id},
    },
};

const ONE: Sql = sql!("SELECT " view_columns!() " FROM tasks WHERE id = $1");

const MANY: Sql = sql!("SELECT " view_columns!() " FROM tasks WHERE id IN (SELECT id FROM " rows(1; id uuid) " r) ORDER BY id");

const HEADS: Sql = sql!("SELECT " head_columns!() " FROM tasks WHERE id IN (SELECT id FROM " rows(1; id uuid) " r) ORDER BY id");

const HISTORY: Sql = sql!(
    "SELECT id, at, event, from_state, to_state, dispatch, attempt, actor, detail FROM history
      WHERE task_id = $1 AND id > $2 ORDER BY id LIMIT $3"
);

const ATTEMPTS: Sql = sql!(
    "SELECT task_id, number, worker, claim_id, dispatch, started_at, ended_at, outcome, error, log, late
      FROM attempts WHERE task_id = $1 AND number > $2 ORDER BY number LIMIT $3"
);

const ATTEMPTS_OF: Sql = sql!("SELECT count(*) FROM attempts WHERE task_id = $1 AND dispatch = $2");

const HISTORY_BACK: Sql = sql!(
    "SELECT id, at, event, from_state, to_state, dispatch, attempt, actor, detail FROM history
      WHERE task_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
);

const ATTEMPTS_BACK: Sql = sql!(
    "SELECT task_id, number, worker, claim_id, dispatch, started_at, ended_at, outcome, error, log, late
      FROM attempts WHERE task_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3"
);

/// Found by the lease index; ids keep a pass moving past tasks that can't be helped.
const LAPSED: Sql = sql!(
    "SELECT id, queue, lease_expires_at, cancel_requested_at IS NOT NULL AS cancelled, resent_at, published_at FROM tasks
      WHERE state = 'running' AND lease_expires_at <= $1 AND id > $2 ORDER BY id LIMIT $3"
);

#[derive(sqlx::FromRow)]
struct OrphanRow {
    id: Id,
    queue: String,
    lease_expires_at: At,
    cancelled: bool,
    resent_at: Option<At>,
    published_at: Option<At>,
}

impl From<OrphanRow> for Orphan {
    fn from(row: OrphanRow) -> Self {
        Self {
            task_id: row.id.0,
            queue: row.queue,
            lease_expires_at: row.lease_expires_at.0,
            cancelled: row.cancelled,
            resent_at: row.resent_at.map(|at| at.0),
            published_at: row.published_at.map(|at| at.0),
        }
    }
}

impl Store {
    /// Up to `limit` running tasks whose lease is over at `now`, by id, after the id `after`.
    pub async fn lapsed(
        &self,
        now: Time,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Orphan>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(
            &mut conn,
            OrphanRow,
            LAPSED,
            At(now),
            Id(after.unwrap_or(Uuid::nil())),
            limit
        )?;
        Ok(rows.into_iter().map(Orphan::from).collect())
    }

    /// The task with its documents; `None` when there is none of this id.
    pub async fn task(&self, id: Uuid) -> Result<Option<TaskView>, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_optional!(&mut conn, ViewRow, ONE, Id(id))?.map(TaskView::from))
    }

    /// The tasks of `ids` that exist, in the order of `ids`.
    pub async fn tasks_by_id(&self, ids: &[Uuid]) -> Result<Vec<TaskView>, StoreError> {
        let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let mut conn = self.read().await?;
        let found = fetch_all!(&mut conn, ViewRow, MANY, Batch::of(&rows))?;
        let mut by_id: std::collections::HashMap<Uuid, TaskView> = found
            .into_iter()
            .map(TaskView::from)
            .map(|view| (view.task.id, view))
            .collect();
        Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
    }

    /// These tasks without their documents, by id; those that are not there are left out.
    pub async fn heads_by_id(&self, ids: &[Uuid]) -> Result<Vec<TaskHead>, StoreError> {
        let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, HeadRow, HEADS, Batch::of(&rows))?;
        Ok(rows.into_iter().map(TaskHead::from).collect())
    }

    /// What is known of the delivery that the running attempt of `task` holds; `None` when none runs.
    pub async fn held(&self, task: &Task) -> Result<Option<Held>, StoreError> {
        let Some(started_at) = task.started_at.filter(|_| task.state == State::Running) else {
            return Ok(None);
        };
        let mut conn = self.read().await?;
        Ok(Some(Held {
            started_at,
            message_gone: task.message_gone,
            resent_at: task.resent_at,
            attempts: fetch_scalar!(&mut conn, i64, ATTEMPTS_OF, Id(task.id), task.dispatch)?,
        }))
    }

    /// Up to `limit` lines of the timeline after the entry `after` (0 for the first), oldest first.
    pub async fn history(&self, id: Uuid, after: i64, limit: i64) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, HistoryRow, HISTORY, Id(id), after, limit)?;
        Ok(rows.into_iter().map(HistoryEntry::from).collect())
    }

    /// Up to `limit` attempts after number `after` (0 for the first), oldest first.
    pub async fn attempts(&self, id: Uuid, after: i64, limit: i64) -> Result<Vec<Attempt>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, AttemptRow, ATTEMPTS, Id(id), after, limit)?;
        Ok(rows.into_iter().map(Attempt::from).collect())
    }

    /// Up to `limit` lines of the timeline before the entry `before` (`None` for the end), newest first.
    pub async fn history_back(
        &self,
        id: Uuid,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut conn = self.read().await?;
        let before = before.unwrap_or(i64::MAX);
        let rows = fetch_all!(&mut conn, HistoryRow, HISTORY_BACK, Id(id), before, limit)?;
        Ok(rows.into_iter().map(HistoryEntry::from).collect())
    }

    /// Up to `limit` attempts before number `before` (`None` for the end), newest first.
    pub async fn attempts_back(
        &self,
        id: Uuid,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Attempt>, StoreError> {
        let mut conn = self.read().await?;
        let before = before.unwrap_or(i64::MAX);
        let rows = fetch_all!(&mut conn, AttemptRow, ATTEMPTS_BACK, Id(id), before, limit)?;
        Ok(rows.into_iter().map(Attempt::from).collect())
    }
}
