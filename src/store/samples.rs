//! Readings of the ledger, kept for charts: all of them for an hour, one a minute for a day, one in ten minutes for a week.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::types::Json;

use super::{
    Lane, Store, StoreError,
    db::{Sql, Tx, execute, fetch_all, fetch_scalar, sql},
    types::{At, Batch, Word, document},
};
use crate::domain::{
    ledger::{Health, Ledger},
    resend::Untouched,
    time::Time,
    words::words,
};

words! {
    /// How long a sample is kept.
    pub enum KeptFor {
        Hour = "hour",
        Day = "day",
        Week = "week",
    }
}

impl KeptFor {
    /// For a sample of `at` whose queue was last sampled at `before`: the first of a minute is kept longer than the
    /// others, the first of ten minutes longest.
    pub fn of(at: Time, before: Option<Time>) -> Self {
        let tens = |time: Time| time.ms().div_euclid(600_000);
        match before {
            Some(before) if before.minute() == at.minute() => Self::Hour,
            Some(before) if tens(before) == tens(at) => Self::Day,
            _ => Self::Week,
        }
    }

    const fn span(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        })
    }
}

/// One reading of a queue's ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerSample {
    pub queue: String,
    pub at: Time,
    pub ledger: Ledger,
    pub health: Health,
    /// Since when messages waited and nobody was there to take one, in every reading up to this; `None`: not so.
    pub untouched_since: Option<Time>,
    /// Where the broker's numbers were read: `{"messages_ready": {"source": …, "read_at": …}, …}`.
    pub detail: Value,
}

#[derive(sqlx::FromRow)]
struct Row {
    queue: String,
    at: At,
    queued: i64,
    running: i64,
    tracers: i64,
    messages_ready: Option<i64>,
    messages_unacknowledged: Option<i64>,
    consumers: Option<i64>,
    balance: Option<i64>,
    health: Word<Health>,
    untouched_since: Option<At>,
    detail: Json<Value>,
}

impl From<Row> for LedgerSample {
    fn from(row: Row) -> Self {
        Self {
            queue: row.queue,
            at: row.at.0,
            ledger: Ledger {
                queued: row.queued,
                running: row.running,
                tracers: row.tracers,
                messages_ready: row.messages_ready,
                messages_unacknowledged: row.messages_unacknowledged,
                consumers: row.consumers,
                balance: row.balance,
            },
            health: row.health.0,
            untouched_since: row.untouched_since.map(|at| at.0),
            detail: row.detail.0,
        }
    }
}

const ADD: Sql = sql!("INSERT INTO samples (queue, at, queued, running, tracers, messages_ready, messages_unacknowledged, consumers,
        balance, health, untouched_since, detail, kept_for)
      SELECT queue, at, queued, running, tracers, messages_ready, messages_unacknowledged, consumers, balance, health,
        untouched_since, detail, kept_for
      FROM " rows(1; queue text, at time, queued bigint, running bigint, tracers bigint, messages_ready bigint,
        messages_unacknowledged bigint, consumers bigint, balance bigint, health text, untouched_since time, detail jsonb,
        kept_for text) " r
      WHERE " sqlite("true") pg("true") " ON CONFLICT (queue, at) DO NOTHING");

const THIN: Sql = sql!(
    "DELETE FROM samples WHERE (queue, at) IN (
        SELECT queue, at FROM samples WHERE kept_for = $1 AND at < $2 ORDER BY at, queue LIMIT $3)"
);

/// The columns of `Row`.
macro_rules! sample_columns {
    () => {
        "s.queue, s.at, s.queued, s.running, s.tracers, s.messages_ready, s.messages_unacknowledged, s.consumers, s.balance, \
         s.health, s.untouched_since, s.detail"
    };
}

