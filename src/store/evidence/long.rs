//! What the detector reads about runs that take long for their kind. Only running tasks are looked at.

use serde_json::{Value, json};

use super::{Cursor, SuspectRow, suspect_columns};
use crate::{
    domain::{rules::unusual::LongRun, time::Time},
    store::{
        Store, StoreError,
        db::{Sql, fetch_all, sql},
        types::{At, Batch, Id},
    },
};

#[derive(sqlx::FromRow)]
struct LongRow {
    #[sqlx(flatten)]
    suspect: SuspectRow,
    kind: String,
}

const KINDS: Sql = sql!("SELECT DISTINCT t.kind FROM tasks t" sqlite(" INDEXED BY tasks_leases") "
      WHERE t.state = 'running' AND t.lease_expires_at > $2 AND t.timeout_s IS NULL AND t.started_at <= $1
      ORDER BY t.kind LIMIT $3");

/// Which run is long for its own kind is for the rule: a limit for each kind would have every run held against all of them.
const LONG: Sql = sql!("SELECT " suspect_columns!() ", t.kind FROM tasks t" sqlite(" INDEXED BY tasks_leases") "
      WHERE t.state = 'running' AND t.lease_expires_at > $3 AND t.timeout_s IS NULL AND t.started_at <= $2
        AND t.kind IN (SELECT r.kind FROM " rows(1; kind text) " r) AND (t.started_at, t.id) > ($4, $5)
      ORDER BY t.started_at, t.id LIMIT $6");

/// Runs that began after all of the times are left out first.
const COUNT: Sql = sql!("WITH kinds AS MATERIALIZED (SELECT r.kind, r.started_before FROM " rows(1; kind text, started_before time) " r)
      SELECT t.kind, count(*) FROM tasks t" sqlite(" INDEXED BY tasks_leases") " CROSS JOIN kinds k
      WHERE t.state = 'running' AND t.lease_expires_at > $2 AND t.started_at < $3 AND k.kind = t.kind
        AND t.started_at < k.started_before GROUP BY t.kind");

impl Store {
    /// Up to `limit` kinds, by name, with a live run without a timeout that began before `before`.
    pub async fn long_kinds(&self, before: Time, now: Time, limit: i64) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (String,), KINDS, At(before), At(now), limit)?;
        Ok(rows.into_iter().map(|(kind,)| kind).collect())
    }

    /// Up to `limit` live runs without a timeout, of these kinds and begun before `before`, the longest running first.
    pub async fn long_runs(
        &self,
        kinds: &[&str],
        before: Time,
        now: Time,
        after: Cursor,
        limit: i64,
    ) -> Result<Vec<LongRun>, StoreError> {
        let kinds: Vec<Value> = kinds.iter().map(|kind| json!({ "kind": kind })).collect();
        let mut conn = self.read().await?;
        let rows = fetch_all!(
            &mut conn,
            LongRow,
            LONG,
            Batch::of(&kinds),
            At(before),
            At(now),
            At(after.at),
            Id(after.id),
            limit
        )?;
        let runs = rows.into_iter().filter_map(|row| {
            Some(LongRun {
                suspect: row.suspect.suspect(),
                kind: row.kind,
                worker: row.suspect.worker.clone(),
                started_at: row.suspect.started_at?.0,
                lease_expires_at: row.suspect.lease_expires_at?.0,
            })
        });
        Ok(runs.collect())
    }

    /// How many live runs of each of these kinds began before its time, with a timeout or without. Kinds without any
    /// are left out.
    pub async fn count_long_runs(
        &self,
        kinds: &[(&str, Time)],
        now: Time,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let Some(latest) = kinds.iter().map(|(_, before)| *before).max() else {
            return Ok(Vec::new());
        };
        let rows: Vec<Value> = kinds
            .iter()
            .map(|(kind, before)| json!({ "kind": kind, "started_before": before.ms() }))
            .collect();
        let mut conn = self.read().await?;
        let rows = Batch::of(&rows);
        fetch_all!(&mut conn, (String, i64), COUNT, rows, At(now), At(latest))
    }
}
