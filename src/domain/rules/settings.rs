//! What follows from how the broker has set up a queue.

use super::{Ruling, Thresholds, evidence, queue::QueueView, task::Suspect};
use crate::domain::{
    evidence::{Facts, ThresholdName},
    finding::{Confidence, Stall, Subject, Variant, Verdict},
    observation::Mismatch,
    time::Time,
};

/// Since when a queue's arguments could lose messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MismatchMemory {
    since: Option<Time>,
}

/// The queue exists with arguments that can lose messages. Others than ours that lose nothing are its owner's choice.
///
/// `found` is how the queue differs from how Unstuck declares it; `None` when the broker did not tell.
pub fn queue_mismatch(
    memory: &mut MismatchMemory,
    queue: &QueueView<'_>,
    found: Option<&[Mismatch]>,
    now: Time,
    thresholds: &Thresholds,
) -> Ruling {
    let Some(found) = found else {
        return Ruling::Undecided;
    };
    if !found.iter().any(|mismatch| mismatch.harmful) {
        memory.since = None;
        return Ruling::Clear;
    }
    let since = *memory.since.get_or_insert(now);
    if now.ms_since(since) < thresholds.mismatch_stable_ms {
        return Ruling::Undecided;
    }
    let told = found.iter().map(|mismatch| {
        let Mismatch {
            argument,
            expected,
            actual,
            ..
        } = mismatch;
        format!("{argument} = {actual} (≠ {expected})")
    });
    let facts = Facts {
        queue: Some(queue.name.to_owned()),
        detail: Some(told.collect::<Vec<_>>().join("; ")),
        ..Facts::default()
    };
    let (name, value) = (ThresholdName::MismatchStable, thresholds.mismatch_stable_ms);
    let evidence = evidence(now, Variant::Plain, name, value, facts);
    let newest = queue.window.newest().map(|sample| sample.facts);
    let tasks = newest.map_or(0, |facts| facts.waiting + facts.running);
    queue.incident(Verdict::QueueMismatch, Confidence::Proven, since, tasks, evidence)
}

/// A running attempt that is alive and holds its delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Holding {
    pub suspect: Suspect,
    pub worker: Option<String>,
    /// When it was claimed: its delivery came then, or before.
    pub started_at: Time,
    pub lease_expires_at: Time,
    /// 0 to 100, as it was last reported.
    pub progress: Option<f64>,
    pub timeout_s: Option<i64>,
}

/// A broker looks at its timeout once a minute. What it has not taken back two minutes later it will not take back.
const SLACK_MS: i64 = 120_000;

/// From when on an attempt that began at `started_at` is close to the broker's timeout.
pub fn close_from(started_at: Time, timeout_ms: i64, thresholds: &Thresholds) -> Time {
    let before = timeout_ms / 100 * thresholds.ack_deadline_percent;
    Time::from_ms(started_at.ms().saturating_add(timeout_ms - before))
}

/// The broker is about to take the attempt's delivery back, and the attempt is not about to end.
///
/// `timeout_ms` is the queue's own; where it can't be known nothing is said. What the task itself says about its end
/// counts: its timeout, or the pace of its progress. Only likely: the next minute may be its last.
pub fn ack_deadline(task: Holding, timeout_ms: i64, now: Time, thresholds: &Thresholds) -> Option<Stall> {
    let since = close_from(task.started_at, timeout_ms, thresholds);
    let deadline = Time::from_ms(task.started_at.ms().saturating_add(timeout_ms));
    let alive = now < task.lease_expires_at;
    if !alive || now < since || now.ms_since(deadline) > SLACK_MS {
        return None;
    }
    let by_timeout = task.timeout_s.map(|seconds| seconds.saturating_mul(1000));
    let run_ms = now.ms_since(task.started_at);
    let by_progress = task
        .progress
        .filter(|progress| *progress > 0.0)
        .map(|progress| (run_ms as f64 * 100.0 / progress) as i64);
    // Whichever promises an earlier end.
    let ends_after_ms = [by_timeout, by_progress].into_iter().flatten().min();
    if ends_after_ms.is_some_and(|ms| ms < timeout_ms) && now < deadline {
        return None;
    }
    let facts = Facts {
        worker: task.worker,
        started_at: Some(task.started_at),
        lease_expires_at: Some(task.lease_expires_at),
        ack_timeout_ms: Some(timeout_ms),
        ack_left_ms: Some(deadline.ms_since(now).max(0)),
        ..task.suspect.facts()
    };
    let (name, value) = (ThresholdName::AckDeadline, thresholds.ack_deadline_percent);
    let evidence = evidence(now, Variant::Plain, name, value, facts);
    let (verdict, likely) = (Verdict::AckDeadline, Confidence::Likely);
    let cause = Some((verdict, Subject::queue(&task.suspect.queue)));
    Some(task.suspect.stall(verdict, likely, since, evidence, cause))
}
