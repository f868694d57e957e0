//! The stalls of one pass: tasks that may be stalled are read page by page, judged, and held against what is open.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    causes::Causes,
    dead::{Dead, Suspected},
    memory::{Memory, new_id},
};
use crate::{
    domain::{
        finding::{CloseReason, Confidence, Scope, Stall, Subject, Verdict},
        observation::BrokerSight,
        rules::{
            Thresholds,
            head::{behind_head, older},
            messages::Loss,
            over::over,
            overtaken::overtaken,
            queue::QueueView,
            task::{PublishCauses, Takers, WorkerPresence, lapsed, message_lost, overdue, unpublished},
        },
        time::Time,
    },
    store::{
        QueueRow, Store, StoreError,
        evidence::Cursor,
        findings::{Known, StallChanges, StallUpdate},
    },
};

/// Most tasks of one sort that one pass looks at; the next pass goes on behind them.
pub(super) const PAGE: i64 = 5_000;
/// Queues whose oldest tasks one pass looks at, and how many of each.
const TURNS: usize = 50;
const OLDEST: i64 = 20;
/// Tasks taken lately that one pass reads, of those that run and of those that finished.
const TAKEN: i64 = 500;
/// Open stalls that one pass holds against their tasks.
const RECHECKED: i64 = 20_000;

/// What a pass judges tasks by.
pub(super) struct Bench<'a> {
    pub(super) store: &'a Store,
    pub(super) thresholds: &'a Thresholds,
    pub(super) broker: &'a str,
    pub(super) now: Time,
    pub(super) queues: &'a [QueueRow],
    pub(super) sight: &'a BrokerSight,
    pub(super) losses: &'a HashMap<String, Loss>,
}

