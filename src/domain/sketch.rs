//! Many durations in little room: a histogram whose buckets grow by a tenth, so that a percentile is right to 5 %.
//!
//! In the manner of DDSketch (Masson, Rim, Lee 2019): which bucket a duration falls into depends on nothing but itself, so
//! sketches of processes, hours and days are merged by adding up their counts, in any order.

use std::collections::BTreeMap;

/// Each bucket reaches a tenth further than the one before.
const GROWTH: f64 = 1.1;
/// 256 buckets reach from 0 ms to 377 days. What is longer counts as that.
const LAST: i64 = 255;

/// How many durations fell into which bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    counts: BTreeMap<i64, i64>,
}

/// The bucket of a duration: 0 to 255. One below 0 counts as 0.
pub fn bucket(ms: i64) -> i64 {
    if ms <= 0 {
        return 0;
    }
    // The cast is to a small whole number: a logarithm of at most 2^63.
    let power = ((ms as f64).ln() / GROWTH.ln()).ceil() as i64;
    (power + 1).min(LAST)
}

/// The longest duration of a bucket, to the millisecond above.
fn upper_ms(bucket: i64) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    GROWTH.powi(i32::try_from(bucket - 1).unwrap_or(i32::MAX))
}

impl Sketch {
    /// Adds so many durations of one bucket. Buckets beyond the last count as the last.
    pub fn add(&mut self, bucket: i64, count: i64) {
        let sum = self.counts.entry(bucket.clamp(0, LAST)).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Adds one duration.
    pub fn note(&mut self, ms: i64) {
        self.add(bucket(ms), 1);
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            self.add(*bucket, *count);
        }
    }

    /// How many durations it holds.
    pub fn count(&self) -> i64 {
        self.counts
            .values()
            .fold(0, |sum: i64, count| sum.saturating_add(*count))
    }

    /// The duration that `percent` of 100 do not exceed (by nearest rank), in milliseconds: at most 5 % and half a
    /// millisecond beside the true one. `None` without durations.
    pub fn percentile_ms(&self, percent: u32) -> Option<i64> {
        let rank = i128::from(self.count()) * i128::from(percent);
        let rank = (rank + 99) / 100;
        let mut seen: i128 = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += i128::from(**count);
            **count > 0 && seen >= rank
        });
        // Where the largest possible error to both sides is the same.
        found.map(|(bucket, _)| (upper_ms(*bucket) * 2.0 / (GROWTH + 1.0)).round() as i64)
    }

    /// No duration is longer than this, in milliseconds; at most a tenth and a millisecond more than the longest. `None`
    /// without durations.
    pub fn longest_ms(&self) -> Option<i64> {
        let mut longest_first = self.counts.iter().rev();
        let (bucket, _) = longest_first.find(|(_, count)| **count > 0)?;
        Some(upper_ms(*bucket).ceil() as i64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A year: the longest that is told exactly enough.
    const YEAR_MS: i64 = 31_536_000_000;

    fn sketch(durations: &[i64]) -> Sketch {
        let mut sketch = Sketch::default();
        for ms in durations {
            sketch.note(*ms);
        }
        sketch
    }

    fn merged(one: &Sketch, other: &Sketch) -> Sketch {
        let mut sum = one.clone();
        sum.merge(other);
        sum
    }

    /// Of every size: a plain range would hold long ones only.
    fn durations() -> impl Strategy<Value = Vec<i64>> {
        let one = (0_u32..35, 0.0..1.0_f64).prop_map(|(power, part)| {
            let ms = 2_f64.powi(i32::try_from(power).expect("small")) * (1.0 + part);
            (ms as i64).min(YEAR_MS)
        });
        prop::collection::vec(prop_oneof![Just(0), Just(1), one], 1..200)
    }

    #[test]
    fn a_percentile_is_that_of_the_nearest_rank() {
        let hundred: Vec<i64> = (1..=100).map(|n| n * 1000).collect();
        let hundred = sketch(&hundred);
        for (percent, ms) in [(50, 50_000), (95, 95_000), (99, 99_000), (100, 100_000)] {
            let told = hundred.percentile_ms(percent).expect("durations");
            assert!((told - ms).abs() <= ms / 20, "{percent} %: {told}, not {ms}");
        }
        assert_eq!(
            (hundred.count(), Sketch::default().percentile_ms(50)),
            (100, None)
        );
        assert_eq!(Sketch::default().longest_ms(), None);
    }

    #[test]
    fn there_are_256_buckets_however_long_something_takes() {
        assert_eq!([bucket(i64::MIN), bucket(0), bucket(1), bucket(2)], [0, 0, 1, 9]);
        assert_eq!((bucket(i64::MAX), bucket(YEAR_MS)), (LAST, LAST));
        let mut odd = Sketch::default();
        odd.add(-1, 2);
        odd.add(1_000, i64::MAX);
        odd.add(1_000, i64::MAX);
        assert_eq!(
            (odd.count(), odd.percentile_ms(1)),
            (i64::MAX, odd.percentile_ms(100))
        );
    }

    proptest! {
        #[test]
        fn a_percentile_is_right_to_five_percent(mut durations in durations(), percent in 1_u32..=100) {
            let told = sketch(&durations);
            durations.sort_unstable();
            let rank = (durations.len() * percent as usize).div_ceil(100);
            let truth = durations[rank - 1] as f64;
            let told_ms = told.percentile_ms(percent).expect("durations") as f64;
            prop_assert!((told_ms - truth).abs() <= truth * 0.05 + 0.5, "{told_ms} for {truth}");
        }

        #[test]
        fn nothing_is_longer_than_the_longest(durations in durations()) {
            let truth = durations.iter().copied().max().expect("one");
            let told = sketch(&durations).longest_ms().expect("durations");
            prop_assert!(truth <= told && told as f64 <= truth as f64 * 1.1 + 1.0, "{told} for {truth}");
        }

        #[test]
        fn sketches_are_merged_in_any_order(a in durations(), b in durations(), c in durations()) {
            let all: Vec<i64> = a.iter().chain(&b).chain(&c).copied().collect();
            let (a, b, c) = (sketch(&a), sketch(&b), sketch(&c));
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&merged(&a, &b), &c), sketch(&all));
        }

        #[test]
        fn a_longer_duration_is_never_in_an_earlier_bucket(a in 0..YEAR_MS, b in 0..YEAR_MS) {
            prop_assert!((bucket(a) <= bucket(b)) || a > b);
        }
    }
}
