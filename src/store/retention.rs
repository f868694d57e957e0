//! Deletes what has been kept long enough: a bounded number of rows per transaction, so that writers never wait long.

use uuid::Uuid;

use super::{
    Lane, Store, StoreError,
    db::{Sql, execute, fetch_all, sql},
    types::{At, Batch, Id},
};
use crate::domain::{time::Time, words::words};

words! {
    /// What is deleted by age alone, each by one statement.
    pub enum Aged {
        /// Incidents that closed; their stalls go by their own age.
        Incidents = "incidents",
        /// Findings that closed, of tasks that are still kept.
        Stalls = "stalls",
        Samples = "samples",
        Throughput = "throughput",
        Durations = "durations",
        IdempotencyKeys = "idempotency_keys",
        Sessions = "sessions",
        /// Snoozes that are over.
        Snoozes = "snoozes",
        /// Marks on findings.
        FalseAlarms = "false_alarms",
        /// Counters of the rules' findings.
        RuleCounts = "rule_counts",
        /// Deliveries that were made or given up.
        WebhookDeliveries = "webhook_deliveries",
    }
}

/// Finished tasks of whom no ticket is still being worked on: staff would lose what they look at.
const FINISHED: Sql = sql!("SELECT t.id FROM tasks t
      WHERE t.finished_at < $1 AND t.state IN ('succeeded', 'failed', 'cancelled')
        AND NOT EXISTS (SELECT 1 FROM tickets k WHERE k.task_id = t.id AND k.status IN ('new', 'open', 'waiting'))
      ORDER BY t.finished_at, t.id LIMIT $2" pg(" FOR UPDATE OF t SKIP LOCKED"));

const ATTEMPTS: Sql = sql!("DELETE FROM attempts WHERE task_id IN (SELECT r.id FROM " rows(1; id uuid) " r)");
const HISTORY: Sql = sql!("DELETE FROM history WHERE task_id IN (SELECT r.id FROM " rows(1; id uuid) " r)");
const OUTBOX: Sql = sql!("DELETE FROM outbox WHERE task_id IN (SELECT r.id FROM " rows(1; id uuid) " r)");
/// Its stalls go with it (a foreign key).
const TASKS: Sql = sql!("DELETE FROM tasks WHERE id IN (SELECT r.id FROM " rows(1; id uuid) " r)");

const INCIDENTS: Sql = sql!(
    "DELETE FROM incidents WHERE id IN
      (SELECT id FROM incidents WHERE closed_at < $1 ORDER BY closed_at, id LIMIT $2)"
);
const STALLS: Sql = sql!(
    "DELETE FROM stalls WHERE id IN
      (SELECT id FROM stalls WHERE closed_at < $1 ORDER BY closed_at, id LIMIT $2)"
);
const SAMPLES: Sql = sql!(
    "DELETE FROM samples WHERE (queue, at) IN
      (SELECT queue, at FROM samples WHERE at < $1 ORDER BY at LIMIT $2)"
);
const THROUGHPUT: Sql = sql!(
    "DELETE FROM throughput WHERE (queue, minute_at, source) IN
      (SELECT queue, minute_at, source FROM throughput WHERE minute_at < $1 ORDER BY minute_at LIMIT $2)"
);
const DURATIONS: Sql = sql!(
    "DELETE FROM durations WHERE (kind, measure, queue, at, source, bucket) IN
      (SELECT kind, measure, queue, at, source, bucket FROM durations WHERE at < $1 ORDER BY at LIMIT $2)"
);
const IDEMPOTENCY_KEYS: Sql = sql!(
    "DELETE FROM idempotency_keys WHERE (principal, key) IN
      (SELECT principal, key FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)"
);
const SESSIONS: Sql = sql!(
    "DELETE FROM sessions WHERE token_hash IN
      (SELECT token_hash FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)"
);
const SNOOZES: Sql = sql!(
    "DELETE FROM snoozes WHERE finding_id IN
      (SELECT finding_id FROM snoozes WHERE ended_at < $1 ORDER BY ended_at, finding_id LIMIT $2)"
);
const FALSE_ALARMS: Sql = sql!(
    "DELETE FROM false_alarms WHERE finding_id IN
      (SELECT finding_id FROM false_alarms WHERE at < $1 ORDER BY at, finding_id LIMIT $2)"
);
const RULE_COUNTS: Sql = sql!(
    "DELETE FROM rule_counts WHERE (day_at, about, verdict, variant, outcome, lasted_upto_ms) IN
      (SELECT day_at, about, verdict, variant, outcome, lasted_upto_ms FROM rule_counts WHERE day_at < $1
        ORDER BY day_at, about, verdict, variant, outcome, lasted_upto_ms LIMIT $2)"
);
const WEBHOOK_DELIVERIES: Sql = sql!("DELETE FROM webhook_deliveries WHERE id IN
      (SELECT id FROM webhook_deliveries WHERE created_at < $1 AND next_try_at IS NULL ORDER BY created_at, id LIMIT $2)");

impl Store {
    /// Deletes up to `limit` tasks that finished before `before`, oldest first, with their attempts, history, stalls
    /// and unsent messages. Returns how many.
    ///
    /// A task that an open ticket is about stays until the ticket ends. Safe in several processes at once.
    pub async fn prune_tasks(&self, before: Time, limit: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let ids = fetch_all!(&mut tx, (Id,), FINISHED, At(before), limit)?;
        if ids.is_empty() {
            return Ok(0);
        }
        let ids: Vec<Uuid> = ids.into_iter().map(|(id,)| id.0).collect();
        let rows: Vec<_> = ids.iter().map(|id| serde_json::json!({ "id": id })).collect();
        execute!(&mut tx, ATTEMPTS, Batch::of(&rows))?;
        execute!(&mut tx, HISTORY, Batch::of(&rows))?;
        execute!(&mut tx, OUTBOX, Batch::of(&rows))?;
        let deleted = execute!(&mut tx, TASKS, Batch::of(&rows))?;
        tx.commit().await?;
        Ok(deleted)
    }

    /// Deletes up to `limit` rows of one sort from before `before`, oldest first. Returns how many.
    pub async fn prune_aged(&self, what: Aged, before: Time, limit: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let before = At(before);
        let deleted = match what {
            Aged::Incidents => execute!(&mut tx, INCIDENTS, before, limit),
            Aged::Stalls => execute!(&mut tx, STALLS, before, limit),
            Aged::Samples => execute!(&mut tx, SAMPLES, before, limit),
            Aged::Throughput => execute!(&mut tx, THROUGHPUT, before, limit),
            Aged::Durations => execute!(&mut tx, DURATIONS, before, limit),
            Aged::IdempotencyKeys => execute!(&mut tx, IDEMPOTENCY_KEYS, before, limit),
            Aged::Sessions => execute!(&mut tx, SESSIONS, before, limit),
            Aged::Snoozes => execute!(&mut tx, SNOOZES, before, limit),
            Aged::FalseAlarms => execute!(&mut tx, FALSE_ALARMS, before, limit),
            Aged::RuleCounts => execute!(&mut tx, RULE_COUNTS, before, limit),
            Aged::WebhookDeliveries => execute!(&mut tx, WEBHOOK_DELIVERIES, before, limit),
        }?;
        tx.commit().await?;
        Ok(deleted)
    }
}
