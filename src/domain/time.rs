//! Instants and durations, as the whole product counts them: milliseconds, UTC.

use std::{fmt, ops, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant in UTC, to the millisecond. In JSON it is RFC 3339 text with three decimals and `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// The first instant that RFC 3339 and both databases can hold: the year 0001.
    const MIN_MS: i64 = -62_135_596_800_000;
    /// The last: the end of the year 9999.
    const MAX_MS: i64 = 253_402_300_799_999;

    /// From milliseconds since 1970, clamped to the years 1 to 9999.
    pub const fn from_ms(ms: i64) -> Self {
        if ms < Self::MIN_MS {
            Self(Self::MIN_MS)
        } else if ms > Self::MAX_MS {
            Self(Self::MAX_MS)
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since 1970; negative before.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Milliseconds from `earlier` to here; 0 when `earlier` is later (clocks may step back).
    pub fn ms_since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }

    /// The start of the minute this instant lies in.
    pub fn minute(self) -> Self {
        self.start_of(60_000)
    }

    /// The start of its hour.
    pub fn hour(self) -> Self {
        self.start_of(3_600_000)
    }

    /// The start of its day, in UTC.
    pub fn day(self) -> Self {
        self.start_of(86_400_000)
    }

    fn start_of(self, ms: i64) -> Self {
        Self(self.0.div_euclid(ms) * ms)
    }
}

impl ops::Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time::from_ms(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl ops::Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, duration: Duration) -> Time {
        Time::from_ms(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{stamp:.3}")
    }
}

/// A text that is no RFC 3339 instant between the years 1 and 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time such as 2026-01-31T09:30:00Z")]
pub struct NotATime;

impl FromStr for Time {
    type Err = NotATime;
    fn from_str(text: &str) -> Result<Self, NotATime> {
        let stamp: jiff::Timestamp = text.parse().map_err(|_| NotATime)?;
        let ms = stamp.as_millisecond();
        if (Self::MIN_MS..=Self::MAX_MS).contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(NotATime)
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339_and_read_back() {
        let time = Time::from_ms(1_767_225_600_120);
        assert_eq!(time.to_string(), "2026-01-01T00:00:00.120Z");
        assert_eq!("2026-01-01T01:00:00.12+01:00".parse(), Ok(time));
    }

    #[test]
    fn what_no_database_could_hold_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-01-01",
            "99999-01-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Time>(), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn a_clock_that_stepped_back_gives_no_negative_age() {
        assert_eq!(Time::from_ms(5).ms_since(Time::from_ms(9)), 0);
    }
}
