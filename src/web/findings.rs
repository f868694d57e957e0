//! What the detector found, as pages show it: the sentence, the remedy and the evidence in the reader's language.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::{Site, i18n::Lang};
use crate::{
    domain::{
        evidence::{Evidence, Figure, Threshold, ThresholdName},
        finding::{About, CloseReason, Confidence, Freshness, Scope, Variant, Verdict, remedy, sentence},
        snooze::{End, Snooze},
        time::Time,
    },
    store::{
        StoreError,
        findings::{FalseAlarm, IncidentRow, Said, StallRow},
    },
};

/// What is still found is judged anew every few seconds; older numbers say so.
const OLD_AFTER_MS: i64 = 60_000;

/// A finding: about one task, or a cause with all its tasks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) id: Uuid,
    pub(crate) verdict: Verdict,
    pub(crate) confidence: Confidence,
    pub(crate) since: Time,
    pub(crate) sentence: String,
    pub(crate) remedy: String,
    pub(crate) evidence: Vec<Fact>,
    pub(crate) judged_at: Time,
    /// The rule's name and form.
    pub(crate) rule: String,
    pub(crate) closed: Option<Closed>,
    /// What people said about it.
    said: Said,
}

/// When a finding closed, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Closed {
    pub(crate) at: Time,
    pub(crate) reason: Option<CloseReason>,
}

/// One line of the evidence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    pub(crate) label: String,
    pub(crate) value: Value,
    /// Where a number was read, and when; absent for what the database said in the same moment.
    pub(crate) source: Option<String>,
    pub(crate) read_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Written out for the reader: a number, a span, a text.
    Text(String),
    At(Time),
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::At(_) => None,
        }
    }

    pub(crate) fn at(&self) -> Option<Time> {
        match self {
            Self::At(at) => Some(*at),
            Self::Text(_) => None,
        }
    }
}

/// Of which queues the broker's numbers are fresh: what is suggested rests on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    queues: HashSet<String>,
    /// Some queue was seen: enough for what is about a worker, whose queues are not known, or about the broker.
    any: bool,
}

impl Seen {
    pub(crate) async fn for_stalls(site: &Site, rows: &[StallRow]) -> Result<Self, StoreError> {
        Self::read(site, rows.iter().map(|row| Some(row.queue.as_str()))).await
    }

    pub(crate) async fn for_incidents(site: &Site, rows: &[IncidentRow]) -> Result<Self, StoreError> {
        let queues = rows.iter().map(|row| match row.subject.scope {
            Scope::Queue => Some(row.subject.name.as_str()),
            Scope::Worker | Scope::Broker => None,
        });
        Self::read(site, queues).await
    }

    async fn read<'a>(site: &Site, asked: impl Iterator<Item = Option<&'a str>>) -> Result<Self, StoreError> {
        let asked: BTreeSet<Option<&str>> = asked.collect();
        let mut seen = Self::default();
        if asked.is_empty() {
            return Ok(seen);
        }
        let after = site.store.now().await? - site.numbers_fresh_for;
        let queues: Vec<&str> = asked.iter().copied().flatten().collect();
        if !queues.is_empty() {
            seen.queues.extend(site.store.seen(&queues, after).await?);
        }
        if asked.contains(&None) {
            seen.any = site.store.any_seen(after).await?;
        }
        Ok(seen)
    }

    /// What is over suggests nothing any more.
    pub(crate) fn stall(&self, row: &StallRow) -> Freshness {
        freshness(row.closed_at.is_some() || self.queues.contains(&row.queue))
    }

    pub(crate) fn incident(&self, row: &IncidentRow) -> Freshness {
        let seen = match row.subject.scope {
            Scope::Queue => self.queues.contains(&row.subject.name),
            Scope::Worker | Scope::Broker => self.any,
        };
        freshness(row.closed_at.is_some() || seen)
    }
}

fn freshness(seen: bool) -> Freshness {
    if seen { Freshness::Fresh } else { Freshness::Old }
}

impl Finding {
    /// The ages in an open finding's sentence are as of `now`: it holds until it is closed.
    pub(crate) fn of_stall(l: Lang, row: &StallRow, now: Time, seen: &Seen) -> Self {
        Self::of(
            l,
            now,
            Found {
                about: About::Task,
                numbers: seen.stall(row),
                id: row.id,
                verdict: row.verdict,
                confidence: row.confidence,
                since: row.since,
                evidence: &row.evidence,
                closed: closed(row.closed_at, row.closed_reason),
            },
        )
    }

