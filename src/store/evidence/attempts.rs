//! What the detector reads about attempts. The newest losses and late reports are followed by time; both are rare, and
//! each has an index of its own.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Cursor, SuspectRow, suspect_columns};
use crate::{
    domain::{
        rules::{
            attempts::{Cancelling, Crashed, LateSuccess, Run},
            settings::Holding,
        },
        task::{AttemptOutcome, State},
        time::Time,
    },
    store::{
        Store, StoreError,
        db::{Sql, fetch_all, sql},
        types::{At, Batch, Id, Word},
    },
};

#[derive(sqlx::FromRow)]
struct CrashedRow {
    #[sqlx(flatten)]
    suspect: SuspectRow,
    ended_at: At,
    state: Word<State>,
    tries: i64,
    max_attempts: i64,
}

#[derive(sqlx::FromRow)]
struct RunRow {
    task_id: Id,
    number: i64,
    worker: String,
    outcome: Option<Word<AttemptOutcome>>,
    ended_at: Option<At>,
}

#[derive(sqlx::FromRow)]
struct CancellingRow {
    #[sqlx(flatten)]
    suspect: SuspectRow,
    cancel_requested_at: At,
    beat_at: At,
}

#[derive(sqlx::FromRow)]
struct LateRow {
    #[sqlx(flatten)]
    suspect: SuspectRow,
    at: At,
    late_attempt: i64,
    late_worker: String,
    next_attempt: i64,
    next_worker: String,
    next_started_at: At,
}

#[derive(sqlx::FromRow)]
struct HoldingRow {
    #[sqlx(flatten)]
    suspect: SuspectRow,
    progress: Option<f64>,
}

