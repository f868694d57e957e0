//! How long a consumer may hold a delivery before the broker takes it back, as far as that can be read.

use std::time::Duration;

use super::QueueDetail;

/// What is longer is meant as never: ten years.
const FOREVER_MS: u64 = 315_360_000_000;

/// The delivery acknowledgement timeout of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckTimeout {
    /// This queue takes nothing back.
    Never,
    /// Looked at once a minute: it may come a minute later than said.
    After(Duration),
    /// Set for the whole node where the management API does not show it, or not told.
    Unknown,
}

/// Reads it from the queue's arguments and policies.
///
/// RabbitMQ before 3.12 takes `x-consumer-timeout` and ignores it, and its node-wide value (30 minutes unless set) is not
/// in the API. From 3.12 on the smaller of argument and policy counts, and the node's value without either. From 4.3 on
/// classic queues have none.
pub fn ack_timeout(version: Option<&str>, queue: &QueueDetail) -> AckTimeout {
    let Some(version) = version.and_then(major_minor) else {
        return AckTimeout::Unknown;
    };
    let (Some(arguments), Some(policy)) = (&queue.arguments, &queue.policy_definition) else {
        return AckTimeout::Unknown;
    };
    let quorum = match queue.queue_type.as_deref() {
        Some("quorum") => true,
        Some("classic") => false,
        Some(_) | None => return AckTimeout::Unknown,
    };
    if version < (3, 12) {
        return AckTimeout::Unknown;
    }
    if version >= (4, 3) && !quorum {
        return AckTimeout::Never;
    }
    let set = [
        arguments.get("x-consumer-timeout"),
        policy.get("consumer-timeout"),
    ];
    set.into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_u64)
        .filter(|ms| *ms > 0)
        .min()
        .map_or(AckTimeout::Unknown, |ms| match ms {
            FOREVER_MS.. => AckTimeout::Never,
            ms => AckTimeout::After(Duration::from_millis(ms)),
        })
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn queue(queue_type: &str, arguments: Value, policy: Value) -> QueueDetail {
        QueueDetail {
            queue_type: Some(queue_type.to_owned()),
            arguments: arguments.as_object().cloned(),
            policy_definition: policy.as_object().cloned(),
            ..QueueDetail::default()
        }
    }

    #[test]
    fn the_timeout_is_known_only_where_this_version_obeys_what_the_queue_says() {
        let minutes = |n: u64| AckTimeout::After(Duration::from_secs(60 * n));
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
            assert_eq!(ack_timeout(version, &queue), expected, "{version:?} {queue:?}");
        }
    }
}
