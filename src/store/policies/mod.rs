//! What is done by itself about a queue's findings: the policies, and what they did.

mod act;

use serde_json::{Value, json};

pub use act::{Curable, Done};

use super::{
    Lane, Store, StoreError,
    audit::insert_audit,
    db::{Sql, execute, fetch_all, fetch_optional, sql},
    types::{At, Batch, Word},
};
use crate::domain::{
    audit::AuditEntry,
    finding::Verdict,
    policy::{Policy, PolicyAction},
    time::Time,
};

/// A policy of one queue, and how it is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyRow {
    pub queue: String,
    pub verdict: Verdict,
    pub policy: Policy,
    /// Grows with each change that a person makes: the compare of every compare-and-set. 0: never set.
    pub version: i64,
    minute: Option<(Time, i64)>,
    hour: Option<(Time, i64)>,
    /// When it last did something.
    pub acted_at: Option<Time>,
    pub tripped: Option<Tripped>,
}

/// The breaker stopped a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tripped {
    pub at: Time,
    /// So many tasks would have been put out again, those of the hour before included.
    pub would: i64,
    /// So many open tasks the queue had.
    pub open: i64,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// The beginning of the span that `at` lies in.
fn beginning(at: Time, span_ms: i64) -> Time {
    Time::from_ms(at.ms() - at.ms().rem_euclid(span_ms))
}

impl PolicyRow {
    /// The policy of a queue for which nobody has set one.
    pub fn unset(queue: &str, verdict: Verdict) -> Self {
        Self {
            queue: queue.to_owned(),
            verdict,
            policy: Policy::default(),
            version: 0,
            minute: None,
            hour: None,
            acted_at: None,
            tripped: None,
        }
    }

    /// Tasks put out again in the minute of `now`.
    pub fn done_this_minute(&self, now: Time) -> i64 {
        counted(self.minute, beginning(now, MINUTE_MS))
    }

    /// Tasks put out again in the hour of `now`.
    pub fn done_this_hour(&self, now: Time) -> i64 {
        counted(self.hour, beginning(now, HOUR_MS))
    }
}

fn counted(count: Option<(Time, i64)>, from: Time) -> i64 {
    match count {
        Some((at, tasks)) if at >= from => tasks,
        Some(_) | None => 0,
    }
}

#[derive(sqlx::FromRow)]
struct Record {
    queue: String,
    verdict: Word<Verdict>,
    action: Word<PolicyAction>,
    per_minute: i64,
    breaker_percent: i64,
    breaker_tasks: i64,
    version: i64,
    minute_at: Option<At>,
    minute_tasks: i64,
    hour_at: Option<At>,
    hour_tasks: i64,
    acted_at: Option<At>,
    tripped_at: Option<At>,
    tripped_would: Option<i64>,
    tripped_open: Option<i64>,
}

impl From<Record> for PolicyRow {
    fn from(record: Record) -> Self {
        Self {
            queue: record.queue,
            verdict: record.verdict.0,
            policy: Policy {
                action: record.action.0,
                per_minute: record.per_minute,
                breaker_percent: record.breaker_percent,
                breaker_tasks: record.breaker_tasks,
            },
            version: record.version,
            minute: record.minute_at.map(|at| (at.0, record.minute_tasks)),
            hour: record.hour_at.map(|at| (at.0, record.hour_tasks)),
            acted_at: record.acted_at.map(|at| at.0),
            tripped: record.tripped_at.map(|at| Tripped {
                at: at.0,
                would: record.tripped_would.unwrap_or(0),
                open: record.tripped_open.unwrap_or(0),
            }),
        }
    }
}

/// The columns of `Record`.
macro_rules! policy_columns {
    () => {
        "p.queue, p.verdict, p.action, p.per_minute, p.breaker_percent, p.breaker_tasks, p.version, p.minute_at, \
         p.minute_tasks, p.hour_at, p.hour_tasks, p.acted_at, p.tripped_at, p.tripped_would, p.tripped_open"
    };
}

const ONE: Sql =
    sql!("SELECT " policy_columns!() " FROM queue_policies p WHERE p.queue = $1 AND p.verdict = $2");

const LOCKED: Sql = sql!("SELECT " policy_columns!() " FROM queue_policies p WHERE p.queue = $1 AND p.verdict = $2" pg(" FOR UPDATE"));

