//! When a stall is over, by what its task's own row says.

use super::Thresholds;
use crate::domain::{
    finding::{CloseReason, Variant, Verdict},
    task::State,
    time::Time,
};

/// How long something is told that is past and can't be undone: somebody shall read it, and then it goes.
pub const TOLD_MS: i64 = 86_400_000;

/// An open stall beside its task as it is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenStall {
    pub verdict: Verdict,
    pub variant: Variant,
    pub dispatch: i64,
    pub attempt: i64,
    pub since: Time,
    pub state: State,
    pub task_dispatch: i64,
    pub task_attempt: i64,
    /// Counted attempts since `max_attempts` was last granted.
    pub tries: i64,
    /// The message was acknowledged although the attempt runs.
    pub message_gone: bool,
    pub published_at: Option<Time>,
    pub started_at: Option<Time>,
    pub lease_expires_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub timeout_s: Option<i64>,
}

/// Whether the task's own row says that the stall is over, and why. Never looks at the broker: what was proven lost
/// does not come back by itself.
pub fn over(stall: &OpenStall, now: Time, thresholds: &Thresholds) -> Option<CloseReason> {
    // These are about what several attempts did: neither another dispatch nor the task's end undoes it.
    match stall.verdict {
        Verdict::DoubleRun => return past(Some(stall.since), now),
        Verdict::CrashLoop => return crash_loop_over(stall, now, thresholds),
        _ => {}
    }
    // What ended the stall comes first, whatever the task did afterwards.
    if stall.task_dispatch != stall.dispatch {
        return Some(CloseReason::Requeued);
    }
    if stall.state.is_end() {
        return Some(CloseReason::Ended);
    }
    let beating = stall.lease_expires_at.is_some_and(|until| now < until);
    let taken_over = stall.task_attempt != stall.attempt;
    match stall.verdict {
        Verdict::Unpublished | Verdict::MessageLost | Verdict::DeadLettered => match stall.state {
            State::Running => Some(CloseReason::Claimed),
            _ => stall
                .published_at
                .filter(|at| stall.verdict == Verdict::Unpublished || *at > stall.since)
                .map(|_| CloseReason::Confirmed),
        },
        Verdict::WorkerLost | Verdict::WorkerSilent | Verdict::Unknown => {
            if taken_over {
                Some(CloseReason::TakenOver)
            } else if beating {
                Some(CloseReason::BeatingAgain)
            } else {
                None
            }
        }
        Verdict::Overdue => {
            let timeout_ms = stall.timeout_s.map(|s| s.saturating_mul(1000));
            let late = timeout_ms
                .zip(stall.started_at)
                .is_some_and(|(timeout, started)| now.ms_since(started) > timeout);
            // What is usual changes: only a look tells whether it is still unusual.
            let by_timeout = stall.variant != Variant::Unusual || stall.timeout_s.is_some();
            if taken_over {
                Some(CloseReason::TakenOver)
            } else if by_timeout && !late {
                Some(CloseReason::Extended)
            } else if !beating {
                Some(CloseReason::Replaced)
            } else {
                None
            }
        }
        // A lease that is over is told by other verdicts, and ends a task that was cancelled.
        Verdict::CancelIgnored if taken_over => Some(CloseReason::TakenOver),
        Verdict::CancelIgnored => (!beating).then_some(CloseReason::Replaced),
        // That the broker takes its time, or was told another timeout, only a look at it tells.
        Verdict::AckDeadline if taken_over => Some(CloseReason::TakenOver),
        Verdict::AckDeadline if !beating => Some(CloseReason::Replaced),
        Verdict::AckDeadline => stall.message_gone.then_some(CloseReason::Cleared),
        Verdict::CrashLoop
        | Verdict::DoubleRun
        | Verdict::NoConsumers
        | Verdict::ConsumersStuck
        | Verdict::Backlog
        | Verdict::LedgerShort
        | Verdict::LedgerOver
        | Verdict::QueueMissing
        | Verdict::QueueMismatch
        | Verdict::BrokerAlarm => Some(CloseReason::Cleared),
    }
}

/// A person's retry or requeue grants new attempts: then it is another story. A task that failed by its crashes is told
/// for a day.
fn crash_loop_over(stall: &OpenStall, now: Time, thresholds: &Thresholds) -> Option<CloseReason> {
    if stall.tries < thresholds.crash_loop {
        // Somebody granted attempts anew, or set another limit.
        let same = stall.task_dispatch == stall.dispatch;
        return Some(if same {
            CloseReason::Cleared
        } else {
            CloseReason::Requeued
        });
    }
    match stall.state {
        State::Succeeded | State::Cancelled => Some(CloseReason::Ended),
        State::Failed => past(stall.finished_at, now),
        State::New | State::Queued | State::Running => None,
    }
}

fn past(at: Option<Time>, now: Time) -> Option<CloseReason> {
    at.is_none_or(|at| now.ms_since(at) >= TOLD_MS)
        .then_some(CloseReason::Past)
}
