//! When a failed attempt, or a failed publish, is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(600);

/// The wait after the `tries`-th counted attempt failed: 2 s, doubled each time, at most 10 min, spread by a quarter
/// to either side. `jitter` is 0 to 1; equal inputs give equal waits.
pub fn backoff(tries: i64, jitter: f64) -> Duration {
    spread(doubled(FIRST, tries, LONGEST), jitter)
}

/// The wait after the `tries`-th failed publish of a message: 0.5 s, doubled each time, at most 30 s.
pub fn publish_backoff(tries: i64, jitter: f64) -> Duration {
    spread(
        doubled(Duration::from_millis(500), tries, Duration::from_secs(30)),
        jitter,
    )
}

fn doubled(first: Duration, tries: i64, longest: Duration) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1).clamp(0, 30)).unwrap_or(30);
    first.saturating_mul(2u32.saturating_pow(doublings)).min(longest)
}

fn spread(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(0.75 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_stay_in_their_spread() {
        assert_eq!(backoff(1, 0.5), Duration::from_secs(2));
        assert_eq!(backoff(3, 0.5), Duration::from_secs(8));
        assert_eq!(backoff(i64::MAX, 0.5), LONGEST);
        assert_eq!(backoff(1, 0.0), Duration::from_millis(1500));
        assert_eq!(backoff(1, 7.0), Duration::from_millis(2500));
    }
}
