//! What the broker still allows the delivery that a running attempt holds: until when, and how often its message may come.

use super::{
    broker_queue::BrokerQueue,
    broker_version::BrokerVersion,
    queue_setup::{AckTimeout, DeliveryLimit},
    time::Time,
    words::words,
};

words! {
    /// Why something is not known.
    pub enum Unknown {
        /// The management API has not described the queue yet.
        Undescribed = "undescribed",
        /// It did not tell the queue's settings, or its own version.
        Untold = "untold",
        /// RabbitMQ before 3.12 does not tell its timeout.
        OldBroker = "old_broker",
        /// The queue has no timeout of its own, and RabbitMQ does not tell that of its node.
        OfNode = "of_node",
    }
}

/// Until when the delivery may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// The message was acknowledged although the attempt runs: there is nothing to take back.
    NotHeld,
    /// The broker takes nothing back from this queue.
    Never,
    /// At the latest: the delivery came with the claim, or before it. Looked at once a minute, so it may take one more.
    At {
        deadline: Time,
        timeout_ms: i64,
    },
    Unknown(Unknown),
}

/// How often the message may be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    NotHeld,
    Unlimited,
    Limited {
        /// Which delivery of its message this is, at least.
        at_least: i64,
        /// After so many the queue gives the message up.
        most: i64,
    },
    Unknown(Unknown),
}

/// What the database knows of a running attempt's delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it was claimed: the delivery came then, or before.
    pub started_at: Time,
    /// The message was acknowledged although the attempt runs.
    pub message_gone: bool,
    /// When the dispatch was last put out again.
    pub resent_at: Option<Time>,
    /// How many attempts its dispatch has had, this one included.
    pub attempts: i64,
}

/// What is known of a running attempt's delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub deadline: Deadline,
    pub budget: Budget,
}

impl Delivery {
    /// By what is `held`, and how the broker last described the queue; `None` when it never did.
    pub fn of(held: Held, queue: Option<&BrokerQueue>) -> Self {
        if held.message_gone {
            return Self {
                deadline: Deadline::NotHeld,
                budget: Budget::NotHeld,
            };
        }
        let Some(queue) = queue else {
            return Self {
                deadline: Deadline::Unknown(Unknown::Undescribed),
                budget: Budget::Unknown(Unknown::Undescribed),
            };
        };
        let version = queue.version.as_deref().and_then(BrokerVersion::parse);
        Self {
            deadline: match queue.setup.ack_timeout(version) {
                AckTimeout::Never => Deadline::Never,
                AckTimeout::AfterMs(timeout_ms) => Deadline::At {
                    deadline: Time::from_ms(held.started_at.ms().saturating_add(timeout_ms)),
                    timeout_ms,
                },
                AckTimeout::Unknown => Deadline::Unknown(match version {
                    Some(version) if version < BrokerVersion::new(3, 12) => Unknown::OldBroker,
                    Some(_) if queue.setup.is_whole() => Unknown::OfNode,
                    Some(_) | None => Unknown::Untold,
                }),
            },
            budget: match queue.setup.delivery_limit(version) {
                DeliveryLimit::Never => Budget::Unlimited,
                DeliveryLimit::After(limit) => Budget::Limited {
                    // A message that was put out again has a count of its own.
                    at_least: if held.resent_at.is_some() {
                        1
                    } else {
                        held.attempts.max(1)
                    },
                    // The limit is on what follows the first (RabbitMQ, `x-delivery-count` is 0 then).
                    most: limit.saturating_add(1),
                },
                DeliveryLimit::Unknown => Budget::Unknown(Unknown::Untold),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::queue_setup::QueueSetup;

    const HELD: Held = Held {
        started_at: Time::from_ms(1_000),
        message_gone: false,
        resent_at: None,
        attempts: 3,
    };

    fn queue(version: Option<&str>, queue_type: &str, arguments: Value) -> BrokerQueue {
        BrokerQueue {
            setup: QueueSetup {
                queue_type: Some(queue_type.to_owned()),
                arguments: arguments.as_object().cloned(),
                policy_definition: Some(Default::default()),
                ..QueueSetup::default()
            },
            version: version.map(str::to_owned),
            ..BrokerQueue::default()
        }
    }

    #[test]
    fn a_deadline_is_told_only_where_the_broker_tells_its_timeout() {
        let limited = || json!({ "x-consumer-timeout": 600_000 });
        let told = Deadline::At {
            deadline: Time::from_ms(601_000),
            timeout_ms: 600_000,
        };
        for (version, queue_type, arguments, expected) in [
            (Some("3.12.0"), "quorum", limited(), told),
            (Some("4.3.0"), "classic", limited(), Deadline::Never),
            (
                Some("3.10.8"),
                "quorum",
                limited(),
                Deadline::Unknown(Unknown::OldBroker),
            ),
            (
                Some("4.1.0"),
                "quorum",
                json!({}),
                Deadline::Unknown(Unknown::OfNode),
            ),
            (
                Some("4.1.0"),
                "quorum",
                Value::Null,
                Deadline::Unknown(Unknown::Untold),
            ),
            (None, "quorum", limited(), Deadline::Unknown(Unknown::Untold)),
        ] {
            let queue = queue(version, queue_type, arguments);
            assert_eq!(Delivery::of(HELD, Some(&queue)).deadline, expected, "{queue:?}");
        }
        let undescribed = Deadline::Unknown(Unknown::Undescribed);
        assert_eq!(Delivery::of(HELD, None).deadline, undescribed);
    }

    #[test]
    fn a_budget_counts_the_attempts_of_a_dispatch_until_its_message_is_put_out_again() {
        let limited = |at_least, most| Budget::Limited { at_least, most };
        let of = |held, version, queue_type, arguments| {
            Delivery::of(held, Some(&queue(version, queue_type, arguments))).budget
        };
        let set = || json!({ "x-delivery-limit": 20 });
        assert_eq!(of(HELD, Some("3.10.8"), "quorum", set()), limited(3, 21));
        let resent = Held {
            resent_at: Some(Time::from_ms(500)),
            ..HELD
        };
        assert_eq!(
            of(resent, Some("3.10.8"), "quorum", set()),
            limited(1, 21),
            "a copy of its own"
        );
        assert_eq!(
            of(HELD, Some("4.0.0"), "quorum", json!({})),
            limited(3, 21),
            "the default"
        );
        assert_eq!(of(HELD, Some("3.10.8"), "quorum", json!({})), Budget::Unlimited);
        assert_eq!(of(HELD, Some("4.0.0"), "classic", json!({})), Budget::Unlimited);
        let untold = Budget::Unknown(Unknown::Untold);
        assert_eq!(of(HELD, Some("4.0.0"), "quorum", Value::Null), untold);
    }

    #[test]
    fn a_message_that_was_acknowledged_is_not_taken_back() {
        let gone = Held {
            message_gone: true,
            ..HELD
        };
        let delivery = Delivery::of(gone, None);
        assert_eq!(
            (delivery.deadline, delivery.budget),
            (Deadline::NotHeld, Budget::NotHeld)
        );
    }
}
