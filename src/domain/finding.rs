//! A finding: what the detector says about a task, a queue, a worker or the broker, how sure it is, and in which words.

use uuid::Uuid;

use super::{
    evidence::{Arg, Evidence},
    time::Time,
    words::words,
};

words! {
    /// What is wrong. docs/verdicts.md says when each is given, and when it is not.
    pub enum Verdict {
        /// Queued and due, and the broker has not confirmed the message.
        Unpublished = "unpublished",
        /// Queued and confirmed, and the broker no longer holds the message.
        MessageLost = "message_lost",
        /// Running, its lease is over and its worker is gone from the broker.
        WorkerLost = "worker_lost",
        /// Running, its lease is over and its worker is still connected.
        WorkerSilent = "worker_silent",
        /// Running with a live lease for longer than its timeout, or, without one, than is usual for its kind.
        Overdue = "overdue",
        /// Its worker died again and again.
        CrashLoop = "crash_loop",
        /// Cancelled, and its worker goes on.
        CancelIgnored = "cancel_ignored",
        /// Two of its attempts did the work.
        DoubleRun = "double_run",
        /// Its current message lies on the dead-letter queue.
        DeadLettered = "dead_lettered",
        /// Running, and the broker is about to take its delivery back.
        AckDeadline = "ack_deadline",
        NoConsumers = "no_consumers",
        ConsumersStuck = "consumers_stuck",
        Backlog = "backlog",
        LedgerShort = "ledger_short",
        LedgerOver = "ledger_over",
        QueueMissing = "queue_missing",
        /// The queue exists with arguments that can lose messages.
        QueueMismatch = "queue_mismatch",
        BrokerAlarm = "broker_alarm",
        /// The numbers that a judgement needs are not there.
        Unknown = "unknown",
    }
}

impl Verdict {
    /// It is about an attempt that is alive: no heartbeat refutes it. A worker that beats more often than the detector writes
    /// would otherwise never be told of.
    pub const fn outlives_heartbeats(self) -> bool {
        matches!(self, Self::Overdue | Self::CancelIgnored | Self::AckDeadline)
    }

    /// Its remedy takes a task, a message or a worker from somebody, because the broker's numbers say so.
    const fn acts_by_numbers(self) -> bool {
        matches!(
            self,
            Self::MessageLost
                | Self::DeadLettered
                | Self::WorkerLost
                | Self::WorkerSilent
                | Self::ConsumersStuck
                | Self::LedgerShort
                | Self::QueueMissing
                | Self::QueueMismatch
        )
    }
}

/// Whether the broker's numbers are of the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// They are old, or not there.
    Old,
}

words! {
    pub enum Confidence {
        /// It follows from what was read.
        Proven = "proven",
        /// There is an innocent explanation, but an unusual one.
        Likely = "likely",
    }
}

words! {
    /// What an incident is about.
    pub enum Scope {
        Queue = "queue",
        Worker = "worker",
        Broker = "broker",
    }
}

words! {
    /// Which form of a verdict was found: it chooses the sentence and the remedy.
    pub enum Variant {
        /// The only form of its verdict.
        Plain = "plain",
        // unpublished: the cause the relay met.
        /// No relay has tried it yet, or its try is still under way.
        Untried = "untried",
        Unreachable = "unreachable",
        Blocked = "blocked",
        Nacked = "nacked",
        Unroutable = "unroutable",
        Unconfirmed = "unconfirmed",
        Refused = "refused",
        QueueMismatch = "queue_mismatch",
        // message_lost and ledger_short
        /// The broker holds no message of the queue at all.
        Empty = "empty",
        /// The broker holds messages, and each belongs to a task that runs.
        Accounted = "accounted",
        NoQueue = "no_queue",
        /// Later messages of the queue were handed out before it.
        Overtaken = "overtaken",
        /// Its message would be older than the oldest one of the queue.
        BehindHead = "behind_head",
        /// Two tracers came out, and nothing was handed out twice.
        Traced = "traced",
        Part = "part",
        All = "all",
        // worker_lost and worker_silent: who takes the task next.
        Recovering = "recovering",
        NoTaker = "no_taker",
        TakerUnknown = "taker_unknown",
        /// The worker's name was never a consumer tag, so its absence from the broker says little.
        Unseen = "unseen",
        // overdue
        /// It has no timeout, and its kind's runs take much less.
        Unusual = "unusual",
        // crash_loop
        /// Attempts are left: it is tried again.
        Trying = "trying",
        /// The task failed by it.
        GaveUp = "gave_up",
        // dead_lettered: why it lies there.
        Expired = "expired",
        Rejected = "rejected",
        Overflowed = "overflowed",
        DeliveryLimit = "delivery_limit",
        ByWorker = "by_worker",
        Unexplained = "unexplained",
        // backlog
        Slow = "slow",
        Old = "old",
        // broker_alarm
        Alarm = "alarm",
        // unknown: why the numbers are not there.
        TimedOut = "timed_out",
        Failed = "failed",
        StatisticsOff = "statistics_off",
        Absent = "absent",
    }
}

