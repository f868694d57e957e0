//! What no state and no change may break, said as the rule.

use std::fmt;

use unstuck::domain::{
    task::{AttemptOutcome, State, Task},
    transition::{Decision, Effect, Event},
};

use super::{
    shown::is_short,
    world::{Kept, NOW, World},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    OneOpenAttempt,
    AttemptsWithoutGap,
    OneEndEach,
    LiveLeaseKept,
    OneHandler,
    OldDispatchNeverRuns,
    OldAttemptNeverWrites,
    RefusedClaimTakesNothing,
    EndsStay,
    CancelEnds,
    AttemptsCounted,
    ResentKeepsDispatch,
    RowOrConfirm,
    MessageKept,
    SomethingMoves,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneOpenAttempt => "a running task has one open attempt, any other has none",
            Self::AttemptsWithoutGap => "attempts are numbered without gap",
            Self::OneEndEach => "an attempt ends once",
            Self::LiveLeaseKept => "a live lease is never taken over",
            Self::OneHandler => "two workers that were not paused never run one task at once",
            Self::OldDispatchNeverRuns => "a message of an old dispatch never runs",
            Self::OldAttemptNeverWrites => "every write of an old attempt is refused",
            Self::RefusedClaimTakesNothing => "a copy that is not needed burns no attempt",
            Self::EndsStay => "a task that ended moves only by a person's retry or rerun",
            Self::CancelEnds => "after a cancel a task only ends",
            Self::AttemptsCounted => "every attempt counts but those handed back",
            Self::ResentKeepsDispatch => "a message that is put out again keeps its dispatch",
            Self::RowOrConfirm => "a queued task has its outbox row or the broker's confirm",
            Self::MessageKept => "a confirmed message of a queued task is there unless it was purged",
            Self::SomethingMoves => "every open task can reach its end, or a stall that is shown",
        })
    }
}

/// A rule that was broken, and by what.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    pub invariant: Invariant,
    pub by: String,
}

/// Holds a decision about `kept` against the rules.
pub fn of_change(kept: &Kept, event: &Event, decision: &Decision) -> Option<Invariant> {
    let (before, after) = (&kept.task, &decision.task);
    let person = matches!(event, Event::Retry { .. } | Event::Rerun { .. });
    let cancelling = before.state == State::Running && before.cancel_requested_at.is_some();
    let claim = match event {
        Event::Claim(claim) => Some(claim),
        _ => None,
    };
    let mut open = kept.attempts.iter().filter(|end| end.is_none()).count();
    let mut number = kept.attempts.len() as i64;
    let mut opened = false;
    for effect in &decision.effects {
        match effect {
            Effect::OpenAttempt { number: taken, .. } => {
                opened = true;
                number += 1;
                open += 1;
                if *taken != number {
                    return Some(Invariant::AttemptsWithoutGap);
                }
                if before.lease_alive(NOW) {
                    return Some(Invariant::LiveLeaseKept);
                }
            }
            Effect::EndAttempt { number: ended, .. } => {
                let is_open = *ended == kept.attempts.len() as i64 && open == 1;
                if !is_open {
                    return Some(Invariant::OneEndEach);
                }
                open = 0;
            }
            _ => {}
        }
    }
    let rules = [
        (
            Invariant::OneOpenAttempt,
            open == usize::from(after.state == State::Running),
        ),
        (
            Invariant::OldDispatchNeverRuns,
            !opened
                || claim
                    .and_then(|claim| claim.dispatch)
                    .is_none_or(|at| at == before.dispatch),
        ),
        (
            Invariant::OldAttemptNeverWrites,
            reporter(event).is_none_or(|attempt| owns(before, attempt) || before == after),
        ),
        (
            Invariant::RefusedClaimTakesNothing,
            claim.is_none() || opened || (after.attempt, after.tries) == (before.attempt, before.tries),
        ),
        (
            Invariant::EndsStay,
            !before.state.is_end() || person || after.state == before.state,
        ),
        (
            Invariant::CancelEnds,
            !cancelling
                || matches!(after.state, State::Succeeded | State::Cancelled)
                || (after.state == State::Running && after.cancel_requested_at.is_some()),
        ),
        (
            Invariant::ResentKeepsDispatch,
            !matches!(event, Event::Recover) || after.dispatch == before.dispatch,
        ),
    ];
    rules.into_iter().find(|(_, holds)| !holds).map(|(rule, _)| rule)
}

fn reporter(event: &Event) -> Option<i64> {
    match event {
        Event::Heartbeat { attempt, .. }
        | Event::Succeed { attempt, .. }
        | Event::Fail { attempt, .. }
        | Event::Release { attempt } => Some(*attempt),
        _ => None,
    }
}

fn owns(task: &Task, attempt: i64) -> bool {
    task.state == State::Running && task.attempt == attempt
}

/// Holds a state against the rules.
pub fn of_state(world: &World) -> Option<Invariant> {
    for (nr, kept) in world.tasks.iter().enumerate() {
        let task = &kept.task;
        let counted = kept.attempts[kept.granted..]
            .iter()
            .filter(|end| **end != Some(AttemptOutcome::Released))
            .count() as i64;
        let queued = task.state == State::Queued;
        let row = kept.row.is_some_and(|row| row.dispatch == task.dispatch);
        let lost = is_lost(world, nr);
        let handlers = world
            .workers
            .iter()
            .filter(|worker| worker.runs() == Some(nr))
            .count();
        let rules = [
            (Invariant::OneHandler, handlers <= 1),
            (
                Invariant::AttemptsCounted,
                task.state.is_end() || (task.tries == counted && counted <= task.max_attempts),
            ),
            (
                Invariant::RowOrConfirm,
                !queued || row || task.published_at.is_some(),
            ),
            (
                Invariant::MessageKept,
                !lost || kept.purged == Some(task.dispatch),
            ),
        ];
        if let Some((rule, _)) = rules.into_iter().find(|(_, holds)| !holds) {
            return Some(rule);
        }
    }
    None
}

/// The task waits for a message that is nowhere.
pub fn is_lost(world: &World, nr: usize) -> bool {
    let kept = &world.tasks[nr];
    kept.task.state == State::Queued && kept.row.is_none() && world.carriers(nr) == 0
}

/// Nothing is to be done for the task: it was not started, it ended, or its message is missed by the detector.
pub fn is_settled(world: &World, nr: usize) -> bool {
    let state = world.tasks[nr].task.state;
    state == State::New || state.is_end() || (is_lost(world, nr) && is_short(world))
}
