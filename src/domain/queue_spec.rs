//! How Unstuck declares the queues that carry task ids.

/// How often RabbitMQ may hand out one message of a quorum queue before it dead-letters it. Far above any
/// `max_attempts`: who may run how often is decided in the database.
pub const DELIVERY_LIMIT: u32 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum QueueType {
    #[default]
    Quorum,
    Classic,
}

impl QueueType {
    /// The type of RabbitMQ's word for it; quorum for any other.
    pub fn of_word(word: &str) -> Self {
        if word == Self::Classic.as_str() {
            Self::Classic
        } else {
            Self::Quorum
        }
    }

    /// RabbitMQ's word for it: the value of `x-queue-type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        }
    }
}

/// A queue as Unstuck declares it: durable, with `<name>.dead` as its dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    pub name: String,
    pub queue_type: QueueType,
    /// Highest priority (`x-max-priority`) of a classic queue. Ignored for quorum queues: RabbitMQ before 4.0 refuses
    /// it there, and from 4.0 on they need no declaration for it.
    pub max_priority: Option<u8>,
    /// Deliveries of one message before a quorum queue dead-letters it. Ignored for classic queues, which have no limit.
    pub delivery_limit: u32,
}

impl QueueSpec {
    /// The defaults: priorities 0 to 10 on a classic queue, a delivery limit above any `max_attempts` on a quorum one.
    pub fn new(name: impl Into<String>, queue_type: QueueType) -> Self {
        let max_priority = match queue_type {
            QueueType::Quorum => None,
            QueueType::Classic => Some(10),
        };
        Self {
            name: name.into(),
            queue_type,
            max_priority,
            delivery_limit: DELIVERY_LIMIT,
        }
    }

    /// Name of the queue that takes what this one gives up.
    pub fn dead_name(&self) -> String {
        format!("{}.dead", self.name)
    }
}