/// A task is there once for each attempt it lost.
const CRASHED: Sql = sql!("SELECT " suspect_columns!() ", a.ended_at, t.state, t.tries, t.max_attempts
      FROM attempts a CROSS JOIN tasks t WHERE a.outcome = 'lost' AND (a.ended_at, a.task_id) > ($1, $2)
        AND t.id = a.task_id AND t.tries >= $3 ORDER BY a.ended_at, a.task_id LIMIT $4");

const RUNS: Sql = sql!("SELECT a.task_id, a.number, a.worker, a.outcome, a.ended_at FROM " rows(1; id uuid) " r
      JOIN attempts a ON a.task_id = r.id ORDER BY a.task_id, a.number DESC");

const CANCELLING: Sql = sql!("SELECT " suspect_columns!() ", t.cancel_requested_at, t.beat_at FROM tasks t" sqlite(" INDEXED BY tasks_cancelling") "
      WHERE t.state = 'running' AND t.cancel_requested_at IS NOT NULL AND t.cancel_requested_at <= $1
        AND (t.cancel_requested_at, t.id) > ($2, $3) ORDER BY t.cancel_requested_at, t.id LIMIT $4");

/// The attempts of a task are numbered without a gap.
const LATE: Sql = sql!("SELECT " suspect_columns!() ", h.at, h.attempt AS late_attempt, a.worker AS late_worker,
        n.number AS next_attempt, n.worker AS next_worker, n.started_at AS next_started_at
      FROM history h CROSS JOIN tasks t CROSS JOIN attempts a CROSS JOIN attempts n
      WHERE h.event = 'late_report' AND (h.at, h.task_id) > ($1, $2) AND h.detail ->> 'report' = 'succeeded'
        AND t.id = h.task_id AND a.task_id = h.task_id AND a.number = h.attempt
        AND n.task_id = h.task_id AND n.number = h.attempt + 1 AND n.started_at < h.at
      ORDER BY h.at, h.task_id LIMIT $3");

const HOLDING: Sql = sql!("SELECT " suspect_columns!() ", t.progress
      FROM " rows(1; queue text, started_before time) " r CROSS JOIN tasks t
      WHERE t.state = 'running' AND t.queue = r.queue AND NOT t.message_gone AND t.lease_expires_at > $2
        AND t.started_at <= r.started_before AND (t.started_at, t.id) > ($3, $4)
      ORDER BY t.started_at, t.id LIMIT $5");

impl Store {
    /// Up to `limit` attempts that are alive and hold their delivery, of these queues and begun before each one's
    /// time, the longest running first.
    pub async fn holding_tasks(
        &self,
        queues: &[(&str, Time)],
        now: Time,
        after: Cursor,
        limit: i64,
    ) -> Result<Vec<Holding>, StoreError> {
        let rows: Vec<Value> = queues
            .iter()
            .map(|(queue, before)| json!({ "queue": queue, "started_before": before.ms() }))
            .collect();
        let mut conn = self.read().await?;
        let (now, at, id) = (At(now), At(after.at), Id(after.id));
        let rows = fetch_all!(
            &mut conn,
            HoldingRow,
            HOLDING,
            Batch::of(&rows),
            now,
            at,
            id,
            limit
        )?;
        let tasks = rows.into_iter().filter_map(|row| {
            Some(Holding {
                suspect: row.suspect.suspect(),
                worker: row.suspect.worker.clone(),
                started_at: row.suspect.started_at?.0,
                lease_expires_at: row.suspect.lease_expires_at?.0,
                progress: row.progress,
                timeout_s: row.suspect.timeout_s,
            })
        });
        Ok(tasks.collect())
    }

    /// Up to `limit` losses of a worker after `after`, oldest first, by tasks with at least `tries` counted attempts:
    /// each with when it was, the task and all its attempts.
    pub async fn crashed_tasks(
        &self,
        after: Cursor,
        tries: i64,
        limit: i64,
    ) -> Result<Vec<(Time, Crashed)>, StoreError> {
        let mut conn = self.read().await?;
        let (at, id) = (At(after.at), Id(after.id));
        let rows = fetch_all!(&mut conn, CrashedRow, CRASHED, at, id, tries, limit)?;
        let ids: BTreeSet<Uuid> = rows.iter().map(|row| row.suspect.id.0).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Value> = ids.into_iter().map(|id| json!({ "id": id })).collect();
        let mut runs: HashMap<Uuid, Vec<Run>> = HashMap::new();
        for row in fetch_all!(&mut conn, RunRow, RUNS, Batch::of(&ids))? {
            runs.entry(row.task_id.0).or_default().push(Run {
                number: row.number,
                worker: row.worker,
                outcome: row.outcome.map(|word| word.0),
                ended_at: row.ended_at.map(|at| at.0),
            });
        }
        let crashed = rows.into_iter().map(|row| {
            let task = Crashed {
                runs: runs.get(&row.suspect.id.0).cloned().unwrap_or_default(),
                suspect: row.suspect.suspect(),
                state: row.state.0,
                tries: row.tries,
                max_attempts: row.max_attempts,
            };
            (row.ended_at.0, task)
        });
        Ok(crashed.collect())
    }

    /// Up to `limit` running tasks whose cancel was asked for before `before`, the longest ago first.
    pub async fn cancelling_tasks(
        &self,
        before: Time,
        after: Cursor,
        limit: i64,
    ) -> Result<Vec<Cancelling>, StoreError> {
        let mut conn = self.read().await?;
        let (at, id) = (At(after.at), Id(after.id));
        let rows = fetch_all!(&mut conn, CancellingRow, CANCELLING, At(before), at, id, limit)?;
        let tasks = rows.into_iter().filter_map(|row| {
            Some(Cancelling {
                suspect: row.suspect.suspect(),
                worker: row.suspect.worker.clone()?,
                cancel_requested_at: row.cancel_requested_at.0,
                beat_at: row.beat_at.0,
                lease_expires_at: row.suspect.lease_expires_at?.0,
            })
        });
        Ok(tasks.collect())
    }

    /// Up to `limit` successes after `after`, oldest first, that closed attempts reported when the next attempt had begun.
    pub async fn late_successes(&self, after: Cursor, limit: i64) -> Result<Vec<LateSuccess>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, LateRow, LATE, At(after.at), Id(after.id), limit)?;
        let late = rows.into_iter().map(|row| LateSuccess {
            suspect: row.suspect.suspect(),
            worker: row.late_worker,
            attempt: row.late_attempt,
            reported_at: row.at.0,
            next_attempt: row.next_attempt,
            next_worker: row.next_worker,
            next_started_at: row.next_started_at.0,
        });
        Ok(late.collect())
    }
}
