//! A task's row, as the database gives it, and the way to the domain's types.

use sqlx::{FromRow, types::Json};

use crate::{
    domain::task::{Attempt, AttemptOutcome, HistoryEntry, State, Task, TaskHead, TaskView},
    store::types::{At, Id, Word},
};

/// The columns of `TaskRow`, in a SELECT or RETURNING list.
macro_rules! task_columns {
    () => {
        "id, kind, queue, state, priority, max_attempts, version, dispatch, attempt, tries, worker, claim_id, \
         message_gone, progress, progress_message, error, created_at, available_at, published_at, started_at, beat_at, \
         lease_expires_at, resent_at, cancel_requested_at, finished_at"
    };
}
pub(super) use task_columns;

#[derive(FromRow)]
pub(super) struct TaskRow {
    id: Id,
    kind: String,
    queue: String,
    state: Word<State>,
    priority: i64,
    max_attempts: i64,
    version: i64,
    dispatch: i64,
    attempt: i64,
    tries: i64,
    worker: Option<String>,
    claim_id: Option<String>,
    message_gone: bool,
    progress: Option<f64>,
    progress_message: Option<String>,
    error: Option<String>,
    created_at: At,
    available_at: At,
    published_at: Option<At>,
    started_at: Option<At>,
    beat_at: Option<At>,
    lease_expires_at: Option<At>,
    resent_at: Option<At>,
    cancel_requested_at: Option<At>,
    finished_at: Option<At>,
}

impl From<TaskRow> for Task {
    fn from(row: TaskRow) -> Self {
        let time = |at: Option<At>| at.map(|at| at.0);
        Task {
            id: row.id.0,
            kind: row.kind,
            queue: row.queue,
            state: row.state.0,
            priority: row.priority,
            max_attempts: row.max_attempts,
            version: row.version,
            dispatch: row.dispatch,
            attempt: row.attempt,
            tries: row.tries,
            worker: row.worker,
            claim_id: row.claim_id,
            message_gone: row.message_gone,
            progress: row.progress,
            progress_message: row.progress_message,
            error: row.error,
            created_at: row.created_at.0,
            available_at: row.available_at.0,
            published_at: time(row.published_at),
            started_at: time(row.started_at),
            beat_at: time(row.beat_at),
            lease_expires_at: time(row.lease_expires_at),
            resent_at: time(row.resent_at),
            cancel_requested_at: time(row.cancel_requested_at),
            finished_at: time(row.finished_at),
        }
    }
}

/// The documents that the transitions don't need.
macro_rules! view_columns {
    () => {
        concat!(
            $crate::store::tasks::rows::task_columns!(),
            ", title, owner, payload, timeout_s, result, created_by, updated_at"
        )
    };
}
pub(super) use view_columns;

/// What a list shows: no documents.
macro_rules! head_columns {
    () => {
        concat!($crate::store::tasks::rows::task_columns!(), ", title, owner")
    };
}
pub(super) use head_columns;

#[derive(FromRow)]
pub(super) struct HeadRow {
    #[sqlx(flatten)]
    task: TaskRow,
    title: Option<String>,
    owner: Option<String>,
}

impl From<HeadRow> for TaskHead {
    fn from(row: HeadRow) -> Self {
        TaskHead {
            task: row.task.into(),
            title: row.title,
            owner: row.owner,
        }
    }
}

#[derive(FromRow)]
pub(super) struct ViewRow {
    #[sqlx(flatten)]
    task: TaskRow,
    title: Option<String>,
    owner: Option<String>,
    payload: Json<serde_json::Value>,
    timeout_s: Option<i64>,
    result: Option<Json<serde_json::Value>>,
    created_by: String,
    updated_at: At,
}

impl From<ViewRow> for TaskView {
    fn from(row: ViewRow) -> Self {
        TaskView {
            task: row.task.into(),
            title: row.title,
            owner: row.owner,
            payload: row.payload.0,
            timeout_s: row.timeout_s,
            result: row.result.map(|json| json.0),
            created_by: row.created_by,
            updated_at: row.updated_at.0,
        }
    }
}

#[derive(FromRow)]
pub(super) struct AttemptRow {
    pub(super) task_id: Id,
    pub(super) number: i64,
    worker: String,
    claim_id: String,
    dispatch: i64,
    started_at: At,
    ended_at: Option<At>,
    pub(super) outcome: Option<Word<AttemptOutcome>>,
    error: Option<String>,
    log: Option<String>,
    late: Option<Json<serde_json::Value>>,
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Attempt {
            task_id: row.task_id.0,
            number: row.number,
            worker: row.worker,
            claim_id: row.claim_id,
            dispatch: row.dispatch,
            started_at: row.started_at.0,
            ended_at: row.ended_at.map(|at| at.0),
            outcome: row.outcome.map(|word| word.0),
            error: row.error,
            log: row.log,
            late: row.late.map(|json| json.0),
        }
    }
}

#[derive(FromRow)]
pub(super) struct HistoryRow {
    id: i64,
    at: At,
    event: String,
    from_state: Option<Word<State>>,
    to_state: Word<State>,
    dispatch: i64,
    attempt: i64,
    actor: String,
    detail: Json<serde_json::Value>,
}

impl From<HistoryRow> for HistoryEntry {
    fn from(row: HistoryRow) -> Self {
        HistoryEntry {
            id: row.id,
            at: row.at.0,
            event: row.event,
            from_state: row.from_state.map(|word| word.0),
            to_state: row.to_state.0,
            dispatch: row.dispatch,
            attempt: row.attempt,
            actor: row.actor,
            detail: row.detail.0,
        }
    }
}
