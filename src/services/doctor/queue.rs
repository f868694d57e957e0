//! One queue: how it is declared, against how it should be. Pure.

use std::collections::HashMap;

use super::{Grade, Note, What, quoted, text};
use crate::{
    broker::{
        ManagementError, Probed, QueueSpec,
        management::{Difference, QueueDetail, Severity, differences},
    },
    domain::{
        broker_version::BrokerVersion,
        evidence::Arg,
        queue_setup::{AckTimeout, QueueSetup},
    },
};

/// A consumer that takes so many messages ahead keeps them from the others. Unstuck's own workers take no more than
/// they run at once.
const HOARD: u64 = 250;

/// What the rules need to know beside the queue itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    pub(super) vhost: String,
    pub(super) version: Option<String>,
    /// Nodes of the cluster; `None` when that can't be read.
    pub(super) nodes: Option<usize>,
}

/// Everything there is to say about the queue of `spec`. `presence` is what a passive declaration said of it and of its
/// dead-letter queue; `detail` what the management API said, absent when it was not asked.
pub(super) fn examine(
    spec: &QueueSpec,
    presence: &HashMap<String, Probed>,
    detail: Option<Result<QueueDetail, ManagementError>>,
    around: &Surroundings,
) -> Vec<Note> {
    let subject = format!("queue {}", spec.name);
    let note = |grade, what: What, args: Vec<(&'static str, Arg)>| {
        let mut args = args;
        args.push(("queue", text(&spec.name)));
        Note::new(subject.clone(), grade, what, args)
    };
    if matches!(presence.get(&spec.name), Some(Probed::Missing)) {
        return vec![note(Grade::Advice, What::QueueAbsent, vec![])];
    }
    let detail = match detail {
        Some(Ok(detail)) => detail,
        Some(Err(ManagementError::NotFound)) => return vec![note(Grade::Advice, What::QueueAbsent, vec![])],
        Some(Err(error)) => {
            return vec![note(
                Grade::Wrong,
                What::QueueUnread,
                vec![("detail", text(error.to_string()))],
            )];
        }
        None => return vec![note(Grade::Wrong, What::QueueUnknown, vec![])],
    };
    if !detail.setup.is_whole() {
        return vec![note(Grade::Wrong, What::QueueUnsettled, vec![])];
    }
    let mut notes: Vec<Note> = differences(spec, &detail.setup)
        .into_iter()
        .map(|difference| {
            let args = vec![
                ("argument", text(&difference.argument)),
                ("actual", text(&difference.actual)),
                ("expected", text(&difference.expected)),
            ];
            let grade = match difference.severity {
                Severity::Harmful => Grade::Wrong,
                Severity::Tolerable => Grade::Advice,
            };
            note(grade, what(&difference), args).mended_by(mend(spec, &detail.setup, &difference, around))
        })
        .collect();
    if matches!(presence.get(&spec.dead_name()), Some(Probed::Missing)) {
        let args = vec![("dead", text(spec.dead_name()))];
        notes.push(note(Grade::Wrong, What::NoDeadQueue, args));
    }
    for consumer in detail.consumer_details.iter().flatten() {
        match consumer.prefetch {
            Some(prefetch) if prefetch == 0 || prefetch >= HOARD => {
                let args = vec![
                    ("consumer", text(&consumer.tag)),
                    (
                        "prefetch",
                        Arg::Number(i64::try_from(prefetch).unwrap_or(i64::MAX)),
                    ),
                ];
                notes
                    .push(note(Grade::Advice, What::Hoarding, args).mended_by("basic.qos(prefetch_count=1)"));
            }
            Some(_) | None => {}
        }
    }
    let declared = detail.setup.queue_type.as_deref();
    if let (Some("quorum"), Some(1), Some(nodes)) = (declared, detail.setup.members, around.nodes)
        && nodes > 1
    {
        let args = vec![("nodes", Arg::Number(i64::try_from(nodes).unwrap_or(i64::MAX)))];
        let grow = format!(
            "rabbitmq-queues grow NODE all --vhost-pattern {} --queue-pattern {}",
            quoted(&format!("^{}$", around.vhost)),
            quoted(&format!("^{}$", escaped(&spec.name)))
        );
        notes.push(note(Grade::Wrong, What::OneMember, args).mended_by(grow));
    }
    let version = around.version.as_deref().and_then(BrokerVersion::parse);
    if declared == Some("classic") && detail.setup.ack_timeout(version) == AckTimeout::Never {
        notes.push(note(Grade::Advice, What::NeverTimesOut, vec![]));
    }
    if notes.is_empty() {
        let queue_type = declared.unwrap_or("?").to_owned();
        notes.push(note(
            Grade::Fine,
            What::QueueFine,
            vec![("type", text(queue_type))],
        ));
    }
    notes
}

