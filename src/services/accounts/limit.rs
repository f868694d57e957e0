//! How often somebody may guess.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Failures are forgotten after this long without a new one.
const FORGET_AFTER: Duration = Duration::from_secs(3600);
/// The longest wait between two guesses: about 50 guesses an hour of an account's strangers, and 50 of its devices.
const LONGEST: Duration = Duration::from_secs(90);
/// Counters held at most; beyond them nobody new is let in to guess until old ones are forgotten.
const MOST: usize = 100_000;

/// What guesses are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Guesser {
    /// Anybody who tries this e-mail address, whether it has an account or not.
    Account(String),
    /// A browser that has signed in to this account before; strangers' failures don't count against it.
    Device(String),
    /// An address, or one customer's IPv6 network.
    Address(IpAddr),
}

impl Guesser {
    /// Failures without any wait. An address may be a whole office behind one router.
    fn free(&self) -> u32 {
        match self {
            Self::Account(_) | Self::Device(_) => 5,
            Self::Address(_) => 20,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

/// The failed guesses of the last hour, in this process.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<Guesser, Failures>>);

impl Attempts {
    /// Counts one guess of all `guessers` as failed before it is made, so that a hundred at once are a hundred; or
    /// refuses it with the time to wait. A guess that turns out right is taken back by `forgive`.
    pub(super) fn begin(&self, guessers: &[Guesser], now: Instant) -> Result<(), Duration> {
        let mut all = self.lock();
        if all.len() + guessers.len() > MOST {
            all.retain(|_, failures| now.duration_since(failures.last) < FORGET_AFTER);
            if all.len() + guessers.len() > MOST {
                return Err(LONGEST);
            }
        }
        let wait = guessers
            .iter()
            .filter_map(|guesser| wait(guesser, *all.get(guesser)?, now))
            .max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        for guesser in guessers {
            let failures = all
                .entry(guesser.clone())
                .or_insert(Failures { count: 0, last: now });
            if now.duration_since(failures.last) >= FORGET_AFTER {
                failures.count = 0;
            }
            *failures = Failures {
                count: failures.count.saturating_add(1),
                last: now,
            };
        }
        Ok(())
    }

    /// A right guess: its account and device start afresh, its address keeps its other failures.
    pub(super) fn forgive(&self, guessers: &[Guesser]) {
        let mut all = self.lock();
        for guesser in guessers {
            match guesser {
                Guesser::Account(_) | Guesser::Device(_) => {
                    all.remove(guesser);
                }
                Guesser::Address(_) => {
                    if let Some(failures) = all.get_mut(guesser) {
                        failures.count = failures.count.saturating_sub(1);
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Guesser, Failures>> {
        // A panic while counting leaves at worst one count wrong.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long `guesser` must still wait: 1 s after its free failures, doubled by each further one.
fn wait(guesser: &Guesser, failures: Failures, now: Instant) -> Option<Duration> {
    let beyond = failures.count.checked_sub(guesser.free())?;
    let pause = Duration::from_secs(1 << beyond.min(7)).min(LONGEST);
    pause
        .checked_sub(now.duration_since(failures.last))
        .filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> [Guesser; 1] {
        [Guesser::Account("a@b.example".into())]
    }

    #[test]
    fn five_guesses_are_free_then_the_wait_doubles_up_to_90_s() {
        let attempts = Attempts::default();
        let mut now = Instant::now();
        for _ in 0..5 {
            assert_eq!(attempts.begin(&account(), now), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = attempts.begin(&account(), now).expect_err("a wait");
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(attempts.begin(&account(), now), Ok(()));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 90, 90]);
    }

    #[test]
    fn at_most_fifty_guesses_of_one_account_are_looked_at_in_an_hour() {
        let attempts = Attempts::default();
        let start = Instant::now();
        let looked_at = (0..3600)
            .filter(|second| {
                attempts
                    .begin(&account(), start + Duration::from_secs(*second))
                    .is_ok()
            })
            .count();
        assert!(looked_at <= 50, "{looked_at}");
    }

    #[test]
    fn a_stranger_s_failures_do_not_lock_out_a_known_device() {
        let attempts = Attempts::default();
        let now = Instant::now();
        while attempts.begin(&account(), now).is_ok() {}
        assert_eq!(attempts.begin(&[Guesser::Device("d".into())], now), Ok(()));
    }

    #[test]
    fn a_right_guess_starts_the_account_afresh() {
        let attempts = Attempts::default();
        let now = Instant::now();
        while attempts.begin(&account(), now).is_ok() {}
        attempts.forgive(&account());
        assert_eq!(attempts.begin(&account(), now), Ok(()));
    }
}
