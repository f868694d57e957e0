//! Changes the thresholds of the rules. The detector takes them over at its next pass.

use std::collections::BTreeMap;

use crate::{
    domain::{
        audit::AuditEntry,
        rules::{
            Thresholds,
            thresholds::{Changed, OutOfBounds, Setting},
        },
    },
    services::findings::REASON_CHARS,
    store::{Store, StoreError, ThresholdChange},
};

/// Why thresholds were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ThresholdError {
    #[error("a reason of 1 to {REASON_CHARS} characters is needed")]
    Reason,
    #[error("nothing would change")]
    Nothing,
    #[error(transparent)]
    Bounds(#[from] OutOfBounds),
    /// Somebody changed one of them since they were decided.
    #[error("a threshold is no longer what it was")]
    Moved,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The thresholds that people set, as the form holds them: the value of each, and what it was when the form was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub values: BTreeMap<Setting, i64>,
    pub was: BTreeMap<Setting, i64>,
}

impl Wanted {
    /// What would change, when every value is within its bounds: those that are not as `present` says.
    pub fn changes(&self, present: &Changed, every_ms: i64) -> Result<Vec<ThresholdChange>, OutOfBounds> {
        let defaults = Thresholds::new(every_ms);
        let kept = |setting: Setting, value: i64| (value != defaults.get(setting)).then_some(value);
        let mut changes = Vec::new();
        for (setting, value) in &self.values {
            let value = setting.check(*value, every_ms)?;
            let now = Thresholds::with(every_ms, present).get(*setting);
            let was = self.was.get(setting).copied().unwrap_or(now);
            if value != was {
                changes.push(ThresholdChange {
                    setting: *setting,
                    // One that another interval's bounds moved is kept as it was set.
                    was: if was == now {
                        present.get(setting).copied()
                    } else {
                        kept(*setting, was)
                    },
                    becomes: kept(*setting, value),
                });
            }
        }
        Ok(changes)
    }
}

/// Sets what `wanted` changes, for the reason; all of it or nothing.
pub async fn change(
    store: &Store,
    every_ms: i64,
    wanted: &Wanted,
    reason: &str,
    mut audit: AuditEntry,
) -> Result<usize, ThresholdError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS {
        return Err(ThresholdError::Reason);
    }
    audit.reason = Some(reason.to_owned());
    let present = store.changed_thresholds().await?;
    let changes = wanted.changes(&present, every_ms)?;
    if changes.is_empty() {
        return Err(ThresholdError::Nothing);
    }
    if store.set_thresholds(&changes, audit).await? {
        Ok(changes.len())
    } else {
        Err(ThresholdError::Moved)
    }
}
