//! How an existing queue differs from the one Unstuck would have declared, and whether that hurts.

use crate::domain::{
    broker_version::BrokerVersion,
    observation::Mismatch,
    queue_setup::{DeliveryLimit, QueueSetup},
    queue_spec::{QueueSpec, QueueType},
};

/// Below this a quorum queue gives a message up while its task may still have attempts left.
const DELIVERY_LIMIT_LOW: i64 = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// It works, with less than the full comfort.
    Bearable,
    /// Messages can be lost by it.
    Loses,
}

/// What RabbitMQ tells about the queue, held against `spec`. What it does not tell is no difference. `version`: on which
/// some of its defaults depend.
pub fn differences(spec: &QueueSpec, actual: &QueueSetup, version: Option<BrokerVersion>) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let mut note = |argument: &str, expected: &str, actual: String, harm: Harm| {
        found.push(Mismatch {
            argument: argument.to_owned(),
            expected: expected.to_owned(),
            actual,
            harmful: harm == Harm::Loses,
        });
    };
    for (argument, value, expected) in [
        ("durable", actual.durable, true),
        ("auto_delete", actual.auto_delete, false),
        ("exclusive", actual.exclusive, false),
    ] {
        if let Some(value) = value.filter(|value| *value != expected) {
            note(
                argument,
                if expected { "true" } else { "false" },
                value.to_string(),
                Harm::Loses,
            );
        }
    }
    if let Some(queue_type) = actual
        .queue_type
        .as_deref()
        .filter(|name| *name != spec.queue_type.as_str())
    {
        let harm = if queue_type == "stream" {
            Harm::Loses
        } else {
            Harm::Bearable
        };
        note(
            "x-queue-type",
            spec.queue_type.as_str(),
            queue_type.to_owned(),
            harm,
        );
    }
    if !actual.is_whole() {
        return found;
    }
    match actual.get("dead-letter-exchange") {
        None => note("x-dead-letter-exchange", "\"\"", "none".to_owned(), Harm::Loses),
        Some(exchange) if exchange.text().is_empty() => {
            let routing_key = actual.get("dead-letter-routing-key").map(|key| key.text());
            if routing_key.as_deref() != Some(spec.dead_name().as_str()) {
                let actual = routing_key.unwrap_or_else(|| "none".to_owned());
                note(
                    "x-dead-letter-routing-key",
                    &spec.dead_name(),
                    actual,
                    Harm::Loses,
                );
            }
        }
        // Somebody routes dead letters through an exchange of their own: theirs to know.
        Some(other) => note("x-dead-letter-exchange", "\"\"", other.text(), Harm::Bearable),
    }
    for name in ["message-ttl", "expires", "max-length", "max-length-bytes"] {
        if let Some(limit) = actual.get(name) {
            let refuses = actual
                .get("overflow")
                .is_some_and(|mode| mode.text().starts_with("reject-publish"));
            let harm = if name.starts_with("max-length") && refuses {
                Harm::Bearable
            } else {
                Harm::Loses
            };
            note(&format!("x-{name}"), "none", limit.text(), harm);
        }
    }
    if let DeliveryLimit::After(limit) = actual.delivery_limit(version)
        && limit < DELIVERY_LIMIT_LOW
    {
        note(
            "x-delivery-limit",
            &spec.delivery_limit.to_string(),
            limit.to_string(),
            Harm::Loses,
        );
    }
    let classic = actual.queue_type.as_deref() == Some(QueueType::Classic.as_str());
    if let Some(highest) = spec.max_priority.filter(|_| classic) {
        let actual = actual.number("max-priority");
        if actual != Some(highest.into()) {
            let actual = actual.map_or("none".to_owned(), |actual| actual.to_string());
            note("x-max-priority", &highest.to_string(), actual, Harm::Bearable);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    fn detail(queue_type: &str, arguments: Value) -> QueueSetup {
        let Value::Object(arguments) = arguments else {
            panic!("an object")
        };
        QueueSetup {
            queue_type: Some(queue_type.to_owned()),
            durable: Some(true),
            arguments: Some(arguments),
            policy_definition: Some(Map::new()),
            ..QueueSetup::default()
        }
    }

    fn told(spec: &QueueSpec, actual: &QueueSetup) -> Vec<Mismatch> {
        differences(spec, actual, Some(BrokerVersion::new(3, 10)))
    }

    fn named(found: &[Mismatch]) -> Vec<(&str, &str, bool)> {
        found
            .iter()
            .map(|one| (one.argument.as_str(), one.actual.as_str(), one.harmful))
            .collect()
    }

    #[test]
    fn a_queue_declared_by_unstuck_has_no_difference() {
        let quorum = QueueSpec::new("q", QueueType::Quorum);
        let declared = json!({"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q.dead", "x-delivery-limit": 10_000});
        assert_eq!(told(&quorum, &detail("quorum", declared)), []);
        let classic = QueueSpec::new("q", QueueType::Classic);
        let declared = json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q.dead", "x-max-priority": 10});
        assert_eq!(told(&classic, &detail("classic", declared)), []);
    }

    #[test]
    fn what_loses_messages_is_harmful() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let foreign = detail(
            "quorum",
            json!({"x-message-ttl": 1000, "x-delivery-limit": 3, "x-max-length": 5}),
        );
        assert_eq!(
            named(&told(&spec, &foreign)),
            [
                ("x-dead-letter-exchange", "none", true),
                ("x-message-ttl", "1000", true),
                ("x-max-length", "5", true),
                ("x-delivery-limit", "3", true),
            ]
        );
        let transient = QueueSetup {
            durable: Some(false),
            auto_delete: Some(true),
            ..QueueSetup::default()
        };
        assert_eq!(
            named(&told(&spec, &transient)),
            [("durable", "false", true), ("auto_delete", "true", true)]
        );
    }

    #[test]
    fn what_only_limits_is_tolerable() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let own_exchange =
            json!({"x-dead-letter-exchange": "graveyard", "x-max-length": 5, "x-overflow": "reject-publish"});
        assert_eq!(
            named(&told(&spec, &detail("classic", own_exchange))),
            [
                ("x-queue-type", "classic", false),
                ("x-dead-letter-exchange", "graveyard", false),
                ("x-max-length", "5", false),
            ]
        );
    }

    #[test]
    fn a_policy_counts_like_an_argument() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let mut by_policy = detail("quorum", json!({}));
        let policy = json!({"dead-letter-exchange": "", "dead-letter-routing-key": "q.dead"});
        by_policy.policy_definition = policy.as_object().cloned();
        assert_eq!(told(&spec, &by_policy), []);
    }

    #[test]
    fn what_the_broker_does_not_tell_is_no_difference() {
        assert_eq!(
            told(&QueueSpec::new("q", QueueType::Quorum), &QueueSetup::default()),
            []
        );
    }

    #[test]
    fn from_4_0_on_a_quorum_queue_that_sets_no_limit_gives_messages_up() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let bare = detail(
            "quorum",
            json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q.dead"}),
        );
        for (version, expected) in [
            (Some(BrokerVersion::new(3, 13)), vec![]),
            (None, vec![]),
            (
                Some(BrokerVersion::new(4, 0)),
                vec![("x-delivery-limit", "20", true)],
            ),
        ] {
            assert_eq!(
                named(&differences(&spec, &bare, version)),
                expected,
                "{version:?}"
            );
        }
    }
}
