//! What the broker says about a queue beside its numbers: settings, policy, consumers. What pages show and lints look at;
//! no rule of the detector reads it.

use serde::{Deserialize, Serialize};

use super::queue_setup::QueueSetup;

/// RabbitMQ management API, `/api/queues` and `/api/consumers`. What it did not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerQueue {
    #[serde(flatten)]
    pub setup: QueueSetup,
    /// By tag. `None` when the broker keeps no statistics.
    pub consumers: Option<Vec<BrokerConsumer>>,
    /// RabbitMQ's version: what some settings mean, and some defaults, depend on it.
    pub version: Option<String>,
    /// Nodes of the cluster, running or not.
    pub nodes: Option<usize>,
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