words! {
    /// Why a finding closed.
    pub enum CloseReason {
        /// What the rule looks for is no longer so.
        Cleared = "cleared",
        /// The broker confirmed the message.
        Confirmed = "confirmed",
        /// A worker took the task.
        Claimed = "claimed",
        TakenOver = "taken_over",
        Requeued = "requeued",
        /// A policy put the same message out again.
        Resent = "resent",
        Ended = "ended",
        /// The worker's heartbeats are back.
        BeatingAgain = "beating_again",
        Extended = "extended",
        /// Another verdict fits now.
        Replaced = "replaced",
        /// The numbers are there again.
        SeenAgain = "seen_again",
        /// No task is left under the incident.
        Settled = "settled",
        /// It was told for a day.
        Past = "past",
        /// The queue is not one of ours any more.
        Forgotten = "forgotten",
    }
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    pub scope: Scope,
    /// The queue, the worker, or the broker's address without credentials.
    pub name: String,
}

impl Subject {
    pub fn queue(name: &str) -> Self {
        Self {
            scope: Scope::Queue,
            name: name.to_owned(),
        }
    }
}

/// One cause, found in one pass: an incident to open or to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    pub verdict: Verdict,
    pub subject: Subject,
    pub confidence: Confidence,
    /// Since when it has been so, as far as the readings reach back.
    pub since: Time,
    /// How many tasks it touches. For causes that fold stalls, the number of those is counted instead.
    pub tasks: i64,
    pub evidence: Evidence,
}

/// A finding about one task: a stall to open or to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Stall {
    pub task_id: Uuid,
    pub queue: String,
    /// The dispatch and attempt that were judged: a later one is another story.
    pub dispatch: i64,
    pub attempt: i64,
    /// The task's version when it was judged.
    pub version: i64,
    pub verdict: Verdict,
    pub confidence: Confidence,
    pub since: Time,
    pub evidence: Evidence,
    /// The cause it is folded under.
    pub cause: Option<(Verdict, Subject)>,
}

words! {
    /// Whether a finding is about one task or about a cause with all its tasks.
    pub enum About {
        Task = "task",
        Cause = "cause",
    }
}

/// A text of the catalogues: its key, and what its variables stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Phrase {
    pub key: String,
    pub args: Vec<(&'static str, Arg)>,
}

/// What is wrong, in one sentence: the key `stall-<verdict>-<variant>` or `incident-<verdict>-<variant>`.
pub fn sentence(about: About, verdict: Verdict, evidence: &Evidence) -> Phrase {
    Phrase {
        key: sentence_key(about, verdict, evidence.variant),
        args: evidence.args(),
    }
}

/// What to do about it, under the sentence's key with `-remedy` after it. Nothing that takes something from somebody is
/// suggested by old numbers: then it says that they are old.
pub fn remedy(about: About, verdict: Verdict, evidence: &Evidence, numbers: Freshness) -> Phrase {
    if numbers == Freshness::Old && verdict.acts_by_numbers() {
        return Phrase {
            key: NO_REMEDY.to_owned(),
            args: Vec::new(),
        };
    }
    Phrase {
        key: format!("{}-remedy", sentence_key(about, verdict, evidence.variant)),
        args: evidence.args(),
    }
}

