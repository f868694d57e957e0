//! A queue as the broker describes it, beside its numbers: settings, policy, consumers. What pages show; no rule reads it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// RabbitMQ management API, `/api/queues` and `/api/consumers`. What it did not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerQueue {
    /// `classic`, `quorum` or `stream`.
    pub queue_type: Option<String>,
    pub durable: Option<bool>,
    /// The name of the policy in force; `None` also when there is none.
    pub policy: Option<String>,
    /// What it was declared with.
    pub arguments: Option<Map<String, Value>>,
    /// What policies set on top.
    pub policy_definition: Option<Map<String, Value>>,
    /// By tag. `None` when the broker keeps no statistics.
    pub consumers: Option<Vec<BrokerConsumer>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrokerConsumer {
    pub tag: String,
    /// RabbitMQ's name of its connection: `client:port -> server:port`.
    pub connection_name: Option<String>,
    /// 0 is no limit.
    pub prefetch: Option<u64>,
    /// False for one that waits for another (single active consumer).
    pub active: Option<bool>,
}

impl BrokerQueue {
    /// The settings in force, by name: a policy's value counts where the declaration has none. `x-` is left out.
    pub fn settings(&self) -> Vec<Setting> {
        let plain = |name: &str| name.strip_prefix("x-").unwrap_or(name).to_owned();
        let declared = self.arguments.iter().flatten().map(|(name, value)| Setting {
            name: plain(name),
            value: value.clone(),
            by_policy: false,
        });
        let mut settings: Vec<Setting> = declared.collect();
        for (name, value) in self.policy_definition.iter().flatten() {
            let name = plain(name);
            if !settings.iter().any(|setting| setting.name == name) {
                settings.push(Setting {
                    name,
                    value: value.clone(),
                    by_policy: true,
                });
            }
        }
        settings.sort_by(|a, b| a.name.cmp(&b.name));
        settings
    }
}

/// One setting of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// RabbitMQ's name without `x-`.
    pub name: String,
    pub value: Value,
    pub by_policy: bool,
}

impl Setting {
    /// Its value as it is written: a text without quotes, anything else as JSON.
    pub fn text(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_fills_in_what_the_declaration_left_open() {
        let object = |value: Value| value.as_object().cloned();
        let queue = BrokerQueue {
            arguments: object(json!({ "x-queue-type": "quorum", "x-max-length": 5 })),
            policy_definition: object(json!({ "max-length": 10, "message-ttl": 60000 })),
            ..BrokerQueue::default()
        };
        let settings: Vec<(String, String, bool)> = queue
            .settings()
            .into_iter()
            .map(|setting| (setting.name.clone(), setting.text(), setting.by_policy))
            .collect();
        let expected = [
            ("max-length", "5", false),
            ("message-ttl", "60000", true),
            ("queue-type", "quorum", false),
        ];
        assert_eq!(
            settings,
            expected.map(|(name, value, by_policy)| (name.to_owned(), value.to_owned(), by_policy))
        );
    }
}
