//! Tasks that two tracers prove lost, though their queue is never empty and surplus copies balance its ledger.
//!
//! A queue hands messages out in their order, what came back before what is new, and tells of each that was handed out
//! before. Suppose the message of a task that was confirmed before the first tracer was sent still exists. The first
//! tracer's delivery shows that it was handed out. At the clear moment after it no consumer holds it, so it came back and
//! is ready. The second tracer, sent later, is handed out behind it: so the message was handed out once more, and the
//! broker counted a redelivery. It counted none: the message does not exist.

use std::collections::VecDeque;

use uuid::Uuid;

use super::{Thresholds, evidence, overtaken::Oldest};
use crate::domain::{
    evidence::{Facts, Figure, Source, ThresholdName},
    finding::{Confidence, Stall, Subject, Variant, Verdict},
    observation::{Numbers, Presence, Publishing, QueueSettings, Sample, lag_ms},
    time::Time,
    tracer::{GivenUp, QueueTracers, Tracer},
};

/// A delivery is told a moment after it happened, by a clock that read its age.
const TOLD_MS: i64 = 1_000;
/// Counts of redeliveries are remembered for so long, and one before that.
const COUNTED_MS: i64 = 60_000;
/// A tracer that the broker neither confirmed nor refused by then has lost its sender.
const CONFIRM_MS: i64 = 60_000;
/// A message may come out so long before another that it was confirmed together with.
const OVERTAKEN_MS: i64 = 60_000;

/// How far the proof about one queue has come.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// Tracers that were sent before prove nothing.
    from: Option<Time>,
    /// Redeliveries as the broker counted them, oldest first.
    counts: VecDeque<Figure>,
    seen: Option<Uuid>,
    /// The newest tracer that was delivered for the first time.
    newest: Option<Tracer>,
    first: Option<Tracer>,
    clear: Option<Clear>,
    second: Option<Tracer>,
    proof: Option<Proof>,
}

/// A moment at which every message that consumers held was that of a running attempt.
#[derive(Clone, Debug, PartialEq)]
struct Clear {
    at: Time,
    /// As they were counted before it.
    redelivered: Figure,
    numbers: Numbers,
}

/// Tasks confirmed up to `before` that are still queued have lost their messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    pub before: Time,
    judged_at: Time,
    first: Tracer,
    second: Tracer,
    clear: Clear,
    redelivered: Figure,
}

impl Trail {
    /// Forgets everything. Only tracers that are sent from `now` on count.
    pub fn restart(&mut self, now: Time) {
        *self = Self {
            from: Some(now),
            ..Self::default()
        };
    }

    /// Takes a reading in: `redelivered` as the broker counts it for this queue, `passed` the newest tracer that came out.
    pub fn note(
        &mut self,
        sample: &Sample,
        redelivered: Option<Figure>,
        passed: Option<&Tracer>,
        thresholds: &Thresholds,
    ) {
        if sample.numbers.presence != Presence::Here {
            return self.restart(sample.at);
        }
        let fell = |count: &Figure| self.counts.back().is_some_and(|last| count.value < last.value);
        if redelivered.as_ref().is_some_and(fell) {
            self.restart(sample.at);
        }
        let from = *self.from.get_or_insert(sample.at);
        self.count(redelivered, sample.at);
        if let Some(tracer) = passed.filter(|tracer| tracer.sent_at >= from) {
            self.follow(tracer);
        }
        self.look(sample);
        self.conclude(sample.at, thresholds);
    }

    fn count(&mut self, redelivered: Option<Figure>, now: Time) {
        let Some(count) = redelivered else {
            return;
        };
        if self.counts.back().is_none_or(|last| last.read_at < count.read_at) {
            self.counts.push_back(count);
        }
        while self.counts.len() > 2 && now.ms_since(self.counts[1].read_at) > COUNTED_MS {
            self.counts.pop_front();
        }
    }

