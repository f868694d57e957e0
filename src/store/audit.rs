//! The audit log: append-only, written inside the transaction of what it tells of.

use serde_json::{Value, json};

use super::{
    StoreError,
    db::{Sql, Tx, execute, sql},
    types::{At, Batch, document},
};
use crate::domain::{audit::AuditEntry, time::Time};

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