    /// The same for a cause.
    pub(crate) fn of_incident(l: Lang, row: &IncidentRow, now: Time, seen: &Seen) -> Self {
        Self::of(
            l,
            now,
            Found {
                about: About::Cause,
                numbers: seen.incident(row),
                id: row.id,
                verdict: row.verdict,
                confidence: row.confidence,
                since: row.since,
                evidence: &row.evidence,
                closed: closed(row.closed_at, row.closed_reason),
            },
        )
    }

    fn of(l: Lang, now: Time, found: Found<'_>) -> Self {
        let Found {
            about,
            numbers,
            verdict,
            since,
            evidence,
            ..
        } = found;
        let mut told = evidence.clone();
        if found.closed.is_none() {
            told.judged_at = told.judged_at.max(now);
            // The readings that are kept reach less far back than the finding.
            if verdict == Verdict::NoConsumers {
                told.facts.span_ms = told.facts.span_ms.max(Some(now.ms_since(since)));
            }
        }
        Self {
            id: found.id,
            verdict,
            confidence: found.confidence,
            since,
            sentence: l.phrase(&sentence(about, verdict, &told)).to_string(),
            remedy: l.phrase(&remedy(about, verdict, &told, numbers)).to_string(),
            evidence: facts(l, evidence),
            judged_at: evidence.judged_at,
            rule: match evidence.variant {
                Variant::Plain => verdict.as_str().to_owned(),
                variant => format!("{verdict} / {variant}"),
            },
            closed: found.closed,
            said: Said::default(),
        }
    }
}

impl Finding {
    /// The same, with what people said about it.
    pub(crate) fn with(self, said: Option<&Said>) -> Self {
        Self {
            said: said.cloned().unwrap_or_default(),
            ..self
        }
    }

    /// The snooze by which it is put off just now.
    pub(crate) fn snoozed(&self, now: &Time) -> Option<&Snooze> {
        let snooze = self.said.snooze.as_ref();
        snooze.filter(|snooze| self.closed.is_none() && snooze.holds(*now))
    }

    /// The snooze that it came back from by itself, and why.
    pub(crate) fn back(&self, now: &Time) -> Option<(&Snooze, End)> {
        let snooze = self.said.snooze.as_ref().filter(|_| self.closed.is_none())?;
        match snooze.ended {
            Some((_, end)) => Some((snooze, end)),
            // Nobody has noticed yet.
            None => (!snooze.holds(*now)).then_some((snooze, End::Over)),
        }
        .filter(|(_, end)| matches!(end, End::Over | End::Worse))
    }

    /// That somebody calls it wrong.
    pub(crate) fn false_alarm(&self) -> Option<&FalseAlarm> {
        self.said.false_alarm.as_ref()
    }

    /// Whether its sentence tells of numbers that nobody has confirmed for a while: what was lost stays lost, though the
    /// queue holds other messages by now.
    pub(crate) fn rests_on_old_numbers(&self, now: &Time) -> bool {
        now.ms_since(self.judged_at) > OLD_AFTER_MS
    }
}

/// What the rows of stalls and of incidents have in common.
struct Found<'a> {
    about: About,
    numbers: Freshness,
    id: Uuid,
    verdict: Verdict,
    confidence: Confidence,
    since: Time,
    evidence: &'a Evidence,
    closed: Option<Closed>,
}

fn closed(at: Option<Time>, reason: Option<CloseReason>) -> Option<Closed> {
    at.map(|at| Closed { at, reason })
}

/// What is wrong first: the order in which findings are read.
pub(crate) fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::BrokerAlarm => 0,
        Verdict::QueueMissing => 1,
        Verdict::MessageLost | Verdict::LedgerShort | Verdict::DeadLettered => 2,
        Verdict::Unpublished => 3,
        Verdict::NoConsumers | Verdict::ConsumersStuck => 4,
        Verdict::WorkerLost | Verdict::WorkerSilent | Verdict::CrashLoop => 5,
        Verdict::Overdue
        | Verdict::CancelIgnored
        | Verdict::DoubleRun
        | Verdict::AckDeadline
        | Verdict::QueueMismatch => 6,
        Verdict::Backlog => 7,
        Verdict::Unknown => 8,
        Verdict::LedgerOver => 9,
    }
}

/// Whether somebody has to do something about it, or it is only worth knowing.
pub(crate) fn needs_attention(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::LedgerOver | Verdict::Unknown)
}

