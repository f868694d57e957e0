//! The task that a ticket is about, as of now.

use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    domain::{
        finding::{Confidence, Verdict},
        task::State,
        time::Time,
    },
    store::{
        Store, StoreError,
        db::{Sql, fetch_all, fetch_optional, sql},
        types::{At, Id, Word},
    },
};

/// What staff see of the task beside its ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketTask {
    pub title: Option<String>,
    pub kind: String,
    pub state: State,
    pub attempt: i64,
    pub created_at: Time,
    pub finished_at: Option<Time>,
    /// Its open findings, the oldest first, at most 20.
    pub stalls: Vec<TicketStall>,
}

/// An open finding about that task.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketStall {
    pub verdict: Verdict,
    pub confidence: Confidence,
    pub since: Time,
}

const TASK: Sql =
    sql!("SELECT title, kind, state, attempt, created_at, finished_at FROM tasks WHERE id = $1");

const STALLS: Sql = sql!(
    "SELECT verdict, confidence, since FROM stalls WHERE task_id = $1 AND closed_at IS NULL ORDER BY since, id LIMIT 20"
);

#[derive(FromRow)]
struct TaskRow {
    title: Option<String>,
    kind: String,
    state: Word<State>,
    attempt: i64,
    created_at: At,
    finished_at: Option<At>,
}

impl Store {
    /// The task of a ticket; `None` when there is no such task (any more).
    pub async fn ticket_task(&self, id: Uuid) -> Result<Option<TicketTask>, StoreError> {
        let mut conn = self.read().await?;
        let Some(task) = fetch_optional!(&mut conn, TaskRow, TASK, Id(id))? else {
            return Ok(None);
        };
        let stalls = fetch_all!(&mut conn, (Word<Verdict>, Word<Confidence>, At), STALLS, Id(id))?;
        let stalls = stalls
            .into_iter()
            .map(|(verdict, confidence, since)| TicketStall {
                verdict: verdict.0,
                confidence: confidence.0,
                since: since.0,
            })
            .collect();
        Ok(Some(TicketTask {
            title: task.title,
            kind: task.kind,
            state: task.state.0,
            attempt: task.attempt,
            created_at: task.created_at.0,
            finished_at: task.finished_at.map(|at| at.0),
            stalls,
        }))
    }
}
