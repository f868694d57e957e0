//! What a finding rests on: the numbers, where each came from and how old it was, the rule and the threshold it used.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{finding::Variant, time::Time, words::words};

words! {
    /// Where a number was read.
    pub enum Source {
        Database = "database",
        /// AMQP `queue.declare` with `passive`: live.
        Declare = "passive_declare",
        /// `GET /api/queues?disable_stats=true&enable_queue_totals=true`: live for classic queues, up to 5 s late for
        /// quorum queues.
        Totals = "totals_list",
        /// The management statistics: up to 10 s late.
        Statistics = "statistics",
        /// `GET /api/health/checks/alarms`: live.
        Alarms = "alarms_check",
        /// The state of our own publishing connection.
        Link = "publish_link",
    }
}

/// A number as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    pub value: i64,
    pub source: Source,
    pub read_at: Time,
}

words! {
    /// The setting that a rule held the numbers against.
    pub enum ThresholdName {
        PublishGrace = "publish_grace_ms",
        LostStable = "lost_stable_ms",
        OvertakenMargin = "overtaken_margin_ms",
        LeaseGrace = "lease_grace_ms",
        Timeout = "timeout_ms",
        NoConsumers = "no_consumers_ms",
        StuckSamples = "stuck_samples",
        BacklogTarget = "backlog_target_ms",
        OverStable = "over_stable_ms",
        MissingStable = "missing_stable_ms",
        AlarmReadings = "alarm_readings",
        Blind = "blind_ms",
        CrashLoop = "crash_loop",
        CancelGrace = "cancel_grace_ms",
        /// Nothing to hold it against: the next attempt's beginning is enough.
        NextAttempt = "next_attempt",
        MismatchStable = "mismatch_stable_ms",
        AckDeadline = "ack_deadline_percent",
        DeadMargin = "dead_margin_ms",
        HeadMargin = "head_margin_ms",
        TracedMargin = "traced_margin_ms",
        /// From when on a run is unusual for its kind.
        Unusual = "unusual_ms",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    pub name: ThresholdName,
    pub value: i64,
}

/// The facts of one finding. What a rule did not look at is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub variant: Variant,
    pub threshold: Threshold,
    pub judged_at: Time,
    #[serde(flatten)]
    pub facts: Facts,
}

/// Every fact that some rule looks at; a rule fills in its own. Spans are milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_ready: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_unacknowledged: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers: Option<Figure>,
    /// Tasks that are queued and confirmed, or, of a finding about missing messages, those among them that were so
    /// before the oldest reading it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<i64>,
    /// At least this many tasks have no message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<i64>,
    /// So many more messages than tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surplus: Option<i64>,
    /// Readings that agree, and the time from the first to the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readings: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_ms: Option<i64>,
    /// Later messages that were handed out first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overtaken_by: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefetch: Option<i64>,
    /// Tasks that end per hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_per_hour: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_wait_ms: Option<i64>,
    /// How long the oldest waiting task has waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_wait_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<Time>,
    /// When the same dispatch was put out again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resent_at: Option<Time>,
    /// When the worker's consumer tag was last listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Time>,
    /// How often the publish was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<i64>,
    /// Since when the numbers are not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blind_since: Option<Time>,
    /// How many attempts since the last grant ended with the loss of their worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_requested_at: Option<Time>,
    /// The attempt's newest heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beat_at: Option<Time>,
    /// When a closed attempt reported its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Time>,
    /// The attempt after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_worker: Option<String>,
    /// After how long the broker takes a delivery back, and how much of that is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_timeout_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_left_ms: Option<i64>,
    /// When the oldest message of the queue was published, by its publisher's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_at: Option<Time>,
    /// Messages on the dead-letter queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<Figure>,
    /// When the message was put there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub died_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Successful runs of the kind in the last seven days: how many, what 99 of 100 did not exceed, and the longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_ms: Option<i64>,
    /// How many times that a run may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<i64>,
    /// The tracer that was delivered after the task's message must have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracer_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracer_sent_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracer_delivered_at: Option<Time>,
    /// When every message that consumers held was that of a running attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_at: Option<Time>,
    /// The tracer that was sent after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_tracer_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_tracer_sent_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_tracer_delivered_at: Option<Time>,
    /// Redeliveries of the queue since the broker began to count: as many before as after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivered: Option<Figure>,
    /// The tasks of a cause: still stalled, gone on by themselves, ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_on: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
    /// What the broker or the connection said, without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A variable of a sentence. The page writes it in the reader's way.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    Number(i64),
    Text(String),
    /// Milliseconds.
    Span(i64),
}

