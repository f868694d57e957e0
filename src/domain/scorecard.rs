//! How often each rule spoke, how its findings ended, and how often people said that it was wrong.

use std::collections::BTreeMap;

use super::finding::{About, CloseReason, Variant, Verdict};

/// One form of a verdict, about a task or about a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    pub about: About,
    pub verdict: Verdict,
    pub variant: Variant,
}

const S: i64 = 1_000;
const MIN: i64 = 60 * S;
const H: i64 = 60 * MIN;
const D: i64 = 24 * H;

/// The ends of the classes that findings are counted in by how long they lasted. The last one has no end.
const CLASSES: [i64; 24] = [
    5 * S,
    10 * S,
    15 * S,
    20 * S,
    30 * S,
    45 * S,
    MIN,
    90 * S,
    2 * MIN,
    3 * MIN,
    5 * MIN,
    10 * MIN,
    15 * MIN,
    20 * MIN,
    30 * MIN,
    45 * MIN,
    H,
    2 * H,
    4 * H,
    8 * H,
    D,
    2 * D,
    7 * D,
    i64::MAX,
];

/// The end of the class of what lasted `ms`.
pub fn lasted_upto(ms: i64) -> i64 {
    CLASSES.into_iter().find(|end| ms <= *end).unwrap_or(i64::MAX)
}

/// What a rule's findings of some days came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub opened: i64,
    /// How many closed, by the reason.
    pub closed: BTreeMap<CloseReason, i64>,
    /// The same, by the end of the class of spans that they lasted for.
    pub lasted: BTreeMap<i64, i64>,
    /// How many somebody called wrong.
    pub false_alarms: i64,
}

impl Score {
    /// How many closed.
    pub fn ended(&self) -> i64 {
        self.closed.values().sum()
    }

    /// At least half of what closed had lasted no longer than this, in milliseconds; `None` when nothing closed, or when
    /// half of it had lasted for more than a week.
    pub fn half_upto(&self) -> Option<i64> {
        let half = (self.lasted.values().sum::<i64>() + 1) / 2;
        let mut so_far = 0;
        self.lasted
            .iter()
            .find(|(_, count)| {
                so_far += **count;
                so_far >= half
            })
            .map(|(end, _)| *end)
            .filter(|end| *end != i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_counted_in_the_first_class_that_holds_it() {
        for (ms, end) in [
            (0, 5_000),
            (5_000, 5_000),
            (5_001, 10_000),
            (7 * D, 7 * D),
            (7 * D + 1, i64::MAX),
        ] {
            assert_eq!(lasted_upto(ms), end, "{ms}");
        }
    }

    #[test]
    fn half_of_the_findings_lasted_no_longer_than_the_score_says() {
        let score = |counts: &[(i64, i64)]| Score {
            lasted: counts.iter().copied().collect(),
            ..Score::default()
        };
        for (counts, half) in [
            (&[][..], None),
            (&[(5_000, 1)], Some(5_000)),
            (&[(5_000, 1), (MIN, 1)], Some(5_000)),
            (&[(5_000, 1), (MIN, 2)], Some(MIN)),
            (&[(5_000, 1), (i64::MAX, 2)], None),
        ] {
            assert_eq!(score(counts).half_upto(), half, "{counts:?}");
        }
    }
}
