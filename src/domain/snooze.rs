//! A finding that somebody put off for a while: until when, and what brings it back earlier.

use std::time::Duration;

use super::{finding::Confidence, time::Time, words::words};

/// The shortest and the longest time that a finding can be put off for.
pub const SHORTEST: Duration = Duration::from_secs(60);
pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A cause that grew by fewer tasks than this has not got worse.
const MORE_TASKS: i64 = 5;
/// The hour of the day, in UTC, at which "tomorrow" begins.
const MORNING_H: i64 = 8;

words! {
    /// For how long somebody puts a finding off.
    pub enum Span {
        HalfHour = "30m",
        TwoHours = "2h",
        EightHours = "8h",
        /// Until the next day at 08:00 UTC.
        Tomorrow = "tomorrow",
        /// Until a time that is given with it.
        Until = "until",
    }
}

words! {
    /// Why a snooze is over.
    pub enum End {
        /// Its time is.
        Over = "over",
        /// The finding got worse.
        Worse = "worse",
        /// Somebody took it back.
        TakenBack = "taken_back",
        /// The finding closed.
        Closed = "closed",
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    pub confidence: Confidence,
    /// How many tasks it touches; 1 for a finding about one task.
    pub tasks: i64,
}

/// A finding that was put off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snooze {
    pub ends_at: Time,
    pub reason: String,
    /// Who did it, and when.
    pub actor: String,
    pub at: Time,
    /// The finding as it was then.
    pub weight: Weight,
    /// When it was over before its time, or noticed to be, and why.
    pub ended: Option<(Time, End)>,
}

/// A time to put a finding off until that won't do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a finding can be put off for at least a minute and at most 7 days")]
pub struct OutOfBounds;

impl Span {
    /// When a snooze of this length ends that begins at `now`; `until` is the time that goes with `Until`.
    pub fn end(self, now: Time, until: Option<Time>) -> Result<Time, OutOfBounds> {
        let minutes = |count: u64| now + Duration::from_secs(60 * count);
        let end = match self {
            Self::HalfHour => minutes(30),
            Self::TwoHours => minutes(120),
            Self::EightHours => minutes(480),
            Self::Tomorrow => {
                let day = now.ms().div_euclid(86_400_000) + 1;
                Time::from_ms(day * 86_400_000 + MORNING_H * 3_600_000)
            }
            Self::Until => until.ok_or(OutOfBounds)?,
        };
        if end < now + SHORTEST || end > now + LONGEST {
            return Err(OutOfBounds);
        }
        Ok(end)
    }
}

impl Snooze {
    /// Whether the finding is put off at `now`.
    pub fn holds(&self, now: Time) -> bool {
        self.ended.is_none() && now < self.ends_at
    }

    /// Why the snooze is over, as the finding is now; `None` while it holds. `found` is `None` for a finding that closed.
    pub fn end(&self, found: Option<Weight>, now: Time) -> Option<End> {
        match found {
            None => Some(End::Closed),
            Some(weight) if worse(self.weight, weight) => Some(End::Worse),
            Some(_) if now >= self.ends_at => Some(End::Over),
            Some(_) => None,
        }
    }
}

/// A finding got worse when what was likely is proven, or when it touches more than twice as many tasks, and five more at
/// the least.
pub fn worse(was: Weight, is: Weight) -> bool {
    let proven = was.confidence == Confidence::Likely && is.confidence == Confidence::Proven;
    let more = is.tasks > was.tasks.saturating_mul(2) && is.tasks - was.tasks >= MORE_TASKS;
    proven || more
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01 21:30 UTC.
    const NOW: Time = Time::from_ms(1_767_225_600_000 + 21 * 3_600_000 + 1_800_000);

    fn weight(confidence: Confidence, tasks: i64) -> Weight {
        Weight { confidence, tasks }
    }

    #[test]
    fn a_finding_is_put_off_for_a_minute_to_a_week() {
        let after = |seconds: u64| Some(NOW + Duration::from_secs(seconds));
        for (span, until, ends) in [
            (Span::HalfHour, None, after(1_800)),
            (Span::TwoHours, None, after(7_200)),
            (Span::EightHours, None, after(28_800)),
            (Span::Tomorrow, None, after(10 * 3_600 + 1_800)),
            (Span::Until, after(60), after(60)),
            (Span::Until, after(7 * 86_400), after(7 * 86_400)),
            (Span::Until, after(59), None),
            (Span::Until, after(7 * 86_400 + 1), None),
            (Span::Until, None, None),
        ] {
            assert_eq!(span.end(NOW, until).ok(), ends, "{span} {until:?}");
        }
    }

    #[test]
    fn what_is_proven_now_or_touches_more_than_twice_as_many_tasks_is_worse() {
        use Confidence::{Likely, Proven};
        for (was, is, expected) in [
            (weight(Likely, 1), weight(Proven, 1), true),
            (weight(Proven, 1), weight(Likely, 1), false),
            (weight(Proven, 1), weight(Proven, 5), false),
            (weight(Proven, 1), weight(Proven, 6), true),
            (weight(Proven, 0), weight(Proven, 5), true),
            (weight(Proven, 10), weight(Proven, 20), false),
            (weight(Proven, 10), weight(Proven, 21), true),
            (weight(Proven, 10), weight(Proven, 3), false),
        ] {
            assert_eq!(worse(was, is), expected, "{was:?} {is:?}");
        }
    }

    #[test]
    fn a_snooze_ends_with_its_time_its_finding_or_what_gets_worse() {
        let was = weight(Confidence::Likely, 1);
        let snooze = Snooze {
            ends_at: NOW,
            reason: "known".into(),
            actor: "user:a@b.example".into(),
            at: NOW - Duration::from_secs(60),
            weight: was,
            ended: None,
        };
        let before = NOW - Duration::from_secs(1);
        let proven = weight(Confidence::Proven, 1);
        for (found, now, end) in [
            (Some(was), before, None),
            (Some(was), NOW, Some(End::Over)),
            (Some(proven), before, Some(End::Worse)),
            (None, before, Some(End::Closed)),
        ] {
            assert_eq!(snooze.end(found, now), end, "{found:?} {now}");
        }
        assert!(snooze.holds(before) && !snooze.holds(NOW));
        let ended = Snooze {
            ended: Some((before, End::TakenBack)),
            ..snooze
        };
        assert!(!ended.holds(before));
    }
}
