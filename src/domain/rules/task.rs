//! What is wrong with one task.

use uuid::Uuid;

use super::{Thresholds, evidence, messages::Loss};
use crate::domain::{
    evidence::{Facts, Figure, ThresholdName},
    finding::{Confidence, Scope, Stall, Subject, Variant, Verdict},
    observation::Publishing,
    time::Time,
};

/// The task, its queue, and what of it was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    pub task_id: Uuid,
    pub queue: String,
    pub dispatch: i64,
    pub attempt: i64,
    /// Nothing is written about a task that changed since it was read.
    pub version: i64,
}

impl Suspect {
    pub(super) fn stall(
        self,
        verdict: Verdict,
        confidence: Confidence,
        since: Time,
        evidence: crate::domain::evidence::Evidence,
        cause: Option<(Verdict, Subject)>,
    ) -> Stall {
        Stall {
            task_id: self.task_id,
            queue: self.queue,
            dispatch: self.dispatch,
            attempt: self.attempt,
            version: self.version,
            verdict,
            confidence,
            since,
            evidence,
            cause,
        }
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            queue: Some(self.queue.clone()),
            dispatch: Some(self.dispatch),
            attempt: Some(self.attempt).filter(|attempt| *attempt > 0),
            ..Facts::default()
        }
    }
}

/// A publish intent past its grace.
#[derive(Clone, Debug, PartialEq)]
pub struct Unpublished {
    pub suspect: Suspect,
    pub due_at: Time,
    pub tries: i64,
    /// The word of the newest failure.
    pub cause: Option<String>,
    pub detail: Option<String>,
}

/// The causes that are open in this pass and explain a message that can't be published.
#[derive(Clone, Copy, Debug)]
pub struct PublishCauses<'a> {
    pub broker: &'a str,
    pub publishing: &'a Publishing,
    pub alarm: bool,
    pub broker_blind: bool,
    /// The task's own queue does not exist.
    pub queue_missing: bool,
}

/// Due since longer than the grace, and not confirmed by the broker.
pub fn unpublished(
    row: Unpublished,
    causes: PublishCauses<'_>,
    now: Time,
    thresholds: &Thresholds,
) -> Option<Stall> {
    if now.ms_since(row.due_at) < thresholds.publish_grace_ms {
        return None;
    }
    // Nothing is tried while the connection is not open: then that is the cause, whatever the last try met.
    let (cause, detail) = match causes.publishing {
        Publishing::Open => (row.cause.as_deref(), row.detail.as_deref()),
        Publishing::Blocked(why) => (Some("blocked"), Some(why.as_str())),
        Publishing::Down(why) => (Some("unreachable"), Some(why.as_str())),
    };
    let variant = match cause {
        None => Variant::Untried,
        Some("unreachable") => Variant::Unreachable,
        Some("blocked") => Variant::Blocked,
        Some("nacked") => Variant::Nacked,
        Some("unroutable") => Variant::Unroutable,
        Some("refused") => Variant::Refused,
        Some("queue_mismatch") => Variant::QueueMismatch,
        Some(_) => Variant::Unconfirmed,
    };
    let of_broker = matches!(
        variant,
        Variant::Untried | Variant::Unreachable | Variant::Blocked
    );
    let broker = Subject {
        scope: Scope::Broker,
        name: causes.broker.to_owned(),
    };
    let queue = Subject::queue(&row.suspect.queue);
    let cause = if causes.alarm && variant != Variant::Unroutable {
        (Verdict::BrokerAlarm, broker)
    } else if causes.queue_missing {
        (Verdict::QueueMissing, queue)
    } else if causes.broker_blind && variant == Variant::Unreachable {
        (Verdict::Unknown, broker)
    } else if of_broker {
        (Verdict::Unpublished, broker)
    } else {
        (Verdict::Unpublished, queue)
    };
    let facts = Facts {
        due_at: Some(row.due_at),
        tries: Some(row.tries),
        broker: of_broker.then(|| causes.broker.to_owned()),
        detail: detail.map(str::to_owned),
        ..row.suspect.facts()
    };
    let (name, value) = (ThresholdName::PublishGrace, thresholds.publish_grace_ms);
    let evidence = evidence(now, variant, name, value, facts);
    let (verdict, proven) = (Verdict::Unpublished, Confidence::Proven);
    let cause = Some(cause);
    Some(row.suspect.stall(verdict, proven, row.due_at, evidence, cause))
}

