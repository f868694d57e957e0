//! Findings as pages and programs read them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    FindingRow, IncidentRecord, IncidentRow, StallRecord, StallRow, incident_columns, stall_columns,
};
use crate::{
    domain::{finding::Verdict, time::Time},
    store::{
        Store, StoreError,
        db::{Sql, fetch_all, fetch_optional, fetch_scalar, sql},
        types::{At, Batch, Id},
    },
};

/// Which stalls; everything that is set must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StallFilter {
    pub verdict: Option<Verdict>,
    pub queue: Option<String>,
    pub incident_id: Option<Uuid>,
}

/// Where a list of closed findings goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedCursor {
    pub closed_at: Time,
    pub id: Uuid,
}

impl ClosedCursor {
    /// Before the newest.
    pub const START: Self = Self {
        closed_at: Time::from_ms(i64::MAX),
        id: Uuid::max(),
    };
}

const OPEN: Sql = sql!("SELECT " stall_columns!() " FROM stalls s" sqlite(" INDEXED BY stalls_open_by_id") "
      WHERE s.closed_at IS NULL AND s.id < $1 AND ($2 IS NULL OR s.verdict = $2) ORDER BY s.id DESC LIMIT $3");

const OPEN_OF_QUEUE: Sql = sql!("SELECT " stall_columns!() " FROM stalls s" sqlite(" INDEXED BY stalls_open_by_queue") "
      WHERE s.closed_at IS NULL AND s.queue = $4 AND s.id < $1 AND ($2 IS NULL OR s.verdict = $2) ORDER BY s.id DESC LIMIT $3");

const OPEN_OF_INCIDENT: Sql = sql!("SELECT " stall_columns!() " FROM stalls s" sqlite(" INDEXED BY stalls_open_by_incident") "
      WHERE s.closed_at IS NULL AND s.incident_id = $4 AND s.id < $1 AND ($2 IS NULL OR s.verdict = $2)
        AND ($5 IS NULL OR s.queue = $5) ORDER BY s.id DESC LIMIT $3");

const OPEN_OF_VERDICT: Sql = sql!("SELECT " stall_columns!() " FROM stalls s" sqlite(" INDEXED BY stalls_open_by_verdict") "
      WHERE s.closed_at IS NULL AND s.verdict = $2 AND s.id < $1 ORDER BY s.id DESC LIMIT $3");

const CLOSED: Sql = sql!("SELECT " stall_columns!() " FROM stalls s WHERE s.closed_at IS NOT NULL AND (s.closed_at, s.id) < ($1, $2)
        AND ($3 IS NULL OR s.verdict = $3) AND ($4 IS NULL OR s.queue = $4) AND ($5 IS NULL OR s.incident_id = $5)
      ORDER BY s.closed_at DESC, s.id DESC LIMIT $6");

const OF_TASKS: Sql = sql!("SELECT " stall_columns!() " FROM " rows(1; id uuid) " r
      JOIN stalls s ON s.task_id = r.id AND s.closed_at IS NULL ORDER BY s.id");

const OF_TASK: Sql =
    sql!("SELECT " stall_columns!() " FROM stalls s WHERE s.task_id = $1 ORDER BY s.id DESC LIMIT $2");

const INCIDENTS_OPEN: Sql = sql!("SELECT " incident_columns!() " FROM incidents i WHERE i.closed_at IS NULL
      ORDER BY i.verdict, i.scope, i.name LIMIT $1");

const INCIDENTS_OPEN_PAGE: Sql = sql!("SELECT " incident_columns!() " FROM incidents i WHERE i.closed_at IS NULL AND i.id < $1
        AND ($2 IS NULL OR i.verdict = $2) AND ($3 IS NULL OR (i.scope = 'queue' AND i.name = $3))
      ORDER BY i.id DESC LIMIT $4");

const INCIDENTS_CLOSED: Sql = sql!("SELECT " incident_columns!() " FROM incidents i
      WHERE i.closed_at IS NOT NULL AND (i.closed_at, i.id) < ($1, $2) AND ($3 IS NULL OR i.verdict = $3)
        AND ($4 IS NULL OR (i.scope = 'queue' AND i.name = $4))
      ORDER BY i.closed_at DESC, i.id DESC LIMIT $5");

const INCIDENT: Sql = sql!("SELECT " incident_columns!() " FROM incidents i WHERE i.id = $1");

const STALL: Sql = sql!("SELECT " stall_columns!() " FROM stalls s WHERE s.id = $1");

/// A card each: incidents, and stalls under none; less those that are put off.
const COUNT: Sql = sql!(
    "SELECT (SELECT count(*) FROM incidents i WHERE i.closed_at IS NULL AND NOT EXISTS
          (SELECT 1 FROM snoozes z WHERE z.finding_id = i.id AND z.ended_at IS NULL AND z.ends_at > $2))
        + (SELECT count(*) FROM (SELECT 1 FROM stalls s WHERE s.closed_at IS NULL AND s.incident_id IS NULL AND NOT EXISTS
             (SELECT 1 FROM snoozes z WHERE z.finding_id = s.id AND z.ended_at IS NULL AND z.ends_at > $2)
             LIMIT $1) alone)"
);

const OPEN_ALONE: Sql = sql!("SELECT " stall_columns!() " FROM stalls s" sqlite(" INDEXED BY stalls_open_by_incident") "
      WHERE s.closed_at IS NULL AND s.incident_id IS NULL AND s.id < $1 AND ($2 IS NULL OR s.verdict = $2)
        AND ($3 IS NULL OR s.queue = $3) AND NOT EXISTS
          (SELECT 1 FROM snoozes z WHERE z.finding_id = s.id AND z.ended_at IS NULL AND z.ends_at > $5)
      ORDER BY s.id DESC LIMIT $4");

impl Store {
    /// Up to `limit` open stalls under no incident that the verdict and queue of `filter` let through, newest first,
    /// older than the id `before`. Those that are put off at `now` are left out.
    pub async fn open_stalls_alone(
        &self,
        filter: &StallFilter,
        before: Option<Uuid>,
        now: Time,
        limit: i64,
    ) -> Result<Vec<StallRow>, StoreError> {
        let mut conn = self.read().await?;
        let before = Id(before.unwrap_or(Uuid::max()));
        let verdict = filter.verdict.map(Verdict::as_str);
        let queue = filter.queue.as_deref();
        let rows = fetch_all!(
            &mut conn,
            StallRecord,
            OPEN_ALONE,
            before,
            verdict,
            queue,
            limit,
            At(now)
        )?;
        Ok(rows.into_iter().map(StallRow::from).collect())
    }

    /// Up to `limit` open stalls that `filter` lets through, folded ones included, newest first, older than the id
    /// `before`.
    pub async fn open_stalls(
        &self,
        filter: &StallFilter,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<StallRow>, StoreError> {
        let mut conn = self.read().await?;
        let before = Id(before.unwrap_or(Uuid::max()));
        let verdict = filter.verdict.map(Verdict::as_str);
        let queue = filter.queue.as_deref();
        let rows = match (filter.incident_id, queue, verdict) {
            (Some(incident), ..) => {
                let incident = Id(incident);
                fetch_all!(
                    &mut conn,
                    StallRecord,
                    OPEN_OF_INCIDENT,
                    before,
                    verdict,
                    limit,
                    incident,
                    queue
                )?
            }
            (None, Some(queue), _) => fetch_all!(
                &mut conn,
                StallRecord,
                OPEN_OF_QUEUE,
                before,
                verdict,
                limit,
                queue
            )?,
            (None, None, Some(_)) => {
                fetch_all!(&mut conn, StallRecord, OPEN_OF_VERDICT, before, verdict, limit)?
            }
            (None, None, None) => fetch_all!(&mut conn, StallRecord, OPEN, before, verdict, limit)?,
        };
        Ok(rows.into_iter().map(StallRow::from).collect())
    }

    /// Up to `limit` closed stalls that `filter` lets through, the last closed first, after `after`.
    pub async fn closed_stalls(
        &self,
        filter: &StallFilter,
        after: ClosedCursor,
        limit: i64,
    ) -> Result<Vec<StallRow>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(
            &mut conn,
            StallRecord,
            CLOSED,
            At(after.closed_at),
            Id(after.id),
            filter.verdict.map(Verdict::as_str),
            filter.queue.as_deref(),
            filter.incident_id.map(Id),
            limit
        )?;
        Ok(rows.into_iter().map(StallRow::from).collect())
    }

    /// The open stalls of these tasks, oldest first.
    pub async fn stalls_of_tasks(&self, task_ids: &[Uuid]) -> Result<Vec<StallRow>, StoreError> {
        let rows: Vec<Value> = task_ids.iter().map(|id| json!({ "id": id })).collect();
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, StallRecord, OF_TASKS, Batch::of(&rows))?;
        Ok(rows.into_iter().map(StallRow::from).collect())
    }

    /// Up to `limit` stalls of the task, open and closed, newest first.
    pub async fn stalls_of_task(&self, task_id: Uuid, limit: i64) -> Result<Vec<StallRow>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, StallRecord, OF_TASK, Id(task_id), limit)?;
        Ok(rows.into_iter().map(StallRow::from).collect())
    }

    /// How many cards there are to look at: open incidents, and open stalls under none, but for those that are put off;
    /// of stalls up to 10,000.
    pub async fn count_findings(&self) -> Result<i64, StoreError> {
        let now = self.now().await?;
        let mut conn = self.read().await?;
        fetch_scalar!(&mut conn, i64, COUNT, 10_000, At(now))
    }

    /// Up to `limit` open incidents, by verdict and name.
    pub async fn open_incidents(&self, limit: i64) -> Result<Vec<IncidentRow>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, IncidentRecord, INCIDENTS_OPEN, limit)?;
        Ok(rows.into_iter().map(IncidentRow::from).collect())
    }

    /// Up to `limit` open incidents of this verdict, about this queue, newest first, older than the id `before`.
    pub async fn open_incidents_page(
        &self,
        verdict: Option<Verdict>,
        queue: Option<&str>,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        let mut conn = self.read().await?;
        let before = Id(before.unwrap_or(Uuid::max()));
        let verdict = verdict.map(Verdict::as_str);
        let rows = fetch_all!(
            &mut conn,
            IncidentRecord,
            INCIDENTS_OPEN_PAGE,
            before,
            verdict,
            queue,
            limit
        )?;
        Ok(rows.into_iter().map(IncidentRow::from).collect())
    }

    /// Up to `limit` closed incidents, the last closed first, after `after`.
    pub async fn closed_incidents(
        &self,
        verdict: Option<Verdict>,
        queue: Option<&str>,
        after: ClosedCursor,
        limit: i64,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        let mut conn = self.read().await?;
        let verdict = verdict.map(Verdict::as_str);
        let (closed_at, id) = (At(after.closed_at), Id(after.id));
        let rows = fetch_all!(
            &mut conn,
            IncidentRecord,
            INCIDENTS_CLOSED,
            closed_at,
            id,
            verdict,
            queue,
            limit
        )?;
        Ok(rows.into_iter().map(IncidentRow::from).collect())
    }
    /// The incident; `None` when there is none of this id.
    pub async fn incident(&self, id: Uuid) -> Result<Option<IncidentRow>, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_optional!(&mut conn, IncidentRecord, INCIDENT, Id(id))?.map(IncidentRow::from))
    }

    /// The finding, open or closed; `None` when there is none of this id.
    pub async fn finding(&self, id: Uuid) -> Result<Option<FindingRow>, StoreError> {
        if let Some(row) = self.incident(id).await? {
            return Ok(Some(FindingRow::Incident(row)));
        }
        let mut conn = self.read().await?;
        let row = fetch_optional!(&mut conn, StallRecord, STALL, Id(id))?;
        Ok(row.map(|row| FindingRow::Stall(row.into())))
    }
}
