//! The stalls of one pass that rest on attempts alone.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    candidates::{Bench, PAGE, next},
    memory::Memory,
};
use crate::{
    domain::{
        finding::{Stall, Variant, Verdict},
        queue_setup::AckTimeout,
        rules::{
            attempts::{cancel_ignored, crash_loop, double_run},
            over::{OpenStall, TOLD_MS},
            settings::{ack_deadline, close_from},
        },
        time::Time,
    },
    store::{StoreError, evidence::Cursor},
};

/// What was written so long ago is followed once more: a row is timed before its transaction is seen.
const OVERLAP_MS: i64 = 60_000;
/// How far a new leader goes back. Shorter than findings of the past are told, so that none opens twice.
const BACK_MS: i64 = TOLD_MS - 3_600_000;

impl Bench<'_> {
    /// Tasks that lost a worker since the last look, and have lost several.
    pub(super) async fn crash_loops(&self, memory: &mut Memory) -> Result<Vec<Stall>, StoreError> {
        let after = self.from(memory.cursors.crashed);
        let needed = self.thresholds.crash_loop;
        let rows = self.store.crashed_tasks(after, needed, PAGE).await?;
        let last = rows.last().map(|(at, task)| (*at, task.suspect.task_id));
        memory.cursors.crashed = self.follow(rows.len(), last);
        let judged = rows.into_iter();
        Ok(judged
            .filter_map(|(_, task)| crash_loop(task, self.now, self.thresholds))
            .collect())
    }

    pub(super) async fn cancels_ignored(&self, memory: &mut Memory) -> Result<Vec<Stall>, StoreError> {
        let before = self.ago(self.thresholds.cancel_grace_ms);
        let after = memory.cursors.cancelling;
        let rows = self.store.cancelling_tasks(before, after, PAGE).await?;
        let last = rows
            .last()
            .map(|row| (row.cancel_requested_at, row.suspect.task_id));
        memory.cursors.cancelling = next(rows.len(), last);
        let judged = rows.into_iter();
        Ok(judged
            .filter_map(|row| cancel_ignored(row, self.now, self.thresholds))
            .collect())
    }

    /// Attempts that reported a success since the last look, too late.
    pub(super) async fn double_runs(&self, memory: &mut Memory) -> Result<Vec<Stall>, StoreError> {
        let rows = self
            .store
            .late_successes(self.from(memory.cursors.late), PAGE)
            .await?;
        let last = rows.last().map(|row| (row.reported_at, row.suspect.task_id));
        memory.cursors.late = self.follow(rows.len(), last);
        let judged = rows.into_iter();
        Ok(judged.filter_map(|row| double_run(row, self.now)).collect())
    }

    /// Attempts whose delivery the broker is about to take back, of queues whose timeout is known.
    pub(super) async fn ack_deadlines(&self, memory: &mut Memory) -> Result<Vec<Stall>, StoreError> {
        let timeouts: HashMap<&str, i64> = self
            .sight
            .queues
            .iter()
            .filter_map(|(queue, sight)| match sight.settings.as_ref()?.ack_timeout {
                AckTimeout::AfterMs(timeout_ms) => Some((queue.as_str(), timeout_ms)),
                AckTimeout::Never | AckTimeout::Unknown => None,
            })
            .collect();
        if timeouts.is_empty() {
            return Ok(Vec::new());
        }
        let close_ms = |timeout_ms| close_from(Time::from_ms(0), timeout_ms, self.thresholds).ms();
        let queues: Vec<(&str, Time)> = timeouts
            .iter()
            .map(|(queue, timeout_ms)| (*queue, self.ago(close_ms(*timeout_ms))))
            .collect();
        let after = memory.cursors.holding;
        let rows = self.store.holding_tasks(&queues, self.now, after, PAGE).await?;
        let last = rows.last().map(|row| (row.started_at, row.suspect.task_id));
        memory.cursors.holding = next(rows.len(), last);
        memory.holding_seen = after == Cursor::START && memory.cursors.holding == Cursor::START;
        let judged = rows.into_iter().filter_map(|row| {
            let timeout_ms = *timeouts.get(row.suspect.queue.as_str())?;
            ack_deadline(row, timeout_ms, self.now, self.thresholds)
        });
        Ok(judged.collect())
    }

    /// Whether this pass looked at every task of the queue that could have this verdict: what it did not find is over.
    pub(super) fn looked_for(&self, stall: &OpenStall, queue: &str, memory: &Memory) -> bool {
        let sight = self.sight.queues.get(queue);
        match stall.verdict {
            Verdict::Overdue => stall.variant == Variant::Unusual && memory.unusual_seen,
            Verdict::AckDeadline => match sight.and_then(|sight| sight.settings.as_ref()) {
                Some(settings) => match settings.ack_timeout {
                    AckTimeout::AfterMs(_) => memory.holding_seen,
                    AckTimeout::Never | AckTimeout::Unknown => true,
                },
                None => false,
            },
            Verdict::DeadLettered => {
                sight.is_some_and(|sight| sight.dead.as_ref().is_some_and(|dead| dead.complete))
            }
            _ => false,
        }
    }

    fn from(&self, cursor: Cursor) -> Cursor {
        Cursor {
            at: cursor.at.max(self.ago(BACK_MS)),
            ..cursor
        }
    }

    /// Behind a full page; after one that was not full, a little before now.
    fn follow(&self, len: usize, last: Option<(Time, Uuid)>) -> Cursor {
        match next(len, last) {
            Cursor::START => Cursor {
                at: self.ago(OVERLAP_MS),
                ..Cursor::START
            },
            behind => behind,
        }
    }
}
