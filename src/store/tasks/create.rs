//! Records new tasks, several callers' in one transaction.

use std::{collections::HashMap, mem};

use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        task::{NewTask, State, available_at},
        time::Time,
    },
    store::{
        Lane, Store, StoreError,
        db::{Sql, Tx, execute, fetch_all, fetch_optional, sql},
        throughput::{Counts, add_throughput},
        types::{At, Batch, document},
    },
};

/// One caller's request: all of its tasks, or none.
#[derive(Clone, Debug)]
pub struct Creation {
    pub tasks: Vec<NewTask>,
    /// `user:…` or `token:…`; idempotency keys are kept apart by it.
    pub principal: String,
    pub idempotency: Option<Idempotency>,
}

/// A key that makes a repeated request give the same tasks.
#[derive(Clone, Debug)]
pub struct Idempotency {
    pub key: String,
    /// Of the request's body, so that another body under the same key is noticed.
    pub body_hash: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// In the order of the request.
    pub ids: Vec<Uuid>,
    /// The key had been used before: these are the tasks it made then.
    pub repeated: bool,
    /// When this call recorded them; for a repetition, when it was asked.
    pub at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreationRefused {
    #[error("this idempotency key was used before with another body")]
    OtherBody,
}

const TAKE_KEYS: Sql = sql!("INSERT INTO idempotency_keys (principal, key, body_hash, task_ids, created_at)
      SELECT principal, key, body_hash, task_ids, $2 FROM "
      rows(1; principal text, key text, body_hash text, task_ids jsonb) " r WHERE " sqlite("true") pg("true") "
      ON CONFLICT (principal, key) DO NOTHING RETURNING principal, key, body_hash, task_ids");

const READ_KEYS: Sql = sql!("SELECT k.principal, k.key, k.body_hash, k.task_ids FROM " rows(1; principal text, key text) " r
      JOIN idempotency_keys k ON k.principal = r.principal AND k.key = r.key");

const INSERT: Sql = sql!("INSERT INTO tasks (id, kind, queue, state, title, owner, priority, payload, timeout_s, max_attempts,
        dispatch, attempt, tries, created_by, created_at, updated_at, available_at)
      SELECT id, kind, queue, state, title, owner, priority, payload, timeout_s, max_attempts, dispatch, 0, 0, created_by,
        $2, $2, available_at FROM "
      rows(1; id uuid, kind text, queue text, state text, title text, owner text, priority bigint, payload jsonb,
        timeout_s bigint, max_attempts bigint, dispatch bigint, created_by text, available_at time) " r");

const RECORD: Sql = sql!("INSERT INTO history (task_id, at, event, from_state, to_state, dispatch, attempt, actor)
      SELECT task_id, $2, event, from_state, to_state, dispatch, 0, actor FROM "
      rows(1; task_id uuid, event text, from_state text, to_state text, dispatch bigint, actor text)
      " r ORDER BY " sqlite("CAST(nr AS INTEGER)") pg("nr"));

const PUBLISH: Sql = sql!("INSERT INTO outbox (task_id, dispatch, queue, kind, priority, traceparent, created_at, due_at, next_try_at)
      SELECT task_id, 1, queue, kind, priority, traceparent, $2, due_at, due_at FROM "
      rows(1; task_id uuid, queue text, kind text, priority bigint, traceparent text, due_at time)
      " r ORDER BY " sqlite("CAST(nr AS INTEGER)") pg("nr"));

#[derive(sqlx::FromRow)]
struct KeyRow {
    principal: String,
    key: String,
    body_hash: String,
    task_ids: Json<Vec<Uuid>>,
}

impl Store {
    /// Records every creation in one transaction, and answers each in the same order.
    ///
    /// A creation whose idempotency key was used before, also by another one of this call, makes nothing: with the
    /// same body it answers the earlier tasks, with another body it is refused. Errors: nothing was recorded, or, when
    /// the commit itself failed, nobody knows; with keys, asking again is safe.
    pub async fn create(
        &self,
        creations: &[Creation],
    ) -> Result<Vec<Result<Created, CreationRefused>>, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let mut keys = take_keys(&mut tx, creations, now).await?;
        let mut answers = Vec::with_capacity(creations.len());
        let mut fresh: Vec<(&NewTask, &str)> = Vec::new();
        for creation in creations {
            let ids: Vec<Uuid> = creation.tasks.iter().map(|task| task.id).collect();
            let earlier = creation.idempotency.as_ref().and_then(|idempotency| {
                let place = (creation.principal.clone(), idempotency.key.clone());
                keys.get_mut(&place).map(|kept| (idempotency, kept))
            });
            answers.push(match earlier {
                Some((idempotency, kept)) if !kept.is_for(idempotency) => Err(CreationRefused::OtherBody),
                Some((_, kept)) if kept.ids != ids => Ok(Created {
                    ids: kept.ids.clone(),
                    repeated: true,
                    at: now,
                }),
                _ => {
                    fresh.extend(
                        creation
                            .tasks
                            .iter()
                            .map(|task| (task, creation.principal.as_str())),
                    );
                    Ok(Created {
                        ids,
                        repeated: false,
                        at: now,
                    })
                }
            });
        }
        insert(self, &mut tx, &fresh, now).await?;
        tx.commit().await?;
        Ok(answers)
    }

    /// The tasks that `creation` made when it was asked for before; `None` when it never was, or has no key. Records nothing.
    pub async fn created_before(
        &self,
        creation: &Creation,
    ) -> Result<Option<Result<Vec<Uuid>, CreationRefused>>, StoreError> {
        let Some(idempotency) = &creation.idempotency else {
            return Ok(None);
        };
        let wanted = [json!({ "principal": creation.principal, "key": idempotency.key })];
        let mut conn = self.read().await?;
        let row = fetch_optional!(&mut conn, KeyRow, READ_KEYS, Batch::of(&wanted))?;
        Ok(row.map(|row| {
            let kept = Kept::from(row);
            if kept.is_for(idempotency) {
                Ok(kept.ids)
            } else {
                Err(CreationRefused::OtherBody)
            }
        }))
    }
}

struct Kept {
    body_hash: String,
    ids: Vec<Uuid>,
}

impl Kept {
    /// It was kept of a request with the same body.
    fn is_for(&self, idempotency: &Idempotency) -> bool {
        self.body_hash == idempotency.body_hash
    }
}

impl From<KeyRow> for Kept {
    fn from(row: KeyRow) -> Self {
        Self {
            body_hash: row.body_hash,
            ids: row.task_ids.0,
        }
    }
}

/// Takes the keys that are free; returns what stands under each key afterwards.
async fn take_keys(
    tx: &mut Tx,
    creations: &[Creation],
    now: Time,
) -> Result<HashMap<(String, String), Kept>, StoreError> {
    let wanted: Vec<Value> = creations
        .iter()
        .filter_map(|creation| {
            let Idempotency { key, body_hash } = creation.idempotency.as_ref()?;
            let ids: Vec<Uuid> = creation.tasks.iter().map(|task| task.id).collect();
            Some(
                json!({ "principal": creation.principal, "key": key, "body_hash": body_hash,
                "task_ids": document(&json!(ids)) }),
            )
        })
        .collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let taken = fetch_all!(&mut *tx, KeyRow, TAKE_KEYS, Batch::of(&wanted), At(now))?;
    let mut rows = taken;
    if rows.len() < wanted.len() {
        rows.extend(fetch_all!(&mut *tx, KeyRow, READ_KEYS, Batch::of(&wanted))?);
    }
    Ok(rows
        .into_iter()
        .map(|mut row| {
            let place = (mem::take(&mut row.principal), mem::take(&mut row.key));
            (place, Kept::from(row))
        })
        .collect())
}

async fn insert(store: &Store, tx: &mut Tx, tasks: &[(&NewTask, &str)], now: Time) -> Result<(), StoreError> {
    if tasks.is_empty() {
        return Ok(());
    }
    let (mut rows, mut records, mut publish) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts: HashMap<String, Counts> = HashMap::new();
    for (task, principal) in tasks {
        let available_at = available_at(task.available_at, task.start, now);
        let (state, dispatch) = if task.start {
            (State::Queued, 1)
        } else {
            (State::New, 0)
        };
        rows.push(json!({ "id": task.id, "kind": task.kind, "queue": task.queue, "state": state, "title": task.title,
            "owner": task.owner, "priority": task.priority, "payload": document(&task.payload),
            "timeout_s": task.timeout_s, "max_attempts": task.max_attempts, "dispatch": dispatch,
            "created_by": principal, "available_at": available_at.ms() }));
        records.push(
            json!({ "task_id": task.id, "event": "created", "from_state": null, "to_state": State::New,
            "dispatch": 0, "actor": principal }),
        );
        if task.start {
            records.push(
                json!({ "task_id": task.id, "event": "started", "from_state": State::New,
                "to_state": State::Queued, "dispatch": 1, "actor": principal }),
            );
            publish.push(
                json!({ "task_id": task.id, "queue": task.queue, "kind": task.kind, "priority": task.priority,
                "traceparent": task.traceparent, "due_at": available_at.ms() }),
            );
        }
        counts.entry(task.queue.clone()).or_default().created += 1;
    }
    execute!(&mut *tx, INSERT, Batch::of(&rows), At(now))?;
    execute!(&mut *tx, RECORD, Batch::of(&records), At(now))?;
    if !publish.is_empty() {
        execute!(&mut *tx, PUBLISH, Batch::of(&publish), At(now))?;
    }
    add_throughput(store, tx, now, &counts).await
}
