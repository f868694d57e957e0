//! What a task's attempts did to each other, and to a person's wish: all of it rests on the database alone.

use super::{Thresholds, evidence, task::Suspect};
use crate::domain::{
    evidence::{Facts, ThresholdName},
    finding::{Confidence, Scope, Stall, Subject, Variant, Verdict},
    task::{AttemptOutcome, State},
    time::Time,
};

/// One attempt of a task, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub number: i64,
    pub worker: String,
    /// `None` while it runs.
    pub outcome: Option<AttemptOutcome>,
    pub ended_at: Option<Time>,
}

/// A task that lost its worker lately.
#[derive(Clone, Debug, PartialEq)]
pub struct Crashed {
    pub suspect: Suspect,
    pub state: State,
    /// Counted attempts since `max_attempts` was last granted, the running one included.
    pub tries: i64,
    pub max_attempts: i64,
    /// Its attempts, newest first.
    pub runs: Vec<Run>,
}

/// The same task lost its worker again and again since somebody last granted it attempts.
///
/// Which attempts those are follows from the count alone: the newest ones, of which those handed back do not count.
pub fn crash_loop(task: Crashed, now: Time, thresholds: &Thresholds) -> Option<Stall> {
    let variant = match task.state {
        State::Queued | State::Running => Variant::Trying,
        State::Failed => Variant::GaveUp,
        State::New | State::Succeeded | State::Cancelled => return None,
    };
    let counts = |run: &&Run| run.outcome != Some(AttemptOutcome::Released);
    let granted = usize::try_from(task.tries).unwrap_or(0);
    let lost: Vec<&Run> = task
        .runs
        .iter()
        .filter(counts)
        .take(granted)
        .filter(|run| run.outcome == Some(AttemptOutcome::Lost))
        .collect();
    let needed = usize::try_from(thresholds.crash_loop).unwrap_or(usize::MAX);
    // Newest first: the loss that made it a loop is the third from the end.
    let since = lost.len().checked_sub(needed).and_then(|nr| lost.get(nr))?;
    let since = since.ended_at.unwrap_or(now);
    let facts = Facts {
        worker: lost.first().map(|run| run.worker.clone()),
        lost_attempts: i64::try_from(lost.len()).ok(),
        max_attempts: Some(task.max_attempts),
        ..task.suspect.facts()
    };
    let (name, value) = (ThresholdName::CrashLoop, thresholds.crash_loop);
    let evidence = evidence(now, variant, name, value, facts);
    let cause = Some((Verdict::CrashLoop, Subject::queue(&task.suspect.queue)));
    let (verdict, proven) = (Verdict::CrashLoop, Confidence::Proven);
    Some(task.suspect.stall(verdict, proven, since, evidence, cause))
}

/// A running task that somebody cancelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Cancelling {
    pub suspect: Suspect,
    pub worker: String,
    pub cancel_requested_at: Time,
    pub beat_at: Time,
    pub lease_expires_at: Time,
}

/// The worker heard of the cancel, has had its time, and its heartbeats go on.
///
/// Every heartbeat's answer tells of the cancel. A worker renews each third of its lease, so the first one after the cancel
/// came no later than that, and the newest one shows that there was one: with a lease of an hour nobody is accused of
/// what he could not know.
pub fn cancel_ignored(task: Cancelling, now: Time, thresholds: &Thresholds) -> Option<Stall> {
    let lease_ms = task.lease_expires_at.ms_since(task.beat_at);
    let told_at = task
        .beat_at
        .min(Time::from_ms(task.cancel_requested_at.ms() + lease_ms / 3));
    let heard = task.beat_at > task.cancel_requested_at;
    let alive = now < task.lease_expires_at;
    if !alive || !heard || now.ms_since(told_at) < thresholds.cancel_grace_ms {
        return None;
    }
    let cause = Subject {
        scope: Scope::Worker,
        name: task.worker.clone(),
    };
    let facts = Facts {
        worker: Some(task.worker),
        cancel_requested_at: Some(task.cancel_requested_at),
        beat_at: Some(task.beat_at),
        lease_expires_at: Some(task.lease_expires_at),
        ..task.suspect.facts()
    };
    let (name, value) = (ThresholdName::CancelGrace, thresholds.cancel_grace_ms);
    let evidence = evidence(now, Variant::Plain, name, value, facts);
    let (verdict, proven) = (Verdict::CancelIgnored, Confidence::Proven);
    let cause = Some((verdict, cause));
    let since = task.cancel_requested_at;
    Some(task.suspect.stall(verdict, proven, since, evidence, cause))
}

/// A closed attempt that still reported success, and the attempt after it.
#[derive(Clone, Debug, PartialEq)]
pub struct LateSuccess {
    pub suspect: Suspect,
    pub worker: String,
    pub attempt: i64,
    pub reported_at: Time,
    pub next_attempt: i64,
    pub next_worker: String,
    pub next_started_at: Time,
}

/// An attempt that was given up had done the work after all, and the next one had begun by then.
///
/// Only likely an overlap in time: the database knows when a report came, not when the program ended, and a report can
/// be held up. A late failure or a task handed back late says even less, and did the work once: nothing is said of them.
pub fn double_run(late: LateSuccess, now: Time) -> Option<Stall> {
    if late.next_started_at >= late.reported_at {
        return None;
    }
    let cause = Subject {
        scope: Scope::Worker,
        name: late.worker.clone(),
    };
    let facts = Facts {
        worker: Some(late.worker),
        next_attempt: Some(late.next_attempt),
        next_worker: Some(late.next_worker),
        next_started_at: Some(late.next_started_at),
        reported_at: Some(late.reported_at),
        attempt: Some(late.attempt),
        ..late.suspect.facts()
    };
    let evidence = evidence(
        now,
        Variant::Plain,
        ThresholdName::NextAttempt,
        late.next_attempt,
        facts,
    );
    let (verdict, likely) = (Verdict::DoubleRun, Confidence::Likely);
    let suspect = Suspect {
        attempt: late.attempt,
        ..late.suspect
    };
    let cause = Some((verdict, cause));
    Some(suspect.stall(verdict, likely, late.reported_at, evidence, cause))
}
