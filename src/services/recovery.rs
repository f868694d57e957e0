//! Looks after running tasks whose lease is over: puts the same dispatch out again, or ends what nobody will run.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::{
    domain::{
        resend::{Orphan, Untouched, still_lies},
        transition::Event,
    },
    store::{
        Lane, Store, StoreError,
        tasks::{Act, Acted},
    },
};

/// How many tasks one transaction looks after.
const BATCH: i64 = 500;

/// What recovery is told at the start.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The lease's length: a task's message is put out again once in it at most.
    pub lease: Duration,
    /// For how long the detector's newest reading of a queue speaks of the present.
    pub fresh_for: Duration,
}

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages put out again.
    pub resent: usize,
    /// Tasks that ended: cancelled, or out of attempts.
    pub ended: usize,
}

/// Goes once through every running task whose lease is over. A copy that must still lie in its queue is left there, and no
/// further one put out.
///
/// Safe in several processes at once: each task is decided under its row's lock. Errors: what was committed stays.
pub async fn tick(store: &Store, pace: Pace) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let now = store.now().await?;
    let mut after = None;
    loop {
        let orphans = store.lapsed(now, after, BATCH).await?;
        let Some(last) = orphans.last() else {
            return Ok(tally);
        };
        after = Some(last.task_id);
        let untouched: HashMap<String, Untouched> = match with_copies(&orphans) {
            queues if queues.is_empty() => HashMap::new(),
            queues => {
                let read = store.untouched(&queues, now - pace.fresh_for).await?;
                read.into_iter().collect()
            }
        };
        let lies = |orphan: &Orphan| {
            untouched
                .get(&orphan.queue)
                .is_some_and(|queue| still_lies(orphan, queue))
        };
        let acts: Vec<Act> = orphans
            .iter()
            .filter(|orphan| !lies(orphan))
            .map(|orphan| Act {
                task_id: orphan.task_id,
                event: Event::Recover,
                actor: "system".into(),
                audit: None,
            })
            .collect();
        if acts.is_empty() {
            continue;
        }
        for Acted { task, .. } in store
            .apply(&acts, Lane::Shared, pace.lease)
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

/// The queues of those that a copy was put out for.
fn with_copies(orphans: &[Orphan]) -> Vec<&str> {
    let queues: HashSet<&str> = orphans
        .iter()
        .filter(|orphan| orphan.resent_at.is_some())
        .map(|orphan| orphan.queue.as_str())
        .collect();
    queues.into_iter().collect()
}
