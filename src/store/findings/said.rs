//! What people say about findings: not now, and not true.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{IncidentRecord, IncidentRow, StallRecord, StallRow, incident_columns, stall_columns};
use crate::{
    domain::{
        audit::AuditEntry,
        finding::{About, Confidence, Variant, Verdict},
        snooze::{End, Snooze, Weight},
        time::Time,
    },
    store::{
        Lane, Store, StoreError,
        audit::insert_audit,
        db::{Sql, Tx, execute, fetch_all, fetch_optional, sql},
        leaders::Leadership,
        types::{At, Batch, Id, Word},
        webhooks::{WebhookEvent, enqueue},
    },
};

/// That somebody calls a finding wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FalseAlarm {
    pub reason: String,
    pub actor: String,
    pub at: Time,
}

/// What people said about one finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The newest snooze, whether it holds or is over.
    pub snooze: Option<Snooze>,
    pub false_alarm: Option<FalseAlarm>,
}

/// What came of an action on a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidNow {
    Done,
    /// It was so already.
    Same,
    /// The finding is closed.
    Closed,
    NoFinding,
}

/// A snooze that was not noticed to be over yet, and its finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub finding_id: Uuid,
    pub about: About,
    pub snooze: Snooze,
    /// The finding as it is; `None` when it closed.
    pub found: Option<Weight>,
}

/// A snooze that is over, and what the webhook is told of it.
#[derive(Clone, Debug)]
pub struct Ended {
    pub running: Running,
    pub end: End,
    pub told: Option<Value>,
}

#[derive(sqlx::FromRow)]
struct SnoozeRecord {
    finding_id: Id,
    ends_at: At,
    reason: String,
    actor: String,
    at: At,
    confidence: Word<Confidence>,
    tasks: i64,
    ended_at: Option<At>,
    ended_reason: Option<Word<End>>,
}

#[derive(sqlx::FromRow)]
struct RunningRecord {
    #[sqlx(flatten)]
    snooze: SnoozeRecord,
    found_confidence: Option<Word<Confidence>>,
    found_tasks: Option<i64>,
    of_task: bool,
}

#[derive(sqlx::FromRow)]
struct FoundRecord {
    about: Word<About>,
    verdict: Word<Verdict>,
    variant: Word<Variant>,
    confidence: Word<Confidence>,
    tasks: i64,
    open: bool,
}

#[derive(sqlx::FromRow)]
struct FalseAlarmRecord {
    finding_id: Id,
    reason: String,
    actor: String,
    at: At,
}

impl From<SnoozeRecord> for Snooze {
    fn from(record: SnoozeRecord) -> Self {
        Self {
            ends_at: record.ends_at.0,
            reason: record.reason,
            actor: record.actor,
            at: record.at.0,
            weight: Weight {
                confidence: record.confidence.0,
                tasks: record.tasks,
            },
            ended: record
                .ended_at
                .zip(record.ended_reason)
                .map(|(at, end)| (at.0, end.0)),
        }
    }
}

/// The columns of `SnoozeRecord`.
macro_rules! snooze_columns {
    () => {
        "z.finding_id, z.ends_at, z.reason, z.actor, z.at, z.confidence, z.tasks, z.ended_at, z.ended_reason"
    };
}

