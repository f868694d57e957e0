//! What Unstuck does by itself about findings: for each queue and verdict how sure it must be, how fast it may go, and
//! when it must stop and leave the rest to a person.
//!
//! The cure is always the same: the message is put out again under the *same* dispatch (docs/decisions/0009). Were the
//! finding wrong, the copy would be discarded.

use std::ops::RangeInclusive;

use super::{
    finding::{Confidence, Verdict},
    ledger::{Shortfall, shortfall},
    observation::{BrokerSight, Presence, Publishing, Window},
    time::Time,
    words::words,
};

/// The verdicts that a policy may act on. Of the others, some mend themselves (`unpublished`, `worker_lost`,
/// `worker_silent`), and to some the same message would only happen again (`dead_lettered`, `crash_loop`); the rest say
/// nothing that another message would mend.
pub const CURABLE: [Verdict; 1] = [Verdict::MessageLost];

/// Tasks a minute.
pub const PER_MINUTE: RangeInclusive<i64> = 1..=60_000;
/// The share of the queue's open tasks beyond which it stops. 100 never stops.
pub const BREAKER_PERCENT: RangeInclusive<i64> = 1..=100;
/// It never stops for so many tasks or fewer, whatever their share.
pub const BREAKER_TASKS: RangeInclusive<i64> = 0..=100_000;

/// Before anything is done, every look must have come in time and seen the broker for so long.
const STEADY_MS: i64 = 10_000;
/// A loss is found in parts: it is acted on once no more of it came in for so long.
const SETTLED_MS: i64 = 10_000;
/// What goes on and on is acted on after so long.
const GROWING_MS: i64 = 60_000;

words! {
    /// How sure a finding must be before something is done about it.
    pub enum PolicyAction {
        /// Nothing is done by itself.
        ShowOnly = "show_only",
        WhenProven = "when_proven",
        /// When proven, too.
        WhenLikely = "when_likely",
    }
}

impl PolicyAction {
    /// The confidences that are enough.
    pub const fn confidences(self) -> &'static [Confidence] {
        match self {
            Self::ShowOnly => &[],
            Self::WhenProven => &[Confidence::Proven],
            Self::WhenLikely => &[Confidence::Proven, Confidence::Likely],
        }
    }
}

/// The policy of one queue for one verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub action: PolicyAction,
    pub per_minute: i64,
    pub breaker_percent: i64,
    pub breaker_tasks: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            action: PolicyAction::ShowOnly,
            per_minute: 300,
            breaker_percent: 20,
            breaker_tasks: 10,
        }
    }
}

impl Policy {
    /// The names of the numbers that are out of bounds.
    pub fn wrongs(&self) -> Vec<&'static str> {
        [
            ("per_minute", &PER_MINUTE, self.per_minute),
            ("breaker_percent", &BREAKER_PERCENT, self.breaker_percent),
            ("breaker_tasks", &BREAKER_TASKS, self.breaker_tasks),
        ]
        .into_iter()
        .filter(|(_, bounds, value)| !bounds.contains(value))
        .map(|(name, ..)| name)
        .collect()
    }
}

/// How the findings that a policy may act on come in, from look to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Influx {
    found: i64,
    first_at: Option<Time>,
    grew_at: Option<Time>,
}

impl Influx {
    /// Notes how many there are now, and says whether they are all there, as far as can be told.
    ///
    /// The copies of the first part are messages like any other: put out before the rest is found, they hide which tasks
    /// the rest are.
    pub fn is_whole(&mut self, found: i64, now: Time) -> bool {
        if found == 0 {
            *self = Self::default();
            return false;
        }
        if found > self.found {
            self.grew_at = Some(now);
        }
        self.found = found;
        let first_at = *self.first_at.get_or_insert(now);
        let since = |at: Time, ms: i64| now.ms_since(at) >= ms;
        self.grew_at.is_none_or(|at| since(at, SETTLED_MS)) || since(first_at, GROWING_MS)
    }
}

