//! Which thresholds can be set, within which bounds, and what a set one changes.

use std::collections::BTreeMap;

use super::Thresholds;
use crate::domain::{finding::Verdict, words::words};

words! {
    /// A threshold that can be set for an installation. Its word ends in its unit.
    pub enum Setting {
        PublishGrace = "publish_grace_ms",
        LeaseGrace = "lease_grace_ms",
        NoConsumers = "no_consumers_ms",
        StuckSamples = "stuck_samples",
        Stuck = "stuck_ms",
        Backlog = "backlog_ms",
        OverStable = "over_stable_ms",
        MissingStable = "missing_stable_ms",
        AlarmReadings = "alarm_readings",
        Blind = "blind_ms",
        OvertakenMargin = "overtaken_margin_ms",
        Steady = "steady_ms",
        CrashLoop = "crash_loop",
        CancelGrace = "cancel_grace_ms",
        MismatchStable = "mismatch_stable_ms",
        AckDeadline = "ack_deadline_percent",
        DeadMargin = "dead_margin_ms",
        HeadMargin = "head_margin_ms",
    }
}

words! {
    /// What a threshold counts.
    pub enum Unit {
        /// Milliseconds; people set whole seconds.
        Span = "s",
        Percent = "percent",
        Readings = "readings",
        Attempts = "attempts",
    }
}

/// A value that a threshold can't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {lowest} to {highest}, not {given}")]
pub struct OutOfBounds {
    pub setting: Setting,
    pub given: i64,
    pub lowest: i64,
    pub highest: i64,
}

/// The thresholds that are not at their defaults.
pub type Changed = BTreeMap<Setting, i64>;

const S: i64 = 1_000;
const MIN: i64 = 60 * S;

impl Setting {
    pub const fn unit(self) -> Unit {
        match self {
            Self::StuckSamples | Self::AlarmReadings => Unit::Readings,
            Self::CrashLoop => Unit::Attempts,
            Self::AckDeadline => Unit::Percent,
            Self::PublishGrace
            | Self::LeaseGrace
            | Self::NoConsumers
            | Self::Stuck
            | Self::Backlog
            | Self::OverStable
            | Self::MissingStable
            | Self::Blind
            | Self::OvertakenMargin
            | Self::Steady
            | Self::CancelGrace
            | Self::MismatchStable
            | Self::DeadMargin
            | Self::HeadMargin => Unit::Span,
        }
    }

    /// The lowest and the highest value, for a detector that looks every `every_ms`.
    ///
    /// What a proof rests on can be raised and never lowered. A span of a queue's readings is no longer than those are kept.
    pub const fn bounds(self, every_ms: i64) -> (i64, i64) {
        let blind = Thresholds::new(every_ms).blind_ms;
        match self {
            Self::PublishGrace => (5 * S, 10 * MIN),
            Self::LeaseGrace => (5 * S, 10 * MIN),
            Self::NoConsumers | Self::Backlog => (10 * S, 10 * MIN),
            Self::StuckSamples => (3, 20),
            Self::Stuck => (15 * S, 10 * MIN),
            Self::OverStable => (10 * S, 10 * MIN),
            Self::MissingStable => (3 * S, 2 * MIN),
            Self::AlarmReadings => (1, 20),
            Self::Blind => (blind, if blind > 10 * MIN { blind } else { 10 * MIN }),
            Self::OvertakenMargin => (10 * S, 10 * MIN),
            Self::Steady => (10 * S, 5 * MIN),
            Self::CrashLoop => (2, 20),
            Self::CancelGrace => (30 * S, 60 * MIN),
            Self::MismatchStable => (5 * S, 10 * MIN),
            Self::AckDeadline => (1, 90),
            Self::DeadMargin | Self::HeadMargin => (60 * S, 60 * MIN),
        }
    }

    /// The value, when it is within the bounds.
    pub fn check(self, value: i64, every_ms: i64) -> Result<i64, OutOfBounds> {
        let (lowest, highest) = self.bounds(every_ms);
        if (lowest..=highest).contains(&value) {
            return Ok(value);
        }
        Err(OutOfBounds {
            setting: self,
            given: value,
            lowest,
            highest,
        })
    }

    /// Whether a change from `was` makes its rules speak sooner, or of more.
    pub const fn is_sooner(self, was: i64, becomes: i64) -> bool {
        match self {
            Self::AckDeadline | Self::DeadMargin => becomes > was,
            Self::PublishGrace
            | Self::LeaseGrace
            | Self::NoConsumers
            | Self::StuckSamples
            | Self::Stuck
            | Self::Backlog
            | Self::OverStable
            | Self::MissingStable
            | Self::AlarmReadings
            | Self::Blind
            | Self::OvertakenMargin
            | Self::Steady
            | Self::CrashLoop
            | Self::CancelGrace
            | Self::MismatchStable
            | Self::HeadMargin => becomes < was,
        }
    }

    /// Whether what it is held against was kept: a finding with its span, readings, lost attempts.
    pub const fn can_be_replayed(self) -> bool {
        !matches!(
            self,
            Self::Steady | Self::OvertakenMargin | Self::HeadMargin | Self::DeadMargin
        )
    }

