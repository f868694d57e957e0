//! What policies do. Every transaction holds the detector's leadership, so a leader that was replaced meanwhile does
//! nothing.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use super::{HOUR_MS, LOCKED, MINUTE_MS, PolicyRow, Record, beginning};
use crate::{
    domain::{
        audit::AuditEntry,
        evidence::Evidence,
        finding::{CloseReason, Confidence, Verdict},
        policy::PolicyAction,
        time::Time,
        transition::{Event, RESEND_EVERY},
    },
    store::{
        Lane, Store, StoreError,
        audit::insert_audit,
        db::{Sql, execute, fetch_all, fetch_optional, fetch_scalar, sql},
        findings::close_stalls,
        leaders::Leadership,
        tasks::Act,
        types::{At, Id, Word},
    },
};

/// An open finding that a policy may act on, and the version of its task: a task that moves on is left alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Curable {
    pub stall_id: Uuid,
    pub task_id: Uuid,
    pub version: i64,
    pub confidence: Confidence,
    pub evidence: Evidence,
}

/// What one act of a policy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Tasks whose message was put out again.
    pub resent: usize,
    /// Tasks that had moved on.
    pub refused: usize,
}

#[derive(sqlx::FromRow)]
struct CurableRow {
    id: Id,
    task_id: Id,
    version: i64,
    confidence: Word<Confidence>,
    evidence: Json<Evidence>,
}

/// The task is as it was judged: the same dispatch, still queued, and not confirmed again since.
macro_rules! as_judged {
    () => {
        " JOIN tasks t ON t.id = s.task_id AND t.state = 'queued' AND t.dispatch = s.dispatch
            AND t.published_at <= s.since AND (t.resent_at IS NULL OR t.resent_at <= $4)
          WHERE s.closed_at IS NULL AND s.queue = $1 AND s.verdict = $2 AND s.confidence = $3"
    };
}

