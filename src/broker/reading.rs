//! Everything the broker tells about our queues, in one pass, each number with its source and its age.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Mutex;

use super::management::{
    Alarm, ConsumerDetail, Management, ManagementError, Overview, QueueDetail, QueueTotals,
};
use super::probe::{Probe, Probed};

/// How old settings, counters and consumers may get before they are read again: they cost the broker more than counts.
const DETAILS_EVERY: Duration = Duration::from_secs(9);
const OVERVIEW_EVERY: Duration = Duration::from_secs(60);
/// How late a source may be when it answers (measured on RabbitMQ 3.10 with its default settings).
const LAG_LIVE: Duration = Duration::from_millis(200);
const LAG_QUORUM_TOTALS: Duration = Duration::from_secs(5);
const LAG_STATISTICS: Duration = Duration::from_secs(10);

/// A moment, on the clock that only goes forward and on the wall's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAt {
    pub instant: Instant,
    pub wall: SystemTime,
}

impl ReadAt {
    fn now() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

/// Which of the broker's sources said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A passive declaration over AMQP.
    Probe,
    /// The list without statistics.
    Totals,
    /// Settings and statistics.
    Details,
    Consumers,
    Alarms,
    Overview,
}

impl Source {
    /// One lower-case word, for evidence and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Totals => "totals",
            Self::Details => "details",
            Self::Consumers => "consumers",
            Self::Alarms => "alarms",
            Self::Overview => "overview",
        }
    }
}

/// Where a number comes from and how old it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub source: Source,
    /// When it was asked for.
    pub read_at: ReadAt,
    /// How far the broker's own knowledge could lie behind at `read_at`.
    pub lag: Duration,
}

/// One pass over the broker.
#[derive(Debug, Clone)]
pub struct BrokerReading {
    /// When the pass began. Every live number is at least as young.
    pub at: ReadAt,
    /// Every queue that was asked for.
    pub queues: HashMap<String, QueueReading>,
    /// The alarms in force; None when the broker did not say.
    pub alarms: Option<Vec<Alarm>>,
    /// What could not be read. Empty when all of it could.
    pub problems: Vec<ReadProblem>,
    pub version: Option<String>,
    /// Nodes of the cluster, running or not.
    pub nodes: Option<usize>,
    pub statistics_disabled: Option<bool>,
}

/// What is known of one queue. None means unknown, never 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueReading {
    pub state: QueueState,
    pub ready: Option<u64>,
    pub ready_from: Option<Origin>,
    pub unacknowledged: Option<u64>,
    pub unacknowledged_from: Option<Origin>,
    pub consumers: Option<u64>,
    pub consumers_from: Option<Origin>,
    /// Ready and unacknowledged of one moment: unlike `ready` and `unacknowledged` a message on its way from one to the
    /// other is in exactly one of them. Older than `ready` for a quorum queue.
    pub together: Option<(u64, u64)>,
    /// `classic`, `quorum` or `stream`.
    pub queue_type: Option<String>,
    /// Who consumes, by name. May be of an earlier pass.
    pub consumer_details: Option<Arc<Vec<ConsumerDetail>>>,
    pub consumer_details_at: Option<ReadAt>,
    /// Settings and counters. May be of an earlier pass.
    pub detail: Option<Arc<QueueDetail>>,
    pub detail_at: Option<ReadAt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueState {
    Present,
    Missing,
    #[default]
    Unknown,
}

/// A source that did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadProblem {
    pub source: Source,
    /// One lower-case word: `unavailable`, or `ManagementError::kind`.
    pub kind: &'static str,
    /// A sentence without credentials.
    pub detail: String,
}

/// Reads the broker through all its sources. One per process that reads; calls of `read` wait for each other.
pub struct BrokerReader {
    probe: Probe,
    management: Management,
    details_every: Duration,
    kept: Mutex<Kept>,
}

/// What is read less often than counts.
#[derive(Default)]
struct Kept {
    /// Of every queue that was asked for: None when the list did not have it.
    details: Option<Dated<HashMap<String, Option<Arc<QueueDetail>>>>>,
    consumers: Option<Dated<HashMap<String, Arc<Vec<ConsumerDetail>>>>>,
    overview: Option<Dated<Overview>>,
    /// Read with the overview; `None` also when the user may not see it.
    nodes: Option<usize>,
}

/// Something, and when it was asked for.
type Dated<T> = (ReadAt, T);

impl BrokerReader {
    pub fn new(probe: Probe, management: Management) -> Self {
        Self {
            probe,
            management,
            details_every: DETAILS_EVERY,
            kept: Mutex::default(),
        }
    }

    /// Reads settings, counters and consumers again when they are that old; zero: at every pass.
    #[must_use]
    pub fn with_details_every(mut self, details_every: Duration) -> Self {
        self.details_every = details_every;
        self
    }

    pub(super) fn probe(&self) -> &Probe {
        &self.probe
    }

    pub(super) fn management(&self) -> &Management {
        &self.management
    }

