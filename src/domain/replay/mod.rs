//! Asks the rules again, with other thresholds, about what was kept: readings of queues, and findings with their evidence.
//!
//! The rules are the detector's own. What is rebuilt is only what they look at; what was not kept can't be asked about, and
//! `Answer::CantTell` says so.

mod past;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use past::{Answer, Past, would_be_said};

use super::{
    evidence::Figure,
    finding::Verdict,
    observation::{Activity, Numbers, Presence, QueueFacts, Sample, Snapshot, Window},
    rules::{Ruling, Thresholds, judge_queue, queue::QueueView},
    time::Time,
};

/// What is kept of a reading beside its three figures.
#[derive(Serialize, Deserialize)]
struct Kept {
    presence: Presence,
    /// Ready, unacknowledged, and how late they were.
    snapshot: Option<(i64, i64, i64)>,
    prefetch: Option<i64>,
    queued: i64,
    waiting: i64,
    running: i64,
    live: i64,
    in_flight: i64,
    oldest_published_at: Option<Time>,
    claimed: i64,
    ended: i64,
    expected_wait_ms: Option<i64>,
}

/// The name of `Kept` in a sample's detail.
pub const READING: &str = "reading";

/// What is kept with a sample: where its figures were read, and what the rules saw besides.
pub fn detail(sample: &Sample) -> Value {
    let Sample {
        numbers,
        facts,
        activity,
        ..
    } = sample;
    let kept = Kept {
        presence: numbers.presence,
        snapshot: numbers
            .snapshot
            .map(|snapshot| (snapshot.ready, snapshot.unacknowledged, snapshot.lag_ms)),
        prefetch: numbers.prefetch,
        queued: facts.queued,
        waiting: facts.waiting,
        running: facts.running,
        live: facts.live,
        in_flight: facts.in_flight,
        oldest_published_at: facts.oldest_published_at,
        claimed: activity.claimed,
        ended: activity.ended,
        expected_wait_ms: sample.expected_wait_ms,
    };
    json!({ "messages_ready": numbers.ready, "messages_unacknowledged": numbers.unacknowledged,
        "consumers": numbers.consumers, READING: kept })
}

/// The reading again, as far as the rules about consumers, backlog and surplus look at it: which tasks were settled was not
/// kept. `None` for one that an earlier version kept.
pub fn rebuild(at: Time, detail: &Value) -> Option<Sample> {
    let kept = Kept::deserialize(detail.get(READING)?).ok()?;
    let figure = |name: &str| Option::<Figure>::deserialize(detail.get(name)?).ok().flatten();
    Some(Sample {
        at,
        numbers: Numbers {
            presence: kept.presence,
            ready: figure("messages_ready"),
            unacknowledged: figure("messages_unacknowledged"),
            consumers: figure("consumers"),
            snapshot: kept.snapshot.map(|(ready, unacknowledged, lag_ms)| Snapshot {
                ready,
                unacknowledged,
                lag_ms,
            }),
            prefetch: kept.prefetch,
        },
        facts: QueueFacts {
            queued: kept.queued,
            waiting: kept.waiting,
            running: kept.running,
            live: kept.live,
            in_flight: kept.in_flight,
            oldest_published_at: kept.oldest_published_at,
            ..QueueFacts::default()
        },
        activity: Activity {
            claimed: kept.claimed,
            ended: kept.ended,
        },
        expected_wait_ms: kept.expected_wait_ms,
    })
}

/// The verdicts that are asked about again from readings.
pub const FROM_READINGS: &[Verdict] = &[
    Verdict::NoConsumers,
    Verdict::ConsumersStuck,
    Verdict::Backlog,
    Verdict::LedgerOver,
    Verdict::QueueMissing,
];

/// A time in which the rules, with the new thresholds and not with the present ones, find something about a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    pub verdict: Verdict,
    pub queue: String,
    pub since: Time,
    pub until: Time,
}

/// Goes through the readings of one queue, oldest first, with two sets of thresholds at once.
pub struct QueueReplay<'a> {
    queue: &'a str,
    backlog_target_ms: i64,
    present: &'a Thresholds,
    wanted: &'a Thresholds,
    /// Readings further apart than this do not belong together.
    gap_ms: i64,
    window: Window,
    /// What the new thresholds find just now, and whether the present ones found it too.
    open: Vec<(Episode, bool)>,
    done: Vec<Episode>,
}

impl<'a> QueueReplay<'a> {
    pub fn new(
        queue: &'a str,
        backlog_target_ms: i64,
        present: &'a Thresholds,
        wanted: &'a Thresholds,
        gap_ms: i64,
    ) -> Self {
        let mut window = Window::default();
        let (one, other) = (present.reach(), wanted.reach());
        window.keep(one.0.max(other.0), one.1.max(other.1));
        Self {
            queue,
            backlog_target_ms,
            present,
            wanted,
            gap_ms,
            window,
            open: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Takes the next reading.
    pub fn push(&mut self, sample: Sample) {
        let apart = self
            .window
            .newest()
            .map_or(0, |newest| sample.at.ms_since(newest.at));
        if apart > self.gap_ms {
            self.window.clear();
            self.end_all();
        }
        let at = sample.at;
        self.window.push(sample);
        let found = self.found(self.wanted);
        let before = self.found(self.present);
        for verdict in FROM_READINGS {
            let now = found.iter().find(|(found, _)| found == verdict);
            let place = self
                .open
                .iter()
                .position(|(episode, _)| episode.verdict == *verdict);
            let known = before.iter().any(|(found, _)| found == verdict);
            match (now, place) {
                (Some(_), Some(place)) => {
                    self.open[place].0.until = at;
                    self.open[place].1 |= known;
                }
                (Some((_, since)), None) => {
                    let episode = Episode {
                        verdict: *verdict,
                        queue: self.queue.to_owned(),
                        since: *since,
                        until: at,
                    };
                    self.open.push((episode, known));
                }
                (None, Some(place)) => {
                    let (episode, known) = self.open.swap_remove(place);
                    self.done.extend((!known).then_some(episode));
                }
                (None, None) => {}
            }
        }
    }

    fn found(&self, thresholds: &Thresholds) -> Vec<(Verdict, Time)> {
        let view = QueueView {
            name: self.queue,
            backlog_target_ms: self.backlog_target_ms,
            window: &self.window,
        };
        let (ruled, _) = judge_queue(&view, false, thresholds);
        let found = ruled.into_iter().filter_map(|ruled| match ruled.ruling {
            Ruling::Found(incident) => Some((ruled.verdict, incident.since)),
            Ruling::Clear | Ruling::Undecided => None,
        });
        found.collect()
    }

    fn end_all(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.done.extend(
            open.into_iter()
                .filter(|(_, known)| !known)
                .map(|(episode, _)| episode),
        );
    }

    /// Every time in which only the new thresholds find something, oldest first.
    pub fn finish(mut self) -> Vec<Episode> {
        self.end_all();
        self.done.sort_by_key(|episode| episode.since);
        self.done
    }
}
