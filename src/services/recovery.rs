//! Looks after running tasks whose lease is over: puts the same dispatch out again, or ends what nobody will run.

use std::time::Duration;

use crate::{
    domain::transition::Event,
    store::{
        Lane, Store, StoreError,
        tasks::{Act, Acted},
    },
};

/// How many tasks one transaction looks after.
const BATCH: i64 = 500;

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages put out again.
    pub resent: usize,
    /// Tasks that ended: cancelled, or out of attempts.
    pub ended: usize,
}

/// Goes once through every running task whose lease is over. `lease` is the lease's length.
///
/// Safe in several processes at once: each task is decided under its row's lock. Errors: what was committed stays.
pub async fn tick(store: &Store, lease: Duration) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut after = None;
    loop {
        let ids = store.lapsed(after, BATCH).await?;
        let Some(last) = ids.last().copied() else {
            return Ok(tally);
        };
        after = Some(last);
        let acts: Vec<Act> = ids
            .iter()
            .map(|id| Act {
                task_id: *id,
                event: Event::Recover,
                actor: "system".into(),
                audit: None,
            })
            .collect();
        for Acted { task, .. } in store
            .apply(&acts, Lane::Shared, lease)
            .await?
            .into_iter()
            .flatten()
        {
            if task.state.is_end() {
                tally.ended += 1;
            } else {
                tally.resent += 1;
            }
        }
    }
}
