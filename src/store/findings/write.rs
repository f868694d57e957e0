//! Opens, keeps and closes findings. Every transaction holds the detector's leadership, so a leader that was replaced
//! meanwhile writes nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    domain::{
        evidence::Evidence,
        finding::{About, CloseReason, Confidence, Incident, Stall},
        time::Time,
    },
    store::{
        Lane, Store, StoreError,
        db::{Sql, Tx, execute, fetch_all, sql},
        leaders::Leadership,
        rule_counts::{Counted, count_findings},
        samples::{KeptFor, LedgerSample, insert_samples},
        types::{At, Batch, Id, document},
        webhooks::{WebhookEvent, enqueue},
    },
};

/// What one pass changes about causes, and the readings it took.
#[derive(Clone, Debug, Default)]
pub struct IncidentChanges {
    pub opened: Vec<(Uuid, Incident)>,
    /// Confidence, tasks and evidence are written anew; since when it is so stays.
    pub kept: Vec<(Uuid, Incident)>,
    pub closed: Vec<(Uuid, CloseReason)>,
    pub samples: Vec<(LedgerSample, KeptFor)>,
    /// What the webhook is told of an incident that opens or closes.
    pub told: Vec<(Uuid, WebhookEvent, Value)>,
}

impl IncidentChanges {
    fn is_empty(&self) -> bool {
        let Self {
            opened,
            kept,
            closed,
            samples,
            told,
        } = self;
        opened.is_empty() && kept.is_empty() && closed.is_empty() && samples.is_empty() && told.is_empty()
    }
}

/// A stall that is open already and is told differently now.
#[derive(Clone, Debug)]
pub struct StallUpdate {
    pub id: Uuid,
    /// The attempt it is about now.
    pub attempt: i64,
    pub confidence: Confidence,
    pub evidence: Evidence,
    pub incident_id: Option<Uuid>,
}

/// What a batch changes about stalls.
#[derive(Clone, Debug, Default)]
pub struct StallChanges {
    /// Each with its new id and the incident it is folded under.
    pub opened: Vec<(Uuid, Stall, Option<Uuid>)>,
    pub updated: Vec<StallUpdate>,
    /// Folded under another incident, or under none.
    pub moved: Vec<(Uuid, Option<Uuid>)>,
    pub closed: Vec<(Uuid, CloseReason)>,
}

/// Stalls of one transaction that were to be folded under one incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    pub incident_id: Uuid,
    pub tried: i64,
    /// Less than `tried` where a task changed meanwhile.
    pub written: i64,
}

/// How many rows a write changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub opened: u64,
    pub closed: u64,
    /// Incidents that opened with their first stall.
    pub incidents: u64,
}

/// Rows of one transaction: the write lock of SQLite is held no longer than some tens of milliseconds.
const CHUNK: usize = 1_000;

/// The columns of `Counted`.
macro_rules! counted {
    () => {
        "verdict, evidence ->> 'variant' AS variant, since, closed_reason"
    };
}

const OPEN_INCIDENTS: Sql = sql!("INSERT INTO incidents (id, verdict, scope, name, confidence, tasks, since, seen_at, evidence)
      SELECT id, verdict, scope, name, confidence, tasks, since, $2, evidence
      FROM " rows(1; id uuid, verdict text, scope text, name text, confidence text, tasks bigint, since time, evidence jsonb)
      " r WHERE " sqlite("true") pg("true") " ON CONFLICT (verdict, scope, name) WHERE closed_at IS NULL DO NOTHING RETURNING " counted!());

