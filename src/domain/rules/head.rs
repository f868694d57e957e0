//! Which tasks lost their message in a queue that is not empty: those older than its oldest message.

use super::{Thresholds, evidence, messages::settled_before, queue::QueueView, task::Suspect};
use crate::domain::{
    evidence::{Facts, ThresholdName},
    finding::{Confidence, Stall, Subject, Variant, Verdict},
    ledger::{Named, Shortfall, shortfall},
    time::Time,
};

/// Which tasks to look at: those of the highest priority confirmed before `before`, and how many of them may be there at
/// most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Older {
    pub before: Time,
    pub missing: i64,
}

/// Where the oldest message of the queue was published at `head_at`, and tasks are proven to have none.
///
/// The broker tells that time only of classic queues, which put a message that comes back where it was; it counts the messages
/// that consumers hold. In a priority queue it is the oldest of the highest priority. It is the publisher's clock: hence
/// the margin.
pub fn older(queue: &QueueView<'_>, head_at: Option<Time>, thresholds: &Thresholds) -> Option<Older> {
    let head_at = head_at?;
    let Shortfall::AtLeast {
        missing,
        named: Named::Some,
        ..
    } = shortfall(queue.window)
    else {
        return None;
    };
    // Those that wait for a copy are no tasks of this rule, and may be the ones without a message.
    let missing = missing - queue.window.newest()?.facts.copies;
    if missing <= 0 {
        return None;
    }
    let before = Time::from_ms(head_at.ms() - thresholds.head_margin_ms);
    Some(Older {
        before: before.min(settled_before(queue)?),
        missing,
    })
}

/// The tasks older than the head of the queue, `head_at`, when they are no more than have no message for certain.
///
/// More than that, and the head is no sign: it may be a message of somebody else, or a copy of higher priority.
pub fn behind_head(
    tasks: Vec<(Suspect, Time)>,
    older: Older,
    queue: &QueueView<'_>,
    head_at: Time,
    thresholds: &Thresholds,
) -> Vec<Stall> {
    let Some(newest) = queue.window.newest() else {
        return Vec::new();
    };
    if i64::try_from(tasks.len()).map_or(true, |count| count > older.missing) {
        return Vec::new();
    }
    let margin = thresholds.head_margin_ms;
    let stall = |(suspect, published_at): (Suspect, Time)| {
        let facts = Facts {
            dispatch: Some(suspect.dispatch),
            published_at: Some(published_at),
            head_at: Some(head_at),
            missing: Some(older.missing),
            ..queue.facts(newest)
        };
        let name = ThresholdName::HeadMargin;
        let evidence = evidence(newest.at, Variant::BehindHead, name, margin, facts);
        let cause = Some((Verdict::LedgerShort, Subject::queue(queue.name)));
        let (verdict, likely) = (Verdict::MessageLost, Confidence::Likely);
        suspect.stall(verdict, likely, newest.at, evidence, cause)
    };
    tasks.into_iter().map(stall).collect()
}
