//! What people do about findings: put them off for a while, and mark the ones that were wrong.

use uuid::Uuid;

use crate::{
    domain::{
        audit::AuditEntry,
        snooze::{OutOfBounds, Span},
        time::Time,
    },
    store::{Store, StoreError, findings::SaidNow},
};

/// The longest reason, in characters.
pub const REASON_CHARS: usize = 500;

/// Why an action on a finding was not done.
#[derive(Debug, thiserror::Error)]
pub enum FindingError {
    #[error("a reason of 1 to {REASON_CHARS} characters is needed")]
    Reason,
    #[error(transparent)]
    Span(#[from] OutOfBounds),
    #[error("the finding is closed")]
    Closed,
    #[error("there is no such finding")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Now,
    /// It was so already: nothing was done.
    Before,
}

/// Puts an open finding off, and says until when. Once more: until the new time, for the new reason.
///
/// It stays open and in the health of its queue; it is not counted, and the webhook is not told of it. It comes back at
/// that time, or when it gets worse (`domain::snooze`).
pub async fn snooze(
    store: &Store,
    finding_id: Uuid,
    span: Span,
    until: Option<Time>,
    reason: &str,
    audit: AuditEntry,
) -> Result<Time, FindingError> {
    let audit = with_reason(audit, reason)?;
    let ends_at = span.end(store.now().await?, until)?;
    done(store.snooze(finding_id, ends_at, audit).await?)?;
    Ok(ends_at)
}

/// Takes a snooze back.
pub async fn take_snooze_back(
    store: &Store,
    finding_id: Uuid,
    audit: AuditEntry,
) -> Result<Done, FindingError> {
    done(store.take_snooze_back(finding_id, audit).await?)
}

/// Marks a finding, open or closed, as a false alarm, for the scorecard of its rule. It changes nothing else: what is
/// found stays found until the readings say otherwise.
pub async fn mark_false_alarm(
    store: &Store,
    finding_id: Uuid,
    reason: &str,
    audit: AuditEntry,
) -> Result<Done, FindingError> {
    let audit = with_reason(audit, reason)?;
    done(store.mark_false_alarm(finding_id, audit).await?)
}

/// Takes the mark back.
pub async fn withdraw_false_alarm(
    store: &Store,
    finding_id: Uuid,
    audit: AuditEntry,
) -> Result<Done, FindingError> {
    done(store.withdraw_false_alarm(finding_id, audit).await?)
}

fn with_reason(mut audit: AuditEntry, reason: &str) -> Result<AuditEntry, FindingError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS {
        return Err(FindingError::Reason);
    }
    audit.reason = Some(reason.to_owned());
    Ok(audit)
}

fn done(said: SaidNow) -> Result<Done, FindingError> {
    match said {
        SaidNow::Done => Ok(Done::Now),
        SaidNow::Same => Ok(Done::Before),
        SaidNow::Closed => Err(FindingError::Closed),
        SaidNow::NoFinding => Err(FindingError::NotFound),
    }
}
