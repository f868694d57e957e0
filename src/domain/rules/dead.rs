//! Tasks whose current message lies on the dead-letter queue.

use super::{Thresholds, evidence, task::Suspect};
use crate::domain::{
    evidence::{Facts, Figure, ThresholdName},
    finding::{Confidence, Stall, Subject, Verdict},
    observation::DeadLetter,
    time::Time,
};

/// A queued task that a dead letter names, in its current dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    pub suspect: Suspect,
    pub published_at: Time,
}

/// The message that the broker confirmed was taken out of its queue and lies on the dead-letter queue.
///
/// A letter that died well before that confirm is an older copy of the same dispatch, and proves nothing: its time is by
/// another clock, so within the margin it counts.
pub fn dead_lettered(
    task: Queued,
    letter: &DeadLetter,
    depth: Figure,
    now: Time,
    thresholds: &Thresholds,
) -> Option<Stall> {
    let Queued {
        suspect,
        published_at,
    } = task;
    if letter
        .dispatch
        .is_some_and(|dispatch| dispatch != suspect.dispatch)
    {
        return None;
    }
    let margin = thresholds.dead_margin_ms;
    if letter
        .died_at
        .is_some_and(|died_at| published_at.ms_since(died_at) > margin)
    {
        return None;
    }
    let since = published_at.max(letter.died_at.unwrap_or(published_at).min(now));
    let facts = Facts {
        published_at: Some(published_at),
        died_at: letter.died_at,
        dead_letters: Some(depth),
        detail: letter.detail.clone(),
        ..suspect.facts()
    };
    let variant = letter.cause.variant();
    let evidence = evidence(now, variant, ThresholdName::DeadMargin, margin, facts);
    let (verdict, proven) = (Verdict::DeadLettered, Confidence::Proven);
    let cause = Some((verdict, Subject::queue(&suspect.queue)));
    Some(suspect.stall(verdict, proven, since, evidence, cause))
}
