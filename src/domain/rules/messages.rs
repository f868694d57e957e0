//! Whether the broker holds a message for each task that waits for one.

use super::{Ruling, Thresholds, evidence, queue::QueueView};
use crate::domain::{
    evidence::{Evidence, Facts, ThresholdName},
    finding::{Confidence, Subject, Variant, Verdict},
    ledger::{Named, Shortfall, places, shortfall},
    observation::{Presence, Sample, proof_span_ms},
    time::Time,
};

/// After a shortage, so many milliseconds without one in any reading close the incident.
const CALM_MS: i64 = 30_000;

/// Tasks of a queue that have certainly lost their messages, and the cause they fold under: every task that is queued
/// and was confirmed before `before`.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    pub before: Time,
    pub cause: (Verdict, Subject),
    /// The same for each of the tasks, but for its own dispatch and times.
    pub evidence: Evidence,
}

/// The broker has no such queue.
pub fn queue_missing(queue: &QueueView<'_>, thresholds: &Thresholds) -> (Ruling, Option<Loss>) {
    let Some(newest) = queue.window.newest() else {
        return (Ruling::Undecided, None);
    };
    match newest.numbers.presence {
        Presence::Here => return (Ruling::Clear, None),
        Presence::Unseen => return (Ruling::Undecided, None),
        Presence::Missing => {}
    }
    let missing = |sample: &Sample| sample.numbers.presence == Presence::Missing;
    let since = queue.window.since(missing).unwrap_or(newest.at);
    let span_ms = newest.at.ms_since(since);
    if span_ms < thresholds.missing_stable_ms {
        return (Ruling::Undecided, None);
    }
    let facts = Facts {
        queue: Some(queue.name.to_owned()),
        queued: Some(newest.facts.queued),
        running: Some(newest.facts.running),
        span_ms: Some(span_ms),
        ..Facts::default()
    };
    let (name, value) = (ThresholdName::MissingStable, thresholds.missing_stable_ms);
    let (queue_name, tasks) = (queue.name, newest.facts.queued + newest.facts.running);
    let told = evidence(newest.at, Variant::Plain, name, value, facts.clone());
    // Two readings after a task's confirm prove its loss. The first of the run may be older than the task: a queue that was
    // not declared yet, then declared, filled and deleted between two looks.
    let before = queue
        .window
        .backwards()
        .take_while(|sample| missing(sample))
        .find(|sample| newest.at.ms_since(sample.at) >= thresholds.missing_stable_ms)
        .map_or(since, |sample| sample.at);
    let loss = Loss {
        before,
        cause: (Verdict::QueueMissing, Subject::queue(queue_name)),
        evidence: evidence(newest.at, Variant::NoQueue, name, value, facts),
    };
    let proven = Confidence::Proven;
    let ruling = queue.incident(Verdict::QueueMissing, proven, since, tasks, told);
    (ruling, Some(loss))
}

/// Some settled tasks of the queue can have no message. When the broker holds none that could be theirs, each of them
/// is lost.
pub fn ledger_short(queue: &QueueView<'_>) -> (Ruling, Option<Loss>) {
    let Some(newest) = queue.window.newest() else {
        return (Ruling::Undecided, None);
    };
    let (missing, of, named, readings, span_ms) = match shortfall(queue.window) {
        Shortfall::Unknown => return (Ruling::Undecided, None),
        Shortfall::None => return (balanced(queue, newest), None),
        Shortfall::AtLeast {
            missing,
            of,
            named,
            readings,
            span_ms,
        } => (missing, of, named, readings, span_ms),
    };
    let lag_ms = newest.numbers.snapshot.map_or(0, |snapshot| snapshot.lag_ms);
    let stable_ms = proof_span_ms(lag_ms);
    let facts = Facts {
        queued: Some(of),
        missing: Some(missing),
        readings: Some(readings),
        span_ms: Some(span_ms),
        ..queue.facts(newest)
    };
    let say = |variant| {
        let name = ThresholdName::LostStable;
        evidence(newest.at, variant, name, stable_ms, facts.clone())
    };
    let (variant, each) = match named {
        Named::AllEmpty => (Variant::All, Some(Variant::Empty)),
        Named::AllAccounted => (Variant::All, Some(Variant::Accounted)),
        Named::Some => (Variant::Part, None),
    };
    let since = Time::from_ms(newest.at.ms() - span_ms);
    let loss = each.and_then(|each| {
        Some(Loss {
            before: settled_before(queue)?,
            cause: (Verdict::LedgerShort, Subject::queue(queue.name)),
            evidence: say(each),
        })
    });
    let proven = Confidence::Proven;
    let ruling = queue.incident(Verdict::LedgerShort, proven, since, missing, say(variant));
    (ruling, loss)
}

