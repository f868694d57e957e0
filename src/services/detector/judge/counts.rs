//! What a pass counts in the database, and the sample of each queue that it keeps.

use std::collections::HashMap;

use super::Judge;
use crate::{
    domain::{ledger::Ledger, observation::BrokerSight, replay, time::Time},
    services::detector::{
        causes::Causes,
        dead::Dead,
        memory::{Counts, pace_since},
    },
    store::{
        KeptFor, LedgerSample, QueueRow, StoreError,
        evidence::{Minute, Running},
    },
};

impl Judge {
    pub(super) async fn count(
        &self,
        now: Time,
        queues: &[QueueRow],
        sight: &BrokerSight,
        dead: &Dead,
    ) -> Result<Counts, StoreError> {
        let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
        let traced = queues.iter().filter(|queue| queue.traced);
        let traced: Vec<&str> = traced.map(|queue| queue.name.as_str()).collect();
        let bounds = self.memory.bounds(now, &names, sight);
        let mut waiting = self.store.waiting(&bounds).await?;
        // Whose message is dead is not missing one for a reason unknown. Too many taken off hide a loss, never make one up.
        let told = self.store.dead_lettered().await?;
        let settled_before: HashMap<&str, Option<Time>> = bounds
            .iter()
            .map(|bounds| (bounds.queue.as_str(), bounds.settled_before))
            .collect();
        for waiting in &mut waiting {
            let published = dead.published.get(&waiting.queue).map(Vec::as_slice);
            let before = settled_before.get(waiting.queue.as_str()).copied().flatten();
            let settled = |at: &&Time| before.is_some_and(|before| **at <= before);
            let found = published.unwrap_or_default().iter().filter(settled).count() as i64;
            let told = told.get(&waiting.queue).copied().unwrap_or(0);
            waiting.settled = (waiting.settled - found.max(told)).max(0);
        }
        let mut running: HashMap<String, Vec<Running>> = HashMap::new();
        for row in self.store.running(&bounds, now).await? {
            running.entry(row.queue.clone()).or_default().push(row);
        }
        let mut minutes: HashMap<String, Vec<Minute>> = HashMap::new();
        for minute in self.store.minutes(pace_since(now)).await? {
            minutes.entry(minute.queue.clone()).or_default().push(minute);
        }
        Ok(Counts {
            waiting: waiting
                .into_iter()
                .map(|waiting| (waiting.queue.clone(), waiting))
                .collect(),
            in_flight: self.store.in_flight(now).await?.into_iter().collect(),
            running,
            minutes,
            tracers: self.store.queue_tracers(&traced).await?,
        })
    }

    pub(super) fn samples(
        &self,
        now: Time,
        queues: &[QueueRow],
        counts: &Counts,
        causes: &Causes,
    ) -> Vec<(LedgerSample, KeptFor)> {
        let sample = |queue: &QueueRow| {
            let window = &self.memory.queues.get(&queue.name)?.window;
            let newest = window.newest()?;
            let waiting = counts.waiting.get(&queue.name);
            let (stalled, warned) =
                waiting.map_or((false, false), |waiting| (waiting.stalled, waiting.warned));
            let sample = LedgerSample {
                queue: queue.name.clone(),
                at: now,
                ledger: Ledger::of(&newest.facts, &newest.numbers),
                health: causes.health(&queue.name, &newest.numbers, stalled, warned),
                untouched_since: window.untouched_since(),
                detail: replay::detail(newest),
            };
            Some((
                sample,
                KeptFor::of(now, self.memory.sampled.get(&queue.name).copied()),
            ))
        };
        queues.iter().filter_map(sample).collect()
    }
}