const CURABLE: Sql = sql!("SELECT s.id, s.task_id, t.version, s.confidence, s.evidence FROM stalls s" sqlite(" INDEXED BY stalls_open_by_policy") as_judged!() "
      ORDER BY s.id LIMIT $5");

const COUNT: Sql = sql!("SELECT count(*) FROM (SELECT 1 FROM stalls s" sqlite(" INDEXED BY stalls_open_by_policy") as_judged!() " LIMIT $5) counted");

const SPEND: Sql = sql!(
    "UPDATE queue_policies SET minute_tasks = CASE WHEN minute_at = $3 THEN minute_tasks ELSE 0 END + $5, minute_at = $3,
        hour_tasks = CASE WHEN hour_at = $4 THEN hour_tasks ELSE 0 END + $5, hour_at = $4, acted_at = $6
      WHERE queue = $1 AND verdict = $2"
);

const TRIP: Sql = sql!(
    "UPDATE queue_policies SET tripped_at = $4, tripped_would = $5, tripped_open = $6
      WHERE queue = $1 AND verdict = $2 AND version = $3 AND tripped_at IS NULL"
);

impl Store {
    /// How many open findings `row` may act on, up to `limit` for each confidence.
    pub async fn count_curable(&self, row: &PolicyRow, now: Time, limit: i64) -> Result<i64, StoreError> {
        let mut conn = self.read().await?;
        let mut count = 0;
        for confidence in row.policy.action.confidences() {
            let (queue, verdict) = (row.queue.as_str(), row.verdict.as_str());
            let rested = At(now - RESEND_EVERY);
            count += fetch_scalar!(
                &mut conn,
                i64,
                COUNT,
                queue,
                verdict,
                confidence.as_str(),
                rested,
                limit
            )?;
        }
        Ok(count)
    }

    /// Up to `limit` open findings that `row` may act on, the proven ones first, and of those the oldest.
    pub async fn curable(&self, row: &PolicyRow, now: Time, limit: i64) -> Result<Vec<Curable>, StoreError> {
        let mut conn = self.read().await?;
        let mut found: Vec<Curable> = Vec::new();
        for confidence in row.policy.action.confidences() {
            let room = limit - found.len() as i64;
            let (queue, verdict) = (row.queue.as_str(), row.verdict.as_str());
            let rested = At(now - RESEND_EVERY);
            let rows = fetch_all!(
                &mut conn,
                CurableRow,
                CURABLE,
                queue,
                verdict,
                confidence.as_str(),
                rested,
                room
            )?;
            found.extend(rows.into_iter().map(|row| Curable {
                stall_id: row.id.0,
                task_id: row.task_id.0,
                version: row.version,
                confidence: row.confidence.0,
                evidence: row.evidence.0,
            }));
        }
        Ok(found)
    }

    /// Puts the messages of `found` out again as the policy of `row` wants it, in one transaction with the history, the
    /// audit rows, the ends of the findings and the policy's count.
    ///
    /// `None` when the leadership was lost, or the policy is not what it was: then nothing was done. Each task is held
    /// against its version once more; one that moved on is left alone.
    pub async fn carry_out(
        &self,
        leadership: &Leadership,
        row: &PolicyRow,
        found: &[Curable],
    ) -> Result<Option<Done>, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        if !self.hold(&mut tx, leadership).await? {
            return Ok(None);
        }
        let now = self.now_in(&mut tx).await?;
        let (queue, verdict) = (row.queue.as_str(), row.verdict.as_str());
        let current = fetch_optional!(&mut tx, Record, LOCKED, queue, verdict)?.map(PolicyRow::from);
        let same = |current: &PolicyRow| current.version == row.version && current.tripped.is_none();
        let Some(current) = current.filter(same) else {
            return Ok(None);
        };
        let room = usize::try_from(current.policy.per_minute - current.done_this_minute(now)).unwrap_or(0);
        let found = &found[..found.len().min(room)];
        let acts: Vec<Act> = found.iter().map(|curable| act(&current, curable)).collect();
        // No lease is looked at or given.
        let outcomes = self.apply_in(&mut tx, &acts, Duration::ZERO).await?;
        let mut done = Done::default();
        let mut over = Vec::new();
        for (curable, outcome) in found.iter().zip(outcomes) {
            match outcome {
                Ok(_) => over.push((curable.stall_id, CloseReason::Resent)),
                Err(_) => done.refused += 1,
            }
        }
        done.resent = over.len();
        if !over.is_empty() {
            close_stalls(&mut tx, now, &over).await?;
            let tasks = i64::try_from(over.len()).unwrap_or(i64::MAX);
            let (minute, hour) = (beginning(now, MINUTE_MS), beginning(now, HOUR_MS));
            execute!(
                &mut tx,
                SPEND,
                queue,
                verdict,
                At(minute),
                At(hour),
                tasks,
                At(now)
            )?;
        }
        tx.commit().await?;
        Ok(Some(done))
    }

    /// Stops the policy of `row`, with its audit row; false when the leadership was lost, or it was changed or stopped
    /// meanwhile: then nothing was written.
    pub async fn trip_policy(
        &self,
        leadership: &Leadership,
        row: &PolicyRow,
        would: i64,
        open: i64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        if !self.hold(&mut tx, leadership).await? {
            return Ok(false);
        }
        let now = self.now_in(&mut tx).await?;
        let (queue, verdict) = (row.queue.as_str(), row.verdict.as_str());
        if execute!(&mut tx, TRIP, queue, verdict, row.version, At(now), would, open)? != 1 {
            return Ok(false);
        }
        let audit = AuditEntry {
            reason: Some(reason(row.verdict, row.policy.action)),
            after: Some(json!({ "tripped_at": now, "would": would, "open": open,
                "breaker_percent": row.policy.breaker_percent, "breaker_tasks": row.policy.breaker_tasks })),
            ..AuditEntry::new("system", "policy_trip", "queue", queue)
        };
        insert_audit(&mut tx, now, &[audit]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn act(row: &PolicyRow, curable: &Curable) -> Act {
    let Curable {
        stall_id,
        task_id,
        version,
        confidence,
        evidence,
    } = curable;
    let finding = |evidence: Value| json!({ "id": stall_id, "verdict": row.verdict, "confidence": confidence, "evidence": evidence });
    let audit = AuditEntry {
        reason: Some(reason(row.verdict, row.policy.action)),
        finding: Some(finding(json!(evidence))),
        ..AuditEntry::new("system", "resend", "task", task_id.to_string())
    };
    Act {
        task_id: *task_id,
        event: Event::Resend {
            version: *version,
            finding: finding(json!({ "variant": evidence.variant })),
        },
        actor: "system".into(),
        audit: Some(audit),
    }
}

/// Which policy it was, in the words of the API.
fn reason(verdict: Verdict, action: PolicyAction) -> String {
    format!("policy: {verdict}, {action}")
}
