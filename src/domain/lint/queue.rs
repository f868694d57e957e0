//! One queue: how the broker described it, against how it should be. Pure.

use serde_json::{Map, Value, json};

use super::{Grade, Note, What, differences, quoted, text};
use crate::domain::{
    broker_queue::BrokerQueue,
    broker_version::BrokerVersion,
    evidence::Arg,
    expectation::Slowest,
    observation::{Mismatch, Presence},
    queue_setup::{AckTimeout, QueueSetup},
    queue_spec::QueueSpec,
};

/// A consumer that takes so many messages ahead keeps them from the others. Unstuck's own workers take no more than
/// they run at once.
const HOARD: u64 = 250;

/// What the rules need to know beside the queue itself.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub vhost: String,
    /// Of the queue that takes what this one gives up.
    pub dead_queue: Presence,
    /// Of the tasks on this queue; `None` when that can't be told yet.
    pub slowest: Option<Slowest>,
}

/// Everything there is to say about the queue of `spec`, in the order of its settings; one note that it is fine when there
/// is nothing else. Settings that were not told are never fine.
pub fn lint(spec: &QueueSpec, queue: &BrokerQueue, around: &Surroundings) -> Vec<Note> {
    let setup = &queue.setup;
    if !setup.is_whole() {
        return vec![note(spec, Grade::Wrong, What::QueueUnsettled, vec![])];
    }
    let version = queue.version.as_deref().and_then(BrokerVersion::parse);
    let mut notes: Vec<Note> = differences(spec, setup, version)
        .into_iter()
        .map(|mismatch| {
            let args = vec![
                ("argument", text(&mismatch.argument)),
                ("actual", text(&mismatch.actual)),
                ("expected", text(&mismatch.expected)),
            ];
            let grade = if mismatch.harmful {
                Grade::Wrong
            } else {
                Grade::Advice
            };
            let mend = mend(spec, setup, &mismatch, &around.vhost);
            note(spec, grade, what(&mismatch), args).mended_by(mend)
        })
        .collect();
    if let (AckTimeout::AfterMs(timeout_ms), Some(slowest)) = (setup.ack_timeout(version), &around.slowest)
        && timeout_ms < slowest.p99_ms
    {
        let short = Mismatch {
            argument: "x-consumer-timeout".to_owned(),
            expected: roomy(slowest.p99_ms).to_string(),
            actual: timeout_ms.to_string(),
            harmful: true,
        };
        let args = vec![
            ("kind", text(&slowest.kind)),
            ("p99", Arg::Span(slowest.p99_ms)),
            ("timeout", Arg::Span(timeout_ms)),
        ];
        let mend = mend(spec, setup, &short, &around.vhost);
        notes.push(note(spec, Grade::Wrong, what(&short), args).mended_by(mend));
    }
    if around.dead_queue == Presence::Missing {
        let args = vec![("dead", text(spec.dead_name()))];
        notes.push(note(spec, Grade::Wrong, What::NoDeadQueue, args));
    }
    for consumer in queue.consumers.iter().flatten() {
        match consumer.prefetch {
            Some(prefetch) if prefetch == 0 || prefetch >= HOARD => {
                let args = vec![
                    ("consumer", text(&consumer.tag)),
                    (
                        "prefetch",
                        Arg::Number(i64::try_from(prefetch).unwrap_or(i64::MAX)),
                    ),
                ];
                let hoards = note(spec, Grade::Advice, What::Hoarding, args);
                notes.push(hoards.mended_by("basic.qos(prefetch_count=1)"));
            }
            Some(_) | None => {}
        }
    }
    let declared = setup.queue_type.as_deref();
    if let (Some("quorum"), Some(1), Some(nodes)) = (declared, setup.members, queue.nodes)
        && nodes > 1
    {
        let args = vec![("nodes", Arg::Number(i64::try_from(nodes).unwrap_or(i64::MAX)))];
        let grow = format!(
            "rabbitmq-queues grow NODE all --vhost-pattern {} --queue-pattern {}",
            quoted(&format!("^{}$", escaped(&around.vhost))),
            quoted(&format!("^{}$", escaped(&spec.name)))
        );
        notes.push(note(spec, Grade::Wrong, What::OneMember, args).mended_by(grow));
    }
    if declared == Some("classic") && setup.ack_timeout(version) == AckTimeout::Never {
        notes.push(note(spec, Grade::Advice, What::NeverTimesOut, vec![]));
    }
    if notes.is_empty() {
        let args = vec![("type", text(declared.unwrap_or("?")))];
        notes.push(note(spec, Grade::Fine, What::QueueFine, args));
    }
    notes
}

