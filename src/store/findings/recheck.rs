//! Open stalls beside their tasks: which ones may be over, and how many each incident has.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    domain::{
        finding::{CloseReason, Confidence, Variant, Verdict},
        rules::{fold::Split, over::OpenStall},
        task::State,
        time::Time,
    },
    store::{
        Store, StoreError,
        db::{Sql, fetch_all, fetch_optional, sql},
        types::{At, Batch, Id, Word},
    },
};

/// Where the way through the open stalls goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecheckCursor {
    verdict: String,
    id: Uuid,
}

impl RecheckCursor {
    pub const START: Self = Self {
        verdict: String::new(),
        id: Uuid::nil(),
    };
    /// Behind every verdict: words are lower-case letters.
    fn end() -> Self {
        Self {
            verdict: "~".to_owned(),
            id: Uuid::max(),
        }
    }
}

/// An open stall whose task moved, or whose incident closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub id: Uuid,
    pub task_id: Uuid,
    pub queue: String,
    pub stall: OpenStall,
    /// It is folded under an incident that is closed.
    pub orphaned: bool,
}

/// What is known of a task's open stall, to compare a new finding with.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub id: Uuid,
    pub task_id: Uuid,
    pub verdict: Verdict,
    pub attempt: i64,
    pub confidence: Confidence,
    /// The word of the variant in its evidence.
    pub variant: String,
    pub incident_id: Option<Uuid>,
}

#[derive(sqlx::FromRow)]
struct ChangedRow {
    id: Id,
    task_id: Id,
    queue: String,
    verdict: Word<Verdict>,
    variant: Word<Variant>,
    dispatch: i64,
    attempt: i64,
    since: At,
    state: Word<State>,
    task_dispatch: i64,
    task_attempt: i64,
    tries: i64,
    message_gone: bool,
    published_at: Option<At>,
    started_at: Option<At>,
    lease_expires_at: Option<At>,
    finished_at: Option<At>,
    timeout_s: Option<i64>,
    orphaned: bool,
}

#[derive(sqlx::FromRow)]
struct KnownRow {
    id: Id,
    task_id: Id,
    verdict: Word<Verdict>,
    attempt: i64,
    confidence: Word<Confidence>,
    variant: String,
    incident_id: Option<Id>,
}

const BOUNDARY: Sql = sql!(
    "SELECT verdict, id FROM stalls WHERE closed_at IS NULL AND (verdict, id) > ($1, $2)
      ORDER BY verdict, id LIMIT 1 OFFSET $3"
);