    fn follow(&mut self, tracer: &Tracer) {
        if self.seen.replace(tracer.id) == Some(tracer.id) {
            return;
        }
        // It came back from a consumer: so did others, maybe.
        if tracer.redelivered == Some(true) {
            (self.newest, self.first, self.clear, self.second) = (None, None, None, None);
            return;
        }
        self.newest = Some(tracer.clone());
        match &self.clear {
            Some(clear) if self.second.is_none() && tracer.sent_at >= clear.at => {
                self.second = Some(tracer.clone());
            }
            Some(_) => {}
            None => self.first = Some(tracer.clone()),
        }
    }

    /// Notes a clear moment after the first tracer's delivery.
    fn look(&mut self, sample: &Sample) {
        let (Some(first), None, Some(snapshot)) = (&self.first, &self.clear, sample.numbers.snapshot) else {
            return;
        };
        let earliest = Time::from_ms(sample.at.ms() - snapshot.lag_ms);
        let delivered = first
            .delivered_at
            .is_some_and(|at| earliest.ms_since(at) >= TOLD_MS);
        let before = self.counts.iter().rev().find(|count| count.read_at <= earliest);
        if let (true, Some(0), Some(redelivered)) = (delivered, sample.buffered(), before) {
            self.clear = Some(Clear {
                at: sample.at,
                redelivered: *redelivered,
                numbers: sample.numbers,
            });
        }
    }

    fn conclude(&mut self, now: Time, thresholds: &Thresholds) {
        let (Some(clear), Some(count)) = (&self.clear, self.counts.back().copied()) else {
            return;
        };
        if count.value != clear.redelivered.value {
            return self.again();
        }
        let (Some(first), Some(second)) = (&self.first, &self.second) else {
            return;
        };
        let late_ms = TOLD_MS + lag_ms(Source::Statistics, true);
        if second
            .delivered_at
            .is_some_and(|at| count.read_at.ms_since(at) >= late_ms)
        {
            self.proof = Some(Proof {
                before: Time::from_ms(first.sent_at.ms() - thresholds.traced_margin_ms),
                judged_at: now,
                first: first.clone(),
                second: second.clone(),
                clear: clear.clone(),
                redelivered: count,
            });
            self.again();
        }
    }

    /// Begins anew with the newest tracer.
    fn again(&mut self) {
        (self.clear, self.second) = (None, None);
        self.first.clone_from(&self.newest);
    }

    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// Whether a second tracer would prove something about a task that was confirmed at `oldest`.
    fn is_worth_another(&self, oldest: Option<Time>, thresholds: &Thresholds) -> bool {
        self.clear.is_some() && self.second.is_none() && self.would_prove(oldest, thresholds)
    }

    /// Whether the next tracer had better wait for a clear moment: one that is sent before completes no proof. Not for ever, as
    /// consumers may hold something all the time.
    fn awaits_clear(&self, now: Time, oldest: Option<Time>, thresholds: &Thresholds) -> bool {
        let delivered_at = self.first.as_ref().and_then(|first| first.delivered_at);
        let lately = delivered_at.is_some_and(|at| now.ms_since(at) < thresholds.trace_every_ms);
        lately && self.clear.is_none() && self.would_prove(oldest, thresholds)
    }

    /// Whether a proof that begins with the first tracer would cover a task that was confirmed at `oldest`, and none does yet.
    fn would_prove(&self, oldest: Option<Time>, thresholds: &Thresholds) -> bool {
        let (Some(first), Some(oldest)) = (&self.first, oldest) else {
            return false;
        };
        let before = first.sent_at.ms() - thresholds.traced_margin_ms;
        let proven = self.proof.as_ref().is_some_and(|proof| oldest <= proof.before);
        oldest.ms() <= before && !proven
    }
}

