//! What the rules look at: the broker's numbers, the database's counts, and the last few readings of both.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    evidence::{Figure, Source},
    finding::Variant,
    queue_setup::AckTimeout,
    time::Time,
    tracer::Obstacle,
    words::words,
};

words! {
    /// Why numbers are not there.
    pub enum Blindness {
        Unreachable = "unreachable",
        TimedOut = "timed_out",
        /// The login or the permission was refused.
        Refused = "refused",
        /// It answered with an error, or with something that is no answer.
        Failed = "failed",
        /// The broker collects no statistics.
        StatisticsOff = "statistics_off",
    }
}

impl Blindness {
    pub const fn variant(self) -> Variant {
        match self {
            Self::Unreachable => Variant::Unreachable,
            Self::TimedOut => Variant::TimedOut,
            Self::Refused => Variant::Refused,
            Self::Failed => Variant::Failed,
            Self::StatisticsOff => Variant::StatisticsOff,
        }
    }
}

/// Numbers that are not there, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blind {
    pub why: Blindness,
    /// What happened, without credentials.
    pub detail: String,
}

/// One reading of the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerSight {
    /// Set when the management API gave nothing at all.
    pub blind: Option<Blind>,
    /// Set when it gives no consumer details.
    pub statistics: Option<Blind>,
    /// How long before this look the consumers were listed, in milliseconds; `None` when they are not known.
    pub consumers_age_ms: Option<i64>,
    /// The alarms in force; `None` when that is not known.
    pub alarms: Option<Vec<String>>,
    pub publishing: Publishing,
    /// Our connection to the broker began anew since the reading before, and maybe the broker: older readings say
    /// nothing.
    pub restarted: bool,
    pub queues: HashMap<String, QueueSight>,
}

/// How our own publishing connection is doing. The relay tries nothing while it is not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publishing {
    Open,
    /// The broker takes no publishes; what it said.
    Blocked(String),
    /// There is no connection; why.
    Down(String),
}

words! {
    pub enum Presence {
        Here = "here",
        Missing = "missing",
        /// The broker did not say.
        Unseen = "unseen",
    }
}

/// One reading of a queue by the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueSight {
    pub numbers: Numbers,
    /// The consumers; birth shows up to 5 s late, death within 0.3 s. `None` when they are not known.
    pub tags: Option<ConsumerTags>,
    /// `None` when they are not known, or too old.
    pub settings: Option<QueueSettings>,
    /// When its oldest message was published, by the publisher's clock; classic queues only.
    pub head_at: Option<Time>,
    /// Redeliveries since the broker began to count; up to 12 s late.
    pub redelivered: Option<Figure>,
    /// The last look at its dead-letter queue; `None` before the first.
    pub dead: Option<DeadSight>,
    /// At this look everything on its dead-letter queue was known. Asked only while tasks of the queue seem lost.
    pub dead_known: bool,
    /// The queue counts from 0 again: it was declared anew, or its node restarted.
    pub restarted: bool,
}

/// Consumer tags, and how many messages each may hold unacknowledged; `None` when that has no limit or is not known.
pub type ConsumerTags = BTreeMap<String, Option<i64>>;

/// A look at a dead-letter queue.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadSight {
    /// Tells one look from another.
    pub look: u64,
    /// Messages on it, and when they were counted.
    pub depth: Figure,
    pub letters: Arc<Vec<DeadLetter>>,
    /// All of it was seen.
    pub complete: bool,
}

/// A task's message on a dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub task_id: Uuid,
    /// `None` counts as the current one.
    pub dispatch: Option<i64>,
    pub cause: DeathCause,
    /// What the worker said that put it there.
    pub detail: Option<String>,
    /// By a clock that is not the database's.
    pub died_at: Option<Time>,
}

words! {
    /// Why a message was dead-lettered.
    pub enum DeathCause {
        Expired = "expired",
        Rejected = "rejected",
        Overflowed = "overflowed",
        DeliveryLimit = "delivery_limit",
        ByWorker = "by_worker",
        Unexplained = "unexplained",
    }
}

impl DeathCause {
    pub const fn variant(self) -> Variant {
        match self {
            Self::Expired => Variant::Expired,
            Self::Rejected => Variant::Rejected,
            Self::Overflowed => Variant::Overflowed,
            Self::DeliveryLimit => Variant::DeliveryLimit,
            Self::ByWorker => Variant::ByWorker,
            Self::Unexplained => Variant::Unexplained,
        }
    }
}

/// How the broker has set a queue up.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueSettings {
    /// How it differs from how Unstuck declares it.
    pub mismatches: Vec<Mismatch>,
    pub ack_timeout: AckTimeout,
    /// Why no tracer may be sent to it.
    pub obstacle: Option<Obstacle>,
}

/// One argument that is not as Unstuck declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// RabbitMQ's word.
    pub argument: String,
    pub expected: String,
    pub actual: String,
    /// Messages can be lost by it.
    pub harmful: bool,
}

