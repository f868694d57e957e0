//! Applies many events in one transaction: read and lock the tasks, decide each event, write what the decisions say.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use super::rows::{AttemptRow, TaskRow, task_columns};
use crate::{
    domain::{
        audit::AuditEntry,
        expectation::Measure,
        task::{AttemptOutcome, State, Task},
        time::Time,
        transition::{Answer, Effect, Event, Refusal, Rules, decide},
    },
    store::{
        Lane, Store, StoreError,
        audit::insert_audit,
        db::{Sql, Tx, execute, fetch_all, sql},
        durations::{Durations, add_durations},
        throughput::{Counts, add_throughput},
        types::{At, Batch, Id, document},
    },
};

/// One event for one task.
#[derive(Clone, Debug)]
pub struct Act {
    pub task_id: Uuid,
    pub event: Event,
    /// `user:…`, `token:…`, `worker:…` or `system`.
    pub actor: String,
    /// For an action of a person or program: its audit row, written whether it is done or refused.
    pub audit: Option<AuditEntry>,
}

/// What became of an act: done, refused by a guard, or no such task.
pub type Outcome = Result<Acted, Option<Refusal>>;

#[derive(Clone, Debug)]
pub struct Acted {
    pub answer: Answer,
    pub task: Task,
    /// What a worker needs to run the task; for claims only.
    pub claimed: Option<Claimed>,
}

#[derive(Clone, Debug)]
pub struct Claimed {
    pub payload: Value,
    pub title: Option<String>,
    pub owner: Option<String>,
    pub timeout_s: Option<i64>,
}

const LOAD: Sql = sql!("SELECT " task_columns!() " FROM tasks WHERE id IN (SELECT id FROM " rows(1; id uuid) " r) ORDER BY id"
    pg(" FOR UPDATE"));

