//! The rules: pure functions from what was read to what is found. No I/O, no clock.
//!
//! A rule about a cause answers `Found`, `Clear` or `Undecided`: an open incident is kept by the first, closed by the
//! second, and left as it is by the third. Absent and old numbers only ever lead to `Undecided`.

pub mod attempts;
pub mod broker;
pub mod dead;
pub mod fold;
pub mod head;
pub mod messages;
pub mod over;
pub mod overtaken;
pub mod queue;
pub mod settings;
pub mod task;
pub mod thresholds;
pub mod traced;
pub mod unusual;

use self::{messages::Loss, queue::QueueView};
use super::{
    evidence::{Evidence, Facts, Threshold, ThresholdName},
    expectation::Bounds,
    finding::{Incident, Subject, Variant, Verdict},
    time::Time,
};

/// What the rules hold the numbers against. Spans are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A due message that is not confirmed is unpublished after this.
    pub publish_grace_ms: i64,
    /// A lease that is over is left to the take-over for so long: `serve` puts the message out 3 s after its end.
    pub lease_grace_ms: i64,
    pub no_consumers_ms: i64,
    pub stuck_samples: i64,
    /// The samples of `stuck_samples` span at least this, however often readings are taken.
    pub stuck_ms: i64,
    /// The expected wait is over the target for so long.
    pub backlog_ms: i64,
    pub over_stable_ms: i64,
    pub missing_stable_ms: i64,
    pub alarm_readings: i64,
    /// Numbers may be missing for so long before that is a finding: three intervals.
    pub blind_ms: i64,
    /// Messages confirmed within so long of each other say nothing about their order: several relays publish at once.
    pub overtaken_margin_ms: i64,
    /// Nothing is said about workers before the detector has looked without a gap for so long.
    pub steady_ms: i64,
    /// A task that lost its worker so often since it was granted attempts is in a crash loop.
    pub crash_loop: i64,
    /// A worker that was told of a cancel has so long to obey.
    pub cancel_grace_ms: i64,
    /// A queue's arguments are looked at for so long before they are told: somebody may be setting it up.
    pub mismatch_stable_ms: i64,
    /// An attempt is close to the broker's timeout when so much of it is left.
    pub ack_deadline_percent: i64,
    /// A dead letter that died so long before the task's message was confirmed is an older copy.
    pub dead_margin_ms: i64,
    /// A message is older than the head of its queue only by more than publishers' clocks may differ.
    pub head_margin_ms: i64,
    pub usual: Bounds,
    /// A tracer says something about tasks that were confirmed so long before it was sent.
    pub traced_margin_ms: i64,
    /// A queue that is traced gets a tracer so often, and again so soon after when that one completes a proof.
    pub trace_every_ms: i64,
    pub trace_again_ms: i64,
}

impl Thresholds {
    /// The defaults, for a detector that looks every `every_ms`.
    pub const fn new(every_ms: i64) -> Self {
        Self {
            publish_grace_ms: 15_000,
            lease_grace_ms: 5_000,
            no_consumers_ms: 60_000,
            stuck_samples: 6,
            stuck_ms: 25_000,
            backlog_ms: 60_000,
            over_stable_ms: 15_000,
            missing_stable_ms: 3_000,
            alarm_readings: 2,
            blind_ms: 3 * every_ms,
            overtaken_margin_ms: 10_000,
            steady_ms: 10_000,
            crash_loop: 3,
            cancel_grace_ms: 120_000,
            mismatch_stable_ms: 10_000,
            ack_deadline_percent: 20,
            dead_margin_ms: 60_000,
            head_margin_ms: 60_000,
            usual: Bounds::DEFAULT,
            traced_margin_ms: 5_000,
            trace_every_ms: 60_000,
            trace_again_ms: 15_000,
        }
    }
}

/// A rule's answer about a cause.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling {
    Found(Box<Incident>),
    Clear,
    /// The readings do not say.
    Undecided,
}

/// A rule's answer, and what it was about.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruled {
    pub verdict: Verdict,
    pub subject: Subject,
    pub ruling: Ruling,
}

fn evidence(now: Time, variant: Variant, name: ThresholdName, value: i64, facts: Facts) -> Evidence {
    Evidence {
        variant,
        threshold: Threshold { name, value },
        judged_at: now,
        facts,
    }
}

/// Everything the readings say about one queue, and which of its tasks have certainly lost their messages.
///
/// A cause that explains another one silences it: a missing queue has no consumers either.
pub fn judge_queue(
    queue: &QueueView<'_>,
    broker_blind: bool,
    thresholds: &Thresholds,
) -> (Vec<Ruled>, Option<Loss>) {
    let found = |ruling: &Ruling| matches!(ruling, Ruling::Found(_));
    let (missing, missing_loss) = messages::queue_missing(queue, thresholds);
    let (short, short_loss) = messages::ledger_short(queue);
    let no_consumers = queue::no_consumers(queue, thresholds);
    let stuck = queue::consumers_stuck(queue, thresholds);
    let explained = found(&short) || found(&no_consumers) || found(&stuck);
    let mut rulings = vec![
        (Verdict::LedgerShort, short),
        (Verdict::LedgerOver, messages::ledger_over(queue, thresholds)),
        (Verdict::NoConsumers, no_consumers),
        (Verdict::ConsumersStuck, stuck),
        (
            Verdict::Backlog,
            if explained {
                Ruling::Clear
            } else {
                queue::backlog(queue, thresholds)
            },
        ),
        (
            Verdict::Unknown,
            broker::queue_unknown(queue, broker_blind, thresholds),
        ),
    ];
    if found(&missing) {
        for (_, ruling) in &mut rulings {
            *ruling = Ruling::Clear;
        }
    }
    rulings.push((Verdict::QueueMissing, missing));
    let ruled = rulings
        .into_iter()
        .map(|(verdict, ruling)| Ruled {
            verdict,
            subject: Subject::queue(queue.name),
            ruling,
        })
        .collect();
    (ruled, missing_loss.or(short_loss))
}
