//! The thresholds of the rules that people set.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    Lane, Store, StoreError,
    audit::insert_audit,
    db::{Sql, execute, fetch_all, sql},
    types::At,
};
use crate::domain::{
    audit::AuditEntry,
    rules::thresholds::{Changed, Setting},
    time::Time,
};

/// A threshold that is not at its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetThreshold {
    pub value: i64,
    pub actor: String,
    pub at: Time,
}

/// What becomes of one threshold. `None` is its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThresholdChange {
    pub setting: Setting,
    /// What it was when it was decided.
    pub was: Option<i64>,
    pub becomes: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    value: i64,
    actor: String,
    at: At,
}

const ALL: Sql = sql!("SELECT name, value, actor, at FROM thresholds ORDER BY name");

const ADD: Sql = sql!(
    "INSERT INTO thresholds (name, value, actor, at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING"
);

const SET: Sql = sql!("UPDATE thresholds SET value = $2, actor = $3, at = $4 WHERE name = $1 AND value = $5");

const UNSET: Sql = sql!("DELETE FROM thresholds WHERE name = $1 AND value = $2");

impl Store {
    /// The thresholds that are not at their defaults. One that this version does not know is left out.
    pub async fn thresholds(&self) -> Result<BTreeMap<Setting, SetThreshold>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, Row, ALL)?;
        let known = rows.into_iter().filter_map(|row| {
            let set = SetThreshold {
                value: row.value,
                actor: row.actor,
                at: row.at.0,
            };
            Some((row.name.parse().ok()?, set))
        });
        Ok(known.collect())
    }

    /// The same as values alone.
    pub async fn changed_thresholds(&self) -> Result<Changed, StoreError> {
        let set = self.thresholds().await?;
        Ok(set
            .into_iter()
            .map(|(setting, set)| (setting, set.value))
            .collect())
    }

    /// Changes thresholds, all or none, with their audit row; false when one of them is no longer what it was: then nothing
    /// was changed.
    pub async fn set_thresholds(
        &self,
        changes: &[ThresholdChange],
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        for change in changes {
            let name = change.setting.as_str();
            let written = match (change.was, change.becomes) {
                (None, None) => 1,
                (None, Some(value)) => execute!(&mut tx, ADD, name, value, &audit.actor, At(now))?,
                (Some(was), Some(value)) => execute!(&mut tx, SET, name, value, &audit.actor, At(now), was)?,
                (Some(was), None) => execute!(&mut tx, UNSET, name, was)?,
            };
            if written == 0 {
                return Ok(false);
            }
        }
        let picture = |value: fn(&ThresholdChange) -> Option<i64>| {
            let values = changes
                .iter()
                .map(|change| (change.setting.as_str(), value(change)));
            json!(values.collect::<BTreeMap<_, _>>())
        };
        let audit = AuditEntry {
            before: Some(picture(|change| change.was)),
            after: Some(picture(|change| change.becomes)),
            ..audit
        };
        insert_audit(&mut tx, now, &[audit]).await?;
        tx.commit().await?;
        Ok(true)
    }
}