const SNOOZES: Sql = sql!("SELECT " snooze_columns!() " FROM " rows(1; id uuid) " r
      JOIN snoozes z ON z.finding_id = r.id");

const FALSE_ALARMS: Sql = sql!("SELECT f.finding_id, f.reason, f.actor, f.at FROM " rows(1; id uuid) " r
      JOIN false_alarms f ON f.finding_id = r.id");

const FOUND: Sql = sql!(
    "SELECT 'cause' AS about, verdict, evidence ->> 'variant' AS variant, confidence, tasks, closed_at IS NULL AS open
      FROM incidents WHERE id = $1
      UNION ALL
      SELECT 'task', verdict, evidence ->> 'variant', confidence, 1, closed_at IS NULL FROM stalls WHERE id = $1"
);

const SNOOZE: Sql = sql!(
    "INSERT INTO snoozes (finding_id, ends_at, reason, actor, at, confidence, tasks)
      VALUES ($1, $2, $3, $4, $5, $6, $7)
      ON CONFLICT (finding_id) DO UPDATE SET ends_at = excluded.ends_at, reason = excluded.reason, actor = excluded.actor,
        at = excluded.at, confidence = excluded.confidence, tasks = excluded.tasks, ended_at = NULL, ended_reason = NULL"
);

const TAKE_BACK: Sql = sql!(
    "UPDATE snoozes SET ended_at = $2, ended_reason = 'taken_back'
      WHERE finding_id = $1 AND ended_at IS NULL AND ends_at > $2"
);

const RUNNING: Sql = sql!("SELECT " snooze_columns!() ", coalesce(i.confidence, s.confidence) AS found_confidence,
        coalesce(i.tasks, CASE WHEN s.id IS NOT NULL THEN 1 END) AS found_tasks, s.id IS NOT NULL AS of_task
      FROM snoozes z LEFT JOIN incidents i ON i.id = z.finding_id AND i.closed_at IS NULL
      LEFT JOIN stalls s ON s.id = z.finding_id AND s.closed_at IS NULL
      WHERE z.ended_at IS NULL ORDER BY z.finding_id LIMIT $1");

/// One that was begun anew meanwhile goes on.
const END: Sql = sql!("UPDATE snoozes SET ended_at = $2, ended_reason = r.reason
      FROM " rows(1; id uuid, at time, reason text) " r
      WHERE snoozes.finding_id = r.id AND snoozes.at = r.at AND snoozes.ended_at IS NULL RETURNING finding_id");

const MARK: Sql = sql!(
    "INSERT INTO false_alarms (finding_id, about, verdict, variant, reason, actor, at)
      VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (finding_id) DO NOTHING"
);

const WITHDRAW: Sql = sql!("DELETE FROM false_alarms WHERE finding_id = $1");

const SNOOZED_STALLS: Sql = sql!("SELECT " stall_columns!() " FROM snoozes z JOIN stalls s ON s.id = z.finding_id AND s.closed_at IS NULL
      WHERE z.ended_at IS NULL AND z.ends_at > $1 ORDER BY z.finding_id DESC LIMIT $2");

const SNOOZED_INCIDENTS: Sql = sql!("SELECT " incident_columns!() " FROM snoozes z JOIN incidents i ON i.id = z.finding_id AND i.closed_at IS NULL
      WHERE z.ended_at IS NULL AND z.ends_at > $1 ORDER BY z.finding_id DESC LIMIT $2");

/// Most snoozes that a pass of the detector looks at, and pages show of each sort.
const RUNNING_MOST: i64 = 10_000;
const SNOOZED_MOST: i64 = 200;

impl Store {
    /// What people said about these findings; those of which nobody said anything are left out.
    pub async fn said_of(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Said>, StoreError> {
        let mut said: HashMap<Uuid, Said> = HashMap::new();
        if ids.is_empty() {
            return Ok(said);
        }
        let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let mut conn = self.read().await?;
        for record in fetch_all!(&mut conn, SnoozeRecord, SNOOZES, Batch::of(&rows))? {
            let id = record.finding_id.0;
            said.entry(id).or_default().snooze = Some(record.into());
        }
        for record in fetch_all!(&mut conn, FalseAlarmRecord, FALSE_ALARMS, Batch::of(&rows))? {
            said.entry(record.finding_id.0).or_default().false_alarm = Some(FalseAlarm {
                reason: record.reason,
                actor: record.actor,
                at: record.at.0,
            });
        }
        Ok(said)
    }

    /// The open findings that are put off at `now`, the newest first; up to 200 of each sort.
    pub async fn snoozed(&self, now: Time) -> Result<(Vec<IncidentRow>, Vec<StallRow>), StoreError> {
        let mut conn = self.read().await?;
        let incidents = fetch_all!(
            &mut conn,
            IncidentRecord,
            SNOOZED_INCIDENTS,
            At(now),
            SNOOZED_MOST
        )?;
        let stalls = fetch_all!(&mut conn, StallRecord, SNOOZED_STALLS, At(now), SNOOZED_MOST)?;
        Ok((
            incidents.into_iter().map(IncidentRow::from).collect(),
            stalls.into_iter().map(StallRow::from).collect(),
        ))
    }

    /// Puts an open finding off until `ends_at`, in the name of the audit entry's actor and for its reason. One that is
    /// put off already is so from now on until then.
    pub async fn snooze(
        &self,
        finding_id: Uuid,
        ends_at: Time,
        audit: AuditEntry,
    ) -> Result<SaidNow, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let Some(found) = fetch_optional!(&mut tx, FoundRecord, FOUND, Id(finding_id))? else {
            return Ok(SaidNow::NoFinding);
        };
        if !found.open {
            return Ok(SaidNow::Closed);
        }
        let before = self.snooze_in(&mut tx, finding_id).await?;
        let before = before.filter(|snooze| snooze.holds(now));
        execute!(
            &mut tx,
            SNOOZE,
            Id(finding_id),
            At(ends_at),
            audit.reason.as_deref().unwrap_or_default(),
            &audit.actor,
            At(now),
            found.confidence.0.as_str(),
            found.tasks
        )?;
        let audit = AuditEntry {
            before: Some(json!({ "snoozed_until": before.map(|snooze| snooze.ends_at) })),
            after: Some(json!({ "snoozed_until": ends_at, "verdict": found.verdict.0,
                "confidence": found.confidence.0, "tasks": found.tasks })),
            ..about(audit, found.about.0)
        };
        insert_audit(&mut tx, now, &[audit]).await?;
        tx.commit().await?;
        Ok(SaidNow::Done)
    }

    /// Takes a snooze back; `Same` when the finding is not put off.
    pub async fn take_snooze_back(&self, finding_id: Uuid, audit: AuditEntry) -> Result<SaidNow, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let Some(found) = fetch_optional!(&mut tx, FoundRecord, FOUND, Id(finding_id))? else {
            return Ok(SaidNow::NoFinding);
        };
        let before = self.snooze_in(&mut tx, finding_id).await?;
        if execute!(&mut tx, TAKE_BACK, Id(finding_id), At(now))? == 0 {
            return Ok(SaidNow::Same);
        }
        let audit = AuditEntry {
            before: Some(json!({ "snoozed_until": before.map(|snooze| snooze.ends_at) })),
            after: Some(json!({ "snoozed_until": null })),
            ..about(audit, found.about.0)
        };
        insert_audit(&mut tx, now, &[audit]).await?;
        tx.commit().await?;
        Ok(SaidNow::Done)
    }

    async fn snooze_in(&self, tx: &mut Tx, finding_id: Uuid) -> Result<Option<Snooze>, StoreError> {
        let id = Batch::of(&[json!({ "id": finding_id })]);
        Ok(fetch_optional!(tx, SnoozeRecord, SNOOZES, id)?.map(Snooze::from))
    }

    /// Marks a finding, open or closed, as wrong, for the audit entry's reason; `Same` when it is marked already.
    pub async fn mark_false_alarm(&self, finding_id: Uuid, audit: AuditEntry) -> Result<SaidNow, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let Some(found) = fetch_optional!(&mut tx, FoundRecord, FOUND, Id(finding_id))? else {
            return Ok(SaidNow::NoFinding);
        };
        let marked = execute!(
            &mut tx,
            MARK,
            Id(finding_id),
            found.about.0.as_str(),
            found.verdict.0.as_str(),
            found.variant.0.as_str(),
            audit.reason.as_deref().unwrap_or_default(),
            &audit.actor,
            At(now)
        )?;
        if marked == 0 {
            return Ok(SaidNow::Same);
        }
        let audit = AuditEntry {
            before: Some(json!({ "false_alarm": false })),
            after: Some(
                json!({ "false_alarm": true, "verdict": found.verdict.0, "variant": found.variant.0 }),
            ),
            ..about(audit, found.about.0)
        };
        insert_audit(&mut tx, now, &[audit]).await?;
        tx.commit().await?;
        Ok(SaidNow::Done)
    }

    /// Takes the mark back; `Same` when there is none.
    pub async fn withdraw_false_alarm(
        &self,
        finding_id: Uuid,
        audit: AuditEntry,
    ) -> Result<SaidNow, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let Some(found) = fetch_optional!(&mut tx, FoundRecord, FOUND, Id(finding_id))? else {
            return Ok(SaidNow::NoFinding);
        };
        if execute!(&mut tx, WITHDRAW, Id(finding_id))? == 0 {
            return Ok(SaidNow::Same);
        }
        let audit = AuditEntry {
            before: Some(json!({ "false_alarm": true })),
            after: Some(json!({ "false_alarm": false })),
            ..about(audit, found.about.0)
        };
        insert_audit(&mut tx, now, &[audit]).await?;
        tx.commit().await?;
        Ok(SaidNow::Done)
    }

    /// Every snooze that was not noticed to be over yet, with its finding as it is now.
    pub async fn running_snoozes(&self) -> Result<Vec<Running>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, RunningRecord, RUNNING, RUNNING_MOST)?;
        let running = rows.into_iter().map(|row| Running {
            finding_id: row.snooze.finding_id.0,
            about: if row.of_task { About::Task } else { About::Cause },
            snooze: row.snooze.into(),
            found: row
                .found_confidence
                .zip(row.found_tasks)
                .map(|(confidence, tasks)| Weight {
                    confidence: confidence.0,
                    tasks,
                }),
        });
        Ok(running.collect())
    }

    /// Notes that snoozes are over, each with its audit row, and puts on its way what the webhook is told; false when the
    /// leadership was lost: then nothing was written. One that somebody began anew or took back meanwhile is left alone.
    pub async fn end_snoozes(
        &self,
        leadership: &Leadership,
        now: Time,
        ended: &[Ended],
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        if !self.hold(&mut tx, leadership).await? {
            return Ok(false);
        }
        let rows: Vec<Value> = ended
            .iter()
            .map(|ended| {
                let Running {
                    finding_id, snooze, ..
                } = &ended.running;
                json!({ "id": finding_id, "at": snooze.at.ms(), "reason": ended.end })
            })
            .collect();
        let over: Vec<Uuid> = fetch_all!(&mut tx, (Id,), END, Batch::of(&rows), At(now))?
            .into_iter()
            .map(|(id,)| id.0)
            .collect();
        let mut audit = Vec::new();
        for Ended { running, end, told } in ended {
            if !over.contains(&running.finding_id) {
                continue;
            }
            let entry = AuditEntry::new("system", "snooze_end", "", running.finding_id.to_string());
            audit.push(AuditEntry {
                before: Some(json!({ "snoozed_until": running.snooze.ends_at })),
                after: Some(json!({ "snoozed_until": null, "end": end })),
                ..about(entry, running.about)
            });
            if let Some(body) = told {
                enqueue(&mut tx, now, running.finding_id, WebhookEvent::Returned, body).await?;
            }
        }
        insert_audit(&mut tx, now, &audit).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// The same entry, about a stall or an incident.
fn about(audit: AuditEntry, about: About) -> AuditEntry {
    let target = match about {
        About::Task => "stall",
        About::Cause => "incident",
    };
    AuditEntry {
        target: target.to_owned(),
        ..audit
    }
}
