//! Retention: deletes what has been kept long enough, in small transactions with pauses, so that no writer waits long.

use std::time::Duration;

use crate::{
    domain::time::Time,
    store::{Aged, Store, StoreError},
};

/// How long things are kept. Tickets and the audit log are kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Finished tasks with all that belongs to them, and closed findings.
    pub finished: Duration,
    pub samples: Duration,
    pub throughput: Duration,
    pub durations: Duration,
    pub idempotency_keys: Duration,
    pub webhook_deliveries: Duration,
    pub rule_counts: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Retention {
    /// Finished tasks for `days`; the rest as docs/operations.md says.
    pub fn days(days: u32) -> Self {
        Self {
            finished: DAY * days,
            samples: DAY * 7,
            throughput: DAY * 8,
            durations: DAY * 8,
            idempotency_keys: DAY * 2,
            webhook_deliveries: DAY * 30,
            rule_counts: DAY * 40,
        }
    }

    fn of(self, what: Aged) -> Duration {
        match what {
            // A snooze or a mark lives about as long as its finding, which closed later.
            Aged::Incidents | Aged::Stalls | Aged::Snoozes | Aged::FalseAlarms => self.finished,
            Aged::RuleCounts => self.rule_counts,
            Aged::Samples => self.samples,
            Aged::Throughput => self.throughput,
            Aged::Durations => self.durations,
            Aged::IdempotencyKeys => self.idempotency_keys,
            Aged::Sessions => Duration::ZERO,
            Aged::WebhookDeliveries => self.webhook_deliveries,
        }
    }
}

/// How much one pass does.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Rows (or tasks with all theirs) in one transaction.
    pub batch: i64,
    /// Transactions of one sort in one pass.
    pub batches: usize,
    /// Between two transactions, so that waiting writers go first.
    pub pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch: 200,
            batches: 50,
            pause: Duration::from_millis(25),
        }
    }
}

/// What one pass deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub tasks: u64,
    pub incidents: u64,
    pub stalls: u64,
    pub samples: u64,
    pub throughput: u64,
    pub durations: u64,
    pub idempotency_keys: u64,
    pub sessions: u64,
    pub snoozes: u64,
    pub false_alarms: u64,
    pub rule_counts: u64,
    pub webhook_deliveries: u64,
    /// The pass ended before all was deleted: the next one should come soon.
    pub more: bool,
}

impl Tally {
    /// How long to wait for the next pass.
    pub fn wait(&self) -> Duration {
        if self.more {
            Duration::from_secs(1)
        } else {
            Duration::from_secs(600)
        }
    }

    /// Whether anything was deleted.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    fn count(&mut self, what: Aged) -> &mut u64 {
        match what {
            Aged::Incidents => &mut self.incidents,
            Aged::Stalls => &mut self.stalls,
            Aged::Samples => &mut self.samples,
            Aged::Throughput => &mut self.throughput,
            Aged::Durations => &mut self.durations,
            Aged::IdempotencyKeys => &mut self.idempotency_keys,
            Aged::Sessions => &mut self.sessions,
            Aged::Snoozes => &mut self.snoozes,
            Aged::FalseAlarms => &mut self.false_alarms,
            Aged::RuleCounts => &mut self.rule_counts,
            Aged::WebhookDeliveries => &mut self.webhook_deliveries,
        }
    }
}

/// Makes one bounded pass as of `now`, the oldest first.
///
/// Safe in several processes at once. Errors: what was committed stays deleted.
pub async fn tick(store: &Store, retention: Retention, pace: Pace, now: Time) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let batch = u64::try_from(pace.batch).unwrap_or(0);
    for round in 1..=pace.batches {
        let deleted = store.prune_tasks(now - retention.finished, pace.batch).await?;
        tally.tasks += deleted;
        if deleted < batch {
            break;
        }
        tally.more |= round == pace.batches;
        tokio::time::sleep(pace.pause).await;
    }
    for what in Aged::ALL.iter().copied() {
        for round in 1..=pace.batches {
            let deleted = store
                .prune_aged(what, now - retention.of(what), pace.batch)
                .await?;
            *tally.count(what) += deleted;
            if deleted < batch {
                break;
            }
            tally.more |= round == pace.batches;
            tokio::time::sleep(pace.pause).await;
        }
    }
    Ok(tally)
}
