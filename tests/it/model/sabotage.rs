//! Ways to break the protocol, one guard or one order each: the model is worth what it says of them.

use unstuck::domain::{
    task::{AttemptOutcome, State, Task},
    transition::{Answer, Decision, Effect, Event, LeasePolicy, RequeueBy, Rules, decide},
};

use super::{
    invariant::Invariant,
    world::{NOW, TRUST},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    // The transitions.
    ClaimOfAnyDispatch,
    ReportOfAnyAttempt,
    TakeOverOfLiveLease,
    LostAttemptFree,
    ReleaseUnfenced,
    CancelForgottenByFail,
    EndedTaskClaimed,
    RequeueLeavesAttemptOpen,
    ForcedRequeueDueNow,
    RecoverTakesNextDispatch,
    RecoverDoesNothing,
    RecoverOutlivesCancel,
    RetryWithoutRow,
    // The worker.
    AcknowledgedBeforeClaim,
    TrustBeyondLease,
    OldClaimUnconfirmed,
    // The relay.
    SettledBeforeConfirm,
}

impl Sabotage {
    /// Each, and the rule it must be found by.
    pub const ALL: &[(Self, Invariant)] = &[
        (Self::ClaimOfAnyDispatch, Invariant::OldDispatchNeverRuns),
        (Self::ReportOfAnyAttempt, Invariant::OldAttemptNeverWrites),
        (Self::TakeOverOfLiveLease, Invariant::LiveLeaseKept),
        (Self::LostAttemptFree, Invariant::AttemptsCounted),
        (Self::ReleaseUnfenced, Invariant::OldAttemptNeverWrites),
        (Self::CancelForgottenByFail, Invariant::CancelEnds),
        (Self::EndedTaskClaimed, Invariant::EndsStay),
        (Self::RequeueLeavesAttemptOpen, Invariant::OneOpenAttempt),
        (Self::ForcedRequeueDueNow, Invariant::OneHandler),
        (Self::RecoverTakesNextDispatch, Invariant::ResentKeepsDispatch),
        (Self::RecoverDoesNothing, Invariant::SomethingMoves),
        (Self::RecoverOutlivesCancel, Invariant::SomethingMoves),
        (Self::RetryWithoutRow, Invariant::RowOrConfirm),
        (Self::AcknowledgedBeforeClaim, Invariant::MessageKept),
        (Self::TrustBeyondLease, Invariant::OneHandler),
        (Self::OldClaimUnconfirmed, Invariant::OneHandler),
        (Self::SettledBeforeConfirm, Invariant::MessageKept),
    ];
}

/// The product's own function, or that function with one guard taken out.
pub fn decided(
    sabotage: Option<Sabotage>,
    task: &Task,
    event: &Event,
    reported: Option<AttemptOutcome>,
    rules: &Rules,
) -> Decision {
    let mut task = task.clone();
    let mut event = event.clone();
    let running = task.state == State::Running;
    match (sabotage, &mut event) {
        (Some(Sabotage::ClaimOfAnyDispatch), Event::Claim(claim)) => claim.dispatch = None,
        (
            Some(Sabotage::ReportOfAnyAttempt),
            Event::Succeed { attempt, .. } | Event::Fail { attempt, .. },
        )
        | (Some(Sabotage::ReleaseUnfenced), Event::Release { attempt })
            if running =>
        {
            *attempt = task.attempt;
        }
        (Some(Sabotage::TakeOverOfLiveLease), Event::Claim(_)) if running => {
            task.lease_expires_at = Some(NOW);
        }
        (Some(Sabotage::CancelForgottenByFail), Event::Fail { .. }) => task.cancel_requested_at = None,
        (Some(Sabotage::EndedTaskClaimed), Event::Claim(_)) if task.state.is_end() => {
            task.state = State::Queued;
        }
        (Some(Sabotage::RecoverTakesNextDispatch), Event::Recover) => {
            event = Event::Requeue {
                by: RequeueBy::Policy,
                lease: LeasePolicy::Respect,
                payload: None,
            };
        }
        (Some(Sabotage::RecoverDoesNothing), Event::Recover) => event = nothing(&task),
        (Some(Sabotage::RecoverOutlivesCancel), Event::Recover) if task.cancel_requested_at.is_some() => {
            event = nothing(&task);
        }
        _ => {}
    }
    let mut decision = decide(&task, &event, reported, rules);
    let (after, effects) = (&mut decision.task, &mut decision.effects);
    match (sabotage, &event) {
        (Some(Sabotage::LostAttemptFree), Event::Claim(_))
            if running && matches!(decision.answer, Ok(Answer::Claimed { .. })) =>
        {
            after.tries = task.tries;
        }
        (Some(Sabotage::RequeueLeavesAttemptOpen), Event::Requeue { .. }) => {
            effects.retain(|effect| !matches!(effect, Effect::EndAttempt { .. }));
        }
        (Some(Sabotage::ForcedRequeueDueNow), Event::Requeue { .. }) => {
            after.available_at = NOW;
            for effect in effects {
                if let Effect::Publish { due_at } = effect {
                    *due_at = NOW;
                }
            }
        }
        (Some(Sabotage::RetryWithoutRow), Event::Fail { .. }) => {
            effects.retain(|effect| !matches!(effect, Effect::Publish { .. }));
        }
        _ => {}
    }
    decision
}

/// An event that is refused and changes nothing.
fn nothing(task: &Task) -> Event {
    Event::OnDispatch {
        dispatch: task.dispatch - 1,
        event: Box::new(Event::Recover),
    }
}

/// For how many ticks a worker trusts a lease that it just got.
pub fn trust(sabotage: Option<Sabotage>) -> u8 {
    match sabotage {
        Some(Sabotage::TrustBeyondLease) => TRUST + 3,
        _ => TRUST,
    }
}