/// A timeout that leaves runs of `p99_ms` room: twice that, in whole minutes.
fn roomy(p99_ms: i64) -> i64 {
    p99_ms.saturating_mul(2).div_euclid(60_000).saturating_add(1) * 60_000
}

fn note(spec: &QueueSpec, grade: Grade, what: What, mut args: Vec<(&'static str, Arg)>) -> Note {
    args.push(("queue", text(&spec.name)));
    Note::new(format!("queue {}", spec.name), grade, what, args)
}

/// The sentence of a difference.
fn what(mismatch: &Mismatch) -> What {
    match (mismatch.argument.as_str(), mismatch.actual.as_str()) {
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
        ("x-max-length" | "x-max-length-bytes", _) if mismatch.harmful => What::DropHead,
        ("x-max-length" | "x-max-length-bytes", _) => What::RejectPublish,
        ("x-delivery-limit", _) => What::DeliveryLimit,
        ("x-consumer-timeout", _) => What::AckTimeout,
        ("x-max-priority", _) => What::NoPriority,
        _ => What::OtherArgument,
    }
}

/// The command that mends a difference: a policy where one can, else the queue must be declared anew.
///
/// One policy is in force on a queue, so that of the command says again whatever the present one says.
fn mend(spec: &QueueSpec, setup: &QueueSetup, mismatch: &Mismatch, vhost: &str) -> String {
    let vhost = quoted(vhost);
    let name = mismatch.argument.trim_start_matches("x-");
    let declared = setup
        .arguments
        .as_ref()
        .is_some_and(|arguments| arguments.contains_key(&mismatch.argument));
    let by_policy = setup.get(name).is_some_and(|setting| setting.by_policy);
    let present = || setup.policy_definition.clone().unwrap_or_default();
    let policy = |definition: Map<String, Value>| {
        format!(
            "rabbitmqctl set_policy -p {vhost} --priority 10 --apply-to queues {} {} {}",
            quoted(&format!("unstuck-{}", spec.name)),
            quoted(&format!("^{}$", escaped(&spec.name))),
            quoted(&Value::Object(definition).to_string()),
        )
    };
    let with = |settings: &[(&str, Value)]| {
        let mut definition = present();
        let settings = settings.iter();
        definition.extend(settings.map(|(name, value)| ((*name).to_owned(), value.clone())));
        policy(definition)
    };
    let without = |name: &str| {
        let mut definition = present();
        definition.remove(name);
        match (definition.is_empty(), setup.policy.as_deref()) {
            (true, Some(set)) => format!("rabbitmqctl clear_policy -p {vhost} {}", quoted(set)),
            _ => policy(definition),
        }
    };
    match name {
        "dead-letter-exchange" | "dead-letter-routing-key" if !declared => with(&[
            ("dead-letter-exchange", json!("")),
            ("dead-letter-routing-key", json!(spec.dead_name())),
        ]),
        "delivery-limit" if !declared => with(&[("delivery-limit", json!(spec.delivery_limit))]),
        // The smaller of argument and policy counts: a policy can't raise an argument.
        "consumer-timeout" if !declared => with(&[("consumer-timeout", json!(number(&mismatch.expected)))]),
        "delivery-limit" if by_policy => without(name),
        "message-ttl" | "expires" | "max-length" | "max-length-bytes" if by_policy && !declared => {
            without(name)
        }
        _ => format!(
            "rabbitmqctl delete_queue -p {vhost} --if-empty {}",
            quoted(&spec.name)
        ),
    }
}

fn number(digits: &str) -> Option<i64> {
    digits.parse().ok()
}

/// A name as a regular expression that matches it alone.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_' | '/') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{broker_queue::BrokerConsumer, queue_spec::QueueType};

    fn described(arguments: Value, policy: Value) -> BrokerQueue {
        let object = |value: Value| match value {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        BrokerQueue {
            setup: QueueSetup {
                queue_type: Some("quorum".to_owned()),
                durable: Some(true),
                arguments: Some(object(arguments)),
                policy: Some("limits".to_owned()),
                policy_definition: Some(object(policy)),
                ..QueueSetup::default()
            },
            version: Some("3.10.8".to_owned()),
            nodes: Some(3),
            ..BrokerQueue::default()
        }
    }

    fn declared() -> Value {
        json!({"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q.dead", "x-delivery-limit": 10_000})
    }

    fn around() -> Surroundings {
        Surroundings {
            vhost: "/".to_owned(),
            dead_queue: Presence::Unseen,
            slowest: None,
        }
    }

    fn said(queue: &BrokerQueue) -> Vec<(What, Grade, Option<String>)> {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        lint(&spec, queue, &around())
            .into_iter()
            .map(|note| (note.what, note.grade, note.command))
            .collect()
    }

    #[test]
    fn a_queue_declared_by_unstuck_is_fine() {
        let notes = said(&described(declared(), json!({})));
        assert_eq!(notes, [(What::QueueFine, Grade::Fine, None)]);
    }

    #[test]
    fn a_policy_mends_what_a_policy_can_and_keeps_what_the_present_one_says() {
        let bare = || json!({"x-queue-type": "quorum", "x-delivery-limit": 10_000});
        let notes = said(&described(bare(), json!({"queue-leader-locator": "balanced"})));
        let (what, grade, command) = &notes[0];
        assert_eq!((*what, *grade), (What::NoDeadLetter, Grade::Wrong));
        let command = command.as_deref().expect("a command");
        assert!(
            command.starts_with("rabbitmqctl set_policy -p / --priority 10 --apply-to queues unstuck-q"),
            "{command}"
        );
        for part in [
            r#""dead-letter-routing-key":"q.dead""#,
            r#""queue-leader-locator":"balanced""#,
        ] {
            assert!(command.contains(part), "{part}: {command}");
        }
    }

    #[test]
    fn what_a_policy_set_is_cleared_and_what_an_argument_set_needs_a_new_declaration() {
        let by_policy = said(&described(declared(), json!({"message-ttl": 5})));
        assert_eq!(
            by_policy[0].2.as_deref(),
            Some("rabbitmqctl clear_policy -p / limits")
        );
        let among_others = said(&described(
            declared(),
            json!({"message-ttl": 5, "queue-leader-locator": "balanced"}),
        ));
        let command = among_others[0].2.as_deref().expect("a command");
        assert!(
            command.ends_with(r#"'{"queue-leader-locator":"balanced"}'"#),
            "{command}"
        );
        let anew = Some("rabbitmqctl delete_queue -p / --if-empty q");
        let mut arguments = declared();
        arguments["x-message-ttl"] = json!(5);
        let by_argument = said(&described(arguments.clone(), json!({})));
        assert_eq!((by_argument[0].0, by_argument[0].2.as_deref()), (What::Ttl, anew));
        let by_both = said(&described(arguments, json!({"message-ttl": 3})));
        assert_eq!(by_both[0].2.as_deref(), anew, "the argument would still count");
    }

    #[test]
    fn a_delivery_limit_that_a_policy_lowers_is_lifted_there() {
        let notes = said(&described(declared(), json!({"delivery-limit": 5})));
        assert_eq!(
            (notes[0].0, notes[0].2.as_deref()),
            (What::DeliveryLimit, Some("rabbitmqctl clear_policy -p / limits"))
        );
        let mut bare = declared();
        bare.as_object_mut()
            .expect("an object")
            .remove("x-delivery-limit");
        let mut from_4 = described(bare, json!({}));
        from_4.version = Some("4.0.5".to_owned());
        let (what, grade, command) = &said(&from_4)[0];
        assert_eq!((*what, *grade), (What::DeliveryLimit, Grade::Wrong));
        let command = command.as_deref().expect("a command");
        assert!(command.ends_with(r#"'{"delivery-limit":10000}'"#), "{command}");
    }

    #[test]
    fn a_hoarder_and_a_lonely_member_are_told() {
        let mut queue = described(declared(), json!({}));
        queue.consumers = Some(vec![BrokerConsumer {
            tag: "greedy".to_owned(),
            connection_name: None,
            prefetch: Some(0),
            active: Some(true),
        }]);
        queue.setup.members = Some(1);
        let keys = |nodes: Option<usize>| -> Vec<What> {
            let queue = BrokerQueue {
                nodes,
                ..queue.clone()
            };
            said(&queue).into_iter().map(|(what, _, _)| what).collect()
        };
        assert_eq!(keys(Some(3)), [What::Hoarding, What::OneMember]);
        assert_eq!(keys(Some(1)), [What::Hoarding], "one node can't hold two members");
        assert_eq!(keys(None), [What::Hoarding], "an unknown number proves nothing");
    }

    #[test]
    fn a_queue_whose_settings_were_not_told_is_never_fine() {
        let mut queue = described(declared(), json!({}));
        queue.setup.policy_definition = None;
        assert_eq!(said(&queue), [(What::QueueUnsettled, Grade::Wrong, None)]);
    }

    #[test]
    fn a_consumer_timeout_that_runs_exceed_is_told_with_one_that_they_do_not() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let slowest = |p99_ms| Surroundings {
            slowest: Some(Slowest {
                kind: "report".to_owned(),
                p99_ms,
            }),
            ..around()
        };
        let mut queue = described(declared(), json!({"consumer-timeout": 600_000}));
        queue.version = Some("3.13.0".to_owned());
        assert_eq!(lint(&spec, &queue, &slowest(600_000))[0].what, What::QueueFine);
        let told = &lint(&spec, &queue, &slowest(650_000))[0];
        assert_eq!((told.what, told.grade), (What::AckTimeout, Grade::Wrong));
        let command = told.command.as_deref().expect("a command");
        assert!(
            command.contains("set_policy") && command.contains(r#""consumer-timeout":1320000"#),
            "{command}"
        );

        // A policy can't raise what the queue was declared with.
        let mut declared = declared();
        declared["x-consumer-timeout"] = json!(600_000);
        let mut fixed = described(declared, json!({}));
        fixed.version = Some("3.13.0".to_owned());
        let told = &lint(&spec, &fixed, &slowest(650_000))[0];
        assert!(
            told.command
                .as_deref()
                .is_some_and(|command| command.contains("delete_queue"))
        );
        // Not obeyed, so not known, before 3.12.
        queue.version = Some("3.10.8".to_owned());
        assert_eq!(lint(&spec, &queue, &slowest(650_000))[0].what, What::QueueFine);
    }

    #[test]
    fn from_4_3_on_a_classic_queue_never_takes_a_delivery_back() {
        let mut queue = described(
            json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q.dead", "x-max-priority": 10}),
            json!({}),
        );
        queue.setup.queue_type = Some("classic".to_owned());
        let spec = QueueSpec::new("q", QueueType::Classic);
        for (version, expected) in [("4.2.1", What::QueueFine), ("4.3.0", What::NeverTimesOut)] {
            queue.version = Some(version.to_owned());
            assert_eq!(lint(&spec, &queue, &around())[0].what, expected);
        }
    }

    #[test]
    fn a_dead_letter_queue_that_is_missing_is_told_and_one_that_was_not_looked_at_is_not() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let queue = described(declared(), json!({}));
        for (dead_queue, expected) in [
            (Presence::Missing, What::NoDeadQueue),
            (Presence::Here, What::QueueFine),
            (Presence::Unseen, What::QueueFine),
        ] {
            let around = Surroundings {
                dead_queue,
                ..around()
            };
            assert_eq!(lint(&spec, &queue, &around)[0].what, expected);
        }
    }
}
