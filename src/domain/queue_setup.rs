//! How the broker has set a queue up, and which of its settings are in force.
//!
//! A queue has arguments, given when it was declared, and what policies set on top. Where both say something RabbitMQ
//! decides for each setting by itself; everybody here asks `QueueSetup` for what came out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::broker_version::BrokerVersion;

/// What a quorum queue has without a delivery limit of its own from RabbitMQ 4.0 on.
pub const DELIVERY_LIMIT_DEFAULT: i64 = 20;
/// A timeout that is longer is meant as never: ten years.
const FOREVER_MS: i128 = 315_360_000_000;

/// RabbitMQ management API, `/api/queues`. What it did not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueSetup {
    /// `classic`, `quorum` or `stream`.
    pub queue_type: Option<String>,
    pub durable: Option<bool>,
    pub auto_delete: Option<bool>,
    pub exclusive: Option<bool>,
    /// What it was declared with.
    pub arguments: Option<Map<String, Value>>,
    /// The name of the policy in force; `None` also when there is none.
    pub policy: Option<String>,
    /// What policies set on top.
    pub policy_definition: Option<Map<String, Value>>,
    /// Nodes that hold a copy of a quorum queue.
    pub members: Option<usize>,
}

/// One setting in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// RabbitMQ's name without `x-`.
    pub name: String,
    pub value: Value,
    /// The policy's value counts, not the declaration's.
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

/// After how many deliveries a queue gives a message up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryLimit {
    Never,
    After(i64),
    /// The broker did not tell enough.
    Unknown,
}

/// After how long the broker takes a delivery back that nobody acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckTimeout {
    /// This queue takes nothing back.
    Never,
    /// Looked at once a minute: it may come a minute later than said.
    AfterMs(i64),
    /// Set for the whole node where the management API does not show it, or not told: nothing is said about deadlines.
    Unknown,
}

impl QueueSetup {
    /// Both the arguments and the policies were told: what `get` does not find is not set.
    ///
    /// RabbitMQ leaves them out for some seconds after a declaration.
    pub fn is_whole(&self) -> bool {
        self.arguments.is_some() && self.policy_definition.is_some()
    }

    /// The setting in force of this name (RabbitMQ's, without `x-`); `None` when it is not set, or was not told.
    pub fn get(&self, name: &str) -> Option<Setting> {
        let argument = self
            .arguments
            .as_ref()
            .and_then(|arguments| arguments.get(&format!("x-{name}")));
        let policy = self
            .policy_definition
            .as_ref()
            .and_then(|policy| policy.get(name));
        let (value, by_policy) = match (argument, policy) {
            (Some(argument), None) => (argument, false),
            (None, Some(policy)) => (policy, true),
            (Some(argument), Some(policy)) if self.policy_wins(name, argument, policy) => (policy, true),
            (Some(argument), Some(_)) => (argument, false),
            (None, None) => return None,
        };
        Some(Setting {
            name: name.to_owned(),
            value: value.clone(),
            by_policy,
        })
    }

