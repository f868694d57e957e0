//! What is wrong with one task.

use uuid::Uuid;

use super::{Thresholds, evidence, messages::Loss};
use crate::domain::{
    evidence::{Facts, Figure, ThresholdName},
    finding::{CloseReason, Confidence, Scope, Stall, Subject, Variant, Verdict},
    observation::Publishing,
    task::State,
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
    fn stall(
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

    fn facts(&self) -> Facts {
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

/// An open stall beside its task as it is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenStall {
    pub verdict: Verdict,
    pub dispatch: i64,
    pub attempt: i64,
    pub since: Time,
    pub state: State,
    pub task_dispatch: i64,
    pub task_attempt: i64,
    pub published_at: Option<Time>,
    pub started_at: Option<Time>,
    pub lease_expires_at: Option<Time>,
    pub timeout_s: Option<i64>,
}

/// Whether the task's own row says that the stall is over, and why. Never looks at the broker: what was proven lost
/// does not come back by itself.
pub fn over(stall: &OpenStall, now: Time) -> Option<CloseReason> {
    // What ended the stall comes first, whatever the task did afterwards.
    if stall.task_dispatch != stall.dispatch {
        return Some(CloseReason::Requeued);
    }
    if stall.state.is_end() {
        return Some(CloseReason::Ended);
    }
    let beating = stall.lease_expires_at.is_some_and(|until| now < until);
    match stall.verdict {
        Verdict::Unpublished | Verdict::MessageLost => match stall.state {
            State::Running => Some(CloseReason::Claimed),
            _ => stall
                .published_at
                .filter(|at| stall.verdict == Verdict::Unpublished || *at > stall.since)
                .map(|_| CloseReason::Confirmed),
        },
        Verdict::WorkerLost | Verdict::WorkerSilent | Verdict::Unknown => {
            if stall.task_attempt != stall.attempt {
                Some(CloseReason::TakenOver)
            } else if beating {
                Some(CloseReason::BeatingAgain)
            } else {
                None
            }
        }
        Verdict::Overdue => {
            let timeout_ms = stall.timeout_s.map(|s| s.saturating_mul(1000));
            let late = timeout_ms
                .zip(stall.started_at)
                .is_some_and(|(timeout, started)| now.ms_since(started) > timeout);
            if stall.task_attempt != stall.attempt {
                Some(CloseReason::TakenOver)
            } else if !late {
                Some(CloseReason::Extended)
            } else if !beating {
                Some(CloseReason::Replaced)
            } else {
                None
            }
        }
        Verdict::NoConsumers
        | Verdict::ConsumersStuck
        | Verdict::Backlog
        | Verdict::LedgerShort
        | Verdict::LedgerOver
        | Verdict::QueueMissing
        | Verdict::BrokerAlarm => Some(CloseReason::Cleared),
    }
}