impl Bench<'_> {
    /// The stalls that the next pages of tasks give.
    pub(super) async fn stalls(
        &self,
        memory: &mut Memory,
        causes: &Causes,
        dead: Dead,
    ) -> Result<Vec<Stall>, StoreError> {
        let mut stalls = self.unpublished(memory, causes).await?;
        stalls.extend(self.lost(memory).await?);
        stalls.extend(self.traced(memory).await?);
        stalls.extend(self.behind_head(memory).await?);
        stalls.extend(self.overtaken(memory).await?);
        stalls.retain(|stall| !dead.tasks.contains(&stall.task_id));
        stalls.retain_mut(|stall| {
            if stall.verdict != Verdict::MessageLost {
                return true;
            }
            let suspected = memory.suspects.suspect(&stall.queue, self.sight, self.now);
            if suspected == Suspected::Unsure {
                stall.confidence = Confidence::Likely;
            }
            suspected != Suspected::Wait
        });
        stalls.extend(dead.stalls);
        stalls.extend(self.lapsed(memory, causes).await?);
        stalls.extend(self.overdue(memory).await?);
        stalls.extend(self.unusual(memory).await?);
        stalls.extend(self.crash_loops(memory).await?);
        stalls.extend(self.cancels_ignored(memory).await?);
        stalls.extend(self.double_runs(memory).await?);
        stalls.extend(self.ack_deadlines(memory).await?);
        Ok(stalls)
    }

    fn broker(&self) -> Subject {
        Subject {
            scope: Scope::Broker,
            name: self.broker.to_owned(),
        }
    }

    pub(super) fn ago(&self, ms: i64) -> Time {
        Time::from_ms(self.now.ms() - ms)
    }

    async fn unpublished(&self, memory: &mut Memory, causes: &Causes) -> Result<Vec<Stall>, StoreError> {
        let before = self.ago(self.thresholds.publish_grace_ms);
        let rows = self
            .store
            .unpublished(before, memory.cursors.unpublished, PAGE)
            .await?;
        let last = rows.last().map(|row| (row.due_at, row.suspect.task_id));
        memory.cursors.unpublished = next(rows.len(), last);
        let broker = self.broker();
        let (alarm, broker_blind) = (
            causes.has(Verdict::BrokerAlarm, &broker),
            causes.has(Verdict::Unknown, &broker),
        );
        let judged = rows.into_iter().filter_map(|row| {
            let queue = Subject::queue(&row.suspect.queue);
            let queue_missing = causes.has(Verdict::QueueMissing, &queue);
            let keeps = PublishCauses {
                broker: self.broker,
                publishing: &self.sight.publishing,
                alarm,
                broker_blind,
                queue_missing,
            };
            unpublished(row, keeps, self.now, self.thresholds)
        });
        Ok(judged.collect())
    }

    /// Tasks that a proven loss covers. Every queue with a loss has its own way through, and they take turns.
    async fn lost(&self, memory: &mut Memory) -> Result<Vec<Stall>, StoreError> {
        memory
            .cursors
            .lost
            .retain(|queue, _| self.losses.contains_key(queue));
        let mut queues: Vec<&String> = self.losses.keys().collect();
        queues.sort();
        if !queues.is_empty() {
            let turn = memory.turn % queues.len();
            queues.rotate_left(turn);
        }
        let mut stalls = Vec::new();
        for queue in queues {
            let room = PAGE - stalls.len() as i64;
            if room <= 0 {
                break;
            }
            let loss = &self.losses[queue];
            let after = memory.cursors.lost.get(queue).copied().unwrap_or(Cursor::START);
            let rows = self.store.lost_tasks(queue, loss, after, room).await?;
            let last = rows
                .last()
                .map(|(suspect, published_at)| (*published_at, suspect.task_id));
            let full = rows.len() as i64 == room;
            let after = last
                .filter(|_| full)
                .map_or(Cursor::START, |(at, id)| Cursor { at, id });
            memory.cursors.lost.insert(queue.clone(), after);
            stalls.extend(
                rows.into_iter()
                    .map(|(suspect, at)| message_lost(suspect, at, loss)),
            );
        }
        Ok(stalls)
    }

    async fn overtaken(&self, memory: &mut Memory) -> Result<Vec<Stall>, StoreError> {
        let mut stalls = Vec::new();
        let waits = |queue: &&QueueRow| {
            let track = memory.queues.get(&queue.name);
            let settled = track
                .and_then(|track| track.window.newest())
                .is_some_and(|newest| newest.facts.settled > 0);
            settled && !self.losses.contains_key(&queue.name)
        };
        let mut queues: Vec<&QueueRow> = self.queues.iter().filter(waits).collect();
        if queues.is_empty() {
            return Ok(stalls);
        }
        let listed = self.listed();
        let since = self.ago(60_000);
        let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
        for taken in self.store.taken(&names, since, self.now, TAKEN).await? {
            if listed.contains(taken.worker.as_str()) || memory.tags.contains_key(&taken.worker) {
                memory.handed_out.note(taken);
            }
        }
        queues.retain(|queue| memory.handed_out.knows(&queue.name));
        let turn = memory.turn % queues.len().max(1);
        queues.rotate_left(turn);
        for queue in queues.into_iter().take(TURNS) {
            let Some(track) = memory.queues.get(&queue.name) else {
                continue;
            };
            let view = view(queue, &track.window);
            let before = self.ago(self.thresholds.overtaken_margin_ms);
            for oldest in self.store.oldest_waiting(&queue.name, before, OLDEST).await? {
                let handed_out = &memory.handed_out;
                stalls.extend(overtaken(oldest, &view, &track.crew, handed_out, self.thresholds));
            }
        }
        Ok(stalls)
    }

    /// Tasks older than the oldest message of their queue, where some are known to have lost theirs.
    async fn behind_head(&self, memory: &Memory) -> Result<Vec<Stall>, StoreError> {
        let mut stalls = Vec::new();
        for queue in self.queues {
            let Some(track) = memory.queues.get(&queue.name) else {
                continue;
            };
            let head_at = self.sight.queues.get(&queue.name).and_then(|sight| sight.head_at);
            let view = view(queue, &track.window);
            let (Some(head_at), Some(older)) = (head_at, older(&view, head_at, self.thresholds)) else {
                continue;
            };
            let limit = older.missing.min(PAGE) + 1;
            let tasks = self
                .store
                .waiting_before(&queue.name, older.before, limit)
                .await?;
            stalls.extend(behind_head(tasks, older, &view, head_at, self.thresholds));
        }
        Ok(stalls)
    }

    fn listed(&self) -> HashSet<&str> {
        let tags = self.sight.queues.values().filter_map(|queue| queue.tags.as_ref());
        tags.flat_map(|tags| tags.keys()).map(String::as_str).collect()
    }

    /// Running tasks whose lease is over. Nothing is said before the detector has looked without a gap for a while:
    /// after an outage of its own, or of the broker, workers need a moment to show that they live.
    async fn lapsed(&self, memory: &mut Memory, causes: &Causes) -> Result<Vec<Stall>, StoreError> {
        let steady = memory
            .steady_since
            .is_some_and(|since| self.now.ms_since(since) >= self.thresholds.steady_ms);
        let broker = self.broker();
        let blind = causes.has(Verdict::Unknown, &broker).then_some(broker);
        if !steady && blind.is_none() {
            return Ok(Vec::new());
        }
        let before = self.ago(self.thresholds.lease_grace_ms);
        let rows = self
            .store
            .lapsed_tasks(before, memory.cursors.lapsed, PAGE)
            .await?;
        let last = rows.last().map(|row| (row.lease_expires_at, row.suspect.task_id));
        memory.cursors.lapsed = next(rows.len(), last);
        let listed = self.listed();
        let known = self.sight.queues.values().any(|queue| queue.tags.is_some());
        let listed_at = self.sight.consumers_age_ms.map(|age_ms| self.ago(age_ms));
        let mut gone: HashMap<String, Time> = HashMap::new();
        if known {
            let absent: HashSet<&String> = rows
                .iter()
                .map(|row| &row.worker)
                .filter(|worker| !listed.contains(worker.as_str()))
                .collect();
            let kept: Vec<String> = absent.into_iter().cloned().collect();
            gone.extend(self.store.consumer_tags_seen(&kept).await?);
            gone.extend(kept.into_iter().filter_map(|tag| {
                let seen_at = memory.tags.get(&tag)?.seen_at;
                Some((tag, seen_at))
            }));
        }
        let judged = rows.into_iter().filter_map(|row| {
            // A list from before the lease's end may be older than the worker, and than its death.
            let current = listed_at.is_some_and(|at| at >= row.lease_expires_at);
            let presence = if !known || !current {
                WorkerPresence::Unknown
            } else if listed.contains(row.worker.as_str()) {
                WorkerPresence::Listed
            } else if let Some(last_seen_at) = gone.get(&row.worker) {
                WorkerPresence::Gone {
                    last_seen_at: *last_seen_at,
                }
            } else {
                WorkerPresence::NeverListed
            };
            let numbers = self
                .sight
                .queues
                .get(&row.suspect.queue)
                .map(|sight| sight.numbers);
            let takers = Takers {
                messages_ready: numbers.and_then(|numbers| numbers.ready),
                consumers: numbers.and_then(|numbers| numbers.consumers),
            };
            lapsed(row, presence, takers, blind.clone(), self.now, self.thresholds)
        });
        Ok(judged.collect())
    }

    async fn overdue(&self, memory: &mut Memory) -> Result<Vec<Stall>, StoreError> {
        let rows = self
            .store
            .timed_tasks(self.now, memory.cursors.timed, PAGE)
            .await?;
        let last = rows.last().map(|row| (row.started_at, row.suspect.task_id));
        memory.cursors.timed = next(rows.len(), last);
        Ok(rows
            .into_iter()
            .filter_map(|row| overdue(row, self.now))
            .collect())
    }

    /// Open stalls whose tasks say that they are over, and those whose incident closed.
    pub(super) async fn over(
        &self,
        memory: &mut Memory,
        causes: &Causes,
        found: &[Stall],
    ) -> Result<StallChanges, StoreError> {
        let found: HashSet<(Uuid, Verdict)> =
            found.iter().map(|stall| (stall.task_id, stall.verdict)).collect();
        let cursor = memory.cursors.recheck.clone();
        let (rows, next) = self
            .store
            .changed_stalls(&cursor, self.now, RECHECKED, PAGE)
            .await?;
        memory.cursors.recheck = next;
        let mut changes = StallChanges::default();
        for row in rows {
            let verdict = row.stall.verdict;
            if let Some(reason) = over(&row.stall, self.now, self.thresholds) {
                changes.closed.push((row.id, reason));
            } else if self.looked_for(&row.stall, &row.queue, memory)
                && !found.contains(&(row.task_id, verdict))
            {
                changes.closed.push((row.id, CloseReason::Cleared));
            } else if row.orphaned {
                let cause = (Verdict::LedgerShort, Subject::queue(&row.queue));
                let id = causes
                    .id(&cause)
                    .filter(|_| row.stall.verdict == Verdict::MessageLost);
                changes.moved.push((row.id, id));
            }
        }
        Ok(changes)
    }
}