fn sentence_key(about: About, verdict: Verdict, variant: Variant) -> String {
    let family = match about {
        About::Task => "stall",
        About::Cause => "incident",
    };
    format!("{family}-{verdict}-{variant}")
}

/// Every form in which a verdict is given, about a task or about a cause.
pub const FORMS: &[(About, Verdict, &[Variant])] = {
    use Variant::*;
    const PUBLISH: &[Variant] = &[
        Untried,
        Unreachable,
        Blocked,
        Nacked,
        Unroutable,
        Unconfirmed,
        Refused,
        QueueMismatch,
    ];
    const TAKERS: &[Variant] = &[Recovering, NoTaker, TakerUnknown];
    const LOST: &[Variant] = &[Recovering, NoTaker, TakerUnknown, Unseen];
    const DEATHS: &[Variant] = &[
        Expired,
        Rejected,
        Overflowed,
        DeliveryLimit,
        ByWorker,
        Unexplained,
    ];
    const BLIND: &[Variant] = &[Unreachable, TimedOut, Refused, Failed, StatisticsOff, Absent];
    &[
        (About::Task, Verdict::Unpublished, PUBLISH),
        (
            About::Task,
            Verdict::MessageLost,
            &[Empty, Accounted, NoQueue, Overtaken, BehindHead, Traced],
        ),
        (About::Task, Verdict::WorkerLost, LOST),
        (About::Task, Verdict::WorkerSilent, TAKERS),
        (About::Task, Verdict::Overdue, &[Plain, Unusual]),
        (About::Task, Verdict::Unknown, &[Plain]),
        (About::Task, Verdict::CrashLoop, &[Trying, GaveUp]),
        (About::Task, Verdict::CancelIgnored, &[Plain]),
        (About::Task, Verdict::DoubleRun, &[Plain]),
        (About::Task, Verdict::AckDeadline, &[Plain]),
        (About::Task, Verdict::DeadLettered, DEATHS),
        (About::Cause, Verdict::Unpublished, PUBLISH),
        (About::Cause, Verdict::WorkerLost, LOST),
        (About::Cause, Verdict::WorkerSilent, TAKERS),
        (About::Cause, Verdict::CrashLoop, &[Trying, GaveUp]),
        (About::Cause, Verdict::CancelIgnored, &[Plain]),
        (About::Cause, Verdict::DoubleRun, &[Plain]),
        (About::Cause, Verdict::AckDeadline, &[Plain]),
        (About::Cause, Verdict::DeadLettered, DEATHS),
        (About::Cause, Verdict::MessageLost, &[Traced]),
        (About::Cause, Verdict::QueueMismatch, &[Plain]),
        (About::Cause, Verdict::NoConsumers, &[Plain]),
        (About::Cause, Verdict::ConsumersStuck, &[Plain]),
        (About::Cause, Verdict::Backlog, &[Slow, Old]),
        (About::Cause, Verdict::LedgerShort, &[Part, All]),
        (About::Cause, Verdict::LedgerOver, &[Plain]),
        (About::Cause, Verdict::QueueMissing, &[Plain]),
        (About::Cause, Verdict::BrokerAlarm, &[Alarm, Blocked]),
        (About::Cause, Verdict::Unknown, BLIND),
    ]
};

/// The key of what is said instead of a remedy when the numbers are old.
const NO_REMEDY: &str = "remedy-old-numbers";

/// The keys of every sentence and remedy that a finding can ask for: what the catalogues must hold.
pub fn phrase_keys() -> Vec<String> {
    let of_forms = FORMS.iter().flat_map(|(about, verdict, variants)| {
        variants.iter().flat_map(|variant| {
            let key = sentence_key(*about, *verdict, *variant);
            [format!("{key}-remedy"), key]
        })
    });
    of_forms.chain([NO_REMEDY.to_owned()]).collect()
}