/// A queued task that a proof covers.
///
/// Tracers have priority 0, so they say nothing about a task of another.
pub fn traced(task: Oldest, queue: &str, proof: &Proof, thresholds: &Thresholds) -> Option<Stall> {
    let Oldest {
        suspect,
        priority,
        published_at,
    } = task;
    if priority != 0 || published_at > proof.before {
        return None;
    }
    let Proof {
        first, second, clear, ..
    } = proof;
    let facts = Facts {
        queue: Some(queue.to_owned()),
        dispatch: Some(suspect.dispatch),
        published_at: Some(published_at),
        messages_ready: clear.numbers.ready,
        messages_unacknowledged: clear.numbers.unacknowledged,
        consumers: clear.numbers.consumers,
        tracer_id: Some(first.id),
        tracer_sent_at: Some(first.sent_at),
        tracer_delivered_at: first.delivered_at,
        clear_at: Some(clear.at),
        second_tracer_id: Some(second.id),
        second_tracer_sent_at: Some(second.sent_at),
        second_tracer_delivered_at: second.delivered_at,
        redelivered: Some(proof.redelivered),
        ..Facts::default()
    };
    let (name, margin) = (ThresholdName::TracedMargin, thresholds.traced_margin_ms);
    let evidence = evidence(proof.judged_at, Variant::Traced, name, margin, facts);
    let (verdict, proven) = (Verdict::MessageLost, Confidence::Proven);
    let cause = Some((verdict, Subject::queue(queue)));
    Some(suspect.stall(verdict, proven, proof.judged_at, evidence, cause))
}

/// Whether a tracer is to be sent: behind messages that wait, to a queue that keeps their order, one at a time, once a
/// minute; sooner when it completes a proof.
pub fn is_due(
    sample: &Sample,
    settings: Option<&QueueSettings>,
    publishing: &Publishing,
    tracers: &QueueTracers,
    trail: &Trail,
    thresholds: &Thresholds,
) -> bool {
    let takes = settings.is_some_and(|settings| settings.obstacle.is_none())
        && *publishing == Publishing::Open
        && tracers.out.is_none();
    // One that is given up may lie there still; then a task's message is behind it.
    let worked = sample.numbers.presence == Presence::Here
        && sample.numbers.ready.is_some_and(|ready| ready.value > 0)
        && sample.facts.waiting > 0
        && sample
            .numbers
            .consumers
            .is_some_and(|consumers| consumers.value > 0);
    let oldest = sample.facts.oldest_published_at;
    let every_ms = if trail.is_worth_another(oldest, thresholds) {
        thresholds.trace_again_ms
    } else {
        thresholds.trace_every_ms
    };
    let rested = tracers
        .sent_at
        .is_none_or(|sent_at| sample.at.ms_since(sent_at) >= every_ms);
    takes && worked && rested && !trail.awaits_clear(sample.at, oldest, thresholds)
}

/// Whether to wait for `tracer` no longer. `overtaken`: a task runs whose message was confirmed well after it was sent.
pub fn given_up(tracer: &Tracer, sample: &Sample, overtaken: bool) -> Option<GivenUp> {
    let age_ms = sample.at.ms_since(tracer.sent_at);
    match sample.numbers.presence {
        Presence::Missing => return Some(GivenUp::QueueMissing),
        Presence::Unseen => return None,
        Presence::Here => {}
    }
    if age_ms < CONFIRM_MS {
        return None;
    }
    // What the snapshot counts lies at most its lag back: well after the confirm.
    let empty = sample.numbers.snapshot.is_some_and(|snapshot| {
        snapshot.ready == 0 && snapshot.unacknowledged == 0 && snapshot.lag_ms < CONFIRM_MS / 2
    });
    if tracer.confirmed_at.is_none() {
        Some(GivenUp::Unconfirmed)
    } else if empty {
        Some(GivenUp::QueueEmpty)
    } else {
        overtaken.then_some(GivenUp::Overtaken)
    }
}

/// From when on a task's confirm shows that it came well after `tracer`; `None` while that is too young to tell.
pub fn overtaken_from(tracer: &Tracer, now: Time) -> Option<Time> {
    let from = Time::from_ms(tracer.sent_at.ms() + OVERTAKEN_MS);
    (from < now).then_some(from)
}
