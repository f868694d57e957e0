//! What is usual for a kind: how long its tasks wait and run. From it follows when a run without a timeout is unusual.

use std::time::Duration;

use super::{sketch::Sketch, time::Time, words::words};

words! {
    /// What is measured of a task.
    pub enum Measure {
        /// An attempt that succeeded, from its claim to its end.
        Run = "run",
        /// From when a task was due until a worker claimed it. A take-over is not counted.
        Wait = "wait",
    }
}

/// What is usual rests on today (UTC) and so many days before it.
const DAYS_BEFORE: u32 = 6;

/// Since when durations count at `now`.
pub fn counted_since(now: Time) -> Time {
    now.day() - Duration::from_secs(86_400) * DAYS_BEFORE
}

/// From when on a run is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// So many successful runs of a kind, at least, say how long one takes.
    pub samples: i64,
    /// A run is unusual from so many times what 99 of 100 take.
    pub factor: i64,
    /// No run is unusual before this.
    pub floor_ms: i64,
    /// A kind is watched for so long, at least, before any of its runs is called unusual.
    pub watched_ms: i64,
}

impl Bounds {
    pub const DEFAULT: Self = Self {
        samples: 50,
        factor: 3,
        floor_ms: 60_000,
        watched_ms: 86_400_000,
    };
}

/// The successful runs of one kind, of all queues, in the last seven days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    pub sketch: Sketch,
    /// Since when they were counted, to the hour: before that there was none in these days.
    pub since: Time,
}

/// How long runs of a kind usually take, and from when on one is unusual. Spans are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    pub samples: i64,
    pub p50_ms: i64,
    pub p99_ms: i64,
    pub longest_ms: i64,
    pub since: Time,
    /// A run that takes longer is unusual.
    pub limit_ms: i64,
    /// Nothing is said of runs that began earlier: the kind had not been watched for long enough. `None` for a kind that
    /// was watched for all of the seven days.
    pub watched_at: Option<Time>,
}

impl Runs {
    /// What they say; `None` when they are too few to say anything.
    ///
    /// A run is unusual when it takes a multiple of what 99 of 100 took, and longer than every one of them: what has
    /// succeeded once may do so again. Never below the floor.
    pub fn usual(&self, now: Time, bounds: &Bounds) -> Option<Usual> {
        let samples = self.sketch.count();
        if samples < bounds.samples {
            return None;
        }
        let p99_ms = self.sketch.percentile_ms(99)?;
        let longest_ms = self.sketch.longest_ms()?;
        let limit_ms = p99_ms
            .saturating_mul(bounds.factor)
            .max(longest_ms)
            .max(bounds.floor_ms);
        let watched_ms = limit_ms.saturating_mul(bounds.factor).max(bounds.watched_ms);
        Some(Usual {
            samples,
            p50_ms: self.sketch.percentile_ms(50)?,
            p99_ms,
            longest_ms,
            since: self.since,
            limit_ms,
            watched_at: (self.since.day() > counted_since(now))
                .then(|| Time::from_ms(self.since.ms().saturating_add(watched_ms))),
        })
    }
}

impl Usual {
    /// Whether the samples may be the short ones of a kind whose long runs have not ended yet: `older` is how many runs
    /// that began before it was watched for long enough are alive beyond the limit. 1 of 100 would move the p99 itself.
    pub fn is_outweighed(&self, older: i64) -> bool {
        older.saturating_mul(100) > self.samples
    }
}

/// One kind's waits and runs on one queue in the last seven days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindTimes {
    pub kind: String,
    pub run: Sketch,
    pub wait: Sketch,
}

/// The kind whose runs take longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slowest {
    pub kind: String,
    /// What 99 of 100 of its runs did not exceed.
    pub p99_ms: i64,
}

impl Slowest {
    /// The slowest of `kinds`, by those with enough samples to tell; `None` when there is none.
    pub fn of(kinds: &[KindTimes]) -> Option<Self> {
        let told = kinds
            .iter()
            .filter(|kind| kind.run.count() >= Bounds::DEFAULT.samples);
        let slow = told.filter_map(|kind| {
            Some(Self {
                kind: kind.kind.clone(),
                p99_ms: kind.run.percentile_ms(99)?,
            })
        });
        slow.max_by_key(|slow| slow.p99_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn runs(durations: impl IntoIterator<Item = i64>) -> Runs {
        let mut sketch = Sketch::default();
        for ms in durations {
            sketch.note(ms);
        }
        let since = Time::from_ms(0);
        Runs { sketch, since }
    }

    fn usual(runs: &Runs) -> Option<Usual> {
        runs.usual(Time::from_ms(24 * HOUR_MS), &Bounds::DEFAULT)
    }

    fn near(told: i64, truth: i64) -> bool {
        (told - truth).abs() * 10 <= truth
    }

    #[test]
    fn fewer_than_fifty_runs_say_nothing() {
        assert_eq!(usual(&runs([1_000; 49])), None);
        assert!(usual(&runs([1_000; 50])).is_some());
    }

    #[test]
    fn a_run_is_unusual_from_three_times_what_99_of_100_take() {
        let many = (0..1_000).map(|n| if n < 980 { 40_000 } else { 120_000 });
        let usual = usual(&runs(many)).expect("enough");
        assert!(
            near(usual.p50_ms, 40_000) && near(usual.p99_ms, 120_000),
            "{usual:?}"
        );
        assert_eq!(usual.limit_ms, 3 * usual.p99_ms);
    }

    #[test]
    fn what_has_succeeded_once_is_not_unusual() {
        let many = (0..1_000).map(|n| if n < 999 { 1_000 } else { 20 * HOUR_MS });
        let usual = usual(&runs(many)).expect("enough");
        assert!(near(usual.p99_ms, 1_000), "{usual:?}");
        assert!(usual.limit_ms >= 20 * HOUR_MS, "{usual:?}");
    }

    #[test]
    fn nothing_is_unusual_within_a_minute() {
        let usual = usual(&runs([5; 100])).expect("enough");
        assert_eq!(usual.limit_ms, 60_000);
    }

    #[test]
    fn a_kind_is_watched_for_a_day_and_for_three_times_its_limit() {
        let after = |ms| usual(&runs([ms; 100])).expect("enough").watched_at.map(Time::ms);
        assert_eq!(after(1_000), Some(24 * HOUR_MS));
        assert!(after(10 * HOUR_MS).is_some_and(|ms| near(ms, 90 * HOUR_MS)));
    }

    #[test]
    fn a_kind_that_was_watched_for_seven_days_may_have_begun_before() {
        let watched_at = |days: i64| {
            let now = Time::from_ms(24 * HOUR_MS * days + HOUR_MS);
            runs([1_000; 100])
                .usual(now, &Bounds::DEFAULT)
                .expect("enough")
                .watched_at
        };
        assert_eq!(watched_at(5), Some(Time::from_ms(24 * HOUR_MS)));
        assert_eq!(watched_at(6), None);
    }

    #[test]
    fn runs_that_go_on_since_before_that_outweigh_the_short_ones() {
        let usual = usual(&runs([1_000; 200])).expect("enough");
        assert!(!usual.is_outweighed(2));
        assert!(usual.is_outweighed(3));
    }

    #[test]
    fn seven_days_are_today_and_the_six_before() {
        let noon = Time::from_ms(1_767_225_600_000 + 12 * HOUR_MS);
        assert_eq!(counted_since(noon).ms(), 1_767_225_600_000 - 6 * 24 * HOUR_MS);
    }
}
