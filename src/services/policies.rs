//! Sets what Unstuck does by itself about a queue's findings, and lets it go on after its breaker stopped it.

use crate::{
    domain::{
        audit::AuditEntry,
        finding::Verdict,
        policy::{CURABLE, Policy},
    },
    store::{PolicyRow, Store, StoreError},
};

#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("there is no queue of this name here")]
    NoQueue,
    #[error("no policy can act on {verdict}: only on message_lost")]
    NotCurable { verdict: Verdict },
    #[error("these numbers are out of bounds: {}", fields.join(", "))]
    OutOfBounds { fields: Vec<&'static str> },
    #[error("the policy was changed since it was looked at")]
    MovedOn,
    #[error("the policy was not stopped")]
    NotStopped,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What somebody wants a policy to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The version that was looked at; at any other nothing is changed. `None`: whatever it is.
    pub version: Option<i64>,
    pub policy: Policy,
}

/// Sets the policy of `queue` for `verdict`, with its audit row, which must carry a reason. Setting the same again is
/// written down again. A breaker that stopped it keeps it stopped.
pub async fn set(
    store: &Store,
    queue: &str,
    verdict: Verdict,
    wanted: Wanted,
    audit: &AuditEntry,
) -> Result<PolicyRow, PolicyError> {
    let fields = wanted.policy.wrongs();
    if !fields.is_empty() {
        return Err(PolicyError::OutOfBounds { fields });
    }
    let now = find(store, queue, verdict).await?;
    let version = wanted.version.unwrap_or(now.version);
    if !store
        .set_policy(queue, verdict, version, &wanted.policy, audit)
        .await?
    {
        return Err(PolicyError::MovedOn);
    }
    Ok(store.policy(queue, verdict).await?)
}

/// Lets the policy go on, with its audit row, which must carry a reason. If as much is lost as before, it stops again.
pub async fn let_go_on(
    store: &Store,
    queue: &str,
    verdict: Verdict,
    audit: &AuditEntry,
) -> Result<PolicyRow, PolicyError> {
    find(store, queue, verdict).await?;
    if !store.reset_policy(queue, verdict, audit).await? {
        return Err(PolicyError::NotStopped);
    }
    Ok(store.policy(queue, verdict).await?)
}

/// The policy as it is. Errors: no such queue, or no such policy.
pub async fn find(store: &Store, queue: &str, verdict: Verdict) -> Result<PolicyRow, PolicyError> {
    let known = !queue.contains('\0') && store.queue(queue).await?.is_some();
    if !known {
        return Err(PolicyError::NoQueue);
    }
    if !CURABLE.contains(&verdict) {
        return Err(PolicyError::NotCurable { verdict });
    }
    Ok(store.policy(queue, verdict).await?)
}