/// A queue and its readings, for the rules.
pub(super) fn view<'a>(queue: &'a QueueRow, window: &'a crate::domain::observation::Window) -> QueueView<'a> {
    QueueView {
        name: &queue.name,
        backlog_target_ms: queue.backlog_target_s.saturating_mul(1000),
        window,
    }
}

/// Behind a full page; after a page that was not full, from the start again.
pub(super) fn next(len: usize, last: Option<(Time, Uuid)>) -> Cursor {
    last.filter(|_| len as i64 >= PAGE)
        .map_or(Cursor::START, |(at, id)| Cursor { at, id })
}

/// Holds the stalls of a pass against those that are open: what opens, what is told differently now, what another
/// verdict replaces.
pub(super) fn compare(stalls: Vec<Stall>, known: Vec<Known>, causes: &Causes) -> StallChanges {
    let mut by_task: HashMap<Uuid, Vec<Known>> = HashMap::new();
    for known in known {
        by_task.entry(known.task_id).or_default().push(known);
    }
    let mut changes = StallChanges::default();
    let mut met = HashSet::new();
    for stall in stalls {
        if !met.insert((stall.task_id, stall.verdict)) {
            continue;
        }
        let incident_id = stall.cause.as_ref().and_then(|cause| causes.id(cause));
        let open = by_task.get(&stall.task_id).map(Vec::as_slice).unwrap_or_default();
        for other in open.iter().filter(|other| other.verdict != stall.verdict) {
            if stall.verdict == Verdict::DeadLettered && other.verdict == Verdict::MessageLost {
                changes.closed.push((other.id, CloseReason::Replaced));
            }
            if of_worker(stall.verdict) && of_worker(other.verdict) {
                let reason = match other.verdict {
                    Verdict::Unknown => CloseReason::SeenAgain,
                    _ => CloseReason::Replaced,
                };
                changes.closed.push((other.id, reason));
            }
        }
        match open.iter().find(|other| other.verdict == stall.verdict) {
            None => changes.opened.push((new_id(), stall, incident_id)),
            // What was proven is not taken back by what is only likely.
            Some(same) if same.confidence == Confidence::Proven && stall.confidence == Confidence::Likely => {
            }
            Some(same) => {
                let told = same.confidence == stall.confidence
                    && same.variant == stall.evidence.variant.as_str()
                    && same.attempt == stall.attempt
                    && same.incident_id == incident_id;
                if !told {
                    changes.updated.push(StallUpdate {
                        id: same.id,
                        attempt: stall.attempt,
                        confidence: stall.confidence,
                        evidence: stall.evidence,
                        incident_id,
                    });
                }
            }
        }
    }
    changes
}

/// The verdicts about a lease that is over: a task has one of them at a time.
fn of_worker(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::WorkerLost | Verdict::WorkerSilent | Verdict::Unknown
    )
}
