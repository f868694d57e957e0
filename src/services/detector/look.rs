//! One look at the broker, in the rules' words.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use crate::{
    broker::{
        BrokerReader, BrokerReading, LinkState, QueueReading, QueueState,
        management::Counters,
        reading::{Origin, ReadAt, ReadProblem, Source as ReadFrom},
    },
    domain::{
        evidence::{Figure, Source},
        observation::{
            Blind, Blindness, BrokerSight, Numbers, Presence, Publishing, QueueSight, Snapshot, lag_ms,
        },
        time::Time,
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
    kept: Duration,
    /// Since when the probing connection, as of the last look, has been up.
    probe_since: Option<SystemTime>,
    counters: HashMap<String, Counters>,
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
            kept: (every * 3).max(KEPT_MIN),
            probe_since: None,
            counters: HashMap::new(),
        }
    }

    pub(super) fn link(&self) -> watch::Receiver<LinkState> {
        self.probe_link.clone()
    }

    /// Reads everything about `queues`. `now` is the database's time at the beginning.
    pub(super) async fn look(&mut self, queues: &[QueueRow], now: Time) -> BrokerSight {
        let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
        let reading = self.reader.read(&names).await;
        let publishing = match &*self.publish_link.borrow() {
            LinkState::Connecting | LinkState::Up { .. } => Publishing::Open,
            LinkState::Blocked { reason, .. } => Publishing::Blocked(reason.clone()),
            LinkState::Down { detail, .. } => Publishing::Down(detail.clone()),
        };
        let restarted = self.reconnected();
        let anew = self.counted_anew(&reading);
        let view = View {
            reading: &reading,
            now,
            kept: self.kept,
        };
        BrokerSight {
            blind: view.problem(ReadFrom::Totals),
            statistics: view.problem(ReadFrom::Consumers),
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
                    Some((queue.name.clone(), sight))
                })
                .collect(),
        }
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
                prefetch: consumers.and_then(|consumers| {
                    let limits = consumers
                        .iter()
                        .map(|consumer| consumer.prefetch.filter(|limit| *limit > 0));
                    i64::try_from(limits.sum::<Option<u64>>()?).ok()
                }),
            },
            tags: consumers.map(|consumers| {
                consumers
                    .iter()
                    .map(|consumer| consumer.tag.clone())
                    .collect::<BTreeSet<_>>()
            }),

            restarted: false,
        }
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
