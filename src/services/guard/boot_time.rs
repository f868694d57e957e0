//! The clock that trust is measured by.

use std::{ops, time::Duration};

use nix::{
    sys::{
        time::TimeSpec,
        timer::{Expiration, TimerSetTimeFlags},
        timerfd::{self, TimerFd, TimerFlags},
    },
    time::{ClockId, clock_gettime},
};

/// An instant on `CLOCK_BOOTTIME`: the time since the machine started. It runs while the machine sleeps, nobody can
/// set it, and every process of the machine reads the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had this clock since 2.6.39");
        Self(now.into())
    }

    /// How long it is until this instant; zero when it is over.
    pub fn remaining(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }

    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }

    pub(super) fn from_ns(ns: u64) -> Self {
        Self(Duration::from_nanos(ns))
    }

    pub(super) fn ns(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sets `timer` to become readable at this instant, at once when it is over.
    pub(super) fn arm(self, timer: &TimerFd) -> nix::Result<()> {
        // Zero would disarm it.
        let at = TimeSpec::from(self.0.max(Duration::from_nanos(1)));
        timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
    }
}

impl ops::Add<Duration> for BootTime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

pub(super) fn timer() -> nix::Result<TimerFd> {
    TimerFd::new(
        timerfd::ClockId::CLOCK_BOOTTIME,
        TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
    )
}

/// Sleeps until `until`, the machine's own sleep included: woken up from that, it notices within a quarter of a second.
pub async fn sleep_until(until: BootTime) {
    while !until.is_over() {
        // tokio's clock stands still while the machine sleeps.
        tokio::time::sleep(until.remaining().min(Duration::from_millis(250))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeping_lasts_until_the_instant_and_not_longer() {
        let until = BootTime::now() + Duration::from_millis(30);
        sleep_until(until).await;
        assert!(until.is_over());
        sleep_until(until).await;
        sleep_until(BootTime(Duration::ZERO)).await;
    }
}
