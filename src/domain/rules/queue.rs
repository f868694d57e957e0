//! Whether a queue's consumers are there, work, and keep up.

use super::{Ruling, Thresholds, evidence};
use crate::domain::{
    evidence::{Evidence, Facts, ThresholdName},
    finding::{Confidence, Incident, Subject, Variant, Verdict},
    observation::{Sample, Window},
    time::Time,
};

/// A queue and its last readings.
#[derive(Clone, Copy, Debug)]
pub struct QueueView<'a> {
    pub name: &'a str,
    pub backlog_target_ms: i64,
    pub window: &'a Window,
}

impl QueueView<'_> {
    pub(super) fn facts(&self, sample: &Sample) -> Facts {
        Facts {
            queue: Some(self.name.to_owned()),
            messages_ready: sample.numbers.ready,
            messages_unacknowledged: sample.numbers.unacknowledged,
            consumers: sample.numbers.consumers,
            queued: Some(sample.facts.queued),
            running: Some(sample.facts.running),
            ..Facts::default()
        }
    }

    pub(super) fn incident(
        &self,
        verdict: Verdict,
        confidence: Confidence,
        since: Time,
        tasks: i64,
        evidence: Evidence,
    ) -> Ruling {
        Ruling::Found(Box::new(Incident {
            verdict,
            subject: Subject::queue(self.name),
            confidence,
            since,
            tasks,
            evidence,
        }))
    }
}

fn more_than_none(figure: Option<crate::domain::evidence::Figure>) -> bool {
    figure.is_some_and(|figure| figure.value > 0)
}

/// Messages of tasks are ready: a tracer alone needs nobody.
fn some_wait(sample: &Sample) -> bool {
    sample.ready_for_tasks().is_some_and(|ready| ready > 0)
}

fn is_zero(figure: Option<crate::domain::evidence::Figure>) -> bool {
    figure.is_some_and(|figure| figure.value == 0)
}

/// Messages wait and nobody consumes, for a minute: shorter is a deployment, or a worker that reconnects.
pub fn no_consumers(queue: &QueueView<'_>, thresholds: &Thresholds) -> Ruling {
    let Some(newest) = queue.window.newest() else {
        return Ruling::Undecided;
    };
    let deserted = |sample: &Sample| some_wait(sample) && is_zero(sample.numbers.consumers);
    if !deserted(newest) {
        let known = newest.numbers.ready.is_some() && newest.numbers.consumers.is_some();
        return if known { Ruling::Clear } else { Ruling::Undecided };
    }
    // A consumer that fetches with basic.get is never listed: its claims show that somebody works.
    let since = queue
        .window
        .since(|sample| deserted(sample) && sample.activity.claimed == newest.activity.claimed);
    let needed = thresholds.no_consumers_ms;
    match since {
        Some(since) if newest.at.ms_since(since) >= needed => {
            let facts = Facts {
                span_ms: Some(newest.at.ms_since(since)),
                ..queue.facts(newest)
            };
            let name = ThresholdName::NoConsumers;
            let evidence = evidence(newest.at, Variant::Plain, name, needed, facts);
            let tasks = newest.facts.queued;
            queue.incident(Verdict::NoConsumers, Confidence::Proven, since, tasks, evidence)
        }
        _ => Ruling::Undecided,
    }
}

/// Messages wait, consumers hold some, no attempt is alive, and nothing moved for several readings.
pub fn consumers_stuck(queue: &QueueView<'_>, thresholds: &Thresholds) -> Ruling {
    let Some(newest) = queue.window.newest() else {
        return Ruling::Undecided;
    };
    let stuck = |sample: &Sample| {
        some_wait(sample)
            && more_than_none(sample.numbers.consumers)
            && more_than_none(sample.numbers.unacknowledged)
            && sample.facts.live == 0
    };
    if !stuck(newest) {
        return if newest.numbers.is_complete() {
            Ruling::Clear
        } else {
            Ruling::Undecided
        };
    }
    let run = queue
        .window
        .backwards()
        .take_while(|sample| stuck(sample) && sample.activity == newest.activity);
    let (mut readings, mut since) = (0, newest.at);
    for sample in run {
        (readings, since) = (readings + 1, sample.at);
    }
    let span_ms = newest.at.ms_since(since);
    if readings < thresholds.stuck_samples || span_ms < thresholds.stuck_ms {
        return Ruling::Undecided;
    }
    let facts = Facts {
        readings: Some(readings),
        span_ms: Some(span_ms),
        ..queue.facts(newest)
    };
    let (name, value) = (ThresholdName::StuckSamples, thresholds.stuck_samples);
    let evidence = evidence(newest.at, Variant::Plain, name, value, facts);
    let tasks = newest.facts.queued + newest.facts.running;
    queue.incident(
        Verdict::ConsumersStuck,
        Confidence::Likely,
        since,
        tasks,
        evidence,
    )
}

/// Consumers work, and a new task would wait longer than the queue's target; or the oldest already did.
///
/// Not said while tasks of the queue have lost their messages: those wait for nothing.
pub fn backlog(queue: &QueueView<'_>, thresholds: &Thresholds) -> Ruling {
    let Some(newest) = queue.window.newest() else {
        return Ruling::Undecided;
    };
    let target = queue.backlog_target_ms;
    let waited = |sample: &Sample| {
        let oldest = sample.facts.oldest_published_at;
        oldest.map_or(0, |oldest| sample.at.ms_since(oldest))
    };
    let slow = |sample: &Sample| sample.expected_wait_ms.is_some_and(|wait| wait > target);
    let behind = |sample: &Sample| {
        some_wait(sample)
            && more_than_none(sample.numbers.consumers)
            && (sample.facts.live > 0 || sample.expected_wait_ms.is_some())
            && (slow(sample) || waited(sample) > target)
    };
    let Some(since) = queue.window.since(behind) else {
        // Over for a while, not for a moment: a queue at its target would open and close all day.
        let over = |sample: &Sample| !behind(sample);
        let long = queue.window.since(over);
        return match long {
            Some(since)
                if newest.numbers.is_complete() && newest.at.ms_since(since) >= thresholds.backlog_ms =>
            {
                Ruling::Clear
            }
            _ => Ruling::Undecided,
        };
    };
    if newest.at.ms_since(since) < thresholds.backlog_ms {
        return Ruling::Undecided;
    }
    let variant = if slow(newest) { Variant::Slow } else { Variant::Old };
    let facts = Facts {
        expected_wait_ms: newest.expected_wait_ms,
        oldest_wait_ms: Some(waited(newest)),
        ..queue.facts(newest)
    };
    let evidence = evidence(newest.at, variant, ThresholdName::BacklogTarget, target, facts);
    let tasks = newest.facts.queued;
    queue.incident(Verdict::Backlog, Confidence::Proven, since, tasks, evidence)
}