    /// The verdicts whose rules look at it.
    pub const fn verdicts(self) -> &'static [Verdict] {
        match self {
            Self::PublishGrace => &[Verdict::Unpublished],
            Self::LeaseGrace | Self::Steady => &[Verdict::WorkerLost, Verdict::WorkerSilent],
            Self::NoConsumers => &[Verdict::NoConsumers],
            Self::StuckSamples | Self::Stuck => &[Verdict::ConsumersStuck],
            Self::Backlog => &[Verdict::Backlog],
            Self::OverStable => &[Verdict::LedgerOver],
            Self::MissingStable => &[Verdict::QueueMissing],
            Self::AlarmReadings => &[Verdict::BrokerAlarm],
            Self::Blind => &[Verdict::Unknown],
            Self::OvertakenMargin | Self::HeadMargin => &[Verdict::MessageLost],
            Self::CrashLoop => &[Verdict::CrashLoop],
            Self::CancelGrace => &[Verdict::CancelIgnored],
            Self::MismatchStable => &[Verdict::QueueMismatch],
            Self::AckDeadline => &[Verdict::AckDeadline],
            Self::DeadMargin => &[Verdict::DeadLettered],
        }
    }
}

impl Thresholds {
    pub const fn get(&self, setting: Setting) -> i64 {
        match setting {
            Setting::PublishGrace => self.publish_grace_ms,
            Setting::LeaseGrace => self.lease_grace_ms,
            Setting::NoConsumers => self.no_consumers_ms,
            Setting::StuckSamples => self.stuck_samples,
            Setting::Stuck => self.stuck_ms,
            Setting::Backlog => self.backlog_ms,
            Setting::OverStable => self.over_stable_ms,
            Setting::MissingStable => self.missing_stable_ms,
            Setting::AlarmReadings => self.alarm_readings,
            Setting::Blind => self.blind_ms,
            Setting::OvertakenMargin => self.overtaken_margin_ms,
            Setting::Steady => self.steady_ms,
            Setting::CrashLoop => self.crash_loop,
            Setting::CancelGrace => self.cancel_grace_ms,
            Setting::MismatchStable => self.mismatch_stable_ms,
            Setting::AckDeadline => self.ack_deadline_percent,
            Setting::DeadMargin => self.dead_margin_ms,
            Setting::HeadMargin => self.head_margin_ms,
        }
    }

    fn get_mut(&mut self, setting: Setting) -> &mut i64 {
        match setting {
            Setting::PublishGrace => &mut self.publish_grace_ms,
            Setting::LeaseGrace => &mut self.lease_grace_ms,
            Setting::NoConsumers => &mut self.no_consumers_ms,
            Setting::StuckSamples => &mut self.stuck_samples,
            Setting::Stuck => &mut self.stuck_ms,
            Setting::Backlog => &mut self.backlog_ms,
            Setting::OverStable => &mut self.over_stable_ms,
            Setting::MissingStable => &mut self.missing_stable_ms,
            Setting::AlarmReadings => &mut self.alarm_readings,
            Setting::Blind => &mut self.blind_ms,
            Setting::OvertakenMargin => &mut self.overtaken_margin_ms,
            Setting::Steady => &mut self.steady_ms,
            Setting::CrashLoop => &mut self.crash_loop,
            Setting::CancelGrace => &mut self.cancel_grace_ms,
            Setting::MismatchStable => &mut self.mismatch_stable_ms,
            Setting::AckDeadline => &mut self.ack_deadline_percent,
            Setting::DeadMargin => &mut self.dead_margin_ms,
            Setting::HeadMargin => &mut self.head_margin_ms,
        }
    }

    /// The defaults for a detector that looks every `every_ms`, with what was set. What was set for another interval is taken
    /// as near as its bounds allow.
    pub fn with(every_ms: i64, changed: &Changed) -> Self {
        let mut thresholds = Self::new(every_ms);
        for (setting, value) in changed {
            let (lowest, highest) = setting.bounds(every_ms);
            *thresholds.get_mut(*setting) = (*value).clamp(lowest, highest);
        }
        thresholds
    }

    /// How far back the readings of a queue must reach for its rules, in milliseconds, and how many there must be.
    pub fn reach(&self) -> (i64, usize) {
        let spans = [
            self.no_consumers_ms,
            self.stuck_ms,
            self.backlog_ms,
            self.over_stable_ms,
            self.missing_stable_ms,
            self.blind_ms,
        ];
        let longest = spans.into_iter().max().unwrap_or(0);
        // One that is a little older, too: a reading rarely comes at the very instant.
        (longest + 30_000, usize::try_from(self.stuck_samples).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_MS: i64 = 5_000;

    #[test]
    fn every_default_lies_within_its_bounds_and_is_set_as_itself() {
        for every_ms in [1_000, EVERY_MS, 300_000] {
            let defaults = Thresholds::new(every_ms);
            for setting in Setting::ALL {
                let value = defaults.get(*setting);
                assert_eq!(setting.check(value, every_ms), Ok(value));
                let (lowest, highest) = setting.bounds(every_ms);
                assert!(setting.check(lowest - 1, every_ms).is_err(), "{setting}");
                assert!(setting.check(highest + 1, every_ms).is_err(), "{setting}");
                let changed = Changed::from([(*setting, highest)]);
                assert_eq!(Thresholds::with(every_ms, &changed).get(*setting), highest);
            }
        }
    }

    #[test]
    fn one_threshold_that_is_set_leaves_the_others_as_they_are() {
        let changed = Changed::from([(Setting::CrashLoop, 5)]);
        let thresholds = Thresholds::with(EVERY_MS, &changed);
        let expected = Thresholds {
            crash_loop: 5,
            ..Thresholds::new(EVERY_MS)
        };
        assert_eq!(thresholds, expected);
    }

    #[test]
    fn what_proofs_rest_on_is_never_lowered() {
        let defaults = Thresholds::new(EVERY_MS);
        for setting in [
            Setting::LeaseGrace,
            Setting::MissingStable,
            Setting::Blind,
            Setting::OvertakenMargin,
            Setting::Steady,
            Setting::DeadMargin,
            Setting::HeadMargin,
        ] {
            assert_eq!(setting.bounds(EVERY_MS).0, defaults.get(setting), "{setting}");
        }
    }
}
