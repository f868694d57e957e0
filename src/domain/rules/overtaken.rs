//! A task that later messages overtook: the only sign of a lost message in a queue that is never empty.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{Thresholds, evidence, queue::QueueView, task::Suspect};
use crate::domain::{
    evidence::{Facts, ThresholdName},
    finding::{Confidence, Stall, Variant, Verdict},
    ledger::{Named, Shortfall, shortfall},
    time::Time,
};

/// A prefetch above this can't be told from an overtaking.
const REMEMBERED: usize = 256;

/// A task that a listed consumer took, in its current dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    pub task_id: Uuid,
    pub queue: String,
    pub priority: i64,
    pub published_at: Time,
    /// When it was claimed.
    pub started_at: Time,
}

/// The latest messages that were handed out, by queue and priority.
#[derive(Clone, Debug, Default)]
pub struct HandedOut {
    latest: HashMap<(String, i64), BTreeMap<(Time, Uuid), Time>>,
}

impl HandedOut {
    /// Notes a task. The same one again changes nothing.
    pub fn note(&mut self, taken: Taken) {
        let latest = self.latest.entry((taken.queue, taken.priority)).or_default();
        latest.insert((taken.published_at, taken.task_id), taken.started_at);
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

    /// How many messages of `queue` and `priority` that were confirmed at `published` or later were taken after `since`;
    /// counted up to 256.
    pub fn count(&self, queue: &str, priority: i64, published: Time, since: Time) -> i64 {
        let Some(latest) = self.latest.get(&(queue.to_owned(), priority)) else {
            return 0;
        };
        let later = latest.range((published, Uuid::nil())..);
        let count = later.filter(|(_, started_at)| **started_at > since).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    }
}

/// The oldest queued task of one priority of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Oldest {
    pub suspect: Suspect,
    pub priority: i64,
    pub published_at: Time,
}

/// While no buffer could hold this task's message, more later messages of the same queue and priority were handed out
/// than consumers can buffer. Likely, not proven: a broker can put a message that was handed back behind others.
pub fn overtaken(
    oldest: Oldest,
    queue: &QueueView<'_>,
    handed_out: &HandedOut,
    thresholds: &Thresholds,
) -> Option<Stall> {
    let newest = queue.window.newest()?;
    queue.window.proof()?;
    let since = queue.window.unbuffered_since()?;
    if let Shortfall::AtLeast {
        named: Named::AllEmpty | Named::AllAccounted,
        ..
    } = shortfall(queue.window)
    {
        return None;
    }
    let prefetch = newest.numbers.prefetch?;
    let margin = thresholds.overtaken_margin_ms;
    let after = Time::from_ms(oldest.published_at.ms() + margin);
    let overtaken_by = handed_out.count(queue.name, oldest.priority, after, since);
    if overtaken_by <= prefetch + 1 {
        return None;
    }
    let facts = Facts {
        dispatch: Some(oldest.suspect.dispatch),
        published_at: Some(oldest.published_at),
        overtaken_by: Some(overtaken_by),
        prefetch: Some(prefetch),
        ..queue.facts(newest)
    };
    let name = ThresholdName::OvertakenMargin;
    Some(Stall {
        task_id: oldest.suspect.task_id,
        queue: oldest.suspect.queue,
        dispatch: oldest.suspect.dispatch,
        attempt: oldest.suspect.attempt,
        version: oldest.suspect.version,
        verdict: Verdict::MessageLost,
        confidence: Confidence::Likely,
        since: newest.at,
        evidence: evidence(newest.at, Variant::Overtaken, name, margin, facts),
        cause: None,
    })
}
