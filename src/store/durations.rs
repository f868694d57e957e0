//! How long tasks ran and waited, per kind and queue: sketches of the last days, kept in the transaction of the claim or
//! the end itself. A page or a rule reads counts of buckets, never the history.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::{
    Lane, Store, StoreError,
    db::{Sql, Tx, execute, fetch_all, sql},
    types::{At, Batch, Word},
};
use crate::domain::{
    expectation::{KindTimes, Measure, Runs, counted_since},
    sketch::bucket,
    task::Task,
    time::Time,
};

/// What one transaction measured: how many durations fell into which bucket.
#[derive(Default)]
pub(crate) struct Durations(HashMap<Cell, i64>);

/// One count of one sketch.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Cell {
    kind: String,
    queue: String,
    measure: &'static str,
    bucket: i64,
}

impl Durations {
    /// Notes that `task` waited or ran for so long.
    pub(crate) fn note(&mut self, task: &Task, measure: Measure, ms: i64) {
        let cell = Cell {
            kind: task.kind.clone(),
            queue: task.queue.clone(),
            measure: measure.as_str(),
            bucket: bucket(ms),
        };
        *self.0.entry(cell).or_default() += 1;
    }
}

#[derive(sqlx::FromRow)]
struct RunRow {
    kind: String,
    bucket: i64,
    count: i64,
    since_at: At,
}

#[derive(sqlx::FromRow)]
struct KindRow {
    kind: String,
    measure: Word<Measure>,
    bucket: i64,
    count: i64,
}

#[derive(sqlx::FromRow)]
struct ProcessRow {
    kind: String,
    queue: String,
    measure: Word<Measure>,
    at: At,
    bucket: i64,
    count: i64,
}