impl Evidence {
    /// What the sentences may speak of: one variable for each fact that is there, and ages as of the judgement.
    pub fn args(&self) -> Vec<(&'static str, Arg)> {
        let facts = &self.facts;
        let now = self.judged_at;
        let number = |value: Option<i64>| value.map(Arg::Number);
        let figure = |figure: Option<Figure>| figure.map(|figure| Arg::Number(figure.value));
        let span = |ms: Option<i64>| ms.map(Arg::Span);
        let text = |text: &Option<String>| text.clone().map(Arg::Text);
        let age = |at: Option<Time>| at.map(|at| Arg::Span(now.ms_since(at)));
        [
            ("queue", text(&facts.queue)),
            ("worker", text(&facts.worker)),
            ("broker", text(&facts.broker)),
            ("ready", figure(facts.messages_ready)),
            ("unacknowledged", figure(facts.messages_unacknowledged)),
            ("consumers", figure(facts.consumers)),
            ("queued", number(facts.queued)),
            ("running", number(facts.running)),
            ("missing", number(facts.missing)),
            ("surplus", number(facts.surplus)),
            ("readings", number(facts.readings)),
            ("span", span(facts.span_ms)),
            ("overtaken_by", number(facts.overtaken_by)),
            ("prefetch", number(facts.prefetch)),
            ("ended_per_hour", number(facts.ended_per_hour)),
            ("expected_wait", span(facts.expected_wait_ms)),
            ("oldest_wait", span(facts.oldest_wait_ms)),
            ("attempt", number(facts.attempt)),
            ("dispatch", number(facts.dispatch)),
            ("published_ago", age(facts.published_at)),
            ("due_ago", age(facts.due_at)),
            ("started_ago", age(facts.started_at)),
            ("lease_over", age(facts.lease_expires_at)),
            ("last_seen_ago", age(facts.last_seen_at)),
            ("tries", number(facts.tries)),
            ("blind", age(facts.blind_since)),
            ("lost_attempts", number(facts.lost_attempts)),
            ("max_attempts", number(facts.max_attempts)),
            ("cancelled_ago", age(facts.cancel_requested_at)),
            ("beat_ago", age(facts.beat_at)),
            ("reported_ago", age(facts.reported_at)),
            ("next_attempt", number(facts.next_attempt)),
            ("next_started_ago", age(facts.next_started_at)),
            ("next_worker", text(&facts.next_worker)),
            ("ack_timeout", span(facts.ack_timeout_ms)),
            ("ack_left", span(facts.ack_left_ms)),
            ("head_ago", age(facts.head_at)),
            ("dead_letters", figure(facts.dead_letters)),
            ("died_ago", age(facts.died_at)),
            ("kind", text(&facts.kind)),
            ("samples", number(facts.samples)),
            ("p99", span(facts.p99_ms)),
            ("longest", span(facts.longest_ms)),
            ("factor", number(facts.factor)),
            ("tracer_sent_ago", age(facts.tracer_sent_at)),
            ("tracer_delivered_ago", age(facts.tracer_delivered_at)),
            ("second_tracer_ago", age(facts.second_tracer_delivered_at)),
            ("stalled", number(facts.stalled)),
            ("moved_on", number(facts.moved_on)),
            ("ended", number(facts.ended)),
            ("detail", text(&facts.detail)),
            ("threshold", Some(self.threshold.arg())),
        ]
        .into_iter()
        .filter_map(|(name, arg)| Some((name, arg?)))
        .collect()
    }
}

impl Threshold {
    fn arg(self) -> Arg {
        match self.name {
            ThresholdName::StuckSamples
            | ThresholdName::AlarmReadings
            | ThresholdName::CrashLoop
            | ThresholdName::NextAttempt
            | ThresholdName::AckDeadline => Arg::Number(self.value),
            ThresholdName::PublishGrace
            | ThresholdName::LostStable
            | ThresholdName::OvertakenMargin
            | ThresholdName::LeaseGrace
            | ThresholdName::Timeout
            | ThresholdName::NoConsumers
            | ThresholdName::BacklogTarget
            | ThresholdName::OverStable
            | ThresholdName::MissingStable
            | ThresholdName::Blind
            | ThresholdName::CancelGrace
            | ThresholdName::MismatchStable
            | ThresholdName::DeadMargin
            | ThresholdName::HeadMargin
            | ThresholdName::Unusual
            | ThresholdName::TracedMargin => Arg::Span(self.value),
        }
    }
}
