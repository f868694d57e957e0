//! Kept counters of each rule's findings, by day, so that no page ever counts the history.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::{
    Store, StoreError,
    db::{Sql, Tx, execute, fetch_all, fetch_scalar, sql},
    types::{At, Batch, Word},
};
use crate::domain::{
    finding::{About, CloseReason, Variant, Verdict},
    scorecard::{Rule, Score, lasted_upto},
    time::Time,
};

/// The word of findings that opened, where others have the reason why they closed.
const OPENED: &str = "opened";

const ADD: Sql = sql!("INSERT INTO rule_counts (day_at, about, verdict, variant, outcome, lasted_upto_ms, n)
      SELECT $2, about, verdict, variant, outcome, lasted_upto_ms, n FROM "
      rows(1; about text, verdict text, variant text, outcome text, lasted_upto_ms bigint, n bigint) " r
      WHERE " sqlite("true") pg("true") "
      ON CONFLICT (day_at, about, verdict, variant, outcome, lasted_upto_ms) DO UPDATE SET n = rule_counts.n + excluded.n");

const SINCE: Sql = sql!(
    "SELECT about, verdict, variant, outcome, lasted_upto_ms, CAST(sum(n) AS bigint) AS n FROM rule_counts
      WHERE day_at > $1 GROUP BY about, verdict, variant, outcome, lasted_upto_ms"
);

const FALSE_ALARMS: Sql = sql!(
    "SELECT about, verdict, variant, count(*) AS n FROM false_alarms WHERE at > $1
      GROUP BY about, verdict, variant"
);

const FIRST: Sql = sql!("SELECT min(day_at) FROM rule_counts");

/// A finding that opened or closed.
#[derive(sqlx::FromRow)]
pub(super) struct Counted {
    pub(super) verdict: Word<Verdict>,
    pub(super) variant: Word<Variant>,
    pub(super) since: At,
    /// `None` for one that opened.
    pub(super) closed_reason: Option<Word<CloseReason>>,
}

#[derive(sqlx::FromRow)]
struct CountRow {
    about: Word<About>,
    verdict: Word<Verdict>,
    variant: Word<Variant>,
    outcome: String,
    lasted_upto_ms: i64,
    n: i64,
}

#[derive(sqlx::FromRow)]
struct MarkRow {
    about: Word<About>,
    verdict: Word<Verdict>,
    variant: Word<Variant>,
    n: i64,
}

/// Counts findings that opened or closed at `now`, as a part of the transaction that does it.
pub(super) async fn count_findings(
    tx: &mut Tx,
    now: Time,
    about: About,
    findings: &[Counted],
) -> Result<(), StoreError> {
    let mut counts: HashMap<(Verdict, Variant, &str, i64), i64> = HashMap::new();
    for finding in findings {
        let (outcome, lasted) = match finding.closed_reason {
            Some(reason) => (reason.0.as_str(), lasted_upto(now.ms_since(finding.since.0))),
            None => (OPENED, 0),
        };
        *counts
            .entry((finding.verdict.0, finding.variant.0, outcome, lasted))
            .or_default() += 1;
    }
    let rows: Vec<Value> = counts
        .into_iter()
        .map(|((verdict, variant, outcome, lasted_upto_ms), n)| {
            json!({ "about": about, "verdict": verdict, "variant": variant, "outcome": outcome,
                "lasted_upto_ms": lasted_upto_ms, "n": n })
        })
        .collect();
    if !rows.is_empty() {
        execute!(tx, ADD, Batch::of(&rows), At(now.day()))?;
    }
    Ok(())
}

impl Store {
    /// What each rule's findings of the days that began after `after` came to; rules of which there is nothing to say are
    /// left out. False alarms are those that were marked after it.
    pub async fn scores(&self, after: Time) -> Result<BTreeMap<Rule, Score>, StoreError> {
        let mut scores: BTreeMap<Rule, Score> = BTreeMap::new();
        let mut conn = self.read().await?;
        for row in fetch_all!(&mut conn, CountRow, SINCE, At(after))? {
            let rule = Rule {
                about: row.about.0,
                verdict: row.verdict.0,
                variant: row.variant.0,
            };
            let score = scores.entry(rule).or_default();
            match row.outcome.parse() {
                Ok(reason) => {
                    *score.closed.entry(reason).or_default() += row.n;
                    *score.lasted.entry(row.lasted_upto_ms).or_default() += row.n;
                }
                Err(_) => score.opened += row.n,
            }
        }
        for row in fetch_all!(&mut conn, MarkRow, FALSE_ALARMS, At(after))? {
            let rule = Rule {
                about: row.about.0,
                verdict: row.verdict.0,
                variant: row.variant.0,
            };
            scores.entry(rule).or_default().false_alarms += row.n;
        }
        Ok(scores)
    }

    /// The first day that is counted; `None` before the first finding.
    pub async fn scored_since(&self) -> Result<Option<Time>, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_scalar!(&mut conn, Option<At>, FIRST)?.map(|at| at.0))
    }
}