/// The instant that the newest reading's `settled` was counted by.
pub(super) fn settled_before(queue: &QueueView<'_>) -> Option<Time> {
    let readings = queue.window.proof()?;
    readings
        .iter()
        .filter_map(|sample| Some(sample.at.ms() - sample.numbers.snapshot?.lag_ms))
        .min()
        .map(Time::from_ms)
}

/// No shortage can be proven now. That it is over is said only after a while without one: buffers that fill and drain
/// hide it for a moment.
fn balanced(queue: &QueueView<'_>, newest: &Sample) -> Ruling {
    let (settled, copies) = (newest.facts.settled, newest.facts.copies);
    let enough = |sample: &Sample| places(sample).is_some_and(|places| places >= settled + copies);
    match queue.window.since(enough) {
        _ if settled == 0 => Ruling::Clear,
        Some(since) if newest.at.ms_since(since) >= CALM_MS => Ruling::Clear,
        _ => Ruling::Undecided,
    }
}

/// The broker holds more messages than the database knows tasks for, while nothing moves. Old copies and foreign
/// messages: fenced, so only worth knowing.
pub fn ledger_over(queue: &QueueView<'_>, thresholds: &Thresholds) -> Ruling {
    let Some(newest) = queue.window.newest() else {
        return Ruling::Undecided;
    };
    let Some(surplus) = surplus(newest) else {
        return Ruling::Undecided;
    };
    if surplus <= 0 {
        return Ruling::Clear;
    }
    if all_at_work(newest) {
        return Ruling::Undecided;
    }
    let still = |sample: &Sample| {
        sample.facts.in_flight == 0
            && sample.facts.waiting == newest.facts.waiting
            && sample.facts.running == newest.facts.running
            && sample.activity == newest.activity
            && self::surplus(sample) == Some(surplus)
    };
    let stable_ms = thresholds.over_stable_ms;
    match queue.window.since(still) {
        Some(since) if newest.at.ms_since(since) >= stable_ms => {
            let facts = Facts {
                surplus: Some(surplus),
                span_ms: Some(newest.at.ms_since(since)),
                ..queue.facts(newest)
            };
            let name = ThresholdName::OverStable;
            let evidence = evidence(newest.at, Variant::Plain, name, stable_ms, facts);
            queue.incident(Verdict::LedgerOver, Confidence::Proven, since, 0, evidence)
        }
        _ => Ruling::Undecided,
    }
}

/// Whether the consumers hold as many messages as they may, for attempts that are alive: then a copy waits for its turn
/// to be discarded, as one of ours does that was published twice because its confirm was lost.
fn all_at_work(sample: &Sample) -> bool {
    let (Some(snapshot), live) = (sample.numbers.snapshot, sample.facts.live) else {
        return false;
    };
    live > 0
        && sample
            .numbers
            .prefetch
            .is_none_or(|room| snapshot.unacknowledged >= room)
}

fn surplus(sample: &Sample) -> Option<i64> {
    let snapshot = sample.numbers.snapshot?;
    // An orphaned task may have two: the one that came back from its worker, and the copy that was put out.
    let facts = &sample.facts;
    let known = facts.waiting + facts.running + facts.copies + facts.tracers_at_most;
    Some(snapshot.ready + snapshot.unacknowledged - known)
}
