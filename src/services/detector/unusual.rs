//! The stalls of one pass that rest on what is usual for a kind.

use std::collections::HashMap;

use super::{
    candidates::{Bench, PAGE, next},
    memory::Memory,
};
use crate::{
    domain::{expectation::Usual, finding::Stall, rules::unusual::unusual, time::Time},
    store::{StoreError, evidence::Cursor},
};

/// How long what is usual is taken to stay so.
const KEPT_MS: i64 = 60_000;
/// Most kinds of long runs that are looked at, by name.
const KINDS: i64 = 1_000;

/// What is usual for the kinds that have long runs now.
#[derive(Default)]
pub(super) struct Habits {
    read_at: Option<Time>,
    usual: HashMap<String, Usual>,
}

impl Bench<'_> {
    /// Runs without a timeout that take longer than is usual for their kind.
    pub(super) async fn unusual(&self, memory: &mut Memory) -> Result<Vec<Stall>, StoreError> {
        let fresh = |at: Time| at <= self.now && self.now.ms_since(at) < KEPT_MS;
        if !memory.habits.read_at.is_some_and(fresh) {
            memory.habits = Habits {
                read_at: Some(self.now),
                usual: self.usual().await?,
            };
        }
        let usual = &memory.habits.usual;
        let Some(least_ms) = usual.values().map(|usual| usual.limit_ms).min() else {
            memory.unusual_seen = true;
            return Ok(Vec::new());
        };
        let kinds: Vec<&str> = usual.keys().map(String::as_str).collect();
        let (before, after) = (self.ago(least_ms), memory.cursors.unusual);
        let rows = self
            .store
            .long_runs(&kinds, before, self.now, after, PAGE)
            .await?;
        let last = rows.last().map(|row| (row.started_at, row.suspect.task_id));
        memory.cursors.unusual = next(rows.len(), last);
        memory.unusual_seen = after == Cursor::START && memory.cursors.unusual == Cursor::START;
        let judged = rows.into_iter().filter_map(|row| {
            let usual = usual.get(&row.kind)?;
            unusual(row, usual, self.now, self.thresholds)
        });
        Ok(judged.collect())
    }

    /// What is usual for each kind that has a long run now, and enough samples to tell.
    async fn usual(&self) -> Result<HashMap<String, Usual>, StoreError> {
        let floor = self.ago(self.thresholds.usual.floor_ms);
        let kinds = self.store.long_kinds(floor, self.now, KINDS).await?;
        let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
        let runs = self.store.runs(&kinds, self.now).await?;
        let mut usual: HashMap<String, Usual> = runs
            .into_iter()
            .filter_map(|(kind, runs)| Some((kind, runs.usual(self.now, &self.thresholds.usual)?)))
            .collect();
        let older: Vec<(&str, Time)> = usual
            .iter()
            .filter_map(|(kind, usual)| {
                let before = usual.watched_at?.min(self.ago(usual.limit_ms));
                Some((kind.as_str(), before))
            })
            .collect();
        for (kind, older) in self.store.count_long_runs(&older, self.now).await? {
            if usual.get(&kind).is_some_and(|usual| usual.is_outweighed(older)) {
                usual.remove(&kind);
            }
        }
        Ok(usual)
    }
}
