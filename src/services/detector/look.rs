//! One look at the broker, in the rules' words.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use super::{
    dead::{Graveyard, Suspects},
    described::Descriptions,
};
use crate::{
    broker::{
        BrokerReader, BrokerReading, LinkState, QueueReading, QueueSpec, QueueState, QueueType,
        management::{ConsumerDetail, Counters, ManagementLink},
        reading::{Origin, ReadAt, ReadProblem, Source as ReadFrom},
    },
    domain::{
        broker_queue::BrokerQueue,
        broker_version::BrokerVersion,
        evidence::{Figure, Source},
        lint::differences,
        observation::{
            Blind, Blindness, BrokerSight, ConsumerTags, Numbers, Presence, Publishing, QueueSettings,
            QueueSight, Snapshot, lag_ms,
        },
        time::Time,
        tracer::Obstacle,
    },
    store::QueueRow,
};

/// What the reader keeps from earlier passes counts for three intervals, and for this long at least.
const KEPT_MIN: Duration = Duration::from_secs(15);

/// Reads the broker and notices when it began anew.
pub(super) struct Eyes {
    reader: BrokerReader,
    publish_link: watch::Receiver<LinkState>,
    probe_link: watch::Receiver<LinkState>,
    management: watch::Sender<ManagementLink>,
    kept: Duration,
    /// Since when the probing connection, as of the last look, has been up.
    probe_since: Option<SystemTime>,
    graveyard: Graveyard,
    counters: HashMap<String, Counters>,
    descriptions: Descriptions,
}

impl Eyes {
    pub(super) fn new(
        reader: BrokerReader,
        publish_link: watch::Receiver<LinkState>,
        probe_link: watch::Receiver<LinkState>,
        every: Duration,
    ) -> Self {
        Self {
            reader,
            publish_link,
            probe_link,
            management: watch::Sender::default(),
            kept: (every * 3).max(KEPT_MIN),
            probe_since: None,
            graveyard: Graveyard::default(),
            counters: HashMap::new(),
            descriptions: Descriptions::default(),
        }
    }

    pub(super) fn link(&self) -> watch::Receiver<LinkState> {
        self.probe_link.clone()
    }

    pub(super) fn management(&self) -> watch::Receiver<ManagementLink> {
        self.management.subscribe()
    }

    /// Another process looks: what this one saw earlier says nothing any more.
    pub(super) fn close(&self) {
        self.note(ManagementLink::Unasked);
    }

    /// Shows how the management API is doing, and logs it when that changed.
    fn note(&self, link: ManagementLink) {
        let changed = self.management.send_if_modified(|shown| {
            let changed = *shown != link;
            shown.clone_from(&link);
            changed
        });
        match link {
            ManagementLink::Down { kind, detail } if changed => {
                tracing::warn!(
                    link = "management",
                    cause = kind,
                    detail,
                    "the management API gives no figures"
                );
            }
            ManagementLink::Up if changed => {
                tracing::info!(link = "management", "the management API answers");
            }
            ManagementLink::Down { .. } | ManagementLink::Up | ManagementLink::Unasked => {}
        }
    }

    /// Reads everything about `queues`. `now` is the database's time at the beginning.
    pub(super) async fn look(&mut self, queues: &[QueueRow], suspects: &Suspects, now: Time) -> BrokerSight {
        let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
        let reading = self.reader.read(&names).await;
        self.note(ManagementLink::of(&reading));
        // After the numbers: what left a queue before they were read lies there by now.
        let mut buried = self.graveyard.look(&self.reader, &names, suspects, now).await;
        let publishing = match &*self.publish_link.borrow() {
            LinkState::Connecting | LinkState::Up { .. } => Publishing::Open,
            LinkState::Blocked { reason, .. } => Publishing::Blocked(reason.clone()),
            LinkState::Down { detail, .. } => Publishing::Down(detail.clone()),
        };
        let restarted = self.reconnected();
        let anew = self.counted_anew(&reading);
        self.descriptions.note(&reading);
        let view = View {
            reading: &reading,
            now,
            kept: self.kept,
        };
        BrokerSight {
            blind: view.problem(ReadFrom::Totals),
            statistics: view.problem(ReadFrom::Consumers),
            consumers_age_ms: view.consumers_age_ms(),
            alarms: reading.alarms.as_ref().map(|alarms| {
                alarms
                    .iter()
                    .map(|alarm| format!("{} ({})", alarm.resource, alarm.node))
                    .collect()
            }),
            publishing,
            restarted,
            queues: queues
                .iter()
                .filter_map(|queue| {
                    let mut sight = view.queue(reading.queues.get(&queue.name)?, queue);
                    sight.restarted = anew.contains(&queue.name);
                    sight.dead = buried.seen.remove(&queue.name);
                    sight.dead_known = buried.known.contains(&queue.name);
                    Some((queue.name.clone(), sight))
                })
                .collect(),
        }
    }

