//! What the detector remembers from look to look. Lost with the leadership: never judged on by another process.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{
    dead::{Letters, Suspects},
    trails::Prioritised,
    unusual::Habits,
};
use crate::{
    domain::{
        finding::Verdict,
        observation::{Activity, BrokerSight, Numbers, Presence, QueueFacts, QueueSight, Sample, Window},
        policy::Influx,
        rules::{
            broker::BrokerMemory,
            overtaken::{Crew, HandedOut},
            settings::MismatchMemory,
            traced::Trail,
        },
        time::Time,
        tracer::QueueTracers,
    },
    store::{
        evidence::{Bounds, Cursor, Minute, Running, Waiting},
        findings::RecheckCursor,
    },
};

/// Ends are counted over so long to tell a queue's pace.
const PACE_MS: i64 = 600_000;
/// A queue that has worked for less says nothing about its pace yet.
const PACE_MIN_MS: i64 = 180_000;
/// Fewer ends than this are too few to tell a pace.
const PACE_ENDS_MIN: i64 = 5;

#[derive(Default)]
pub(super) struct Memory {
    pub(super) queues: HashMap<String, Track>,
    pub(super) broker: BrokerMemory,
    pub(super) handed_out: HandedOut,
    /// When consumer tags were last listed, by tag, and when they were last kept.
    pub(super) tags: HashMap<String, Tag>,
    /// Since when every look came in time and saw the broker.
    pub(super) steady_since: Option<Time>,
    pub(super) looked_at: Option<Time>,
    pub(super) cursors: Cursors,
    /// The last look at attempts that hold a delivery was at all of them.
    pub(super) holding_seen: bool,
    /// The same for runs that are unusual for their kind.
    pub(super) unusual_seen: bool,
    pub(super) habits: Habits,
    /// When each queue was last sampled.
    pub(super) sampled: HashMap<String, Time>,
    pub(super) tidied_at: Option<Time>,
    pub(super) letters: Letters,
    pub(super) suspects: Suspects,
    pub(super) prioritised: Prioritised,
    /// What policies may act on, by queue and verdict.
    pub(super) influx: HashMap<(String, Verdict), Influx>,
    /// Queues take turns where only some can be looked at in one pass.
    pub(super) turn: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Tag {
    pub(super) seen_at: Time,
    pub(super) kept_at: Time,
}

/// How far the ways through long lists have come.
pub(super) struct Cursors {
    pub(super) unpublished: Cursor,
    pub(super) lapsed: Cursor,
    pub(super) timed: Cursor,
    pub(super) cancelling: Cursor,
    /// How far the losses of workers, and the late reports, were followed.
    pub(super) crashed: Cursor,
    pub(super) late: Cursor,
    pub(super) holding: Cursor,
    pub(super) unusual: Cursor,
    pub(super) lost: HashMap<String, Cursor>,
    pub(super) recheck: RecheckCursor,
}

impl Default for Cursors {
    fn default() -> Self {
        Self {
            unpublished: Cursor::START,
            lapsed: Cursor::START,
            timed: Cursor::START,
            cancelling: Cursor::START,
            crashed: Cursor::START,
            late: Cursor::START,
            holding: Cursor::START,
            unusual: Cursor::START,
            lost: HashMap::new(),
            recheck: RecheckCursor::START,
        }
    }
}

/// What is remembered of one queue.
#[derive(Default)]
pub(super) struct Track {
    pub(super) window: Window,
    pub(super) mismatch: MismatchMemory,
    pub(super) crew: Crew,
    pub(super) trail: Trail,
    activity: Activity,
    /// Claims and ends of the last minutes, as they were counted at the last look.
    minutes: BTreeMap<Time, (i64, i64, i64)>,
}

impl Memory {
    /// Lets go of readings that say nothing about the present, and of queues that are not ours any more.
    pub(super) fn begin(&mut self, now: Time, gap_ms: i64, names: &HashSet<&str>, sight: &BrokerSight) {
        let gap = self
            .looked_at
            .is_some_and(|last| now <= last || now.ms_since(last) > gap_ms);
        self.queues.retain(|name, _| names.contains(name.as_str()));
        self.sampled.retain(|name, _| names.contains(name.as_str()));
        self.prioritised.retain(|name, _| names.contains(name.as_str()));
        self.influx.retain(|(name, _), _| names.contains(name.as_str()));
        self.cursors.lost.retain(|name, _| names.contains(name.as_str()));
        if gap || sight.restarted {
            self.handed_out.forget();
        }
        for (name, track) in &mut self.queues {
            let anew = sight.queues.get(name).is_some_and(|queue| queue.restarted);
            if sight.restarted || anew || gap {
                track.trail.restart(now);
            }
            if sight.restarted || anew {
                track.window.restart(now);
            } else if gap {
                track.window.clear();
            }
            if sight.restarted || anew || gap {
                track.crew = Crew::default();
            }
        }
        let unseen = !sight.queues.is_empty()
            && sight
                .queues
                .values()
                .all(|queue| queue.numbers.presence == Presence::Unseen);
        if gap || sight.restarted || unseen {
            self.steady_since = None;
        }
        if !unseen {
            self.steady_since.get_or_insert(now);
        }
        self.looked_at = Some(now);
    }

