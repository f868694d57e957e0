//! How an existing queue differs from the one Unstuck would have declared, and whether that hurts.

use crate::{
    broker::topology::{QueueSpec, QueueType},
    domain::queue_setup::QueueSetup,
};

/// Below this a quorum queue gives a message up while its task may still have attempts left.
const DELIVERY_LIMIT_LOW: i64 = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// RabbitMQ's word: `durable`, `x-dead-letter-exchange`, …
    pub argument: String,
    /// What Unstuck declares; `none` for nothing.
    pub expected: String,
    pub actual: String,
    pub severity: Severity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It works, with less than the full comfort.
    Tolerable,
    /// Messages can be lost by it.
    Harmful,
}

/// What RabbitMQ tells about the queue, held against `spec`. What it does not tell is no difference.
pub fn differences(spec: &QueueSpec, actual: &QueueSetup) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut note = |argument: &str, expected: &str, actual: String, severity: Severity| {
        found.push(Difference {
            argument: argument.to_owned(),
            expected: expected.to_owned(),
            actual,
            severity,
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
                Severity::Harmful,
            );
        }
    }
    if let Some(queue_type) = actual
        .queue_type
        .as_deref()
        .filter(|name| *name != spec.queue_type.as_str())
    {
        let severity = if queue_type == "stream" {
            Severity::Harmful
        } else {
            Severity::Tolerable
        };
        note(
            "x-queue-type",
            spec.queue_type.as_str(),
            queue_type.to_owned(),
            severity,
        );
    }
    if !actual.is_whole() {
        return found;
    }
    match actual.get("dead-letter-exchange") {
        None => note(
            "x-dead-letter-exchange",
            "\"\"",
            "none".to_owned(),
            Severity::Harmful,
        ),
        Some(exchange) if exchange.text().is_empty() => {
            let routing_key = actual.get("dead-letter-routing-key").map(|key| key.text());
            if routing_key.as_deref() != Some(spec.dead_name().as_str()) {
                let actual = routing_key.unwrap_or_else(|| "none".to_owned());
                note(
                    "x-dead-letter-routing-key",
                    &spec.dead_name(),
                    actual,
                    Severity::Harmful,
                );
            }
        }
        // Somebody routes dead letters through an exchange of their own: theirs to know.
        Some(other) => note(
            "x-dead-letter-exchange",
            "\"\"",
            other.text(),
            Severity::Tolerable,
        ),
    }
    for name in ["message-ttl", "expires", "max-length", "max-length-bytes"] {
        if let Some(limit) = actual.get(name) {
            let refuses = actual
                .get("overflow")
                .is_some_and(|mode| mode.text().starts_with("reject-publish"));
            let severity = if name.starts_with("max-length") && refuses {
                Severity::Tolerable
            } else {
                Severity::Harmful
            };
            note(&format!("x-{name}"), "none", limit.text(), severity);
        }
    }
    let quorum = actual.queue_type.as_deref() == Some(QueueType::Quorum.as_str());
    if let Some(limit) = actual
        .number("delivery-limit")
        .filter(|limit| quorum && (0..DELIVERY_LIMIT_LOW).contains(limit))
    {
        note(
            "x-delivery-limit",
            &spec.delivery_limit.to_string(),
            limit.to_string(),
            Severity::Harmful,
        );
    }
    let classic = actual.queue_type.as_deref() == Some(QueueType::Classic.as_str());
    if let Some(highest) = spec.max_priority.filter(|_| classic) {
        let actual = actual.number("max-priority");
        if actual != Some(highest.into()) {
            let actual = actual.map_or("none".to_owned(), |actual| actual.to_string());
            note(
                "x-max-priority",
                &highest.to_string(),
                actual,
                Severity::Tolerable,
            );
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

    fn named(found: &[Difference]) -> Vec<(&str, &str, Severity)> {
        found
            .iter()
            .map(|one| (one.argument.as_str(), one.actual.as_str(), one.severity))
            .collect()
    }

    #[test]
    fn a_queue_declared_by_unstuck_has_no_difference() {
        let quorum = QueueSpec::new("q", QueueType::Quorum);
        let declared = json!({"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q.dead", "x-delivery-limit": 10_000});
        assert_eq!(differences(&quorum, &detail("quorum", declared)), []);
        let classic = QueueSpec::new("q", QueueType::Classic);
        let declared = json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q.dead", "x-max-priority": 10});
        assert_eq!(differences(&classic, &detail("classic", declared)), []);
    }

    #[test]
    fn what_loses_messages_is_harmful() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let foreign = detail(
            "quorum",
            json!({"x-message-ttl": 1000, "x-delivery-limit": 3, "x-max-length": 5}),
        );
        assert_eq!(
            named(&differences(&spec, &foreign)),
            [
                ("x-dead-letter-exchange", "none", Severity::Harmful),
                ("x-message-ttl", "1000", Severity::Harmful),
                ("x-max-length", "5", Severity::Harmful),
                ("x-delivery-limit", "3", Severity::Harmful),
            ]
        );
        let transient = QueueSetup {
            durable: Some(false),
            auto_delete: Some(true),
            ..QueueSetup::default()
        };
        assert_eq!(
            named(&differences(&spec, &transient)),
            [
                ("durable", "false", Severity::Harmful),
                ("auto_delete", "true", Severity::Harmful)
            ]
        );
    }

    #[test]
    fn what_only_limits_is_tolerable() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let own_exchange =
            json!({"x-dead-letter-exchange": "graveyard", "x-max-length": 5, "x-overflow": "reject-publish"});
        assert_eq!(
            named(&differences(&spec, &detail("classic", own_exchange))),
            [
                ("x-queue-type", "classic", Severity::Tolerable),
                ("x-dead-letter-exchange", "graveyard", Severity::Tolerable),
                ("x-max-length", "5", Severity::Tolerable),
            ]
        );
    }

    #[test]
    fn a_policy_counts_like_an_argument() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let mut by_policy = detail("quorum", json!({}));
        let policy = json!({"dead-letter-exchange": "", "dead-letter-routing-key": "q.dead"});
        by_policy.policy_definition = policy.as_object().cloned();
        assert_eq!(differences(&spec, &by_policy), []);
    }

    #[test]
    fn what_the_broker_does_not_tell_is_no_difference() {
        assert_eq!(
            differences(&QueueSpec::new("q", QueueType::Quorum), &QueueSetup::default()),
            []
        );
    }
}