const KEEP_INCIDENTS: Sql = sql!("UPDATE incidents SET confidence = r.confidence, tasks = r.tasks, seen_at = $2, evidence = r.evidence
      FROM " rows(1; id uuid, confidence text, tasks bigint, evidence jsonb) " r
      WHERE incidents.id = r.id AND incidents.closed_at IS NULL");

const CLOSE_INCIDENTS: Sql = sql!("UPDATE incidents SET closed_at = $2, closed_reason = r.reason
      FROM " rows(1; id uuid, reason text) " r WHERE incidents.id = r.id AND incidents.closed_at IS NULL RETURNING " counted!());

/// A task that changed since it was judged gets no stall; one that has this stall already keeps it. A row without a version
/// is about an attempt that goes on whatever its heartbeats change.
const OPEN_STALLS: Sql = sql!("INSERT INTO stalls (id, task_id, queue, dispatch, attempt, verdict, confidence, since, seen_at, evidence,
        incident_id)
      SELECT r.id, r.task_id, r.queue, r.dispatch, r.attempt, r.verdict, r.confidence, r.since, $2, r.evidence, r.incident_id
      FROM " rows(1; id uuid, task_id uuid, queue text, dispatch bigint, attempt bigint, version bigint, verdict text,
        confidence text, since time, evidence jsonb, incident_id uuid) " r
      JOIN tasks t ON t.id = r.task_id AND (t.version = r.version
        OR (r.version IS NULL AND t.state = 'running' AND t.dispatch = r.dispatch AND t.attempt = r.attempt))
      WHERE " sqlite("true") pg("true") " ON CONFLICT (task_id, verdict) WHERE closed_at IS NULL DO NOTHING
      RETURNING incident_id, " counted!());

const UPDATE_STALLS: Sql = sql!("UPDATE stalls SET attempt = r.attempt, confidence = r.confidence, evidence = r.evidence, incident_id = r.incident_id,
        seen_at = $2
      FROM " rows(1; id uuid, attempt bigint, confidence text, evidence jsonb, incident_id uuid) " r
      WHERE stalls.id = r.id AND stalls.closed_at IS NULL RETURNING stalls.incident_id");

const MOVE_STALLS: Sql = sql!("UPDATE stalls SET incident_id = r.incident_id FROM " rows(1; id uuid, incident_id uuid) " r
      WHERE stalls.id = r.id AND stalls.closed_at IS NULL");

const CLOSE_STALLS: Sql = sql!("UPDATE stalls SET closed_at = $2, closed_reason = r.reason FROM " rows(1; id uuid, reason text) " r
      WHERE stalls.id = r.id AND stalls.closed_at IS NULL RETURNING " counted!());

impl Store {
    /// Writes what a pass found about causes, and its readings, in one transaction; false when the leadership was lost:
    /// then nothing was written.
    pub async fn write_incidents(
        &self,
        leadership: &Leadership,
        now: Time,
        changes: &IncidentChanges,
    ) -> Result<bool, StoreError> {
        if changes.is_empty() {
            return Ok(true);
        }
        let mut tx = self.begin(Lane::Shared).await?;
        if !self.hold(&mut tx, leadership).await? {
            return Ok(false);
        }
        put_incidents(&mut tx, now, changes).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Writes what a pass found about tasks, some hundred rows a transaction; `None` when the leadership was lost on
    /// the way: the rest was not written.
    ///
    /// A task that changed since it was read gets no stall. `under` is told of each transaction's stalls, once they are written,
    /// which incidents they are folded under, and says what that opens: it is written in the same transaction, so that nobody
    /// ever reads an incident without a stall.
    pub async fn write_stalls(
        &self,
        leadership: &Leadership,
        now: Time,
        changes: &StallChanges,
        mut under: impl FnMut(&[Folded]) -> IncidentChanges,
    ) -> Result<Option<Written>, StoreError> {
        let mut written = Written::default();
        for step in steps(changes) {
            let mut tx = self.begin(Lane::Shared).await?;
            if !self.hold(&mut tx, leadership).await? {
                return Ok(None);
            }
            match step {
                Step::Close(rows) => written.closed += close_rows(&mut tx, now, rows).await?,
                Step::Open(rows, tried) => {
                    let rows = fetch_all!(&mut tx, OpenedRow, OPEN_STALLS, rows, At(now))?;
                    written.opened += rows.len() as u64;
                    let (counted, folds): (Vec<_>, Vec<_>) =
                        rows.into_iter().map(|row| (row.counted, row.incident_id)).unzip();
                    count_findings(&mut tx, now, About::Task, &counted).await?;
                    let opened = under(&folded(tried, folds));
                    written.incidents += opened.opened.len() as u64;
                    put_incidents(&mut tx, now, &opened).await?;
                }
                Step::Update(rows, tried) => {
                    let rows = fetch_all!(&mut tx, (Option<Id>,), UPDATE_STALLS, rows, At(now))?;
                    let folds = rows.into_iter().map(|(incident_id,)| incident_id).collect();
                    let opened = under(&folded(tried, folds));
                    written.incidents += opened.opened.len() as u64;
                    put_incidents(&mut tx, now, &opened).await?;
                }
                Step::Move(rows) => {
                    execute!(&mut tx, MOVE_STALLS, rows)?;
                }
            }
            tx.commit().await?;
        }
        Ok(Some(written))
    }
}

/// Closes the open ones among these stalls, as a part of `tx`.
pub(in crate::store) async fn close_stalls(
    tx: &mut Tx,
    now: Time,
    closed: &[(Uuid, CloseReason)],
) -> Result<u64, StoreError> {
    close_rows(tx, now, reasons(closed)).await
}

async fn close_rows(tx: &mut Tx, now: Time, rows: Batch) -> Result<u64, StoreError> {
    let closed = fetch_all!(tx, Counted, CLOSE_STALLS, rows, At(now))?;
    count_findings(tx, now, About::Task, &closed).await?;
    Ok(closed.len() as u64)
}

async fn put_incidents(tx: &mut Tx, now: Time, changes: &IncidentChanges) -> Result<(), StoreError> {
    // Closed first: the same cause may be opened anew.
    if !changes.closed.is_empty() {
        let closed = fetch_all!(tx, Counted, CLOSE_INCIDENTS, reasons(&changes.closed), At(now))?;
        count_findings(tx, now, About::Cause, &closed).await?;
    }
    if !changes.opened.is_empty() {
        let rows: Vec<Value> = changes.opened.iter().map(incident_row).collect();
        let opened = fetch_all!(tx, Counted, OPEN_INCIDENTS, Batch::of(&rows), At(now))?;
        count_findings(tx, now, About::Cause, &opened).await?;
    }
    if !changes.kept.is_empty() {
        let rows: Vec<Value> = changes.kept.iter().map(incident_row).collect();
        execute!(tx, KEEP_INCIDENTS, Batch::of(&rows), At(now))?;
    }
    insert_samples(tx, &changes.samples).await?;
    for (id, event, body) in &changes.told {
        enqueue(tx, now, *id, *event, body).await?;
    }
    Ok(())
}

/// How many of the stalls that were to be folded under each incident were written.
fn folded(tried: Vec<Uuid>, written: Vec<Option<Id>>) -> Vec<Folded> {
    let mut folded: BTreeMap<Uuid, Folded> = BTreeMap::new();
    for incident_id in tried {
        let none = Folded {
            incident_id,
            tried: 0,
            written: 0,
        };
        folded.entry(incident_id).or_insert(none).tried += 1;
    }
    for id in written.into_iter().flatten() {
        if let Some(folded) = folded.get_mut(&id.0) {
            folded.written += 1;
        }
    }
    folded.into_values().collect()
}

/// A stall that was opened.
#[derive(sqlx::FromRow)]
struct OpenedRow {
    #[sqlx(flatten)]
    counted: Counted,
    incident_id: Option<Id>,
}

/// The rows of one transaction, and the incidents that they are to be folded under, one entry a row.
enum Step {
    Close(Batch),
    Open(Batch, Vec<Uuid>),
    Update(Batch, Vec<Uuid>),
    Move(Batch),
}

/// Closed first: the same task may get the same verdict anew, for a later attempt.
fn steps(changes: &StallChanges) -> Vec<Step> {
    let close = changes
        .closed
        .chunks(CHUNK)
        .map(|chunk| Step::Close(reasons(chunk)));
    let open = changes.opened.chunks(CHUNK).map(|chunk| {
        let rows: Vec<Value> = chunk
            .iter()
            .map(|(id, stall, incident_id)| {
                json!({ "id": id, "task_id": stall.task_id, "queue": stall.queue, "dispatch": stall.dispatch,
                    "attempt": stall.attempt, "version": version_that_counts(stall), "verdict": stall.verdict,
                    "confidence": stall.confidence, "since": stall.since.ms(), "evidence": kept(&stall.evidence),
                    "incident_id": incident_id })
            })
            .collect();
        let tried = chunk.iter().filter_map(|(_, _, incident_id)| *incident_id);
        Step::Open(Batch::of(&rows), tried.collect())
    });
    let update = changes.updated.chunks(CHUNK).map(|chunk| {
        let rows: Vec<Value> = chunk
            .iter()
            .map(|update| {
                json!({ "id": update.id, "attempt": update.attempt, "confidence": update.confidence, "evidence": kept(&update.evidence),
                    "incident_id": update.incident_id })
            })
            .collect();
        let tried = chunk.iter().filter_map(|update| update.incident_id);
        Step::Update(Batch::of(&rows), tried.collect())
    });
    let moved = changes.moved.chunks(CHUNK).map(|chunk| {
        let rows: Vec<Value> = chunk
            .iter()
            .map(|(id, incident_id)| json!({ "id": id, "incident_id": incident_id }))
            .collect();
        Step::Move(Batch::of(&rows))
    });
    close.chain(open).chain(update).chain(moved).collect()
}

fn incident_row((id, incident): &(Uuid, Incident)) -> Value {
    json!({ "id": id, "verdict": incident.verdict, "scope": incident.subject.scope, "name": incident.subject.name,
        "confidence": incident.confidence, "tasks": incident.tasks, "since": incident.since.ms(),
        "evidence": kept(&incident.evidence) })
}

fn reasons(closed: &[(Uuid, CloseReason)]) -> Batch {
    let rows: Vec<Value> = closed
        .iter()
        .map(|(id, reason)| json!({ "id": id, "reason": reason }))
        .collect();
    Batch::of(&rows)
}

/// The version that the task must still have; `None` for what a heartbeat does not refute.
fn version_that_counts(stall: &Stall) -> Option<i64> {
    (!stall.verdict.outlives_heartbeats()).then_some(stall.version)
}

fn kept(evidence: &Evidence) -> Value {
    document(&json!(evidence))
}
