//! The audit log: append-only, written inside the transaction of what it tells of.

use serde_json::{Value, json};
use sqlx::types::Json;

use super::{
    Store, StoreError,
    db::{Sql, Tx, execute, fetch_all, sql},
    types::{At, Batch, Word, document},
};
use crate::domain::{
    audit::{AuditEntry, AuditOutcome},
    time::Time,
};

const INSERT: Sql = sql!("INSERT INTO audit (at, actor, action, target, target_id, outcome, reason, before, after, request_id, address)
      SELECT $2, actor, action, target, target_id, outcome, reason, before, after, request_id, address FROM "
      rows(1; actor text, action text, target text, target_id text, outcome text, reason text, before jsonb, after jsonb,
           request_id text, address text) " r ORDER BY " sqlite("CAST(nr AS INTEGER)") pg("nr"));

/// Writes `entries`, in order, as of `now`. Without them there is no action: an error must end the transaction.
pub(crate) async fn insert_audit(tx: &mut Tx, now: Time, entries: &[AuditEntry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({ "actor": entry.actor, "action": entry.action, "target": entry.target, "target_id": entry.target_id,
                "outcome": entry.outcome, "reason": entry.reason, "before": entry.before.as_ref().map(document),
                "after": entry.after.as_ref().map(document),
                "request_id": entry.request_id, "address": entry.address })
        })
        .collect();
    execute!(tx, INSERT, Batch::of(&rows), At(now))?;
    Ok(())
}

/// What a reading of the log is narrowed to. Everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The kind of thing: `task`, `user`, …
    pub target: Option<String>,
    pub target_id: Option<String>,
    pub actor: Option<String>,
    pub action: Option<String>,
    pub request_id: Option<String>,
}

/// One row of the log as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    pub id: i64,
    pub at: Time,
    pub entry: AuditEntry,
}

/// One page of the log and the place after it.
#[derive(Clone, Debug)]
pub struct AuditPage {
    pub items: Vec<AuditRow>,
    /// Pass it as `before` for the next page; `None` at the end.
    pub next: Option<i64>,
}

macro_rules! columns {
    () => {
        "SELECT id, at, actor, action, target, target_id, outcome, reason, before, after, request_id, address FROM audit WHERE "
    };
}

macro_rules! and_the_rest {
    () => {
        " AND ($1 IS NULL OR target = $1) AND ($2 IS NULL OR target_id = $2) AND ($3 IS NULL OR actor = $3)
          AND ($4 IS NULL OR action = $4) AND ($5 IS NULL OR request_id = $5) AND id < $6 ORDER BY id DESC LIMIT $7"
    };
}

// One statement for each index, the narrowest first: a condition that may be absent can't choose one.
const BY_REQUEST: Sql = sql!(columns!() "request_id = $5" and_the_rest!());
const BY_TARGET: Sql = sql!(columns!() "target_id = $2" and_the_rest!());
const BY_ACTOR: Sql = sql!(columns!() "actor = $3" and_the_rest!());
const BY_ACTION: Sql = sql!(columns!() "action = $4" and_the_rest!());
const BY_KIND: Sql = sql!(columns!() "target = $1" and_the_rest!());
const ALL: Sql = sql!(columns!() sqlite("1") pg("true") and_the_rest!());

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    at: At,
    actor: String,
    action: String,
    target: String,
    target_id: String,
    outcome: Word<AuditOutcome>,
    reason: Option<String>,
    before: Option<Json<Value>>,
    after: Option<Json<Value>>,
    request_id: Option<String>,
    address: Option<String>,
}

impl From<Row> for AuditRow {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            at: row.at.0,
            entry: AuditEntry {
                actor: row.actor,
                action: row.action,
                target: row.target,
                target_id: row.target_id,
                outcome: row.outcome.0,
                reason: row.reason,
                before: row.before.map(|json| json.0),
                after: row.after.map(|json| json.0),
                finding: None,
                request_id: row.request_id,
                address: row.address,
            },
        }
    }
}

impl Store {
    /// Up to `limit` rows that `filter` lets through, newest first, older than the row `before`.
    ///
    /// Each single filter has its index, so a page costs the same however
    /// long the log is; of two filters at once the narrower one is looked up and the other one tried on what it gives.
    pub async fn audit_page(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<AuditPage, StoreError> {
        let mut conn = self.read().await?;
        let AuditFilter {
            target,
            target_id,
            actor,
            action,
            request_id,
        } = filter;
        let before = before.unwrap_or(i64::MAX);
        let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        macro_rules! fetch {
            ($statement:expr) => {
                fetch_all!(
                    &mut conn,
                    Row,
                    $statement,
                    target.as_deref(),
                    target_id.as_deref(),
                    actor.as_deref(),
                    action.as_deref(),
                    request_id.as_deref(),
                    before,
                    one_more
                )?
            };
        }
        let rows = if request_id.is_some() {
            fetch!(BY_REQUEST)
        } else if target_id.is_some() {
            fetch!(BY_TARGET)
        } else if actor.is_some() {
            fetch!(BY_ACTOR)
        } else if action.is_some() {
            fetch!(BY_ACTION)
        } else if target.is_some() {
            fetch!(BY_KIND)
        } else {
            fetch!(ALL)
        };
        let mut items: Vec<AuditRow> = rows.into_iter().map(AuditRow::from).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().map(|row| row.id).filter(|_| more);
        Ok(AuditPage { items, next })
    }
}