/// The sentence of a difference.
fn what(difference: &Difference) -> What {
    match (difference.argument.as_str(), difference.actual.as_str()) {
        ("durable", _) => What::NotDurable,
        ("auto_delete", _) => What::AutoDelete,
        ("exclusive", _) => What::Exclusive,
        ("x-queue-type", "stream") => What::Stream,
        ("x-queue-type", _) => What::OtherType,
        ("x-dead-letter-exchange", "none") => What::NoDeadLetter,
        ("x-dead-letter-exchange", _) => What::OtherDeadLetter,
        ("x-dead-letter-routing-key", _) => What::DeadLetterElsewhere,
        ("x-message-ttl", _) => What::Ttl,
        ("x-expires", _) => What::Expires,
        ("x-max-length" | "x-max-length-bytes", _) if difference.severity == Severity::Harmful => {
            What::DropHead
        }
        ("x-max-length" | "x-max-length-bytes", _) => What::RejectPublish,
        ("x-delivery-limit", _) => What::DeliveryLimit,
        ("x-max-priority", _) => What::NoPriority,
        _ => What::OtherArgument,
    }
}

/// The command that mends a difference: a policy where one can, else the queue must be declared anew.
fn mend(spec: &QueueSpec, setup: &QueueSetup, difference: &Difference, around: &Surroundings) -> String {
    let (vhost, name) = (quoted(&around.vhost), &spec.name);
    let in_arguments = setup
        .arguments
        .as_ref()
        .is_some_and(|arguments| arguments.contains_key(&difference.argument));
    let policy = |definition: serde_json::Value| {
        format!(
            "rabbitmqctl set_policy -p {vhost} --priority 10 --apply-to queues {} {} {}",
            quoted(&format!("unstuck-{name}")),
            quoted(&format!("^{}$", escaped(name))),
            quoted(&definition.to_string()),
        )
    };
    let anew = || format!("rabbitmqctl delete_queue -p {vhost} --if-empty {}", quoted(name));
    match difference.argument.as_str() {
        "x-dead-letter-exchange" | "x-dead-letter-routing-key" if !in_arguments => {
            policy(serde_json::json!({
                "dead-letter-exchange": "",
                "dead-letter-routing-key": spec.dead_name(),
            }))
        }
        "x-delivery-limit" if !in_arguments => {
            policy(serde_json::json!({ "delivery-limit": spec.delivery_limit }))
        }
        "x-message-ttl" | "x-expires" | "x-max-length" | "x-max-length-bytes" if !in_arguments => {
            let set = setup.policy.as_deref().unwrap_or("POLICY");
            format!("rabbitmqctl clear_policy -p {vhost} {}", quoted(set))
        }
        _ => anew(),
    }
}