    /// How the broker described the queues at the last look, as far as that is worth keeping again.
    pub(super) fn described(&mut self, now: Time) -> Vec<(String, Time, BrokerQueue)> {
        self.descriptions.take(now)
    }

    /// Whether the connection was made anew since the last look.
    fn reconnected(&mut self) -> bool {
        let since = match &*self.probe_link.borrow() {
            LinkState::Up { since } | LinkState::Blocked { since, .. } => Some(*since),
            LinkState::Connecting | LinkState::Down { .. } => None,
        };
        let reconnected = match (self.probe_since, since) {
            (Some(before), Some(now)) => before != now,
            _ => false,
        };
        self.probe_since = since.or(self.probe_since);
        reconnected
    }

    /// The queues whose counters went backwards since the last look.
    fn counted_anew(&mut self, reading: &BrokerReading) -> HashSet<String> {
        let mut anew = HashSet::new();
        for (queue, reading) in &reading.queues {
            let Some(detail) = &reading.detail else {
                continue;
            };
            let now = detail.counters;
            let fell = |before: Option<u64>, now: Option<u64>| {
                before.is_some_and(|before| now.is_none_or(|now| now < before))
            };
            if let Some(before) = self.counters.insert(queue.clone(), now)
                && (fell(before.publish, now.publish)
                    || fell(before.ack, now.ack)
                    || fell(before.deliver_get, now.deliver_get))
            {
                anew.insert(queue.clone());
            }
        }
        self.counters
            .retain(|queue, _| reading.queues.contains_key(queue));
        anew
    }
}

/// A reading, and how its times are told.
struct View<'a> {
    reading: &'a BrokerReading,
    now: Time,
    kept: Duration,
}