/// A superset of what is over; `rules::over` decides.
const CHANGED: Sql = sql!("SELECT s.id, s.task_id, s.queue, s.verdict, s.evidence ->> 'variant' AS variant, s.dispatch, s.attempt, s.since, t.state, t.dispatch AS task_dispatch,
        t.attempt AS task_attempt, t.tries, t.message_gone, t.published_at, t.started_at, t.lease_expires_at, t.finished_at, t.timeout_s,
        i.closed_at IS NOT NULL AS orphaned
      FROM stalls s JOIN tasks t ON t.id = s.task_id LEFT JOIN incidents i ON i.id = s.incident_id
      WHERE s.closed_at IS NULL AND (s.verdict, s.id) > ($1, $2) AND (s.verdict, s.id) <= ($3, $4)
        AND (t.dispatch <> s.dispatch OR t.attempt <> s.attempt OR i.closed_at IS NOT NULL OR CASE
          WHEN s.verdict IN ('unpublished', 'message_lost')
            THEN t.state <> 'queued' OR t.published_at > s.since OR (s.verdict = 'unpublished' AND t.published_at IS NOT NULL)
          WHEN s.verdict IN ('dead_lettered', 'overdue', 'crash_loop', 'cancel_ignored', 'double_run', 'ack_deadline') THEN " sqlite("true") pg("true") "
          ELSE t.state <> 'running' OR t.lease_expires_at > $5 END)
      ORDER BY s.verdict, s.id LIMIT $6");

const KNOWN: Sql = sql!("SELECT s.id, s.task_id, s.verdict, s.attempt, s.confidence, s.evidence ->> 'variant' AS variant, s.incident_id
      FROM " rows(1; id uuid) " r JOIN stalls s ON s.task_id = r.id AND s.closed_at IS NULL");

const FOLDED: Sql = sql!(
    "SELECT incident_id, count(*) FROM stalls WHERE closed_at IS NULL AND incident_id IS NOT NULL
      GROUP BY incident_id"
);

const ENDS: Sql = sql!("SELECT s.incident_id, s.closed_reason, count(*) FROM " rows(1; id uuid) " r
      JOIN stalls s ON s.incident_id = r.id AND s.closed_at IS NOT NULL GROUP BY s.incident_id, s.closed_reason");

impl Store {
    /// The open stalls among the next `page` after `after` whose task moved or whose incident closed, up to `limit`,
    /// and where to go on: `START` again behind the last one.
    pub async fn changed_stalls(
        &self,
        after: &RecheckCursor,
        now: Time,
        page: i64,
        limit: i64,
    ) -> Result<(Vec<Changed>, RecheckCursor), StoreError> {
        let mut conn = self.read().await?;
        let boundary = fetch_optional!(
            &mut conn,
            (String, Id),
            BOUNDARY,
            after.verdict.as_str(),
            Id(after.id),
            page - 1
        )?;
        let upto = match &boundary {
            Some((verdict, id)) => RecheckCursor {
                verdict: verdict.clone(),
                id: id.0,
            },
            None => RecheckCursor::end(),
        };
        let rows = fetch_all!(
            &mut conn,
            ChangedRow,
            CHANGED,
            after.verdict.as_str(),
            Id(after.id),
            upto.verdict.as_str(),
            Id(upto.id),
            At(now),
            limit
        )?;
        let full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
        let next = match rows.last() {
            Some(last) if full => RecheckCursor {
                verdict: last.verdict.0.to_string(),
                id: last.id.0,
            },
            _ if boundary.is_some() => upto,
            _ => RecheckCursor::START,
        };
        Ok((rows.into_iter().map(Changed::from).collect(), next))
    }

    /// The open stalls of these tasks.
    pub async fn known_stalls(&self, task_ids: &[Uuid]) -> Result<Vec<Known>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, KnownRow, KNOWN, ids(task_ids))?;
        Ok(rows
            .into_iter()
            .map(|row| Known {
                id: row.id.0,
                task_id: row.task_id.0,
                verdict: row.verdict.0,
                attempt: row.attempt,
                confidence: row.confidence.0,
                variant: row.variant,
                incident_id: row.incident_id.map(|id| id.0),
            })
            .collect())
    }

    /// How many open stalls each incident has; incidents without one are left out.
    pub async fn folded(&self) -> Result<Vec<(Uuid, i64)>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (Id, i64), FOLDED)?;
        Ok(rows.into_iter().map(|(id, count)| (id.0, count)).collect())
    }

    /// What became of the closed stalls of these incidents; `stalled` is 0.
    pub async fn splits(&self, incident_ids: &[Uuid]) -> Result<Vec<(Uuid, Split)>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (Id, Word<CloseReason>, i64), ENDS, ids(incident_ids))?;
        Ok(rows
            .into_iter()
            .map(|(id, reason, count)| {
                let split = match reason.0 {
                    CloseReason::Ended => Split {
                        ended: count,
                        ..Split::default()
                    },
                    CloseReason::Replaced | CloseReason::Past | CloseReason::Forgotten => Split::default(),
                    CloseReason::Cleared
                    | CloseReason::Confirmed
                    | CloseReason::Claimed
                    | CloseReason::TakenOver
                    | CloseReason::Requeued
                    | CloseReason::Resent
                    | CloseReason::BeatingAgain
                    | CloseReason::Extended
                    | CloseReason::SeenAgain
                    | CloseReason::Settled => Split {
                        moved_on: count,
                        ..Split::default()
                    },
                };
                (id.0, split)
            })
            .collect())
    }
}

impl From<ChangedRow> for Changed {
    fn from(row: ChangedRow) -> Self {
        Self {
            id: row.id.0,
            task_id: row.task_id.0,
            queue: row.queue,
            stall: OpenStall {
                verdict: row.verdict.0,
                variant: row.variant.0,
                dispatch: row.dispatch,
                attempt: row.attempt,
                since: row.since.0,
                state: row.state.0,
                task_dispatch: row.task_dispatch,
                task_attempt: row.task_attempt,
                tries: row.tries,
                message_gone: row.message_gone,
                published_at: row.published_at.map(|at| at.0),
                started_at: row.started_at.map(|at| at.0),
                lease_expires_at: row.lease_expires_at.map(|at| at.0),
                finished_at: row.finished_at.map(|at| at.0),
                timeout_s: row.timeout_s,
            },
            orphaned: row.orphaned,
        }
    }
}

fn ids(ids: &[Uuid]) -> Batch {
    let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
    Batch::of(&rows)
}
