//! The ledger of a queue as pages show it: what the database expects, held against what the broker holds.

use std::{collections::HashMap, time::Duration};

use crate::{
    domain::{
        finding::Scope,
        ledger::{Health, Ledger},
        replay,
        time::Time,
    },
    store::{Depth, LedgerSample, findings::IncidentRow},
    web::{
        Site,
        chart::{self, Span, Spark},
        error::AppError,
        pages::address,
    },
};

/// The time that sparklines show.
const SPARK: Duration = Duration::from_secs(3600);

/// One queue's line of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) href: String,
    /// The tasks that the database's numbers are about.
    pub(crate) tasks_href: String,
    pub(crate) health: Health,
    /// Somebody put a finding about it off.
    pub(crate) snoozed: bool,
    /// When the numbers were read; `None` when they never were.
    pub(crate) at: Option<Time>,
    /// They are too old to say how it is now.
    pub(crate) stale: bool,
    /// The newest numbers.
    pub(crate) ledger: Option<Ledger>,
    /// Every task that waits, and every one that runs: also those whose message is not out yet, or gone.
    pub(crate) all: Tasks,
    /// How long the longest waiting task has been on the queue.
    pub(crate) waited_ms: Option<i64>,
    pub(crate) spark: Option<Spark>,
}

/// A queue's unfinished tasks by the database alone, as the lists of tasks show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tasks {
    pub(crate) waiting: i64,
    pub(crate) running: i64,
}

impl Row {
    /// A queue whose numbers nobody has read yet.
    pub(crate) fn unread(name: String) -> Self {
        Self {
            href: address::queue(&name),
            tasks_href: address::unfinished(&name),
            name,
            health: Health::Unknown,
            snoozed: false,
            at: None,
            stale: true,
            ledger: None,
            all: Tasks::default(),
            waited_ms: None,
            spark: None,
        }
    }

    /// A queue by its newest sample, which counts as old after `fresh_for`.
    pub(crate) fn of(sample: LedgerSample, now: Time, fresh_for: Duration) -> Self {
        let stale = sample.at + fresh_for < now;
        let seen = replay::rebuild(sample.at, &sample.detail);
        Self {
            all: Tasks {
                waiting: seen.map_or(sample.ledger.queued, |seen| seen.facts.waiting),
                running: seen.map_or(sample.ledger.running, |seen| seen.facts.running),
            },
            health: if stale { Health::Unknown } else { sample.health },
            at: Some(sample.at),
            stale,
            ledger: Some(sample.ledger),
            ..Self::unread(sample.queue)
        }
    }

    /// The tone of the balance: a shortage is bad, a surplus is only worth knowing, and zero proves nothing.
    pub(crate) fn balance_tone(&self) -> &'static str {
        match self.balance() {
            Some(balance) if balance > 0 && !self.stale => "warn",
            Some(_) | None => "mute",
        }
    }

    pub(crate) fn queued(&self) -> Option<i64> {
        self.ledger.map(|ledger| ledger.queued)
    }

    pub(crate) fn running(&self) -> Option<i64> {
        self.ledger.map(|ledger| ledger.running)
    }

    /// Tasks that wait besides: scheduled, or their message is not out yet.
    pub(crate) fn unsent(&self) -> i64 {
        self.queued().map_or(0, |queued| self.all.waiting - queued)
    }

    /// Tracers that are out; `None` when there is none.
    pub(crate) fn tracers(&self) -> Option<i64> {
        let tracers = self.ledger?.tracers;
        (tracers > 0).then_some(tracers)
    }

    pub(crate) fn ready(&self) -> Option<i64> {
        self.ledger?.messages_ready
    }

    pub(crate) fn unacknowledged(&self) -> Option<i64> {
        self.ledger?.messages_unacknowledged
    }

    pub(crate) fn consumers(&self) -> Option<i64> {
        self.ledger?.consumers
    }

    pub(crate) fn balance(&self) -> Option<i64> {
        self.ledger?.balance
    }

    /// The balance as it is written: with its sign.
    pub(crate) fn signed(&self) -> Option<String> {
        self.balance().map(signed)
    }

    /// What is read first: trouble, then depth.
    pub(crate) fn rank(&self) -> (u8, i64) {
        let health = match self.health {
            Health::Stalled => 0,
            Health::Warning => 1,
            Health::Unknown => 2,
            Health::Ok => 3,
        };
        (
            health,
            self.ledger.map_or(0, |ledger| -(ledger.queued + ledger.running)),
        )
    }
}

fn signed(balance: i64) -> String {
    match balance {
        0 => "0".to_owned(),
        1.. => format!("+{balance}"),
        _ => format!("\u{2212}{}", balance.unsigned_abs()),
    }
}

/// Adds to each line how long its oldest task has waited, the depth of the last hour, and whether a finding about it was put
/// off.
pub(crate) async fn complete(site: &Site, rows: &mut [Row], now: Time) -> Result<(), AppError> {
    let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut waiting: HashMap<String, Time> = site.store.waiting_since(&names).await?.into_iter().collect();
    let span = Span {
        from: now - SPARK,
        until: now,
    };
    let minutes = i64::try_from(SPARK.as_secs() / 60 + 1).unwrap_or(i64::MAX);
    let readings = i64::try_from(names.len())
        .unwrap_or(i64::MAX)
        .saturating_mul(minutes);
    let mut depths: HashMap<String, chart::Points> = HashMap::new();
    for Depth { queue, at, messages } in site.store.depths(&names, span.from, readings).await? {
        depths.entry(queue).or_default().push((at, messages));
    }
    let (incidents, stalls) = site.store.snoozed(now).await?;
    let about = |incident: &IncidentRow, name: &str| {
        incident.subject.scope == Scope::Queue && incident.subject.name == name
    };
    for row in rows {
        row.snoozed = incidents.iter().any(|incident| about(incident, &row.name))
            || stalls.iter().any(|stall| stall.queue == row.name);
        row.waited_ms = waiting.remove(&row.name).map(|at| now.ms_since(at));
        row.spark = depths
            .get(&row.name)
            .and_then(|points| chart::spark(span, points));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_carries_its_sign() {
        assert_eq!([3, 0, -2].map(signed), ["+3", "0", "−2"]);
    }
}
