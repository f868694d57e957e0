//! The ledger of a queue: what the database says is out, held against what the broker holds.

use std::time::Duration;

use super::{
    observation::{Numbers, Presence, QueueFacts, Sample, Window},
    words::words,
};

words! {
    pub enum Health {
        Ok = "ok",
        Warning = "warning",
        Stalled = "stalled",
        /// The broker's numbers are not there.
        Unknown = "unknown",
    }
}

impl Health {
    /// The health to show when the sample it was judged by is `age_ms` old: old numbers say nothing.
    pub fn aged(self, age_ms: i64, fresh_for: Duration) -> Self {
        match i64::try_from(fresh_for.as_millis()) {
            Ok(fresh_ms) if age_ms > fresh_ms => Self::Unknown,
            _ => self,
        }
    }
}

/// The ledger as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Due and confirmed queued.
    pub queued: i64,
    /// Attempts that hold a message.
    pub running: i64,
    /// Tracers that are out: messages that belong to no task.
    pub tracers: i64,
    pub messages_ready: Option<i64>,
    pub messages_unacknowledged: Option<i64>,
    pub consumers: Option<i64>,
    /// `queued + running + tracers - (ready + unacknowledged)`; `None` when the broker's part is not known. A balance of zero is
    /// no proof of health: surplus copies can hide a lost message.
    pub balance: Option<i64>,
}

impl Ledger {
    pub fn of(facts: &QueueFacts, numbers: &Numbers) -> Self {
        let value = |figure: Option<super::evidence::Figure>| {
            figure
                .filter(|_| numbers.presence == Presence::Here)
                .map(|figure| figure.value)
        };
        let (ready, unacknowledged) = (value(numbers.ready), value(numbers.unacknowledged));
        Self {
            queued: facts.queued,
            running: facts.holding,
            tracers: facts.tracers,
            messages_ready: ready,
            messages_unacknowledged: unacknowledged,
            consumers: value(numbers.consumers),
            balance: ready.zip(unacknowledged).map(|(ready, unacknowledged)| {
                facts.queued + facts.holding + facts.tracers - ready - unacknowledged
            }),
        }
    }
}

/// Whether settled tasks have no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// Too few readings, or numbers missing in one of them.
    Unknown,
    /// The broker may hold a message for each.
    None,
    /// At least `missing` of `of` tasks have none.
    AtLeast {
        missing: i64,
        /// Settled ones, and where it is not all of those, also those that wait for a copy that was put out again.
        of: i64,
        /// Which ones: all of them, or nobody can tell.
        named: Named,
        readings: i64,
        span_ms: i64,
    },
}

/// What a shortfall says about each single task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The broker held no message of the queue in any reading: every task of the count has lost its own.
    AllEmpty,
    /// It held some, and each was that of a running attempt: every task of the count has lost its own.
    AllAccounted,
    /// Some messages may belong to tasks of the count.
    Some,
}

/// Counts the settled tasks that can have no message, as a lower bound.
///
/// A settled task was queued and confirmed, in the same dispatch, before the moment that the oldest reading shows, and
/// still is: unless its message is lost, it was ready or unacknowledged in every reading. So each reading bounds the
/// number that can have one: what was ready, and what was unacknowledged less the messages that running attempts held
/// at that moment. Other tasks' messages, surplus copies and foreign messages only make the bound weaker, never wrong.
/// The same holds of the copy that was put out for a running task whose lease is over: it takes up a place, too, so that
/// our own copies do not hide a loss.
pub fn shortfall(window: &Window) -> Shortfall {
    let (Some(readings), Some(newest)) = (window.proof(), window.newest()) else {
        return Shortfall::Unknown;
    };
    let settled = newest.facts.settled;
    let possible = readings.iter().filter_map(|sample| places(sample)).max();
    let Some(possible) = possible else {
        return Shortfall::Unknown;
    };
    // Without a message at all, each settled task is lost, and the others get another copy by themselves.
    let of = if possible == 0 {
        settled
    } else {
        settled + newest.facts.copies
    };
    let missing = of - possible;
    if settled == 0 || missing <= 0 {
        return Shortfall::None;
    }
    let held_nothing = readings.iter().all(|sample| {
        sample
            .numbers
            .snapshot
            .is_some_and(|snapshot| snapshot.ready == 0 && snapshot.unacknowledged == 0)
    });
    Shortfall::AtLeast {
        missing,
        of,
        named: match possible {
            0 if held_nothing => Named::AllEmpty,
            0 => Named::AllAccounted,
            _ => Named::Some,
        },
        readings: readings.len() as i64,
        span_ms: readings.last().map_or(0, |oldest| newest.at.ms_since(oldest.at)),
    }
}

/// How many settled tasks can have a message, by this reading.
pub fn places(sample: &Sample) -> Option<i64> {
    let snapshot = sample.numbers.snapshot?;
    // Ready is also known live; the larger one keeps a snapshot that is later than thought from proving a loss.
    let live = sample.numbers.ready.map_or(0, |ready| ready.value);
    Some(snapshot.ready.max(live) + sample.buffered()?)
}