/// The broker's numbers of a queue. Each is absent when the broker did not give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub presence: Presence,
    /// The freshest numbers there are: what pages show.
    pub ready: Option<Figure>,
    pub unacknowledged: Option<Figure>,
    pub consumers: Option<Figure>,
    /// Ready and unacknowledged of one moment: what proofs rest on.
    pub snapshot: Option<Snapshot>,
    /// The sum of the consumers' prefetch; `None` when one of them is unlimited or it is not known.
    pub prefetch: Option<i64>,
}

impl Numbers {
    /// A queue of which nothing is known.
    pub const UNSEEN: Self = Self {
        presence: Presence::Unseen,
        ready: None,
        unacknowledged: None,
        consumers: None,
        snapshot: None,
        prefetch: None,
    };

    /// Whether every number that the ledger shows is there.
    pub fn is_complete(&self) -> bool {
        self.presence == Presence::Here
            && self.ready.is_some()
            && self.unacknowledged.is_some()
            && self.consumers.is_some()
    }
}

/// Ready and unacknowledged messages of one moment, which lies at most `lag_ms` before the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub ready: i64,
    pub unacknowledged: i64,
    pub lag_ms: i64,
}

/// How late the numbers of `source` can be (RabbitMQ 3.10.8, measured; with a margin for a busy machine).
pub const fn lag_ms(source: Source, quorum: bool) -> i64 {
    match (source, quorum) {
        (Source::Totals, true) => 7_000,
        (Source::Totals, false) | (Source::Declare, _) => 1_000,
        (Source::Statistics, _) => 12_000,
        (Source::Database | Source::Alarms | Source::Link, _) => 0,
    }
}

/// What the database says about a queue, read after the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// Queued and confirmed.
    pub queued: i64,
    /// Queued, confirmed since before `settled_before`, and so in the same dispatch ever since.
    pub settled: i64,
    /// Queued, confirmed or not.
    pub waiting: i64,
    /// When the oldest queued task was confirmed.
    pub oldest_published_at: Option<Time>,
    /// Publish intents that are due.
    pub in_flight: i64,
    pub running: i64,
    /// Running attempts that hold a message.
    pub holding: i64,
    /// Running with a live lease.
    pub live: i64,
    /// Running with a live lease, holding a message since before the oldest moment the snapshot can show, and run by
    /// a worker that the broker lists as a consumer of the queue.
    pub held: i64,
    /// Running with a lease that is over and a copy put out since, confirmed before `settled_before`: they wait for a worker
    /// as the settled ones do.
    pub copies: i64,
    /// Tracers that are out: confirmed, and waited for.
    pub tracers: i64,
    /// Tracers that the broker may hold, at most.
    pub tracers_at_most: i64,
}

/// What the queue's tasks did, counted up since the detector began to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    pub claimed: i64,
    pub ended: i64,
}

/// One reading of a queue: what the broker and what the database said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Before the broker was asked.
    pub at: Time,
    pub numbers: Numbers,
    pub facts: QueueFacts,
    pub activity: Activity,
    /// The wait that a new task of the queue may expect, from the tasks that ended lately; `None` when that says nothing.
    pub expected_wait_ms: Option<i64>,
}

impl Sample {
    fn moment(&self) -> (Time, Option<Snapshot>) {
        (self.at, self.numbers.snapshot)
    }

    /// Messages of tasks are ready and nobody consumes, by live numbers of this very reading.
    fn is_untouched(&self) -> bool {
        let live = |figure: Option<Figure>| {
            figure
                .filter(|figure| figure.source == Source::Declare && figure.read_at >= self.at)
                .map(|figure| figure.value)
        };
        let Numbers {
            presence,
            ready,
            consumers,
            ..
        } = self.numbers;
        presence == Presence::Here
            && live(ready).is_some()
            && self.ready_for_tasks().is_some_and(|ready| ready > 0)
            && live(consumers) == Some(0)
    }

    /// Messages that are ready, less those that may be tracers.
    pub fn ready_for_tasks(&self) -> Option<i64> {
        let ready = self.numbers.ready?.value;
        Some((ready - self.facts.tracers_at_most).max(0))
    }

    /// Messages in a consumer's buffer whose task does not run yet, at most.
    ///
    /// Less unacknowledged messages than attempts that should hold one: a consumer acknowledges early, so nothing can
    /// be subtracted.
    pub fn buffered(&self) -> Option<i64> {
        let Snapshot { unacknowledged, .. } = self.numbers.snapshot?;
        let held = self.facts.held;
        Some(if held > unacknowledged {
            unacknowledged
        } else {
            unacknowledged - held
        })
    }
}

/// The last readings of one queue, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Window {
    samples: VecDeque<Sample>,
    /// Proofs may not reach further back than this: the broker restarted, and its numbers settle.
    proofs_from: Option<Time>,
    /// Since when no reading left room for a message in a consumer's buffer.
    unbuffered_since: Option<Time>,
    /// Since when messages waited and nobody was there to take one, in every reading.
    untouched_since: Option<Time>,
    /// How long, and how many, readings are kept at least.
    kept_ms: i64,
    kept: usize,
}

