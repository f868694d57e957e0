//! `broker` against a real RabbitMQ node.

mod consume;
mod link;
mod malformed;
mod publish;
mod publish_cut;
mod read;

use unstuck::broker::{QueueType, TaskMessage};
use uuid::Uuid;

/// Every rule holds on both.
const QUEUE_TYPES: [QueueType; 2] = [QueueType::Quorum, QueueType::Classic];

fn task_message(queue: &str, dispatch: i64) -> TaskMessage {
    TaskMessage {
        task_id: Uuid::now_v7(),
        dispatch,
        queue: queue.to_owned(),
        kind: "test".to_owned(),
        priority: 0,
        traceparent: None,
    }
}