/// The facts of `evidence` in the order in which they are read.
fn facts(l: Lang, evidence: &Evidence) -> Vec<Fact> {
    let facts = &evidence.facts;
    let mut told = Teller { l, facts: Vec::new() };
    told.text("broker", facts.broker.as_deref());
    told.text("queue", facts.queue.as_deref());
    told.text("kind", facts.kind.as_deref());
    told.text("worker", facts.worker.as_deref());
    told.number("attempt", facts.attempt);
    told.number("dispatch", facts.dispatch);
    told.figure("messages_ready", facts.messages_ready);
    told.figure("messages_unacknowledged", facts.messages_unacknowledged);
    told.figure("consumers", facts.consumers);
    told.number("prefetch", facts.prefetch);
    told.number("queued", facts.queued);
    told.number("running", facts.running);
    told.number("missing", facts.missing);
    told.number("surplus", facts.surplus);
    told.number("stalled", facts.stalled);
    told.number("moved_on", facts.moved_on);
    told.number("ended", facts.ended);
    told.number("overtaken_by", facts.overtaken_by);
    told.number("readings", facts.readings);
    told.span("span", facts.span_ms);
    told.number("ended_per_hour", facts.ended_per_hour);
    told.span("expected_wait", facts.expected_wait_ms);
    told.span("oldest_wait", facts.oldest_wait_ms);
    told.number("tries", facts.tries);
    told.at("due_at", facts.due_at);
    told.at("published_at", facts.published_at);
    told.at("started_at", facts.started_at);
    told.at("lease_expires_at", facts.lease_expires_at);
    told.at("resent_at", facts.resent_at);
    told.at("last_seen_at", facts.last_seen_at);
    told.at("blind_since", facts.blind_since);
    told.number("lost_attempts", facts.lost_attempts);
    told.number("max_attempts", facts.max_attempts);
    told.at("cancel_requested_at", facts.cancel_requested_at);
    told.at("beat_at", facts.beat_at);
    told.number("next_attempt", facts.next_attempt);
    told.text("next_worker", facts.next_worker.as_deref());
    told.at("next_started_at", facts.next_started_at);
    told.at("reported_at", facts.reported_at);
    told.number("samples", facts.samples);
    told.span("p99", facts.p99_ms);
    told.span("longest", facts.longest_ms);
    told.number("factor", facts.factor);
    told.span("ack_timeout", facts.ack_timeout_ms);
    told.span("ack_left", facts.ack_left_ms);
    told.at("head_at", facts.head_at);
    told.text("tracer_id", id(facts.tracer_id).as_deref());
    told.at("tracer_sent_at", facts.tracer_sent_at);
    told.at("tracer_delivered_at", facts.tracer_delivered_at);
    told.at("clear_at", facts.clear_at);
    told.text("second_tracer_id", id(facts.second_tracer_id).as_deref());
    told.at("second_tracer_sent_at", facts.second_tracer_sent_at);
    told.at("second_tracer_delivered_at", facts.second_tracer_delivered_at);
    told.figure("redelivered", facts.redelivered);
    told.figure("dead_letters", facts.dead_letters);
    told.at("died_at", facts.died_at);
    told.text("detail", facts.detail.as_deref());
    told.add(
        l.of("threshold", evidence.threshold.name).to_string(),
        threshold(l, evidence.threshold),
        None,
    );
    told.facts
}

fn id(id: Option<Uuid>) -> Option<String> {
    id.map(|id| id.hyphenated().to_string())
}

fn threshold(l: Lang, threshold: Threshold) -> Value {
    Value::Text(match threshold.name {
        ThresholdName::StuckSamples
        | ThresholdName::AlarmReadings
        | ThresholdName::CrashLoop
        | ThresholdName::NextAttempt
        | ThresholdName::AckDeadline => l.number(threshold.value),
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
        | ThresholdName::TracedMargin => l.span(threshold.value),
    })
}

/// Gathers the facts that are there. Each name is a word of the family `fact`.
struct Teller {
    l: Lang,
    facts: Vec<Fact>,
}

impl Teller {
    fn add(&mut self, label: String, value: Value, figure: Option<Figure>) {
        self.facts.push(Fact {
            label,
            value,
            source: figure.map(|figure| self.l.of("source", figure.source).to_string()),
            read_at: figure.map(|figure| figure.read_at),
        });
    }

    fn label(&self, name: &str) -> String {
        self.l.of("fact", name).to_string()
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.add(self.label(name), Value::Text(text.to_owned()), None);
        }
    }

    fn number(&mut self, name: &str, number: Option<i64>) {
        if let Some(number) = number {
            self.add(self.label(name), Value::Text(self.l.number(number)), None);
        }
    }

    fn span(&mut self, name: &str, ms: Option<i64>) {
        if let Some(ms) = ms {
            self.add(self.label(name), Value::Text(self.l.span(ms)), None);
        }
    }

    fn at(&mut self, name: &str, at: Option<Time>) {
        if let Some(at) = at {
            self.add(self.label(name), Value::At(at), None);
        }
    }

    fn figure(&mut self, name: &str, figure: Option<Figure>) {
        if let Some(figure) = figure {
            let value = Value::Text(self.l.number(figure.value));
            self.add(self.label(name), value, Some(figure));
        }
    }
}
