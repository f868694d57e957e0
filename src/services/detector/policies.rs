//! What policies do about the findings of a look, after it was written.

use super::{causes::Causes, judge::Judge};
use crate::{
    domain::{
        finding::{Scope, Subject, Verdict},
        observation::{BrokerSight, Window},
        policy::{self, Case, Step},
        time::Time,
    },
    store::{Done, Leadership, PolicyRow, StoreError},
};

/// Most policies that one look asks.
const POLICIES: i64 = 10_000;
/// Most tasks of one policy, and of all of them, that one look puts out again: the next look must not wait for long.
const BATCH: i64 = 500;
const AT_ONCE: i64 = 1_000;
/// Findings are counted up to here: beyond it the share that the breaker looks at is large enough to stop.
const COUNTED: i64 = 50_000;

impl Judge {
    /// Asks every policy what it does now, and does it; `None` when the leadership was lost on the way.
    ///
    /// Whatever is done is one transaction with its audit rows: after a crash it happened or it did not.
    pub(super) async fn carry_out(
        &mut self,
        leadership: &Leadership,
        now: Time,
        sight: &BrokerSight,
        causes: &Causes,
    ) -> Result<Option<usize>, StoreError> {
        let mut rows = self.store.active_policies(POLICIES).await?;
        if !rows.is_empty() {
            let turn = self.memory.turn % rows.len();
            rows.rotate_left(turn);
        }
        let mut resent = 0;
        for row in rows {
            let room = AT_ONCE - resent as i64;
            if room <= 0 {
                break;
            }
            let case = self.case(&row, now, sight, causes).await?;
            match policy::step(&row.policy, &case) {
                Step::Hold => {}
                Step::Trip { would, open } => {
                    if self.store.trip_policy(leadership, &row, would, open).await? {
                        tracing::warn!(
                            queue = row.queue,
                            verdict = %row.verdict,
                            would,
                            open,
                            "too many tasks would be put out again: the policy is stopped until a person lets it go on"
                        );
                    }
                }
                Step::Act { limit } => {
                    let limit = limit.min(BATCH).min(room);
                    let found = self.store.curable(&row, now, limit).await?;
                    match self.store.carry_out(leadership, &row, &found).await? {
                        None if self.lead().await? => {}
                        None => return Ok(None),
                        Some(Done {
                            resent: done,
                            refused,
                        }) => {
                            tracing::info!(
                                queue = row.queue,
                                verdict = %row.verdict,
                                resent = done,
                                refused,
                                "messages put out again by policy"
                            );
                            resent += done;
                        }
                    }
                }
            }
        }
        Ok(Some(resent))
    }

    /// What the policy decides by. Findings are counted only when they may be acted upon.
    async fn case(
        &mut self,
        row: &PolicyRow,
        now: Time,
        sight: &BrokerSight,
        causes: &Causes,
    ) -> Result<Case, StoreError> {
        let empty = Window::default();
        let memory = &self.memory;
        let window = memory
            .queues
            .get(&row.queue)
            .map_or(&empty, |track| &track.window);
        let steady_ms = memory.steady_since.map(|since| now.ms_since(since));
        let broker = Subject {
            scope: Scope::Broker,
            name: self.settings.broker.clone(),
        };
        let blind = causes.has(Verdict::Unknown, &broker)
            || causes.has(Verdict::Unknown, &Subject::queue(&row.queue))
            || causes.has(Verdict::BrokerAlarm, &broker);
        let seen = !blind && policy::seen(sight, &row.queue, window, steady_ms);
        let facts = window.newest().map(|newest| newest.facts).unwrap_or_default();
        let missing = policy::missing(window);
        let (mut found, mut whole) = (0, false);
        if seen {
            found = self.store.count_curable(row, now, COUNTED).await?;
            let influx = self.memory.influx.entry((row.queue.clone(), row.verdict));
            whole = influx.or_default().is_whole(found, now);
        }
        Ok(Case {
            seen,
            tripped: row.tripped.is_some(),
            found,
            whole,
            missing,
            open: facts.waiting + facts.running,
            done_this_minute: row.done_this_minute(now),
            done_this_hour: row.done_this_hour(now),
        })
    }
}