/// What a policy decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The numbers of this look are whole and young, and the broker takes messages.
    pub seen: bool,
    /// The breaker stopped it, and nobody has let it go on.
    pub tripped: bool,
    /// Open findings it covers, whose tasks did not change since and may be put out again.
    pub found: i64,
    /// No more are coming in, or they have been for long.
    pub whole: bool,
    /// At least so many tasks have no message, whoever they are.
    pub missing: i64,
    /// Tasks of the queue that have not ended and are not new.
    pub open: i64,
    pub done_this_minute: i64,
    pub done_this_hour: i64,
}

/// What a policy does in one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Hold,
    /// It stops: `would` tasks, with those of this hour, are too many of `open`.
    Trip {
        would: i64,
        open: i64,
    },
    /// Up to `limit` tasks may be put out again.
    Act {
        limit: i64,
    },
}

/// Decides what `policy` does now.
///
/// The breaker looks at everything that would be done if nothing held it, before any of it is: what was found, or the
/// shortage when that is larger (the tasks of a large loss are found over many looks), and what was done this hour.
pub fn step(policy: &Policy, case: &Case) -> Step {
    if policy.action == PolicyAction::ShowOnly || case.tripped || !case.seen || case.found <= 0 {
        return Step::Hold;
    }
    let would = case.found.max(case.missing).saturating_add(case.done_this_hour);
    let share = case.open.saturating_mul(policy.breaker_percent);
    if would > policy.breaker_tasks && would.saturating_mul(100) > share {
        return Step::Trip {
            would,
            open: case.open,
        };
    }
    match policy.per_minute - case.done_this_minute {
        limit if limit > 0 && case.whole => Step::Act {
            limit: limit.min(case.found),
        },
        _ => Step::Hold,
    }
}

/// Whether this look's numbers of the queue are good enough to act on: the broker was seen, has no alarm and takes
/// messages; the queue's numbers are whole and agree over a proof's time, or it is missing for certain.
pub fn seen(sight: &BrokerSight, queue: &str, window: &Window, steady_ms: Option<i64>) -> bool {
    let quiet = sight.alarms.as_ref().is_some_and(Vec::is_empty) && sight.publishing == Publishing::Open;
    let steady = steady_ms.is_some_and(|ms| ms >= STEADY_MS);
    if sight.blind.is_some() || sight.restarted || !quiet || !steady {
        return false;
    }
    let Some(numbers) = sight.queues.get(queue).map(|queue| queue.numbers) else {
        return false;
    };
    match numbers.presence {
        Presence::Here => numbers.is_complete() && window.proof().is_some(),
        Presence::Missing => window.len() > 1,
        Presence::Unseen => false,
    }
}