/// A name as a regular expression that matches it alone.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::broker::{QueueType, management::ConsumerDetail};

    fn detail(arguments: Value, policy: Value) -> QueueDetail {
        let object = |value: Value| match value {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let setup = QueueSetup {
            queue_type: Some("quorum".to_owned()),
            durable: Some(true),
            arguments: Some(object(arguments)),
            policy: Some("limits".to_owned()),
            policy_definition: Some(object(policy)),
            ..QueueSetup::default()
        };
        QueueDetail {
            setup,
            ..QueueDetail::default()
        }
    }

    fn declared() -> Value {
        json!({"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q.dead", "x-delivery-limit": 10_000})
    }

    fn said(detail: QueueDetail, around: &Surroundings) -> Vec<(What, Grade, Option<String>)> {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        examine(&spec, &HashMap::new(), Some(Ok(detail)), around)
            .into_iter()
            .map(|note| (note.what, note.grade, note.command))
            .collect()
    }

    fn around() -> Surroundings {
        Surroundings {
            vhost: "/".to_owned(),
            version: Some("3.10.8".to_owned()),
            nodes: Some(3),
        }
    }

    #[test]
    fn a_queue_declared_by_unstuck_is_fine() {
        let notes = said(detail(declared(), json!({})), &around());
        assert_eq!(notes, [(What::QueueFine, Grade::Fine, None)]);
    }

    #[test]
    fn a_policy_mends_what_a_policy_can() {
        let notes = said(
            detail(
                json!({"x-queue-type": "quorum", "x-delivery-limit": 10_000}),
                json!({}),
            ),
            &around(),
        );
        let (what, grade, command) = &notes[0];
        assert_eq!((*what, *grade), (What::NoDeadLetter, Grade::Wrong));
        let command = command.as_deref().expect("a command");
        assert!(command.starts_with("rabbitmqctl set_policy -p / "), "{command}");
        assert!(
            command.contains(r#""dead-letter-routing-key":"q.dead""#),
            "{command}"
        );
    }

    #[test]
    fn what_a_policy_set_is_cleared_and_what_an_argument_set_needs_a_new_declaration() {
        let by_policy = said(detail(declared(), json!({"message-ttl": 5})), &around());
        assert_eq!(
            by_policy[0].2.as_deref(),
            Some("rabbitmqctl clear_policy -p / limits")
        );
        let mut arguments = declared();
        arguments["x-message-ttl"] = json!(5);
        let by_argument = said(detail(arguments, json!({})), &around());
        assert_eq!(by_argument[0].0, What::Ttl);
        assert_eq!(
            by_argument[0].2.as_deref(),
            Some("rabbitmqctl delete_queue -p / --if-empty q")
        );
    }

    #[test]
    fn a_hoarder_and_a_lonely_member_are_told() {
        let hoarder = ConsumerDetail {
            queue: "q".to_owned(),
            tag: "greedy".to_owned(),
            prefetch: Some(0),
            active: Some(true),
            activity_status: None,
            connection_name: None,
        };
        let mut queue = detail(declared(), json!({}));
        queue.consumer_details = Some(vec![hoarder]);
        queue.setup.members = Some(1);
        let keys = |around: &Surroundings| -> Vec<What> {
            said(queue.clone(), around)
                .into_iter()
                .map(|(what, _, _)| what)
                .collect()
        };
        assert_eq!(keys(&around()), [What::Hoarding, What::OneMember]);
        let alone = Surroundings {
            nodes: Some(1),
            ..around()
        };
        assert_eq!(keys(&alone), [What::Hoarding], "one node can't hold two members");
        let unknown = Surroundings {
            nodes: None,
            ..around()
        };
        assert_eq!(
            keys(&unknown),
            [What::Hoarding],
            "an unknown number proves nothing"
        );
    }

    #[test]
    fn a_queue_that_could_not_be_read_is_never_fine() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let bare = QueueDetail {
            setup: QueueSetup {
                queue_type: Some("quorum".to_owned()),
                ..QueueSetup::default()
            },
            ..QueueDetail::default()
        };
        for detail in [None, Some(Err(ManagementError::TimedOut)), Some(Ok(bare))] {
            let notes = examine(&spec, &HashMap::new(), detail, &around());
            assert!(notes.iter().all(|note| note.grade == Grade::Wrong), "{notes:?}");
        }
    }

    #[test]
    fn from_4_3_on_a_classic_queue_never_takes_a_delivery_back() {
        let mut queue = detail(
            json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q.dead", "x-max-priority": 10}),
            json!({}),
        );
        queue.setup.queue_type = Some("classic".to_owned());
        let spec = QueueSpec::new("q", QueueType::Classic);
        for (version, expected) in [("4.2.1", What::QueueFine), ("4.3.0", What::NeverTimesOut)] {
            let around = Surroundings {
                version: Some(version.to_owned()),
                ..around()
            };
            let notes = examine(&spec, &HashMap::new(), Some(Ok(queue.clone())), &around);
            assert_eq!(notes[0].what, expected);
        }
    }
}