const LOAD_ATTEMPTS: Sql = sql!("SELECT a.task_id, a.number, a.worker, a.claim_id, a.dispatch, a.started_at, a.ended_at,
        a.outcome, a.error, a.log, a.late
      FROM " rows(1; task_id uuid, number bigint) " r JOIN attempts a ON a.task_id = r.task_id AND a.number = r.number");

const LOAD_DOCUMENTS: Sql = sql!("SELECT id, payload, title, owner, timeout_s FROM tasks
      WHERE id IN (SELECT id FROM " rows(1; id uuid) " r)");

const UPDATE: Sql = sql!("UPDATE tasks SET state = r.state, dispatch = r.dispatch, attempt = r.attempt, tries = r.tries,
        worker = r.worker, claim_id = r.claim_id, message_gone = r.message_gone, progress = r.progress,
        progress_message = r.progress_message, error = r.error, available_at = r.available_at,
        published_at = r.published_at, started_at = r.started_at, beat_at = r.beat_at,
        lease_expires_at = r.lease_expires_at, resent_at = r.resent_at, cancel_requested_at = r.cancel_requested_at,
        finished_at = r.finished_at, updated_at = $2, version = tasks.version + 1
      FROM " rows(1; id uuid, version bigint, state text, dispatch bigint, attempt bigint, tries bigint, worker text,
        claim_id text, message_gone boolean, progress real, progress_message text, error text, available_at time,
        published_at time, started_at time, beat_at time, lease_expires_at time, resent_at time,
        cancel_requested_at time, finished_at time) " r
      WHERE tasks.id = r.id AND tasks.version = r.version");

const SET_RESULT: Sql = sql!("UPDATE tasks SET result = r.result FROM " rows(1; id uuid, result jsonb) " r WHERE tasks.id = r.id");

const SET_PAYLOAD: Sql = sql!("UPDATE tasks SET payload = r.payload FROM " rows(1; id uuid, payload jsonb) " r WHERE tasks.id = r.id");

const OPEN_ATTEMPTS: Sql = sql!("INSERT INTO attempts (task_id, number, worker, claim_id, dispatch, started_at)
      SELECT task_id, number, worker, claim_id, dispatch, $2 FROM "
      rows(1; task_id uuid, number bigint, worker text, claim_id text, dispatch bigint) " r");

const END_ATTEMPTS: Sql = sql!("UPDATE attempts SET outcome = r.outcome, error = r.error, log = r.log, ended_at = $2 FROM "
      rows(1; task_id uuid, number bigint, outcome text, error text, log text) " r
      WHERE attempts.task_id = r.task_id AND attempts.number = r.number AND attempts.outcome IS NULL");

const KEEP_LATE: Sql = sql!("UPDATE attempts SET late = r.late FROM " rows(1; task_id uuid, number bigint, late jsonb) " r
      WHERE attempts.task_id = r.task_id AND attempts.number = r.number");

const RECORD: Sql = sql!("INSERT INTO history (task_id, at, event, from_state, to_state, dispatch, attempt, actor, detail)
      SELECT task_id, $2, event, from_state, to_state, dispatch, attempt, actor, detail FROM "
      rows(1; task_id uuid, event text, from_state text, to_state text, dispatch bigint, attempt bigint, actor text, detail jsonb)
      " r ORDER BY " sqlite("CAST(nr AS INTEGER)") pg("nr"));

const UNPUBLISH: Sql =
    sql!("DELETE FROM outbox WHERE task_id IN (SELECT task_id FROM " rows(1; task_id uuid) " r)");

/// A row that is there already was not sent yet; it only becomes due.
const PUBLISH: Sql = sql!("INSERT INTO outbox (task_id, dispatch, queue, kind, priority, created_at, due_at, next_try_at)
      SELECT task_id, dispatch, queue, kind, priority, $2, due_at, due_at FROM "
      rows(1; task_id uuid, dispatch bigint, queue text, kind text, priority bigint, due_at time) " r
      WHERE " sqlite("true") pg("true") " ORDER BY " sqlite("CAST(nr AS INTEGER)") pg("nr") "
      ON CONFLICT (task_id, dispatch) DO NOTHING");

/// A batch that lost a race against another process is decided again, this often.
const ROUNDS: usize = 3;

impl Store {
    /// Applies `acts` in order, in one transaction; one outcome for each, in the same order.
    ///
    /// Two acts on one task see each other's effect. An act that was refused changes nothing but what its refusal says
    /// (an audit row; a take-over without attempts left ends the task). Errors: nothing of the batch was written, or,
    /// when the commit itself failed, nobody knows; every act may be applied again.
    pub async fn apply(&self, acts: &[Act], lane: Lane, lease: Duration) -> Result<Vec<Outcome>, StoreError> {
        let mut round = 1;
        loop {
            match self.try_apply(acts, lane, lease).await {
                Err(StoreError::Conflict) if round < ROUNDS => round += 1,
                done => return done,
            }
        }
    }

    async fn try_apply(&self, acts: &[Act], lane: Lane, lease: Duration) -> Result<Vec<Outcome>, StoreError> {
        let mut tx = self.begin(lane).await?;
        let outcomes = self.apply_in(&mut tx, acts, lease).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    /// Applies `acts` as a part of `tx`: see `apply`. After an error the transaction must end without a commit.
    pub(in crate::store) async fn apply_in(
        &self,
        tx: &mut Tx,
        acts: &[Act],
        lease: Duration,
    ) -> Result<Vec<Outcome>, StoreError> {
        let ids: Vec<Value> = acts.iter().map(|act| json!({ "id": act.task_id })).collect();
        let rows = fetch_all!(&mut *tx, TaskRow, LOAD, Batch::of(&ids))?;
        // After the rows are locked: a time read before waiting for a lock would be older than what it is held against.
        let now = self.now_in(tx).await?;
        let mut tasks: HashMap<Uuid, Task> = rows
            .into_iter()
            .map(Task::from)
            .map(|task| (task.id, task))
            .collect();
        let reported = load_reported(tx, acts, &tasks).await?;
        let mut plan = Plan::new(now);
        let mut outcomes = Vec::with_capacity(acts.len());
        for act in acts {
            outcomes.push(match tasks.get_mut(&act.task_id) {
                None => Err(None),
                Some(task) => {
                    let end = attempt_of(&act.event).and_then(|number| {
                        plan.ended(act.task_id, number)
                            .or_else(|| reported.get(&(act.task_id, number)).copied())
                    });
                    let rules = Rules {
                        now,
                        lease,
                        jitter: rand::random(),
                    };
                    let decision = decide(task, &act.event, end, &rules);
                    plan.add(act, task, &decision.task, decision.effects, &decision.answer);
                    *task = decision.task;
                    decision
                        .answer
                        .map(|answer| Acted {
                            answer,
                            task: task.clone(),
                            claimed: None,
                        })
                        .map_err(Some)
                }
            });
        }
        attach_documents(tx, &mut outcomes).await?;
        plan.write(self, tx, &tasks).await?;
        Ok(outcomes)
    }
}

/// The attempt that an event reports about.
fn attempt_of(event: &Event) -> Option<i64> {
    match event {
        Event::Succeed { attempt, .. } | Event::Fail { attempt, .. } | Event::Release { attempt } => {
            Some(*attempt)
        }
        _ => None,
    }
}

/// The ends of the attempts that are reported about but don't run: a repeated or a late report.
async fn load_reported(
    tx: &mut Tx,
    acts: &[Act],
    tasks: &HashMap<Uuid, Task>,
) -> Result<HashMap<(Uuid, i64), AttemptOutcome>, StoreError> {
    let wanted: Vec<Value> = acts
        .iter()
        .filter_map(|act| Some((act.task_id, attempt_of(&act.event)?)))
        .filter(|(id, number)| {
            tasks
                .get(id)
                .is_some_and(|task| task.state != State::Running || task.attempt != *number)
        })
        .map(|(task_id, number)| json!({ "task_id": task_id, "number": number }))
        .collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = fetch_all!(tx, AttemptRow, LOAD_ATTEMPTS, Batch::of(&wanted))?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some(((row.task_id.0, row.number), row.outcome?.0)))
        .collect())
}

#[derive(sqlx::FromRow)]
struct DocumentsRow {
    id: Id,
    payload: Json<Value>,
    title: Option<String>,
    owner: Option<String>,
    timeout_s: Option<i64>,
}

/// Gives each successful claim what its worker needs.
async fn attach_documents(tx: &mut Tx, outcomes: &mut [Outcome]) -> Result<(), StoreError> {
    let mut claims: Vec<&mut Acted> = outcomes
        .iter_mut()
        .filter_map(|outcome| outcome.as_mut().ok())
        .filter(|acted| matches!(acted.answer, Answer::Claimed { .. }))
        .collect();
    if claims.is_empty() {
        return Ok(());
    }
    let ids: Vec<Value> = claims
        .iter()
        .map(|acted| json!({ "id": acted.task.id }))
        .collect();
    let rows = fetch_all!(tx, DocumentsRow, LOAD_DOCUMENTS, Batch::of(&ids))?;
    let documents: HashMap<Uuid, DocumentsRow> = rows.into_iter().map(|row| (row.id.0, row)).collect();
    for acted in &mut claims {
        acted.claimed = documents.get(&acted.task.id).map(|row| Claimed {
            payload: row.payload.0.clone(),
            title: row.title.clone(),
            owner: row.owner.clone(),
            timeout_s: row.timeout_s,
        });
    }
    Ok(())
}

/// What a batch will write, as rows.
struct Plan {
    now: Time,
    versions: HashMap<Uuid, i64>,
    changed: Vec<Uuid>,
    results: HashMap<Uuid, Value>,
    payloads: HashMap<Uuid, Value>,
    opened: Vec<Value>,
    ends: HashMap<(Uuid, i64), AttemptOutcome>,
    ended: Vec<Value>,
    late: Vec<Value>,
    records: Vec<Value>,
    unpublish: Vec<Value>,
    publish: HashMap<Uuid, (i64, Value)>,
    publish_order: Vec<Uuid>,
    counts: HashMap<String, Counts>,
    durations: Durations,
    audit: Vec<AuditEntry>,
}

impl Plan {
    fn new(now: Time) -> Self {
        Self {
            now,
            versions: HashMap::new(),
            changed: Vec::new(),
            results: HashMap::new(),
            payloads: HashMap::new(),
            opened: Vec::new(),
            ends: HashMap::new(),
            ended: Vec::new(),
            late: Vec::new(),
            records: Vec::new(),
            unpublish: Vec::new(),
            publish: HashMap::new(),
            publish_order: Vec::new(),
            counts: HashMap::new(),
            durations: Durations::default(),
            audit: Vec::new(),
        }
    }

    /// The end that an earlier act of this batch gave to an attempt.
    fn ended(&self, task_id: Uuid, number: i64) -> Option<AttemptOutcome> {
        self.ends.get(&(task_id, number)).copied()
    }

    fn add(
        &mut self,
        act: &Act,
        before: &Task,
        after: &Task,
        effects: Vec<Effect>,
        answer: &Result<Answer, Refusal>,
    ) {
        let id = before.id;
        if before != after && self.versions.insert(id, before.version).is_none() {
            self.changed.push(id);
        }
        for effect in effects {
            self.add_effect(act, before, after, effect);
        }
        if let Some(entry) = &act.audit {
            self.audit
                .push(entry.clone().about(before, after, answer.as_ref().err()));
        }
    }

    fn add_effect(&mut self, act: &Act, before: &Task, after: &Task, effect: Effect) {
        let id = after.id;
        match effect {
            Effect::OpenAttempt {
                number,
                worker,
                claim_id,
                dispatch,
            } => {
                self.counts_of(after).claimed += 1;
                if before.state == State::Queued {
                    let wait_ms = self.now.ms_since(before.available_at);
                    self.durations.note(after, Measure::Wait, wait_ms);
                }
                self.opened.push(json!({ "task_id": id, "number": number, "worker": worker, "claim_id": claim_id, "dispatch": dispatch }));
            }
            Effect::EndAttempt {
                number,
                outcome,
                error,
                log,
            } => {
                match outcome {
                    AttemptOutcome::Lost => self.counts_of(after).lost += 1,
                    AttemptOutcome::Succeeded => {
                        let run_ms = self.now.ms_since(before.started_at.unwrap_or(self.now));
                        self.durations.note(after, Measure::Run, run_ms);
                    }
                    AttemptOutcome::Failed
                    | AttemptOutcome::Released
                    | AttemptOutcome::Superseded
                    | AttemptOutcome::Cancelled => {}
                }
                self.ends.insert((id, number), outcome);
                self.ended.push(json!({ "task_id": id, "number": number, "outcome": outcome, "error": error, "log": log }));
            }
            Effect::KeepLate { number, late } => self
                .late
                .push(json!({ "task_id": id, "number": number, "late": document(&late) })),
            Effect::Publish { due_at } => {
                let row = json!({ "task_id": id, "dispatch": after.dispatch, "queue": after.queue, "kind": after.kind,
                    "priority": after.priority, "due_at": due_at.ms() });
                if self.publish.insert(id, (after.dispatch, row)).is_none() {
                    self.publish_order.push(id);
                }
            }
            Effect::Unpublish => {
                self.publish.remove(&id);
                self.publish_order.retain(|other| *other != id);
                self.unpublish.push(json!({ "task_id": id }));
            }
            Effect::SetResult(result) => drop(self.results.insert(id, result.unwrap_or(Value::Null))),
            Effect::SetPayload(payload) => drop(self.payloads.insert(id, payload)),
            Effect::Record {
                event,
                from,
                to,
                attempt,
                detail,
            } => {
                if from != to {
                    match to {
                        State::Succeeded => self.counts_of(after).succeeded += 1,
                        State::Failed => self.counts_of(after).failed += 1,
                        State::Cancelled => self.counts_of(after).cancelled += 1,
                        State::New | State::Queued | State::Running => {}
                    }
                }
                self.records.push(json!({ "task_id": id, "event": event, "from_state": from, "to_state": to,
                    "dispatch": after.dispatch, "attempt": attempt, "actor": act.actor, "detail": document(&detail) }));
            }
        }
    }

    fn counts_of(&mut self, task: &Task) -> &mut Counts {
        self.counts.entry(task.queue.clone()).or_default()
    }

    async fn write(
        mut self,
        store: &Store,
        tx: &mut Tx,
        tasks: &HashMap<Uuid, Task>,
    ) -> Result<(), StoreError> {
        if !self.unpublish.is_empty() {
            execute!(&mut *tx, UNPUBLISH, Batch::of(&self.unpublish))?;
        }
        if !self.changed.is_empty() {
            let rows: Vec<Value> = self
                .changed
                .iter()
                .filter_map(|id| tasks.get(id))
                .map(|task| task_row(task, self.versions[&task.id]))
                .collect();
            let written = execute!(&mut *tx, UPDATE, Batch::of(&rows), At(self.now))?;
            if written != rows.len() as u64 {
                return Err(StoreError::Conflict);
            }
        }
        for (statement, documents, name) in [
            (Document::Result, &self.results, "result"),
            (Document::Payload, &self.payloads, "payload"),
        ] {
            if !documents.is_empty() {
                let rows: Vec<Value> = documents
                    .iter()
                    .map(|(id, value)| json!({ "id": id, name: document(value) }))
                    .collect();
                match statement {
                    Document::Result => execute!(&mut *tx, SET_RESULT, Batch::of(&rows))?,
                    Document::Payload => execute!(&mut *tx, SET_PAYLOAD, Batch::of(&rows))?,
                };
            }
        }
        let now = At(self.now);
        if !self.opened.is_empty() {
            execute!(&mut *tx, OPEN_ATTEMPTS, Batch::of(&self.opened), now)?;
        }
        if !self.ended.is_empty() {
            execute!(&mut *tx, END_ATTEMPTS, Batch::of(&self.ended), now)?;
        }
        if !self.late.is_empty() {
            execute!(&mut *tx, KEEP_LATE, Batch::of(&self.late))?;
        }
        if !self.records.is_empty() {
            execute!(&mut *tx, RECORD, Batch::of(&self.records), now)?;
        }
        if !self.publish.is_empty() {
            let rows: Vec<Value> = self
                .publish_order
                .iter()
                .filter_map(|id| self.publish.remove(id))
                .map(|(_, row)| row)
                .collect();
            execute!(&mut *tx, PUBLISH, Batch::of(&rows), now)?;
        }
        add_throughput(store, tx, self.now, &self.counts).await?;
        add_durations(store, tx, self.now, &self.durations).await?;
        insert_audit(tx, self.now, &self.audit).await
    }
}

enum Document {
    Result,
    Payload,
}

fn task_row(task: &Task, version: i64) -> Value {
    let ms = |time: Option<Time>| time.map(Time::ms);
    json!({
        "id": task.id, "version": version, "state": task.state, "dispatch": task.dispatch, "attempt": task.attempt,
        "tries": task.tries, "worker": task.worker, "claim_id": task.claim_id, "message_gone": task.message_gone,
        "progress": task.progress, "progress_message": task.progress_message, "error": task.error,
        "available_at": task.available_at.ms(), "published_at": ms(task.published_at), "started_at": ms(task.started_at),
        "beat_at": ms(task.beat_at), "lease_expires_at": ms(task.lease_expires_at), "resent_at": ms(task.resent_at),
        "cancel_requested_at": ms(task.cancel_requested_at), "finished_at": ms(task.finished_at),
    })
}