    /// The broker's version, as it was last read.
    pub(super) async fn version(&self) -> Option<String> {
        let kept = self.kept.lock().await;
        kept.overview
            .as_ref()
            .and_then(|(_, overview)| overview.version.clone())
    }

    /// How many messages each of these queues holds, ready and unacknowledged. Queues that are not listed, and counts that
    /// are not told, are left out. Errors: as those of the totals.
    pub async fn depths(&self, queues: &[String]) -> Result<HashMap<String, u64>, ManagementError> {
        let totals = self.management.totals(queues).await?;
        let depths = totals.into_iter().filter_map(|(queue, totals)| {
            Some((queue, totals.messages_ready? + totals.messages_unacknowledged?))
        });
        Ok(depths.collect())
    }

    /// How many messages of each of these queues are ready, right to 0.2 s; `None` for one that does not exist. Those of which
    /// the broker did not say are left out.
    pub async fn ready(&self, queues: &[String]) -> HashMap<String, Option<u64>> {
        let probed = self.probe.passive(queues).await.into_iter();
        let ready = probed.filter_map(|(queue, probed)| match probed {
            Probed::Present { messages_ready, .. } => Some((queue, Some(messages_ready))),
            Probed::Missing => Some((queue, None)),
            Probed::Unavailable { .. } => None,
        });
        ready.collect()
    }

    /// Reads what there is to know about these queues, within about 10 s whatever the broker does.
    ///
    /// Never fails as a whole: what a source did not say is absent, and `problems` says why. Counts are of this pass;
    /// settings, counters and consumers may be kept from an earlier one, each with its own time.
    pub async fn read(&self, queues: &[String]) -> BrokerReading {
        let mut kept = self.kept.lock().await;
        let at = ReadAt::now();
        let mut problems = Vec::new();
        let live = async {
            tokio::join!(
                self.probe.passive(queues),
                self.management.totals(queues),
                self.management.alarms()
            )
        };
        let ((probed, totals, alarms), slow) = tokio::join!(live, self.refresh(&mut kept, queues));
        problems.extend(slow);
        problems.extend(probe_problem(&probed));
        let totals = totals
            .map_err(|error| problems.push(problem(Source::Totals, &error)))
            .ok();
        let alarms = alarms
            .map_err(|error| problems.push(problem(Source::Alarms, &error)))
            .ok();
        let queues = queues.iter().map(|queue| {
            let totals = totals.as_ref().and_then(|totals| totals.get(queue));
            (
                queue.clone(),
                combine(at, queue, probed.get(queue), totals, &kept),
            )
        });
        let overview = kept
            .overview
            .as_ref()
            .map(|(_, overview)| overview.clone())
            .unwrap_or_default();
        BrokerReading {
            at,
            queues: queues.collect(),
            alarms,
            problems,
            version: overview.version,
            nodes: kept.nodes,
            statistics_disabled: overview.statistics_disabled,
        }
    }

    /// Reads again what has become too old, and what is not there for a queue newly asked for.
    async fn refresh(&self, kept: &mut Kept, queues: &[String]) -> Vec<ReadProblem> {
        let now = Instant::now();
        let older =
            |at: Option<ReadAt>, than: Duration| at.is_none_or(|at| now.duration_since(at.instant) >= than);
        let mut problems = Vec::new();
        let at = ReadAt::now();
        let details = async {
            let new = match &kept.details {
                Some((_, known)) => queues.iter().any(|queue| !known.contains_key(queue)),
                None => true,
            };
            if older(kept.details.as_ref().map(|(at, _)| *at), self.details_every) || new {
                Some(self.management.details(queues).await)
            } else {
                None
            }
        };
        let consumers = async {
            if older(kept.consumers.as_ref().map(|(at, _)| *at), self.details_every) {
                Some(self.management.consumers().await)
            } else {
                None
            }
        };
        let overview = async {
            if older(kept.overview.as_ref().map(|(at, _)| *at), OVERVIEW_EVERY) {
                Some(tokio::join!(self.management.overview(), self.management.nodes()))
            } else {
                None
            }
        };
        let (details, consumers, overview) = tokio::join!(details, consumers, overview);
        match details {
            Some(Ok(mut details)) => {
                let asked = queues
                    .iter()
                    .map(|queue| (queue.clone(), details.remove(queue).map(Arc::new)));
                kept.details = Some((at, asked.collect()));
            }
            Some(Err(error)) => problems.push(problem(Source::Details, &error)),
            None => {}
        }
        match consumers {
            Some(Ok(consumers)) => {
                let mut by_queue: HashMap<String, Vec<ConsumerDetail>> = HashMap::new();
                for consumer in consumers {
                    by_queue.entry(consumer.queue.clone()).or_default().push(consumer);
                }
                let by_queue = by_queue
                    .into_iter()
                    .map(|(queue, consumers)| (queue, Arc::new(consumers)));
                kept.consumers = Some((at, by_queue.collect()));
            }
            Some(Err(error)) => {
                if error == ManagementError::Disabled {
                    kept.consumers = None;
                }
                problems.push(problem(Source::Consumers, &error));
            }
            None => {}
        }
        match overview {
            Some((Ok(overview), nodes)) => {
                kept.overview = Some((at, overview));
                kept.nodes = nodes.ok();
            }
            Some((Err(error), _)) => problems.push(problem(Source::Overview, &error)),
            None => {}
        }
        problems
    }
}

