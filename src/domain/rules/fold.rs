//! The causes that exist only through their stalls: one card for a worker's tasks, or for what can't be published.

use super::evidence;
use crate::domain::{
    evidence::{Facts, Threshold},
    finding::{Confidence, Incident, Scope, Stall, Subject, Variant, Verdict},
    time::Time,
};

/// What became of the tasks of a cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub stalled: i64,
    /// Taken by somebody, put out again, or alive after all.
    pub moved_on: i64,
    pub ended: i64,
}

/// What the stalls of a cause have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    pub verdict: Verdict,
    pub subject: Subject,
    pub confidence: Confidence,
    pub since: Time,
    pub variant: Variant,
    pub threshold: Threshold,
    pub detail: Option<String>,
}

/// Whether the incident of this verdict lives and ends with its stalls.
pub const fn is_fold(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Unpublished
            | Verdict::WorkerLost
            | Verdict::WorkerSilent
            | Verdict::CrashLoop
            | Verdict::CancelIgnored
            | Verdict::DoubleRun
            | Verdict::AckDeadline
            | Verdict::DeadLettered
            | Verdict::MessageLost
    )
}

impl Fold {
    /// The cause that a stall is folded under, if it lives through its stalls.
    pub fn of(stall: &Stall) -> Option<Self> {
        let (verdict, subject) = stall.cause.clone()?;
        is_fold(verdict).then(|| Self {
            verdict,
            subject,
            confidence: stall.confidence,
            since: stall.since,
            variant: stall.evidence.variant,
            threshold: stall.evidence.threshold,
            detail: stall.evidence.facts.detail.clone(),
        })
    }

    /// Takes another stall of the same cause in: the earliest beginning, and the form that needs somebody most.
    pub fn join(&mut self, other: Self) {
        self.since = self.since.min(other.since);
        if urgency(other.variant) > urgency(self.variant) {
            self.variant = other.variant;
            self.confidence = other.confidence;
            self.threshold = other.threshold;
            self.detail = other.detail;
        }
    }

    /// The incident as of `now`.
    pub fn incident(self, split: Split, now: Time) -> Incident {
        let named = |scope| (self.subject.scope == scope).then(|| self.subject.name.clone());
        let facts = Facts {
            queue: named(Scope::Queue),
            worker: named(Scope::Worker),
            broker: named(Scope::Broker),
            stalled: Some(split.stalled),
            moved_on: Some(split.moved_on),
            ended: Some(split.ended),
            detail: self.detail,
            ..Facts::default()
        };
        let Threshold { name, value } = self.threshold;
        Incident {
            verdict: self.verdict,
            confidence: self.confidence,
            since: self.since,
            tasks: split.stalled,
            evidence: evidence(now, self.variant, name, value, facts),
            subject: self.subject,
        }
    }
}

/// Which form of a cause speaks for all its stalls: the one that somebody has to do something about.
fn urgency(variant: Variant) -> u8 {
    match variant {
        Variant::NoTaker => 3,
        Variant::Unseen => 2,
        Variant::TakerUnknown | Variant::GaveUp => 1,
        _ => 0,
    }
}
