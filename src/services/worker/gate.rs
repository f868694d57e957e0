//! Pauses consuming while the database can't be asked, and waits between tries.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::RngExt;

use crate::broker::Consumer;

/// The wait after the first failed try, doubled up to `LONGEST`, then shortened by up to half at random.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// Consuming stands still while anybody is in trouble, and for good once it is shut.
pub(super) struct Gate {
    consumer: Consumer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_trouble: usize,
    shut: bool,
}

impl Gate {
    pub(super) fn new(consumer: Consumer) -> Self {
        Self {
            consumer,
            state: Mutex::default(),
        }
    }

    /// For good.
    pub(super) fn shut(&self) {
        self.lock().shut = true;
        self.consumer.pause();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter_trouble(&self) {
        let mut state = self.lock();
        state.in_trouble += 1;
        if state.in_trouble == 1 && !state.shut {
            tracing::warn!(
                "the database does not answer as it should: taking no more messages until it does"
            );
            self.consumer.pause();
        }
    }

    fn leave_trouble(&self) {
        let mut state = self.lock();
        state.in_trouble -= 1;
        if state.in_trouble == 0 && !state.shut {
            tracing::info!("the database answers: taking messages again");
            self.consumer.resume();
        }
    }
}

/// The tries of one request. From the second failure in a row on it keeps the gate closed, until it is dropped.
pub(super) struct Tries<'a> {
    gate: &'a Gate,
    pub(super) failed: u32,
}

impl<'a> Tries<'a> {
    pub(super) fn new(gate: &'a Gate) -> Self {
        Self { gate, failed: 0 }
    }

    /// Notes a failure and waits before the next try.
    pub(super) async fn wait(&mut self) {
        self.failed = self.failed.saturating_add(1);
        if self.failed == 2 {
            self.gate.enter_trouble();
        }
        tokio::time::sleep(backoff(self.failed)).await;
    }
}

impl Drop for Tries<'_> {
    fn drop(&mut self) {
        if self.failed >= 2 {
            self.gate.leave_trouble();
        }
    }
}

/// The wait after the `failed`-th try in a row: 0.2 s, doubled up to 5 s, less up to half.
pub(super) fn backoff(failed: u32) -> Duration {
    let full = FIRST
        .saturating_mul(1 << failed.saturating_sub(1).min(10))
        .min(LONGEST);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}