/// At least so many of the queue's tasks have no message, by its newest readings.
pub fn missing(window: &Window) -> i64 {
    match (window.newest(), shortfall(window)) {
        (Some(newest), _) if newest.numbers.presence == Presence::Missing => newest.facts.queued,
        (_, Shortfall::AtLeast { missing, .. }) => missing,
        (_, Shortfall::Unknown | Shortfall::None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEN_PROVEN: Policy = Policy {
        action: PolicyAction::WhenProven,
        per_minute: 300,
        breaker_percent: 20,
        breaker_tasks: 10,
    };

    fn case() -> Case {
        Case {
            seen: true,
            tripped: false,
            found: 4,
            whole: true,
            missing: 0,
            open: 100,
            done_this_minute: 0,
            done_this_hour: 0,
        }
    }

    #[test]
    fn a_policy_acts_holds_or_stops() {
        let act = |limit| Step::Act { limit };
        let trip = |would, open| Step::Trip { would, open };
        let of = |change: &dyn Fn(&mut Case)| {
            let mut case = case();
            change(&mut case);
            case
        };
        let show_only = Policy {
            action: PolicyAction::ShowOnly,
            ..WHEN_PROVEN
        };
        let slow = Policy {
            per_minute: 3,
            ..WHEN_PROVEN
        };
        let fearless = Policy {
            breaker_percent: 100,
            ..WHEN_PROVEN
        };
        for (name, policy, case, expected) in [
            ("found", WHEN_PROVEN, case(), act(4)),
            ("show only", show_only, case(), Step::Hold),
            (
                "nothing found",
                WHEN_PROVEN,
                of(&|case| case.found = 0),
                Step::Hold,
            ),
            ("not seen", WHEN_PROVEN, of(&|case| case.seen = false), Step::Hold),
            (
                "not seen, too many",
                WHEN_PROVEN,
                of(&|case| (case.seen, case.found) = (false, 90)),
                Step::Hold,
            ),
            (
                "more are coming in",
                WHEN_PROVEN,
                of(&|case| case.whole = false),
                Step::Hold,
            ),
            (
                "more are coming in, and it is too many already",
                WHEN_PROVEN,
                of(&|case| (case.whole, case.found) = (false, 21)),
                trip(21, 100),
            ),
            (
                "tripped",
                WHEN_PROVEN,
                of(&|case| case.tripped = true),
                Step::Hold,
            ),
            ("capped", slow, case(), act(3)),
            (
                "capped, some done",
                slow,
                of(&|case| case.done_this_minute = 2),
                act(1),
            ),
            (
                "capped, all done",
                slow,
                of(&|case| case.done_this_minute = 3),
                Step::Hold,
            ),
            (
                "just the share",
                WHEN_PROVEN,
                of(&|case| case.found = 20),
                act(20),
            ),
            (
                "over the share",
                WHEN_PROVEN,
                of(&|case| case.found = 21),
                trip(21, 100),
            ),
            (
                "all of a few",
                WHEN_PROVEN,
                of(&|case| (case.found, case.open) = (10, 10)),
                act(10),
            ),
            (
                "all of some",
                WHEN_PROVEN,
                of(&|case| (case.found, case.open) = (11, 11)),
                trip(11, 11),
            ),
            (
                "a large loss that is found bit by bit",
                WHEN_PROVEN,
                of(&|case| (case.found, case.missing, case.open) = (5_000, 100_000, 100_000)),
                trip(100_000, 100_000),
            ),
            (
                "again and again",
                WHEN_PROVEN,
                of(&|case| case.done_this_hour = 17),
                trip(21, 100),
            ),
            (
                "a share of 100",
                fearless,
                of(&|case| (case.found, case.open) = (5_000, 5_000)),
                act(300),
            ),
        ] {
            assert_eq!(step(&policy, &case), expected, "{name}");
        }
    }

    #[test]
    fn what_is_found_in_parts_is_whole_once_it_has_not_grown_for_a_while_or_has_for_long() {
        let at = |second: i64| Time::from_ms(1_767_225_600_000 + second * 1_000);
        let mut influx = Influx::default();
        let mut whole = |second, found| influx.is_whole(found, at(second));
        assert!(!whole(0, 2));
        assert!(!whole(5, 3), "it grew");
        assert!(!whole(14, 3));
        assert!(whole(15, 3));
        assert!(whole(16, 2), "some of it is mended");
        assert!(!whole(20, 4), "another part");
        assert!(!whole(21, 0));
        assert!(!whole(22, 1), "another loss");
        for second in (27..82).step_by(5) {
            assert!(!whole(second, second), "it grows on and on");
        }
        assert!(whole(82, 82));
    }

    #[test]
    fn likely_includes_proven() {
        use Confidence::{Likely, Proven};
        let enough = |action: PolicyAction, confidence| action.confidences().contains(&confidence);
        for (action, proven, likely) in [
            (PolicyAction::ShowOnly, false, false),
            (PolicyAction::WhenProven, true, false),
            (PolicyAction::WhenLikely, true, true),
        ] {
            assert_eq!(
                (enough(action, Proven), enough(action, Likely)),
                (proven, likely),
                "{action}"
            );
        }
    }

    #[test]
    fn a_number_out_of_bounds_is_named() {
        assert!(Policy::default().wrongs().is_empty());
        let wrong = Policy {
            per_minute: 0,
            breaker_percent: 101,
            breaker_tasks: -1,
            ..WHEN_PROVEN
        };
        assert_eq!(wrong.wrongs(), ["per_minute", "breaker_percent", "breaker_tasks"]);
    }
}
