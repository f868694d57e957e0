//! Moves tasks through their states: every event of a person, a program, a worker or `serve` itself goes through here.

use std::time::Duration;

use super::batch::{Batcher, SharedError};
pub use crate::store::tasks::{Act, Acted, Claimed, Outcome};
use crate::{
    domain::transition::Refusal,
    store::{Lane, Store},
};

/// How many acts share one transaction at most.
const LARGEST_BATCH: usize = 500;

#[derive(Debug, thiserror::Error)]
pub enum ActError {
    #[error("there is no such task")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing is known to have happened; the same act may be tried again.
    #[error(transparent)]
    Store(#[from] SharedError),
}

/// Applies acts, those that come at the same time in one transaction. Cheap to clone.
#[derive(Clone)]
pub struct Lifecycle {
    batcher: Batcher<Act, Outcome>,
    lease: Duration,
}

impl Lifecycle {
    /// Starts on the current runtime. `lease` is how long a claim or heartbeat keeps an attempt alive.
    pub fn spawn(store: Store, lane: Lane, lease: Duration) -> Self {
        let batcher = Batcher::spawn(LARGEST_BATCH, move |acts: std::sync::Arc<Vec<Act>>| {
            let store = store.clone();
            async move { store.apply(&acts, lane, lease).await }
        });
        Self { batcher, lease }
    }

    /// How long a claim or heartbeat keeps an attempt alive.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Applies one act and waits for its commit.
    ///
    /// After `Store` nobody knows whether it happened; the same act may be applied again: claims by claim id, reports
    /// by attempt and actions by their guards give the same end.
    pub async fn act(&self, act: Act) -> Result<Acted, ActError> {
        match self.batcher.submit(act).await? {
            Ok(acted) => Ok(acted),
            Err(Some(refusal)) => Err(ActError::Refused(refusal)),
            Err(None) => Err(ActError::NotFound),
        }
    }

    /// Applies many acts, in as few transactions as they fit; one answer for each, in the same order.
    pub async fn act_all(&self, acts: Vec<Act>) -> Vec<Result<Acted, ActError>> {
        futures_util::future::join_all(acts.into_iter().map(|act| self.act(act))).await
    }
}