/// Takes each number from the youngest source that has it.
fn combine(
    at: ReadAt,
    queue: &str,
    probed: Option<&Probed>,
    totals: Option<&QueueTotals>,
    kept: &Kept,
) -> QueueReading {
    let detail = kept
        .details
        .as_ref()
        .and_then(|(at, details)| Some((*at, details.get(queue)?.clone()?)));
    let queue_type = totals.and_then(|totals| totals.queue_type.clone()).or_else(|| {
        detail
            .as_ref()
            .and_then(|(_, detail)| detail.setup.queue_type.clone())
    });
    let probe_origin = Origin {
        source: Source::Probe,
        read_at: at,
        lag: LAG_LIVE,
    };
    let totals_lag = if queue_type.as_deref() == Some("classic") {
        LAG_LIVE
    } else {
        LAG_QUORUM_TOTALS
    };
    let totals_origin = Origin {
        source: Source::Totals,
        read_at: at,
        lag: totals_lag,
    };
    let from_detail = |pick: fn(&QueueDetail) -> Option<u64>| {
        let (at, detail) = detail.as_ref()?;
        Some((
            pick(detail)?,
            Origin {
                source: Source::Details,
                read_at: *at,
                lag: LAG_STATISTICS,
            },
        ))
    };
    let totals_ready = totals.and_then(|totals| totals.messages_ready);
    let totals_unacknowledged = totals.and_then(|totals| totals.messages_unacknowledged);
    // RabbitMQ says 0 and 0 for a quorum queue that does not answer it: worth only what the totals confirm.
    let unconfirmed = queue_type.as_deref() != Some("classic") && totals_ready != Some(0);
    let (state, live_ready, live_consumers) = match probed {
        Some(Probed::Present {
            messages_ready: 0,
            consumers: 0,
        }) if unconfirmed => (QueueState::Present, None, None),
        Some(Probed::Present {
            messages_ready,
            consumers,
        }) => (QueueState::Present, Some(*messages_ready), Some(*consumers)),
        Some(Probed::Missing) => {
            return QueueReading {
                state: QueueState::Missing,
                ..QueueReading::default()
            };
        }
        Some(Probed::Unavailable { .. }) | None if totals.is_some() => (QueueState::Present, None, None),
        Some(Probed::Unavailable { .. }) | None => (QueueState::Unknown, None, None),
    };
    let ready = live_ready
        .map(|ready| (ready, probe_origin))
        .or(totals_ready.map(|ready| (ready, totals_origin)))
        .or_else(|| from_detail(|detail| detail.messages_ready));
    let unacknowledged = totals_unacknowledged
        .map(|count| (count, totals_origin))
        .or_else(|| from_detail(|detail| detail.messages_unacknowledged));
    let consumers = live_consumers
        .map(|count| (count, probe_origin))
        .or_else(|| from_detail(|detail| detail.consumers));
    let consumer_details = kept.consumers.as_ref();
    QueueReading {
        state,
        ready: ready.map(|(count, _)| count),
        ready_from: ready.map(|(_, origin)| origin),
        unacknowledged: unacknowledged.map(|(count, _)| count),
        unacknowledged_from: unacknowledged.map(|(_, origin)| origin),
        consumers: consumers.map(|(count, _)| count),
        consumers_from: consumers.map(|(_, origin)| origin),
        together: totals_ready.zip(totals_unacknowledged),
        queue_type,
        consumer_details: consumer_details.map(|(_, known)| known.get(queue).cloned().unwrap_or_default()),
        consumer_details_at: consumer_details.map(|(at, _)| *at),
        detail_at: detail.as_ref().map(|(at, _)| *at),
        detail: detail.map(|(_, detail)| detail),
    }
}

/// One problem for all queues that the broker did not answer for: mostly they share the cause.
fn probe_problem(probed: &HashMap<String, Probed>) -> Option<ReadProblem> {
    let mut causes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (queue, answer) in probed {
        if let Probed::Unavailable { detail } = answer {
            causes.entry(detail).or_default().push(queue);
        }
    }
    let (detail, queues) = causes.into_iter().max_by_key(|(_, queues)| queues.len())?;
    let subject = match queues.as_slice() {
        [one] => (*one).to_owned(),
        several => format!("{} queues", several.len()),
    };
    Some(ReadProblem {
        source: Source::Probe,
        kind: "unavailable",
        detail: format!("{subject}: {detail}"),
    })
}

fn problem(source: Source, error: &ManagementError) -> ReadProblem {
    ReadProblem {
        source,
        kind: error.kind(),
        detail: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
