//! A tracer: a message that carries no task. It goes through a queue behind everything that waits there, so its delivery
//! shows how far the queue has come, and how long that took.

use uuid::Uuid;

use super::{time::Time, words::words};

/// One tracer as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracer {
    /// Its message's body.
    pub id: Uuid,
    pub queue: String,
    /// Before it was handed to the broker.
    pub sent_at: Time,
    pub confirmed_at: Option<Time>,
    /// When a worker got it.
    pub delivered_at: Option<Time>,
    pub worker: Option<String>,
    /// Whether it had been handed out before; `None` when the worker could not tell.
    pub redelivered: Option<bool>,
}

impl Tracer {
    /// How long it was on its queue. `None` until it is delivered, and when it had been handed out before: then nobody knows
    /// when it first came out.
    pub fn wait_ms(&self) -> Option<i64> {
        let delivered_at = self.delivered_at.filter(|_| self.redelivered != Some(true))?;
        Some(delivered_at.ms_since(self.sent_at).max(0))
    }
}

words! {
    /// What a queue is set up with that keeps tracers from being sent to it.
    pub enum Obstacle {
        /// Its messages have a time to live.
        TimeToLive = "time_to_live",
        /// It has a length limit: the tracer would take a task's place.
        LengthLimit = "length_limit",
        /// What comes back is held back for a while (RabbitMQ 4.3, quorum queues): then it is neither ready nor with a consumer.
        DelayedRetry = "delayed_retry",
    }
}

impl Obstacle {
    /// The first obstacle among the settings of a queue, by RabbitMQ's names with or without `x-`.
    pub fn among<'a>(settings: impl Iterator<Item = &'a str>) -> Option<Self> {
        settings
            .filter_map(|name| match name.strip_prefix("x-").unwrap_or(name) {
                "message-ttl" => Some(Self::TimeToLive),
                "max-length" | "max-length-bytes" => Some(Self::LengthLimit),
                name if name.starts_with("delayed-retry") => Some(Self::DelayedRetry),
                _ => None,
            })
            .min()
    }
}

words! {
    /// Why a tracer is not waited for any more.
    pub enum GivenUp {
        /// The broker does not have it: not sent, or refused.
        Unpublished = "unpublished",
        /// Nobody knows whether the broker has it.
        Unconfirmed = "unconfirmed",
        QueueMissing = "queue_missing",
        /// The queue held no message at all, and nobody had told of its delivery.
        QueueEmpty = "queue_empty",
        /// A task whose message came after it runs already.
        Overtaken = "overtaken",
    }
}

impl GivenUp {
    /// Whether the broker certainly does not hold it.
    pub const fn is_gone(self) -> bool {
        match self {
            Self::Unpublished | Self::QueueMissing | Self::QueueEmpty => true,
            Self::Unconfirmed | Self::Overtaken => false,
        }
    }
}

/// What is known of one queue's tracers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueTracers {
    /// The one that is waited for.
    pub out: Option<Tracer>,
    /// The newest that was delivered and had not been given up.
    pub passed: Option<Tracer>,
    /// When the newest of all was sent.
    pub sent_at: Option<Time>,
    /// How many the broker may hold, those included that are not waited for any more.
    pub at_most: i64,
}
