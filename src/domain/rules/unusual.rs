//! Runs without a timeout that take much longer than their kind's.

use super::{Thresholds, evidence, task::Suspect};
use crate::domain::{
    evidence::{Facts, ThresholdName},
    expectation::Usual,
    finding::{Confidence, Stall, Variant, Verdict},
    time::Time,
};

/// A running task without a timeout.
#[derive(Clone, Debug, PartialEq)]
pub struct LongRun {
    pub suspect: Suspect,
    pub kind: String,
    pub worker: Option<String>,
    pub started_at: Time,
    pub lease_expires_at: Time,
}

/// Alive, and running for longer than is usual for its kind. Only likely: it may be the longest yet.
///
/// Nothing is said of a run that began before its kind was watched for long enough: the samples may be those of the short
/// ones.
pub fn unusual(task: LongRun, usual: &Usual, now: Time, thresholds: &Thresholds) -> Option<Stall> {
    let alive = now < task.lease_expires_at;
    let late = now.ms_since(task.started_at) > usual.limit_ms;
    let unwatched = usual.watched_at.is_some_and(|at| task.started_at < at);
    if !alive || !late || unwatched {
        return None;
    }
    let facts = Facts {
        kind: Some(task.kind),
        worker: task.worker,
        started_at: Some(task.started_at),
        lease_expires_at: Some(task.lease_expires_at),
        samples: Some(usual.samples),
        p99_ms: Some(usual.p99_ms),
        longest_ms: Some(usual.longest_ms),
        factor: Some(thresholds.usual.factor),
        ..task.suspect.facts()
    };
    let (name, value) = (ThresholdName::Unusual, usual.limit_ms);
    let evidence = evidence(now, Variant::Unusual, name, value, facts);
    let since = Time::from_ms(task.started_at.ms().saturating_add(usual.limit_ms));
    let (verdict, likely) = (Verdict::Overdue, Confidence::Likely);
    Some(task.suspect.stall(verdict, likely, since, evidence, None))
}
