//! The tracers of one pass: which are given up, which are sent, and what those that came out prove.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    candidates::{Bench, PAGE},
    memory::{Counts, Memory, new_id},
};
use crate::{
    domain::{
        finding::Stall,
        rules::traced::{given_up, is_due, overtaken_from, traced},
        time::Time,
        tracer::{GivenUp, QueueTracers},
    },
    store::StoreError,
};

/// A queue with priorities in use is asked about again after so long.
const PRIORITIES_EVERY_MS: i64 = 60_000;

/// What a pass changes about tracers.
#[derive(Default)]
pub(super) struct TracerChanges {
    pub(super) given_up: Vec<(Uuid, GivenUp)>,
    pub(super) new: Vec<(Uuid, String)>,
}

impl TracerChanges {
    pub(super) fn is_empty(&self) -> bool {
        self.given_up.is_empty() && self.new.is_empty()
    }
}

/// Queues that were found to have priorities in use, and when.
pub(super) type Prioritised = HashMap<String, Time>;

impl Memory {
    /// Takes this pass's readings in. A queue that is not traced has no trail.
    pub(super) fn follow_tracers(&mut self, bench: &Bench<'_>, counts: &Counts) {
        for queue in bench.queues {
            let Some(track) = self.queues.get_mut(&queue.name) else {
                continue;
            };
            if !queue.traced {
                track.trail.restart(bench.now);
                continue;
            }
            let redelivered = bench
                .sight
                .queues
                .get(&queue.name)
                .and_then(|sight| sight.redelivered);
            let passed = counts
                .tracers
                .get(&queue.name)
                .and_then(|tracers| tracers.passed.as_ref());
            if let Some(sample) = track.window.newest() {
                track.trail.note(sample, redelivered, passed, bench.thresholds);
            }
        }
    }
}

impl Bench<'_> {
    /// Which tracers are waited for no longer, and which queues get a new one.
    pub(super) async fn trace(
        &self,
        memory: &mut Memory,
        counts: &Counts,
    ) -> Result<TracerChanges, StoreError> {
        let mut changes = TracerChanges::default();
        let names: HashSet<&str> = self.queues.iter().map(|queue| queue.name.as_str()).collect();
        let none = QueueTracers::default();
        for (name, tracers) in &counts.tracers {
            // A queue that is not ours any more.
            if let (Some(out), false) = (&tracers.out, names.contains(name.as_str())) {
                changes.given_up.push((out.id, GivenUp::Overtaken));
            }
        }
        for queue in self.queues {
            let name = queue.name.as_str();
            let tracers = counts.tracers.get(name).unwrap_or(&none);
            let Some(track) = memory.queues.get(name) else {
                continue;
            };
            let Some(sample) = track.window.newest() else {
                continue;
            };
            if let Some(out) = &tracers.out {
                let overtaken = match overtaken_from(out, self.now) {
                    Some(from) => self.store.runs_confirmed_after(name, from).await?,
                    None => false,
                };
                let why = given_up(out, sample, overtaken);
                changes.given_up.extend(why.map(|why| (out.id, why)));
                continue;
            }
            let settings = self
                .sight
                .queues
                .get(name)
                .and_then(|sight| sight.settings.as_ref());
            let publishing = &self.sight.publishing;
            if !queue.traced
                || !is_due(
                    sample,
                    settings,
                    publishing,
                    tracers,
                    &track.trail,
                    self.thresholds,
                )
            {
                continue;
            }
            if !self.has_priorities(&mut memory.prioritised, name).await? {
                changes.new.push((new_id(), name.to_owned()));
            }
        }
        Ok(changes)
    }

    async fn has_priorities(&self, known: &mut Prioritised, queue: &str) -> Result<bool, StoreError> {
        let lately = known
            .get(queue)
            .is_some_and(|at| self.now.ms_since(*at) < PRIORITIES_EVERY_MS);
        let has = lately || self.store.has_priorities(queue).await?;
        if has && !lately {
            known.insert(queue.to_owned(), self.now);
        }
        Ok(has)
    }

    /// Tasks that tracers prove lost.
    pub(super) async fn traced(&self, memory: &Memory) -> Result<Vec<Stall>, StoreError> {
        let mut stalls = Vec::new();
        for queue in self.queues.iter().filter(|queue| queue.traced) {
            let proof = memory
                .queues
                .get(&queue.name)
                .and_then(|track| track.trail.proof());
            let Some(proof) = proof else {
                continue;
            };
            let tasks = self.store.covered_tasks(&queue.name, proof.before, PAGE).await?;
            let proven = tasks
                .into_iter()
                .filter_map(|task| traced(task, &queue.name, proof, self.thresholds));
            stalls.extend(proven);
        }
        Ok(stalls)
    }
}