impl View<'_> {
    /// How long before this pass something was read.
    fn age(&self, read_at: ReadAt) -> Duration {
        self.reading.at.instant.saturating_duration_since(read_at.instant)
    }

    /// The list of consumers is one for all queues.
    fn consumers_age_ms(&self) -> Option<i64> {
        let mut read = self.reading.queues.values();
        let at = read.find_map(|queue| queue.consumer_details_at)?;
        i64::try_from(self.age(at).as_millis()).ok()
    }

    fn problem(&self, source: ReadFrom) -> Option<Blind> {
        let ReadProblem { kind, detail, .. } = self
            .reading
            .problems
            .iter()
            .find(|problem| problem.source == source)?;
        let why = match *kind {
            "unreachable" => Blindness::Unreachable,
            "timed_out" => Blindness::TimedOut,
            "refused" => Blindness::Refused,
            "disabled" => Blindness::StatisticsOff,
            _ => Blindness::Failed,
        };
        Some(Blind {
            why,
            detail: detail.clone(),
        })
    }

    fn figure(&self, value: Option<u64>, origin: Option<Origin>) -> Option<Figure> {
        let origin = origin?;
        let age = self.age(origin.read_at);
        if age > self.kept {
            return None;
        }
        Some(Figure {
            value: i64::try_from(value?).unwrap_or(i64::MAX),
            source: match origin.source {
                ReadFrom::Probe => Source::Declare,
                ReadFrom::Totals => Source::Totals,
                ReadFrom::Details | ReadFrom::Consumers | ReadFrom::Overview => Source::Statistics,
                ReadFrom::Alarms => Source::Alarms,
            },
            read_at: self.now - age,
        })
    }

    fn queue(&self, reading: &QueueReading, row: &QueueRow) -> QueueSight {
        let presence = match reading.state {
            QueueState::Present => Presence::Here,
            QueueState::Missing => Presence::Missing,
            QueueState::Unknown => Presence::Unseen,
        };
        if presence != Presence::Here {
            let numbers = Numbers {
                presence,
                ..Numbers::UNSEEN
            };
            return QueueSight {
                numbers,
                tags: None,
                settings: None,
                head_at: None,
                redelivered: None,
                dead: None,
                dead_known: false,
                restarted: false,
            };
        }
        let consumers = reading.consumer_details.as_ref().filter(|_| {
            reading
                .consumer_details_at
                .is_some_and(|at| self.age(at) <= self.kept)
        });
        // Unknown: taken for the later of the two.
        let quorum = reading.queue_type.as_deref().unwrap_or(&row.queue_type) != "classic";
        QueueSight {
            numbers: Numbers {
                presence,
                ready: self.figure(reading.ready, reading.ready_from),
                unacknowledged: self.figure(reading.unacknowledged, reading.unacknowledged_from),
                consumers: self.figure(reading.consumers, reading.consumers_from),
                snapshot: self.snapshot(reading, quorum),
                prefetch: consumers.and_then(|consumers| consumers.iter().map(limit).sum()),
            },
            tags: consumers.map(|consumers| tags(consumers)),
            settings: self.settings(reading, row),
            head_at: self.head_at(reading).filter(|_| !quorum),
            redelivered: self.redelivered(reading),
            dead: None,
            dead_known: false,
            restarted: false,
        }
    }

    fn redelivered(&self, reading: &QueueReading) -> Option<Figure> {
        let age = self.age(reading.detail_at?);
        let value = reading.detail.as_ref()?.counters.redeliver?;
        (age <= self.kept).then(|| Figure {
            value: i64::try_from(value).unwrap_or(i64::MAX),
            source: Source::Statistics,
            read_at: self.now - age,
        })
    }

    fn head_at(&self, reading: &QueueReading) -> Option<Time> {
        if self.age(reading.detail_at?) > self.kept {
            return None;
        }
        let seconds = i64::try_from(reading.detail.as_ref()?.head_message_timestamp?).ok()?;
        // A publisher that gives milliseconds, or nonsense, says nothing.
        let at = Time::from_ms(seconds.checked_mul(1000)?);
        (at.ms_since(self.now) < 3_600_000).then_some(at)
    }

    /// How the queue is set up, from settings that are young enough and whole.
    fn settings(&self, reading: &QueueReading, row: &QueueRow) -> Option<QueueSettings> {
        let detail = reading.detail.as_ref()?;
        if !detail.setup.is_whole() || self.age(reading.detail_at?) > self.kept {
            return None;
        }
        let settings = detail.setup.settings();
        let spec = QueueSpec::new(&row.name, QueueType::of_word(&row.queue_type));
        let version = self.reading.version.as_deref().and_then(BrokerVersion::parse);
        Some(QueueSettings {
            mismatches: differences(&spec, &detail.setup, version),
            obstacle: Obstacle::among(settings.iter().map(|setting| setting.name.as_str())),
            ack_timeout: detail.setup.ack_timeout(version),
        })
    }

    /// Ready and unacknowledged of one moment: from the totals, else from statistics that are young enough.
    fn snapshot(&self, reading: &QueueReading, quorum: bool) -> Option<Snapshot> {
        let (pair, lag) = match reading.together {
            Some(pair) => (pair, lag_ms(Source::Totals, quorum)),
            None => {
                let age = self.age(reading.detail_at?);
                if age > self.kept {
                    return None;
                }
                let detail = reading.detail.as_ref()?;
                let pair = (detail.messages_ready?, detail.messages_unacknowledged?);
                let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                (pair, lag_ms(Source::Statistics, quorum).saturating_add(age_ms))
            }
        };
        Some(Snapshot {
            ready: i64::try_from(pair.0).unwrap_or(i64::MAX),
            unacknowledged: i64::try_from(pair.1).unwrap_or(i64::MAX),
            lag_ms: lag,
        })
    }
}

/// How many messages a consumer may hold; RabbitMQ's 0 is no limit.
fn limit(consumer: &ConsumerDetail) -> Option<i64> {
    i64::try_from(consumer.prefetch?).ok().filter(|limit| *limit > 0)
}

/// A worker consumes on several channels under one tag.
fn tags(consumers: &[ConsumerDetail]) -> ConsumerTags {
    let mut tags = ConsumerTags::new();
    for consumer in consumers {
        let limit = limit(consumer);
        tags.entry(consumer.tag.clone())
            .and_modify(|known| *known = known.zip(limit).map(|(known, limit)| known + limit))
            .or_insert(limit);
    }
    tags
}

#[cfg(test)]
mod tests;