    /// Up to which moments each queue's tasks are to be counted.
    pub(super) fn bounds(&self, now: Time, names: &[&str], sight: &BrokerSight) -> Vec<Bounds> {
        let bounds = |name: &&str| {
            let numbers = numbers(sight, name);
            let settled_before = self
                .queues
                .get(*name)
                .and_then(|track| track.window.settled_before(now, &numbers));
            let lag_ms = numbers.snapshot.map_or(0, |snapshot| snapshot.lag_ms);
            Bounds {
                queue: (*name).to_owned(),
                settled_before,
                held_before: Time::from_ms(now.ms() - lag_ms),
            }
        };
        names.iter().map(bounds).collect()
    }

    /// Notes which consumers are listed; gives back those whose row is older than a minute, for keeping.
    pub(super) fn note_tags(&mut self, now: Time, sight: &BrokerSight) -> Vec<(String, String)> {
        let mut to_keep = BTreeMap::new();
        for (queue, QueueSight { tags, .. }) in &sight.queues {
            for tag in tags.iter().flat_map(|tags| tags.keys()) {
                let known = self.tags.get(tag).map(|known| known.kept_at);
                let fresh = known.is_some_and(|kept_at| now.ms_since(kept_at) < 60_000);
                let kept_at = known.filter(|_| fresh).unwrap_or(now);
                self.tags.insert(
                    tag.clone(),
                    Tag {
                        seen_at: now,
                        kept_at,
                    },
                );
                if !fresh {
                    to_keep.insert(tag.clone(), queue.clone());
                }
            }
        }
        self.tags.retain(|_, tag| now.ms_since(tag.seen_at) < 3_600_000);
        to_keep.into_iter().collect()
    }
}

fn numbers(sight: &BrokerSight, queue: &str) -> Numbers {
    sight
        .queues
        .get(queue)
        .map_or(Numbers::UNSEEN, |sight| sight.numbers)
}

/// The database's counts of one pass.
pub(super) struct Counts {
    pub(super) waiting: HashMap<String, Waiting>,
    pub(super) in_flight: HashMap<String, i64>,
    pub(super) running: HashMap<String, Vec<Running>>,
    pub(super) minutes: HashMap<String, Vec<Minute>>,
    pub(super) tracers: HashMap<String, QueueTracers>,
}

impl Track {
    /// Adds this pass's reading of the queue `name`.
    pub(super) fn note(&mut self, name: &str, now: Time, sight: &BrokerSight, counts: &Counts) {
        let numbers = numbers(sight, name);
        let tags = sight.queues.get(name).and_then(|sight| sight.tags.as_ref());
        let mut facts = QueueFacts::default();
        let mut holding = HashMap::new();
        if let Some(waiting) = counts.waiting.get(name) {
            facts.queued = waiting.queued;
            facts.waiting = waiting.waiting;
            facts.settled = waiting.settled;
            facts.oldest_published_at = waiting.oldest_published_at;
        }
        facts.in_flight = counts.in_flight.get(name).copied().unwrap_or(0);
        for running in counts.running.get(name).into_iter().flatten() {
            facts.running += running.running;
            facts.holding += running.holding;
            facts.live += running.live;
            facts.copies += running.copies;
            let worker = running.worker.as_deref().unwrap_or_default();
            if tags.is_some_and(|tags| tags.contains_key(worker)) {
                facts.held += running.held;
                holding.insert(worker.to_owned(), running.held);
            }
        }
        self.crew.note(now, tags, holding);
        self.crew.weigh(now, &numbers);
        if let Some(tracers) = counts.tracers.get(name) {
            facts.tracers = i64::from(tracers.out.as_ref().is_some_and(|out| out.confirmed_at.is_some()));
            facts.tracers_at_most = tracers.at_most;
        }
        let minutes = counts.minutes.get(name).map(Vec::as_slice).unwrap_or_default();
        self.count(minutes);
        self.window.push(Sample {
            at: now,
            numbers,
            facts,
            activity: self.activity,
            expected_wait_ms: expected_wait(minutes, &numbers, now),
        });
    }

    /// Adds what the kept counters grew by since the last look.
    fn count(&mut self, minutes: &[Minute]) {
        let now: BTreeMap<Time, (i64, i64, i64)> = minutes
            .iter()
            .map(|minute| (minute.minute_at, (minute.claimed, minute.ended, minute.lost)))
            .collect();
        for (minute, (claimed, ended, lost)) in &now {
            let before = self.minutes.get(minute).copied().unwrap_or_default();
            self.activity.claimed += (claimed - before.0).max(0);
            self.activity.ended += (ended - before.1).max(0) + (lost - before.2).max(0);
        }
        self.minutes = now;
    }
}

/// How long a new task would wait at the pace of the last ten minutes.
fn expected_wait(minutes: &[Minute], numbers: &Numbers, now: Time) -> Option<i64> {
    let busy = |minute: &&Minute| minute.claimed > 0 || minute.ended > 0;
    let from = minutes.iter().filter(busy).map(|minute| minute.minute_at).min()?;
    let over_ms = now.ms_since(from);
    let ended: i64 = minutes.iter().map(|minute| minute.ended).sum();
    if over_ms < PACE_MIN_MS || ended < PACE_ENDS_MIN {
        return None;
    }
    Some(numbers.ready?.value.saturating_mul(over_ms) / ended)
}

/// Since when minutes are read.
pub(super) fn pace_since(now: Time) -> Time {
    Time::from_ms(now.ms() - PACE_MS)
}

/// The id that a new finding gets: they sort by the time they were made.
pub(super) fn new_id() -> Uuid {
    Uuid::now_v7()
}
