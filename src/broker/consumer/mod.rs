//! Takes messages from queues and acknowledges them.
//!
//! Each queue has a channel of its own (a lane), so that trouble on one queue leaves the others alone, and the consumer
//! tag on every lane is exactly the worker's id (RabbitMQ tells tags apart per channel). A lane subscribes again,
//! declaring its queue anew, after anything that can end a subscription; what was unacknowledged then comes back.

mod ack;
mod lane;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use ack::{AckHandle, AckOutcome};

use super::config::BrokerConfig;
use super::link::{Link, LinkRole, LinkState};
use super::message::{Incoming, Malformed, RawMessage};
use crate::domain::queue_spec::QueueSpec;
use lane::Lane;

/// Longest wait for the lanes to end when the consumer is closed.
const CLOSE: Duration = Duration::from_secs(3);

/// What to consume, and as whom.
#[derive(Debug, Clone)]
pub struct ConsumerSpec {
    /// The worker's id: the consumer tag on every queue. At most 255 bytes.
    pub tag: String,
    pub queues: Vec<QueueSpec>,
    /// Most unacknowledged deliveries per queue. RabbitMQ counts them per consumer, so with several queues up to
    /// `prefetch` × queues can be out at once.
    pub prefetch: NonZeroU16,
}

/// A message handed out by the broker. It stays ours until it is acknowledged or its channel closes.
#[derive(Debug)]
pub struct Delivery {
    pub queue: String,
    pub content: Content,
    /// RabbitMQ handed it out before: it may have been seen, or only looked at.
    pub redelivered: bool,
    pub received_at: Instant,
    /// The message as it came, for a copy on a dead-letter queue.
    pub raw: RawMessage,
    pub handle: AckHandle,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Task(Incoming),
    /// It carries no task: its delivery is all that matters.
    Tracer(Uuid),
    Malformed(Malformed),
}

/// How the consuming of one queue is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// Not consuming, for this reason; it goes on trying.
    Waiting {
        reason: String,
    },
    Consuming {
        since: SystemTime,
    },
    /// Not consuming because `pause` was called.
    Paused,
}

/// A running consumer. Clones share it; dropping the last one closes it.
#[derive(Clone)]
pub struct Consumer {
    link: Link,
    paused: Arc<watch::Sender<bool>>,
    lanes: Arc<Vec<(String, watch::Receiver<Subscription>)>>,
    running: TaskTracker,
    stop: CancellationToken,
}

impl Consumer {
    /// Starts consuming in the background and keeps at it through every loss; needs a running tokio runtime.
    ///
    /// The receiver yields deliveries of all queues as they come and ends when the consumer is closed. After a loss it
    /// may still hold deliveries that the broker has taken back: `AckHandle::is_current` tells.
    pub fn spawn(config: BrokerConfig, spec: ConsumerSpec) -> (Self, mpsc::Receiver<Delivery>) {
        let link = Link::spawn(config, LinkRole::Consume);
        let capacity = usize::from(spec.prefetch.get()) * spec.queues.len().max(1);
        let (deliveries, receiver) = mpsc::channel(capacity);
        let paused = Arc::new(watch::Sender::new(false));
        let stop = CancellationToken::new();
        let running = TaskTracker::new();
        let lanes = spec.queues.into_iter().map(|queue| {
            let name = queue.name.clone();
            let (lane, state) = Lane::new(link.clone(), queue, &spec.tag, spec.prefetch, deliveries.clone());
            running.spawn(lane.run(paused.subscribe(), stop.clone()));
            (name, state)
        });
        let lanes = Arc::new(lanes.collect());
        running.close();
        (
            Self {
                link,
                paused,
                lanes,
                running,
                stop,
            },
            receiver,
        )
    }

    /// Acknowledges deliveries, of any queues and in any order; the outcomes are in the order of the handles.
    ///
    /// All handles of a queue that have nothing unfinished before them go in one frame. At most 5 s.
    pub async fn ack(&self, handles: Vec<AckHandle>) -> Vec<AckOutcome> {
        ack::acknowledge(handles).await
    }

    /// Stops taking deliveries. Those already out stay ours and can be acknowledged; some may still arrive shortly
    /// after. Nothing happens the second time.
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Takes deliveries again.
    pub fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Stops consuming, gives every unacknowledged delivery back to the broker and closes the connection. For a
    /// graceful end: `pause`, finish and acknowledge what is out, then `close`. At most about 5 s.
    pub async fn close(&self) {
        self.stop.cancel();
        if timeout(CLOSE, self.running.wait()).await.is_err() {
            tracing::warn!("consuming did not end in time; the connection is cut");
        }
        self.link.stop();
    }

    /// How the consuming connection is doing.
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.link.state()
    }

    /// How consuming goes, per queue.
    pub fn subscriptions(&self) -> Vec<(String, Subscription)> {
        self.lanes
            .iter()
            .map(|(queue, state)| (queue.clone(), state.borrow().clone()))
            .collect()
    }
}
