//! A task that later messages overtook: the only sign of a lost message in a queue that is never empty.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{Thresholds, evidence, queue::QueueView, task::Suspect};
use crate::domain::{
    evidence::{Facts, Figure, ThresholdName},
    finding::{Confidence, Stall, Variant, Verdict},
    ledger::{Named, Shortfall, shortfall},
    observation::{ConsumerTags, Numbers},
    time::Time,
};

/// Of each queue and priority. More than this can't be told from an overtaking.
const REMEMBERED: usize = 256;
/// The list shows a consumer's birth late; who is not on it for so long never will be.
const UNLISTED_MS: i64 = 20_000;

/// A task that a consumer took, in its current dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    pub task_id: Uuid,
    pub queue: String,
    pub priority: i64,
    /// When its message was due: it was put on the queue then, or later.
    pub due_at: Time,
    /// When it was claimed.
    pub started_at: Time,
    pub worker: String,
}

/// The latest messages that were handed out, by queue and priority, and each by when it was due.
#[derive(Clone, Debug, Default)]
pub struct HandedOut {
    latest: HashMap<(String, i64), BTreeMap<(Time, Uuid), Taker>>,
}

/// Who took a message, and when.
#[derive(Clone, Debug)]
struct Taker {
    started_at: Time,
    worker: String,
}

impl HandedOut {
    /// Notes a task. The same one again changes nothing.
    pub fn note(&mut self, taken: Taken) {
        let latest = self.latest.entry((taken.queue, taken.priority)).or_default();
        let taker = Taker {
            started_at: taken.started_at,
            worker: taken.worker,
        };
        latest.insert((taken.due_at, taken.task_id), taker);
        while latest.len() > REMEMBERED {
            latest.pop_first();
        }
    }

    /// Whether anything of `queue` was handed out since it was looked at.
    pub fn knows(&self, queue: &str) -> bool {
        self.latest.keys().any(|(known, _)| known == queue)
    }

    pub fn forget(&mut self) {
        self.latest.clear();
    }

    /// Who took messages of `queue` and `priority` that were due at `due` or later, one entry a message; only those that were
    /// taken after `since`.
    fn takers(&self, queue: &str, priority: i64, due: Time, since: Time) -> Vec<&str> {
        let Some(latest) = self.latest.get(&(queue.to_owned(), priority)) else {
            return Vec::new();
        };
        let later = latest.range((due, Uuid::nil())..);
        later
            .filter(|(_, taker)| taker.started_at > since)
            .map(|(_, taker)| taker.worker.as_str())
            .collect()
    }
}

/// The consumers of one queue, from reading to reading.
#[derive(Clone, Debug, Default)]
pub struct Crew {
    /// `None` when the newest reading did not tell.
    listed: Option<ConsumerTags>,
    /// As they were listed last.
    known: ConsumerTags,
    /// Messages that each holds for attempts that run, since before the newest reading.
    held: HashMap<String, i64>,
    /// Since when none of them has left: what one holds goes back to the head of the queue with it.
    together_since: Option<Time>,
    /// Since when there are more consumers than are listed.
    unlisted_since: Option<Time>,
    /// When somebody who is not listed held a message last.
    others_at: Option<Time>,
}

impl Crew {
    /// Adds a reading of `at`.
    pub fn note(&mut self, at: Time, listed: Option<&ConsumerTags>, held: HashMap<String, i64>) {
        if let Some(listed) = listed {
            if self.known.keys().any(|tag| !listed.contains_key(tag)) {
                self.together_since = None;
            }
            self.known.clone_from(listed);
        }
        self.together_since.get_or_insert(at);
        self.listed = listed.cloned();
        self.held = held;
    }