const ADD: Sql = sql!("INSERT INTO durations (kind, queue, measure, at, source, bucket, since_at, count)
      SELECT kind, queue, measure, at, source, bucket, since_at, count FROM "
      rows(1; kind text, queue text, measure text, at time, source text, bucket bigint, since_at time, count bigint) " r
      WHERE true
      ON CONFLICT (kind, measure, queue, at, source, bucket) DO UPDATE SET count = durations.count + excluded.count,
        since_at = " sqlite("min") pg("least") "(durations.since_at, excluded.since_at)");

// Whole numbers in both databases: PostgreSQL's sum of bigint is a numeric.
const RUNS: Sql = sql!("SELECT d.kind, d.bucket, CAST(sum(d.count) AS bigint) AS count, min(d.since_at) AS since_at
      FROM " rows(1; kind text) " r CROSS JOIN durations d
      WHERE d.kind = r.kind AND d.measure = 'run' AND d.at >= $2 GROUP BY d.kind, d.bucket");

/// The queue's kinds are found one by one, so that thousands of them cost a page no more than it shows.
const KINDS: Sql = sql!(
    "WITH RECURSIVE kinds (kind, nr) AS (
        SELECT (SELECT min(d.kind) FROM durations d WHERE d.queue = $1), 1
        UNION ALL
        SELECT (SELECT min(d.kind) FROM durations d WHERE d.queue = $1 AND d.kind > k.kind), k.nr + 1
        FROM kinds k WHERE k.kind IS NOT NULL AND k.nr < $3)
      SELECT d.kind, d.measure, d.bucket, CAST(sum(d.count) AS bigint) AS count
      FROM kinds k CROSS JOIN durations d
      WHERE d.kind = k.kind AND d.queue = $1 AND d.measure IN ('run', 'wait') AND d.at >= $2
      GROUP BY d.kind, d.measure, d.bucket ORDER BY d.kind, d.measure, d.bucket"
);

const TAKE: Sql = sql!(
    "DELETE FROM durations WHERE (kind, measure, queue, at, source, bucket) IN
        (SELECT kind, measure, queue, at, source, bucket FROM durations WHERE source <> '' AND at < $1 ORDER BY at LIMIT $2)
      RETURNING kind, queue, measure, at, bucket, count"
);

impl Store {
    /// The successful runs of these kinds, of all queues, in the last seven days. Kinds without any are left out.
    pub async fn runs(&self, kinds: &[&str], now: Time) -> Result<HashMap<String, Runs>, StoreError> {
        let rows: Vec<Value> = kinds.iter().map(|kind| json!({ "kind": kind })).collect();
        let mut conn = self.read().await?;
        let since = At(counted_since(now));
        let mut runs: HashMap<String, Runs> = HashMap::new();
        for row in fetch_all!(&mut conn, RunRow, RUNS, Batch::of(&rows), since)? {
            let runs = runs.entry(row.kind).or_insert_with(|| Runs {
                sketch: Default::default(),
                since: row.since_at.0,
            });
            runs.sketch.add(row.bucket, row.count);
            runs.since = runs.since.min(row.since_at.0);
        }
        Ok(runs)
    }

    /// How long tasks of the queue's first `limit` kinds, by name, waited and ran in the last seven days.
    pub async fn times_of_kinds(
        &self,
        queue: &str,
        now: Time,
        limit: i64,
    ) -> Result<Vec<KindTimes>, StoreError> {
        let mut conn = self.read().await?;
        let since = At(counted_since(now));
        let mut kinds: BTreeMap<String, KindTimes> = BTreeMap::new();
        for row in fetch_all!(&mut conn, KindRow, KINDS, queue, since, limit)? {
            let times = kinds.entry(row.kind.clone()).or_insert_with(|| KindTimes {
                kind: row.kind,
                ..KindTimes::default()
            });
            match row.measure.0 {
                Measure::Run => times.run.add(row.bucket, row.count),
                Measure::Wait => times.wait.add(row.bucket, row.count),
            }
        }
        Ok(kinds.into_values().collect())
    }

    /// Adds up to `limit` rows of single processes, of hours that are over, to the rows of their days; how many.
    ///
    /// One transaction: what is counted is counted once, whenever it ends. A row that is written late is added later.
    pub async fn fold_durations(&self, now: Time, limit: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let taken = fetch_all!(&mut tx, ProcessRow, TAKE, At(now.hour()), limit)?;
        let mut days: BTreeMap<(Cell, Time), (Time, i64)> = BTreeMap::new();
        let count = taken.len() as u64;
        for row in taken {
            let cell = Cell {
                kind: row.kind,
                queue: row.queue,
                measure: row.measure.0.as_str(),
                bucket: row.bucket,
            };
            let (since, sum) = days.entry((cell, row.at.0.day())).or_insert((row.at.0, 0));
            *since = row.at.0.min(*since);
            *sum += row.count;
        }
        let rows: Vec<Value> = days
            .iter()
            .map(|((cell, day), (since, count))| cell.row(*day, "", *since, *count))
            .collect();
        if !rows.is_empty() {
            execute!(&mut tx, ADD, Batch::of(&rows))?;
        }
        tx.commit().await?;
        Ok(count)
    }
}

impl Cell {
    fn row(&self, at: Time, source: &str, since: Time, count: i64) -> Value {
        json!({ "kind": self.kind, "queue": self.queue, "measure": self.measure, "at": at.ms(), "source": source,
            "bucket": self.bucket, "since_at": since.ms(), "count": count })
    }
}

/// Adds `durations` to the hour of `now`. Each store writes rows of its own, so writers never wait for one another.
pub(crate) async fn add_durations(
    store: &Store,
    tx: &mut Tx,
    now: Time,
    durations: &Durations,
) -> Result<(), StoreError> {
    let hour = now.hour();
    let rows: Vec<Value> = durations
        .0
        .iter()
        .map(|(cell, count)| cell.row(hour, store.source(), hour, *count))
        .collect();
    if !rows.is_empty() {
        execute!(tx, ADD, Batch::of(&rows))?;
    }
    Ok(())
}