/// How long readings are kept for the rules at least, how many of them, and how many at most.
const KEPT_MS: i64 = 150_000;
const KEPT_MIN: usize = 8;
const KEPT: usize = 1_024;
/// For so long after a restart the broker's numbers prove nothing: counts are absent or 0 for 5–10 s.
const SETTLE_MS: i64 = 10_000;

impl Window {
    /// Keeps readings for `ms`, and `count` of them, where that is more than usual: for rules that look further back.
    pub fn keep(&mut self, ms: i64, count: usize) {
        self.kept_ms = ms;
        self.kept = count;
    }

    /// Adds a reading and lets go of what is too old. A clock that stepped back empties the window.
    pub fn push(&mut self, sample: Sample) {
        if self.newest().is_some_and(|last| last.at >= sample.at) {
            self.clear();
        }
        self.unbuffered_since = match sample.buffered() {
            Some(0) => self.unbuffered_since.or(Some(sample.at)),
            _ => None,
        };
        // What was claimed since the reading before may have been claimed after this one, too.
        let still = |last: &Sample| last.activity.claimed == sample.activity.claimed;
        self.untouched_since = match self.newest() {
            Some(last) if sample.is_untouched() && still(last) => self.untouched_since.or(Some(sample.at)),
            _ => None,
        };
        while self.samples.len() >= KEPT
            || (self.samples.len() > self.kept.max(KEPT_MIN)
                && self.samples[0].at.ms() < sample.at.ms() - self.kept_ms.max(KEPT_MS))
        {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Forgets everything read so far.
    pub fn clear(&mut self) {
        self.samples.clear();
        self.unbuffered_since = None;
        self.untouched_since = None;
    }

    /// Forgets everything read so far. Nothing is proven before `from` plus the time the broker's numbers need to settle.
    pub fn restart(&mut self, from: Time) {
        self.clear();
        self.proofs_from = Some(Time::from_ms(from.ms() + SETTLE_MS));
    }

    pub fn newest(&self) -> Option<&Sample> {
        self.samples.back()
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Since when no reading left room for a message in a consumer's buffer, as far back as there were readings.
    pub fn unbuffered_since(&self) -> Option<Time> {
        self.unbuffered_since
    }

    /// Since when messages waited in the queue and nobody was there to take one, in every reading up to the newest;
    /// `None` when that does not hold in the newest. Somebody may fetch without consuming: claims end it too.
    pub fn untouched_since(&self) -> Option<Time> {
        self.untouched_since
    }

    /// Newest first.
    pub fn backwards(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().rev()
    }

    /// The newest readings, as few as span the time a proof needs; `None` when they do not reach back far enough without
    /// a gap. Newest first.
    pub fn proof(&self) -> Option<Vec<&Sample>> {
        let count = self.reach(self.backwards().map(Sample::moment))?;
        Some(self.backwards().take(count).collect())
    }

    /// The instant before which a task must have been confirmed for a proof to cover it, if a reading of `at` with
    /// `numbers` came next: its message was there throughout, or is lost. `None` while nothing could be proven.
    pub fn settled_before(&self, at: Time, numbers: &Numbers) -> Option<Time> {
        let moments = || std::iter::once((at, numbers.snapshot)).chain(self.backwards().map(Sample::moment));
        let count = self.reach(moments())?;
        moments()
            .take(count)
            .filter_map(|(at, snapshot)| Some(Time::from_ms(at.ms() - snapshot?.lag_ms)))
            .min()
    }

    fn reach(&self, newest_first: impl Iterator<Item = (Time, Option<Snapshot>)>) -> Option<usize> {
        let mut newest = None;
        let mut span = 0;
        for (index, (at, snapshot)) in newest_first.enumerate() {
            let newest = *newest.get_or_insert(at);
            if self.proofs_from.is_some_and(|from| at < from) {
                return None;
            }
            span = span.max(proof_span_ms(snapshot?.lag_ms));
            if index > 0 && newest.ms_since(at) >= span {
                return Some(index + 1);
            }
        }
        None
    }

    /// Since when `so` has held in every reading up to the newest; `None` when it does not hold in the newest.
    pub fn since(&self, so: impl Fn(&Sample) -> bool) -> Option<Time> {
        self.backwards()
            .take_while(|sample| so(sample))
            .last()
            .map(|sample| sample.at)
    }
}

/// How long readings must agree before they prove something. Each is right by itself, as of a moment within its lag;
/// a second one guards against a number that is later still.
pub const fn proof_span_ms(lag_ms: i64) -> i64 {
    if lag_ms <= 1_000 {
        3_000
    } else if lag_ms <= 7_000 {
        4_500
    } else {
        12_000
    }
}