    /// Whether the policy's value counts where the declaration has one, too (RabbitMQ, `args_policy_lookup` of
    /// `rabbit_amqqueue_process` and `rabbit_quorum_queue`): the smaller of two limits, and the policy's `overflow` on a
    /// quorum queue; else the argument's.
    fn policy_wins(&self, name: &str, argument: &Value, policy: &Value) -> bool {
        // What is no limit at all gives way to what is one.
        let least = match name {
            "message-ttl" | "expires" | "max-length" | "max-length-bytes" | "delivery-limit" => 0,
            "consumer-timeout" => 1,
            "overflow" => return self.queue_type.as_deref() == Some("quorum"),
            _ => return false,
        };
        let limit = |value: &Value| number(value).filter(|limit| *limit >= least);
        match (limit(argument), limit(policy)) {
            (Some(argument), Some(policy)) => policy < argument,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }

    /// The number in force; `None` also when it is no whole number.
    pub fn number(&self, name: &str) -> Option<i64> {
        i64::try_from(number(&self.get(name)?.value)?).ok()
    }

    /// Every setting in force, by name.
    pub fn settings(&self) -> Vec<Setting> {
        let plain = |name: &String| name.strip_prefix("x-").unwrap_or(name).to_owned();
        let declared = self.arguments.iter().flat_map(|arguments| arguments.keys());
        let by_policy = self.policy_definition.iter().flat_map(|policy| policy.keys());
        let mut names: Vec<String> = declared.chain(by_policy).map(plain).collect();
        names.sort();
        names.dedup();
        names.iter().filter_map(|name| self.get(name)).collect()
    }

    /// After how many deliveries it gives a message up.
    ///
    /// Classic queues have no limit. A quorum queue has none before RabbitMQ 4.0 unless one is set, and 20 from then on; a
    /// negative one is none.
    pub fn delivery_limit(&self, version: Option<BrokerVersion>) -> DeliveryLimit {
        match self.queue_type.as_deref() {
            Some("classic") => return DeliveryLimit::Never,
            Some("quorum") if self.is_whole() => {}
            _ => return DeliveryLimit::Unknown,
        }
        match (self.get("delivery-limit"), version) {
            (Some(setting), _) => match number(&setting.value).map(i64::try_from) {
                Some(Ok(limit)) if limit >= 0 => DeliveryLimit::After(limit),
                Some(_) => DeliveryLimit::Never,
                None => DeliveryLimit::Unknown,
            },
            (None, None) => DeliveryLimit::Unknown,
            (None, Some(version)) if version < BrokerVersion::new(4, 0) => DeliveryLimit::Never,
            (None, Some(_)) => DeliveryLimit::After(DELIVERY_LIMIT_DEFAULT),
        }
    }

    /// After how long it takes a delivery back.
    ///
    /// RabbitMQ before 3.12 takes `x-consumer-timeout` and ignores it, and its node-wide value (30 minutes unless set) is
    /// not in the API. From 3.12 on the smaller of argument and policy counts, and the node's value without either. From
    /// 4.3 on classic queues have none.
    pub fn ack_timeout(&self, version: Option<BrokerVersion>) -> AckTimeout {
        let quorum = match self.queue_type.as_deref() {
            Some("quorum") => true,
            Some("classic") => false,
            Some(_) | None => return AckTimeout::Unknown,
        };
        let Some(version) = version.filter(|version| *version >= BrokerVersion::new(3, 12)) else {
            return AckTimeout::Unknown;
        };
        if !self.is_whole() {
            return AckTimeout::Unknown;
        }
        if version >= BrokerVersion::new(4, 3) && !quorum {
            return AckTimeout::Never;
        }
        match self
            .get("consumer-timeout")
            .and_then(|setting| number(&setting.value))
        {
            Some(FOREVER_MS..) => AckTimeout::Never,
            Some(ms) if ms > 0 => AckTimeout::AfterMs(i64::try_from(ms).unwrap_or(i64::MAX)),
            Some(_) | None => AckTimeout::Unknown,
        }
    }
}

fn number(value: &Value) -> Option<i128> {
    match (value.as_i64(), value.as_u64()) {
        (Some(number), _) => Some(number.into()),
        (None, Some(number)) => Some(number.into()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn queue(queue_type: &str, arguments: Value, policy: Value) -> QueueSetup {
        QueueSetup {
            queue_type: Some(queue_type.to_owned()),
            arguments: arguments.as_object().cloned(),
            policy_definition: policy.as_object().cloned(),
            ..QueueSetup::default()
        }
    }

    #[test]
    fn of_two_limits_the_smaller_is_in_force_and_of_two_other_values_the_declared_one() {
        let quorum = queue(
            "quorum",
            json!({ "x-queue-type": "quorum", "x-max-length": 5, "x-expires": 900, "x-delivery-limit": -1,
                "x-dead-letter-exchange": "", "x-overflow": "drop-head" }),
            json!({ "max-length": 10, "message-ttl": 60_000, "expires": 100, "delivery-limit": 7,
                "dead-letter-exchange": "theirs", "overflow": "reject-publish" }),
        );
        let told = |queue: &QueueSetup| -> Vec<(String, String, bool)> {
            let settings = queue.settings().into_iter();
            settings
                .map(|setting| (setting.name.clone(), setting.text(), setting.by_policy))
                .collect()
        };
        let expected = [
            ("dead-letter-exchange", "", false),
            ("delivery-limit", "7", true),
            ("expires", "100", true),
            ("max-length", "5", false),
            ("message-ttl", "60000", true),
            ("overflow", "reject-publish", true),
            ("queue-type", "quorum", false),
        ];
        let expected =
            expected.map(|(name, value, by_policy)| (name.to_owned(), value.to_owned(), by_policy));
        assert_eq!(told(&quorum), expected);
        let classic = QueueSetup {
            queue_type: Some("classic".into()),
            ..quorum
        };
        let overflow = classic.get("overflow").map(|setting| setting.text());
        assert_eq!(overflow.as_deref(), Some("drop-head"));
    }

    #[test]
    fn a_quorum_queue_without_a_delivery_limit_has_one_from_4_0_on() {
        use DeliveryLimit::{After, Never, Unknown};
        let limited = || json!({"x-delivery-limit": 10_000});
        for (queue, version, expected) in [
            (queue("classic", json!({}), json!({})), Some("4.1.0"), Never),
            (queue("quorum", json!({}), json!({})), Some("3.13.7"), Never),
            (queue("quorum", json!({}), json!({})), Some("4.0.0"), After(20)),
            (queue("quorum", json!({}), json!({})), None, Unknown),
            (
                queue("quorum", limited(), json!({})),
                Some("4.0.0"),
                After(10_000),
            ),
            (queue("quorum", limited(), json!({})), None, After(10_000)),
            (
                queue("quorum", limited(), json!({"delivery-limit": 5})),
                Some("3.10.8"),
                After(5),
            ),
            (
                queue("quorum", json!({"x-delivery-limit": -1}), json!({})),
                Some("4.0.0"),
                Never,
            ),
            (
                queue(
                    "quorum",
                    json!({"x-delivery-limit": -1}),
                    json!({"delivery-limit": 5}),
                ),
                Some("4.1.8"),
                After(5),
            ),
            (queue("quorum", limited(), Value::Null), Some("4.0.0"), Unknown),
            (QueueSetup::default(), Some("4.0.0"), Unknown),
        ] {
            let version = version.and_then(BrokerVersion::parse);
            assert_eq!(queue.delivery_limit(version), expected, "{version:?} {queue:?}");
        }
    }

    #[test]
    fn the_timeout_is_known_only_where_this_version_obeys_what_the_queue_says() {
        let minutes = |n: i64| AckTimeout::AfterMs(60_000 * n);
        let argument = || json!({"x-consumer-timeout": 600_000});
        let policy = || json!({"consumer-timeout": 300_000});
        use AckTimeout::{Never, Unknown};
        for (version, queue_type, arguments, policy, expected) in [
            (Some("3.10.8"), "quorum", argument(), policy(), Unknown),
            (Some("3.11.28"), "classic", argument(), json!({}), Unknown),
            (Some("3.12.0"), "classic", argument(), json!({}), minutes(10)),
            (Some("3.13.7"), "quorum", argument(), policy(), minutes(5)),
            (Some("4.0.5"), "quorum", json!({}), policy(), minutes(5)),
            (Some("4.0.5"), "quorum", json!({}), json!({}), Unknown),
            (
                Some("4.2.0"),
                "quorum",
                json!({"x-consumer-timeout": 0}),
                json!({}),
                Unknown,
            ),
            (
                Some("4.2.0"),
                "quorum",
                json!({"x-consumer-timeout": 0}),
                policy(),
                minutes(5),
            ),
            (
                Some("4.2.0"),
                "quorum",
                json!({"x-consumer-timeout": u64::MAX}),
                json!({}),
                Never,
            ),
            (Some("4.3.0"), "classic", argument(), policy(), Never),
            (Some("4.3.0"), "quorum", argument(), json!({}), minutes(10)),
            (Some("4.3.0"), "stream", argument(), json!({}), Unknown),
            (Some("4.3.0"), "quorum", argument(), Value::Null, Unknown),
            (Some("four"), "quorum", argument(), json!({}), Unknown),
            (None, "quorum", argument(), json!({}), Unknown),
        ] {
            let queue = queue(queue_type, arguments, policy);
            let parsed = version.and_then(BrokerVersion::parse);
            assert_eq!(queue.ack_timeout(parsed), expected, "{version:?} {queue:?}");
        }
    }
}