/// A queued task that a proven loss covers.
pub fn message_lost(suspect: Suspect, published_at: Time, loss: &Loss) -> Stall {
    let mut evidence = loss.evidence.clone();
    evidence.facts.dispatch = Some(suspect.dispatch);
    evidence.facts.published_at = Some(published_at);
    let span_ms = evidence.facts.span_ms.unwrap_or(0);
    let since = Time::from_ms(evidence.judged_at.ms() - span_ms);
    let (verdict, proven) = (Verdict::MessageLost, Confidence::Proven);
    suspect.stall(verdict, proven, since, evidence, Some(loss.cause.clone()))
}

/// What the broker says about a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerPresence {
    /// Its consumer tag is listed.
    Listed,
    /// It was, and is no longer.
    Gone {
        last_seen_at: Time,
    },
    /// It never was: a worker in another language may use any tag.
    NeverListed,
    Unknown,
}

/// A running task whose lease is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Lapsed {
    pub suspect: Suspect,
    pub worker: String,
    pub started_at: Option<Time>,
    pub lease_expires_at: Time,
    pub resent_at: Option<Time>,
}

/// The queue of a lapsed task, as of the newest reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takers {
    pub messages_ready: Option<Figure>,
    pub consumers: Option<Figure>,
}

/// A lease is over and nobody took over within the grace.
///
/// While the broker can't be seen nothing is said about the worker: once that is a finding (`blind`), the task gets
/// `unknown` under it.
pub fn lapsed(
    task: Lapsed,
    presence: WorkerPresence,
    takers: Takers,
    blind: Option<Subject>,
    now: Time,
    thresholds: &Thresholds,
) -> Option<Stall> {
    if now.ms_since(task.lease_expires_at) < thresholds.lease_grace_ms {
        return None;
    }
    let taker = match takers.consumers {
        Some(consumers) if consumers.value > 0 => Variant::Recovering,
        Some(_) => Variant::NoTaker,
        None => Variant::TakerUnknown,
    };
    let (verdict, confidence, variant, last_seen_at) = match presence {
        WorkerPresence::Listed => (Verdict::WorkerSilent, Confidence::Proven, taker, None),
        WorkerPresence::Gone { last_seen_at } => {
            let seen = Some(last_seen_at);
            (Verdict::WorkerLost, Confidence::Proven, taker, seen)
        }
        WorkerPresence::NeverListed => {
            let unseen = Variant::Unseen;
            (Verdict::WorkerLost, Confidence::Likely, unseen, None)
        }
        WorkerPresence::Unknown => (Verdict::Unknown, Confidence::Proven, Variant::Plain, None),
    };
    let cause = match presence {
        WorkerPresence::Unknown => (Verdict::Unknown, blind?),
        WorkerPresence::Listed | WorkerPresence::Gone { .. } | WorkerPresence::NeverListed => (
            verdict,
            Subject {
                scope: Scope::Worker,
                name: task.worker.clone(),
            },
        ),
    };
    let facts = Facts {
        worker: Some(task.worker),
        messages_ready: takers.messages_ready,
        consumers: takers.consumers,
        started_at: task.started_at,
        lease_expires_at: Some(task.lease_expires_at),
        resent_at: task.resent_at,
        last_seen_at,
        ..task.suspect.facts()
    };
    let (name, value) = (ThresholdName::LeaseGrace, thresholds.lease_grace_ms);
    let evidence = evidence(now, variant, name, value, facts);
    let since = task.lease_expires_at;
    Some(
        task.suspect
            .stall(verdict, confidence, since, evidence, Some(cause)),
    )
}

/// A running task with a timeout.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    pub suspect: Suspect,
    pub worker: Option<String>,
    pub started_at: Time,
    pub timeout_s: i64,
    pub lease_expires_at: Time,
}

/// Alive, and running for longer than its timeout.
pub fn overdue(task: Timed, now: Time) -> Option<Stall> {
    let timeout_ms = task.timeout_s.saturating_mul(1000);
    let alive = now < task.lease_expires_at;
    if !alive || now.ms_since(task.started_at) <= timeout_ms {
        return None;
    }
    let facts = Facts {
        worker: task.worker,
        started_at: Some(task.started_at),
        lease_expires_at: Some(task.lease_expires_at),
        ..task.suspect.facts()
    };
    let name = ThresholdName::Timeout;
    let evidence = evidence(now, Variant::Plain, name, timeout_ms, facts);
    let since = Time::from_ms(task.started_at.ms().saturating_add(timeout_ms));
    let (verdict, proven) = (Verdict::Overdue, Confidence::Proven);
    Some(task.suspect.stall(verdict, proven, since, evidence, None))
}