const LATEST: Sql = sql!("SELECT " sample_columns!() " FROM queues q JOIN samples s ON s.queue = q.name
        AND s.at = (SELECT max(l.at) FROM samples l WHERE l.queue = q.name)
      WHERE q.name > $1 ORDER BY q.name LIMIT $2");

const LATEST_OF: Sql =
    sql!("SELECT " sample_columns!() " FROM samples s WHERE s.queue = $1 ORDER BY s.at DESC LIMIT 1");

const BETWEEN: Sql = sql!("SELECT " sample_columns!() " FROM samples s
      WHERE s.queue = $1 AND s.at > $2 AND s.at <= $3 ORDER BY s.at LIMIT $4");

/// Only the samples that are kept for long: a chart of a day or a week has no use for the others.
const BETWEEN_COARSE: Sql = sql!("SELECT " sample_columns!() " FROM samples s
      WHERE s.queue = $1 AND s.at > $2 AND s.at <= $3 AND (s.kept_for = 'week' OR s.kept_for = $5) ORDER BY s.at LIMIT $4");

/// One a minute; every sample that is kept for longer than an hour is the first of its minute.
const DEPTHS: Sql = sql!("SELECT s.queue, s.at, s.messages_ready, s.messages_unacknowledged FROM " rows(1; queue text) " r
      JOIN samples s ON s.queue = r.queue AND s.at > $2 AND s.kept_for <> 'hour' ORDER BY s.queue, s.at LIMIT $3");

/// The newest sample of each of the queues, as far as it is young enough and says so.
const UNTOUCHED: Sql = sql!("SELECT s.queue, s.at, s.untouched_since FROM " rows(1; queue text) " r
      JOIN samples s ON s.queue = r.queue AND s.at = (SELECT max(l.at) FROM samples l WHERE l.queue = r.queue)
      WHERE s.at >= $2 AND s.untouched_since IS NOT NULL ORDER BY s.queue");

/// A health that is known: the broker told every number, or that there is no such queue.
const SEEN: Sql = sql!("SELECT r.queue FROM " rows(1; queue text) " r WHERE EXISTS (SELECT 1 FROM samples s
        WHERE s.queue = r.queue AND s.at >= $2 AND s.health <> 'unknown')");

const ANY_SEEN: Sql = sql!("SELECT EXISTS (SELECT 1 FROM samples WHERE at >= $1 AND health <> 'unknown')");

const LATEST_EACH: Sql = sql!(
    "SELECT q.name, (SELECT max(l.at) FROM samples l WHERE l.queue = q.name) FROM queues q ORDER BY q.name"
);

/// Adds `samples` as a part of `tx`. A second sample of the same queue and instant is dropped.
pub(super) async fn insert_samples(
    tx: &mut Tx,
    samples: &[(LedgerSample, KeptFor)],
) -> Result<(), StoreError> {
    let rows: Vec<Value> = samples
        .iter()
        .map(|(sample, kept_for)| {
            let ledger = &sample.ledger;
            json!({ "queue": sample.queue, "at": sample.at.ms(), "queued": ledger.queued, "running": ledger.running,
                "tracers": ledger.tracers, "messages_ready": ledger.messages_ready,
                "messages_unacknowledged": ledger.messages_unacknowledged, "consumers": ledger.consumers,
                "balance": ledger.balance, "health": sample.health,
                "untouched_since": sample.untouched_since.map(Time::ms), "detail": document(&sample.detail),
                "kept_for": kept_for })
        })
        .collect();
    if !rows.is_empty() {
        execute!(tx, ADD, Batch::of(&rows))?;
    }
    Ok(())
}

/// What the broker held of a queue's messages at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    pub queue: String,
    pub at: Time,
    /// Ready and unacknowledged; `None` when the broker did not tell.
    pub messages: Option<i64>,
}

impl Store {
    /// How deep these queues were since `after`, one reading a minute, by queue and time; at most `limit` readings.
    pub async fn depths(&self, queues: &[&str], after: Time, limit: i64) -> Result<Vec<Depth>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(
            &mut conn,
            (String, At, Option<i64>, Option<i64>),
            DEPTHS,
            names(queues),
            At(after),
            limit
        )?;
        let depths = rows.into_iter().map(|(queue, at, ready, unacknowledged)| Depth {
            queue,
            at: at.0,
            messages: ready
                .zip(unacknowledged)
                .map(|(ready, unacknowledged)| ready + unacknowledged),
        });
        Ok(depths.collect())
    }

    /// Those of `queues` where messages waited and nobody was there to take one at the newest reading, which is of `after` or
    /// later.
    pub async fn untouched(
        &self,
        queues: &[&str],
        after: Time,
    ) -> Result<Vec<(String, Untouched)>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (String, At, At), UNTOUCHED, names(queues), At(after))?;
        let untouched = rows.into_iter().map(|(queue, at, since)| {
            let untouched = Untouched {
                since: since.0,
                until: at.0,
            };
            (queue, untouched)
        });
        Ok(untouched.collect())
    }

    /// Those of `queues` that were seen in full at `after` or later.
    pub async fn seen(&self, queues: &[&str], after: Time) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (String,), SEEN, names(queues), At(after))?;
        Ok(rows.into_iter().map(|(queue,)| queue).collect())
    }

    /// Whether any queue was.
    pub async fn any_seen(&self, after: Time) -> Result<bool, StoreError> {
        let mut conn = self.read().await?;
        fetch_scalar!(&mut conn, bool, ANY_SEEN, At(after))
    }

    /// Deletes up to `limit` samples of each kind that are older than they are kept; how many.
    pub async fn thin_samples(&self, now: Time, limit: i64) -> Result<u64, StoreError> {
        let mut gone = 0;
        for kept_for in KeptFor::ALL {
            let mut tx = self.begin(Lane::Shared).await?;
            let before = At(now - kept_for.span());
            gone += execute!(&mut tx, THIN, kept_for.as_str(), before, limit)?;
            tx.commit().await?;
        }
        Ok(gone)
    }

    /// The newest sample of up to `limit` queues by name, after the name `after` (empty for the first). A queue that
    /// was never sampled is left out.
    pub async fn latest_samples(&self, after: &str, limit: i64) -> Result<Vec<LedgerSample>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, Row, LATEST, after, limit)?;
        Ok(rows.into_iter().map(LedgerSample::from).collect())
    }

    /// The queue's newest sample; `None` when it was never sampled.
    pub async fn latest_sample(&self, queue: &str) -> Result<Option<LedgerSample>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, Row, LATEST_OF, queue)?;
        Ok(rows.into_iter().next().map(LedgerSample::from))
    }

    /// Up to `limit` samples of the queue after `after` and up to `until`, oldest first; the last one's time goes on
    /// with the next page. `every` leaves out what is not needed for that distance between two points.
    pub async fn samples(
        &self,
        queue: &str,
        after: Time,
        until: Time,
        every: KeptFor,
        limit: i64,
    ) -> Result<Vec<LedgerSample>, StoreError> {
        let mut conn = self.read().await?;
        let (after, until) = (At(after), At(until));
        let rows = match every {
            KeptFor::Hour => fetch_all!(&mut conn, Row, BETWEEN, queue, after, until, limit)?,
            KeptFor::Day | KeptFor::Week => fetch_all!(
                &mut conn,
                Row,
                BETWEEN_COARSE,
                queue,
                after,
                until,
                limit,
                every.as_str()
            )?,
        };
        Ok(rows.into_iter().map(LedgerSample::from).collect())
    }

    /// When each queue was last sampled; queues that never were are left out.
    pub async fn last_sampled(&self) -> Result<Vec<(String, Time)>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (String, Option<At>), LATEST_EACH)?;
        Ok(rows
            .into_iter()
            .filter_map(|(queue, at)| Some((queue, at?.0)))
            .collect())
    }
}

fn names(queues: &[&str]) -> Batch {
    let rows: Vec<Value> = queues.iter().map(|queue| json!({ "queue": queue })).collect();
    Batch::of(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_of_a_minute_and_of_ten_is_kept_longer() {
        let at = Time::from_ms;
        for (now, before, kept) in [
            (5_000, None, KeptFor::Week),
            (10_000, Some(5_000), KeptFor::Hour),
            (60_000, Some(55_000), KeptFor::Day),
            (600_000, Some(595_000), KeptFor::Week),
            (1_250_000, Some(605_000), KeptFor::Week),
        ] {
            assert_eq!(
                KeptFor::of(at(now), before.map(at)),
                kept,
                "{now} after {before:?}"
            );
        }
    }
}