const OF_QUEUES: Sql = sql!("SELECT " policy_columns!() " FROM " rows(1; queue text) " r
      JOIN queue_policies p ON p.queue = r.queue ORDER BY p.queue, p.verdict");

const ACTIVE: Sql = sql!("SELECT " policy_columns!() " FROM queue_policies p
      WHERE p.action <> 'show_only' AND p.tripped_at IS NULL ORDER BY p.queue, p.verdict LIMIT $1");

const TRIPPED: Sql = sql!("SELECT " policy_columns!() " FROM queue_policies p
      WHERE p.tripped_at IS NOT NULL ORDER BY p.queue, p.verdict LIMIT $1");

const ADD: Sql = sql!(
    "INSERT INTO queue_policies (queue, verdict, action, per_minute, breaker_percent, breaker_tasks, version)
      VALUES ($1, $2, $3, $4, $5, $6, 1) ON CONFLICT (queue, verdict) DO NOTHING"
);

const SET: Sql = sql!(
    "UPDATE queue_policies SET action = $4, per_minute = $5, breaker_percent = $6, breaker_tasks = $7,
        version = version + 1 WHERE queue = $1 AND verdict = $2 AND version = $3"
);

const RESET: Sql = sql!(
    "UPDATE queue_policies SET tripped_at = NULL, tripped_would = NULL, tripped_open = NULL, hour_at = NULL,
        hour_tasks = 0, version = version + 1 WHERE queue = $1 AND verdict = $2 AND tripped_at IS NOT NULL"
);

/// A policy as the audit log shows it.
fn picture(policy: &Policy) -> Value {
    json!({ "action": policy.action, "per_minute": policy.per_minute, "breaker_percent": policy.breaker_percent,
        "breaker_tasks": policy.breaker_tasks })
}

impl Store {
    /// The queue's policy for `verdict`; the default when nobody has set one.
    pub async fn policy(&self, queue: &str, verdict: Verdict) -> Result<PolicyRow, StoreError> {
        let mut conn = self.read().await?;
        let row = fetch_optional!(&mut conn, Record, ONE, queue, verdict.as_str())?;
        Ok(row.map_or_else(|| PolicyRow::unset(queue, verdict), PolicyRow::from))
    }

    /// The policies that were set for these queues, by queue and verdict.
    pub async fn policies_of(&self, queues: &[&str]) -> Result<Vec<PolicyRow>, StoreError> {
        let rows: Vec<Value> = queues.iter().map(|queue| json!({ "queue": queue })).collect();
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, Record, OF_QUEUES, Batch::of(&rows))?;
        Ok(rows.into_iter().map(PolicyRow::from).collect())
    }

    /// Up to `limit` policies that do something and were not stopped.
    pub async fn active_policies(&self, limit: i64) -> Result<Vec<PolicyRow>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, Record, ACTIVE, limit)?;
        Ok(rows.into_iter().map(PolicyRow::from).collect())
    }

    /// Up to `limit` policies that the breaker has stopped.
    pub async fn tripped_policies(&self, limit: i64) -> Result<Vec<PolicyRow>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, Record, TRIPPED, limit)?;
        Ok(rows.into_iter().map(PolicyRow::from).collect())
    }

    /// Sets the queue's policy for `verdict`, if it is still at `version`, with its audit row; false when somebody else
    /// was quicker. A breaker that stopped it keeps it stopped.
    pub async fn set_policy(
        &self,
        queue: &str,
        verdict: Verdict,
        version: i64,
        policy: &Policy,
        audit: &AuditEntry,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let word = verdict.as_str();
        let before = fetch_optional!(&mut tx, Record, LOCKED, queue, word)?.map(PolicyRow::from);
        let Policy {
            action,
            per_minute,
            breaker_percent,
            breaker_tasks,
        } = *policy;
        let action = action.as_str();
        let written = match &before {
            Some(_) => execute!(
                &mut tx,
                SET,
                queue,
                word,
                version,
                action,
                per_minute,
                breaker_percent,
                breaker_tasks
            )?,
            None if version == 0 => execute!(
                &mut tx,
                ADD,
                queue,
                word,
                action,
                per_minute,
                breaker_percent,
                breaker_tasks
            )?,
            None => 0,
        };
        if written != 1 {
            return Ok(false);
        }
        let told = AuditEntry {
            before: Some(picture(&before.map_or_else(Policy::default, |row| row.policy))),
            after: Some(picture(policy)),
            ..audit.clone()
        };
        insert_audit(&mut tx, now, &[told]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Lets a policy go on that its breaker has stopped, with its audit row; false when it was not stopped. What it did
    /// this hour no longer counts.
    pub async fn reset_policy(
        &self,
        queue: &str,
        verdict: Verdict,
        audit: &AuditEntry,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let before = fetch_optional!(&mut tx, Record, LOCKED, queue, verdict.as_str())?.map(PolicyRow::from);
        if execute!(&mut tx, RESET, queue, verdict.as_str())? != 1 {
            return Ok(false);
        }
        let told = AuditEntry {
            before: before
                .and_then(|row| row.tripped)
                .map(|Tripped { at, would, open }| json!({ "tripped_at": at, "would": would, "open": open })),
            after: Some(json!({ "tripped_at": null })),
            ..audit.clone()
        };
        insert_audit(&mut tx, now, &[told]).await?;
        tx.commit().await?;
        Ok(true)
    }
}
