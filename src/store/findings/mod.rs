//! What the detector found: incidents and stalls, open and closed.

mod list;
mod recheck;
mod said;
mod write;

use sqlx::types::Json;
use uuid::Uuid;

pub use list::{ClosedCursor, StallFilter};
pub use recheck::{Changed, Known, RecheckCursor};
pub use said::{Ended, FalseAlarm, Running, Said, SaidNow};
pub(super) use write::close_stalls;
pub use write::{Folded, IncidentChanges, StallChanges, StallUpdate, Written};

use super::types::{At, Id, Word};
use crate::domain::{
    evidence::Evidence,
    finding::{CloseReason, Confidence, Scope, Subject, Verdict},
    time::Time,
};

/// A cause and how many tasks it touches.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentRow {
    pub id: Uuid,
    pub verdict: Verdict,
    pub subject: Subject,
    pub confidence: Confidence,
    pub tasks: i64,
    pub since: Time,
    /// When the rules last found it so.
    pub seen_at: Time,
    pub evidence: Evidence,
    pub closed_at: Option<Time>,
    pub closed_reason: Option<CloseReason>,
}

/// A finding about one task.
#[derive(Clone, Debug, PartialEq)]
pub struct StallRow {
    pub id: Uuid,
    pub task_id: Uuid,
    pub queue: String,
    pub dispatch: i64,
    pub attempt: i64,
    pub verdict: Verdict,
    pub confidence: Confidence,
    pub since: Time,
    /// When its evidence was written.
    pub seen_at: Time,
    pub evidence: Evidence,
    pub incident_id: Option<Uuid>,
    pub closed_at: Option<Time>,
    pub closed_reason: Option<CloseReason>,
}

/// A finding of either sort.
#[derive(Clone, Debug, PartialEq)]
pub enum FindingRow {
    Incident(IncidentRow),
    Stall(StallRow),
}

#[derive(sqlx::FromRow)]
struct IncidentRecord {
    id: Id,
    verdict: Word<Verdict>,
    scope: Word<Scope>,
    name: String,
    confidence: Word<Confidence>,
    tasks: i64,
    since: At,
    seen_at: At,
    evidence: Json<Evidence>,
    closed_at: Option<At>,
    closed_reason: Option<Word<CloseReason>>,
}

impl From<IncidentRecord> for IncidentRow {
    fn from(record: IncidentRecord) -> Self {
        Self {
            id: record.id.0,
            verdict: record.verdict.0,
            subject: Subject {
                scope: record.scope.0,
                name: record.name,
            },
            confidence: record.confidence.0,
            tasks: record.tasks,
            since: record.since.0,
            seen_at: record.seen_at.0,
            evidence: record.evidence.0,
            closed_at: record.closed_at.map(|at| at.0),
            closed_reason: record.closed_reason.map(|word| word.0),
        }
    }
}

#[derive(sqlx::FromRow)]
struct StallRecord {
    id: Id,
    task_id: Id,
    queue: String,
    dispatch: i64,
    attempt: i64,
    verdict: Word<Verdict>,
    confidence: Word<Confidence>,
    since: At,
    seen_at: At,
    evidence: Json<Evidence>,
    incident_id: Option<Id>,
    closed_at: Option<At>,
    closed_reason: Option<Word<CloseReason>>,
}

impl From<StallRecord> for StallRow {
    fn from(record: StallRecord) -> Self {
        Self {
            id: record.id.0,
            task_id: record.task_id.0,
            queue: record.queue,
            dispatch: record.dispatch,
            attempt: record.attempt,
            verdict: record.verdict.0,
            confidence: record.confidence.0,
            since: record.since.0,
            seen_at: record.seen_at.0,
            evidence: record.evidence.0,
            incident_id: record.incident_id.map(|id| id.0),
            closed_at: record.closed_at.map(|at| at.0),
            closed_reason: record.closed_reason.map(|word| word.0),
        }
    }
}

/// The columns of `IncidentRecord`.
macro_rules! incident_columns {
    () => {
        "i.id, i.verdict, i.scope, i.name, i.confidence, i.tasks, i.since, i.seen_at, i.evidence, i.closed_at, \
         i.closed_reason"
    };
}
use incident_columns;

/// The columns of `StallRecord`.
macro_rules! stall_columns {
    () => {
        "s.id, s.task_id, s.queue, s.dispatch, s.attempt, s.verdict, s.confidence, s.since, s.seen_at, s.evidence, \
         s.incident_id, s.closed_at, s.closed_reason"
    };
}
use stall_columns;