    /// Looks for somebody who fetches with `basic.get`: never listed, and may have had any message, or given it back. What is
    /// held beyond what all consumers may hold is in such hands; a quorum queue counts whoever holds a message as a consumer.
    pub fn weigh(&mut self, at: Time, numbers: &Numbers) {
        let (Some(listed), Some(since), Some(consumers)) =
            (&self.listed, self.together_since, numbers.consumers)
        else {
            return;
        };
        let listed = i64::try_from(listed.len()).unwrap_or(i64::MAX);
        self.unlisted_since = (consumers.value > listed).then(|| self.unlisted_since.unwrap_or(at));
        let unlisted = self
            .unlisted_since
            .is_some_and(|since| at.ms_since(since) >= UNLISTED_MS);
        // One that is there and not listed yet, or left since the count, may hold them.
        let too_many = consumers.value == listed
            && numbers
                .snapshot
                .zip(numbers.prefetch)
                .is_some_and(|(snapshot, room)| {
                    at.ms_since(since) > snapshot.lag_ms && snapshot.unacknowledged > room
                });
        if unlisted || too_many {
            self.others_at = Some(at);
        }
    }

    /// Whether a message that `takers` were handed later ones than can be in nobody's buffer: each consumer was handed more of
    /// them than it may hold at once, or holds as many as it may for attempts that run.
    ///
    /// `consumers` is their live number: one that is not listed yet may hold anything.
    fn went_past(&self, takers: &[&str], consumers: i64) -> bool {
        let Some(listed) = &self.listed else {
            return false;
        };
        if i64::try_from(listed.len()) != Ok(consumers) {
            return false;
        }
        let mut past = false;
        for (tag, limit) in listed {
            let Some(limit) = *limit else {
                return false;
            };
            let taken = takers.iter().filter(|taker| **taker == tag).count();
            if i64::try_from(taken).is_ok_and(|taken| taken > limit) {
                past = true;
            } else if self.held.get(tag).is_none_or(|held| *held < limit) {
                return false;
            }
        }
        past
    }
}

/// The oldest queued task of one priority of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Oldest {
    pub suspect: Suspect,
    pub priority: i64,
    pub published_at: Time,
}

/// Later messages of the same queue and priority were handed out, and this task's is in nobody's buffer: either each consumer
/// was handed more of them than it may hold, all of them are listed and nobody else held any, or no reading since left room in a
/// buffer and there were more of them than all may hold. Only messages that were handed out since a consumer last left are counted.
///
/// Likely, not proven: a broker can put a message that was handed back behind others, and a consumer can be slow to take
/// what it holds.
pub fn overtaken(
    oldest: Oldest,
    queue: &QueueView<'_>,
    crew: &Crew,
    handed_out: &HandedOut,
    thresholds: &Thresholds,
) -> Option<Stall> {
    let newest = queue.window.newest()?;
    queue.window.proof()?;
    if let Shortfall::AtLeast {
        named: Named::AllEmpty | Named::AllAccounted,
        ..
    } = shortfall(queue.window)
    {
        return None;
    }
    let prefetch = newest.numbers.prefetch?;
    let together_since = crew.together_since?;
    let margin = thresholds.overtaken_margin_ms;
    let after = Time::from_ms(oldest.published_at.ms() + margin);
    let takers = |since| handed_out.takers(queue.name, oldest.priority, after, since);
    let later = takers(together_since);
    let unbuffered = queue.window.unbuffered_since().is_some_and(|since| {
        let later = takers(since.max(together_since));
        i64::try_from(later.len()).is_ok_and(|later| later > prefetch + 1)
    });
    let went_past = |consumers: Figure| {
        crew.went_past(&later, consumers.value) && crew.others_at.is_none_or(|at| at < oldest.published_at)
    };
    if !unbuffered && !newest.numbers.consumers.is_some_and(went_past) {
        return None;
    }
    let facts = Facts {
        dispatch: Some(oldest.suspect.dispatch),
        published_at: Some(oldest.published_at),
        overtaken_by: i64::try_from(later.len()).ok(),
        prefetch: Some(prefetch),
        ..queue.facts(newest)
    };
    let name = ThresholdName::OvertakenMargin;
    let evidence = evidence(newest.at, Variant::Overtaken, name, margin, facts);
    let (verdict, likely) = (Verdict::MessageLost, Confidence::Likely);
    Some(oldest.suspect.stall(verdict, likely, newest.at, evidence, None))
}
