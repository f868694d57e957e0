//! What RabbitMQ's management API says. Read only.
//!
//! The API lags, leaves fields out, and can be off, refused or frozen: every field is optional, every request ends
//! within seconds, and what is absent stays absent. Which number is how old: `reading`.

mod client;
mod link;
mod queues;

pub use client::{Management, ManagementError};
pub use link::ManagementLink;
pub use queues::{ConsumerDetail, Counters, QueueDetail, QueueTotals};

use serde_json::Value;

/// A resource alarm in force: the broker takes no publishes until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// RabbitMQ's word: `memory` or `disk space`.
    pub resource: String,
    pub node: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    pub version: Option<String>,
    /// Statistics are off on this broker: counts come from the totals only, consumers can't be listed.
    pub statistics_disabled: Option<bool>,
    pub cluster_name: Option<String>,
}

impl Management {
    /// The alarms in force, cluster-wide; right within 0.2 s. Empty when there is none.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, ManagementError> {
        let answer = self.health(&["health", "checks", "alarms"]).await?;
        let text = |value: &Value, key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or("unknown")
                .to_owned()
        };
        match (
            answer.get("status").and_then(Value::as_str),
            answer.get("alarms").and_then(Value::as_array),
        ) {
            (Some("ok"), _) => Ok(Vec::new()),
            (Some("failed"), Some(alarms)) if !alarms.is_empty() => {
                let alarms = alarms.iter();
                Ok(alarms
                    .map(|alarm| Alarm {
                        resource: text(alarm, "resource"),
                        node: text(alarm, "node"),
                    })
                    .collect())
            }
            _ => Err(ManagementError::Garbage {
                detail: "the alarm check says neither ok nor what failed".to_owned(),
            }),
        }
    }

    /// How many nodes the cluster has, running or not. Errors: `Refused` without the tag `monitoring`.
    pub async fn nodes(&self) -> Result<usize, ManagementError> {
        let answer = self.get(&["nodes"], &[("columns", "name")]).await?;
        answer
            .as_array()
            .map(Vec::len)
            .ok_or_else(|| ManagementError::Garbage {
                detail: "the nodes are not a list".to_owned(),
            })
    }

    pub async fn overview(&self) -> Result<Overview, ManagementError> {
        let answer = self.get(&["overview"], &[]).await?;
        if !answer.is_object() {
            return Err(ManagementError::Garbage {
                detail: "the overview is not an object".to_owned(),
            });
        }
        let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Overview {
            version: text("rabbitmq_version"),
            statistics_disabled: answer.get("disable_stats").and_then(Value::as_bool),
            cluster_name: text("cluster_name"),
        })
    }
}
