//! Puts messages on queues and tells, for each, what became of it.

mod lane;
mod silence;
mod window;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lapin::options::QueuePurgeOptions;
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use uuid::Uuid;

use super::config::BrokerConfig;
use super::link::{Link, LinkRole, LinkState, RequestError, Session};
use super::message::{PublishKey, RawMessage, TaskMessage, short};
use super::topology::{self, DeclareError};
use crate::domain::queue_spec::QueueSpec;
use lane::{Envelope, Lane};
use silence::Silence;

/// Longest wait for the confirms of one window.
const CONFIRM: Duration = Duration::from_secs(10);
/// How long a publish waits for a connection that is being made.
const LINK_PATIENCE: Duration = Duration::from_millis(500);
/// Windows under way at once, each on a channel of its own: one without an answer does not hold up the others.
const LANES: usize = 4;
/// Most messages in one window. Beyond some hundreds the broker gets no faster (measured), only later.
const WINDOW: usize = 500;

const QUEUE_NAME_TOO_LONG: &str = "the queue's name is longer than 255 bytes";

/// What became of one publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The broker has it, on its queue, on disk.
    Confirmed,
    /// There is no such queue.
    Returned { code: u16, text: String },
    /// The broker refused it: the queue is full (`reject-publish`), or failed to store it.
    Nacked,
    /// It was sent, or half sent, and no answer came: it may or may not be there, or come to be there later.
    Unknown { cause: PublishFault },
    /// It was not sent: it is certainly not there.
    NotSent { cause: PublishFault },
}

/// Why a publish has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublishFault {
    #[error("there is no connection to the broker")]
    LinkDown { state: LinkState },
    #[error("the broker takes no publishes: {reason}")]
    Blocked { reason: String },
    #[error("the broker did not confirm within {} s", CONFIRM.as_secs())]
    TimedOut,
    /// An earlier message for this queue was never confirmed, and the queue is being tried apart from the others.
    #[error("the queue confirms nothing at present")]
    QueueSilent { since: SystemTime },
    /// The broker closed the channel, or the connection ended, while the window was under way.
    #[error("the broker ended the channel: {detail}")]
    Closed { detail: String },
    /// RabbitMQ can't carry it; the next try will end the same way.
    #[error("the message can't be sent: {what}")]
    Unsendable { what: String },
}

/// Publishes with confirms over one connection of its own. Clones share it.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    link: Link,
    lanes: Semaphore,
    idle: Mutex<Vec<Lane>>,
    declared: Mutex<Declared>,
    silence: Silence,
}

/// Queues known to exist, as seen over the connection of that generation.
#[derive(Default)]
struct Declared {
    generation: u64,
    queues: HashSet<String>,
}

impl Publisher {
    /// Connects in the background and keeps at it; needs a running tokio runtime. `connection_name` should say whose
    /// publisher it is.
    pub fn spawn(config: BrokerConfig) -> Self {
        let shared = Shared {
            lanes: Semaphore::new(LANES),
            idle: Mutex::default(),
            declared: Mutex::default(),
            link: Link::spawn(config, LinkRole::Publish),
            silence: Silence::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How the publishing connection is doing.
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.shared.link.state()
    }

    /// Publishes the messages, persistent and mandatory, and waits for the broker's word on each; the outcomes are in
    /// the order of the messages.
    ///
    /// Answers within about 10 s per 500 messages whatever the broker does, and at once when there is no connection, or
    /// it is blocked, or the queue has left an earlier message unconfirmed. A message that is in the window twice (same queue, id and dispatch) is sent once. Publishing the
    /// same again after `Unknown` makes a second copy at worst. Several calls run side by side.
    pub async fn publish(&self, window: Vec<TaskMessage>) -> Vec<PublishOutcome> {
        let keys: Vec<PublishKey> = window.iter().map(PublishKey::of).collect();
        let mut outcomes: HashMap<&PublishKey, PublishOutcome> = HashMap::with_capacity(keys.len());
        let mut sendable = Vec::with_capacity(keys.len());
        let mut seen = HashSet::with_capacity(keys.len());
        for (key, message) in keys.iter().zip(&window) {
            if !seen.insert(key) {
                continue;
            }
            let refused = match (Envelope::of(message), self.shared.silence.since(&message.queue)) {
                (Err(what), _) => PublishFault::Unsendable {
                    what: what.to_owned(),
                },
                (Ok(_), Some(since)) if self.link().borrow().is_connected() => {
                    PublishFault::QueueSilent { since }
                }
                (Ok(envelope), _) => {
                    sendable.push((key, message, envelope));
                    continue;
                }
            };
            outcomes.insert(key, PublishOutcome::NotSent { cause: refused });
        }
        for chunk in sendable.chunks(WINDOW) {
            let envelopes: Vec<&Envelope> = chunk.iter().map(|(.., envelope)| envelope).collect();
            for ((key, message, _), outcome) in chunk.iter().zip(self.shared.send(&envelopes).await) {
                if outcome
                    == (PublishOutcome::Unknown {
                        cause: PublishFault::TimedOut,
                    })
                {
                    Silence::note(&self.shared, message);
                }
                outcomes.insert(*key, outcome);
            }
        }
        for (key, outcome) in &outcomes {
            self.count(outcome);
            if matches!(outcome, PublishOutcome::Returned { .. }) {
                self.forget(key.queue());
            }
        }
        keys.iter()
            .map(|key| {
                outcomes
                    .get(key)
                    .cloned()
                    .expect("every key was sent or refused above")
            })
            .collect()
    }

    /// Publishes one foreign message to `queue`, persistent as it says itself, mandatory and confirmed.
    pub async fn publish_raw(&self, queue: &str, message: RawMessage) -> PublishOutcome {
        let Some(routing_key) = short(queue) else {
            let what = QUEUE_NAME_TOO_LONG.to_owned();
            return PublishOutcome::NotSent {
                cause: PublishFault::Unsendable { what },
            };
        };
        let envelope = Envelope {
            routing_key,
            body: message.body,
            properties: message.properties,
            key: None,
        };
        let outcome = self
            .shared
            .send(&[&envelope])
            .await
            .pop()
            .expect("one message has one outcome");
        self.count(&outcome);
        if matches!(outcome, PublishOutcome::Returned { .. }) {
            self.forget(queue);
        }
        outcome
    }

    /// Publishes a tracer to `queue`, persistent, mandatory and confirmed. Not sent while the queue leaves an earlier message
    /// unconfirmed. At most about 10 s.
    pub async fn publish_tracer(&self, queue: &str, id: Uuid) -> PublishOutcome {
        if let Some(since) = self.shared.silence.since(queue) {
            let cause = PublishFault::QueueSilent { since };
            return PublishOutcome::NotSent { cause };
        }
        self.publish_raw(queue, RawMessage::tracer(id)).await
    }

    /// Makes sure that the queue and its dead-letter queue exist. Cheap when that is known already: it is remembered
    /// until the connection changes or a message for the queue comes back.
    pub async fn declare(&self, spec: &QueueSpec) -> Result<(), DeclareError> {
        let unavailable = |detail| DeclareError::Unavailable {
            queue: spec.name.clone(),
            detail,
        };
        let session = self
            .shared
            .session()
            .await
            .map_err(|fault| unavailable(fault.to_string()))?;
        if self.declared(session.generation()).queues.contains(&spec.name) {
            return Ok(());
        }
        topology::ensure(&session, spec).await?;
        self.declared(session.generation())
            .queues
            .insert(spec.name.clone());
        Ok(())
    }

    /// Takes every ready message off a queue; answers how many. What consumers hold stays with them.
    pub async fn purge(&self, queue: &str) -> Result<u32, PublishFault> {
        let closed = |error: RequestError| PublishFault::Closed {
            detail: error.to_string(),
        };
        let name = short(queue).ok_or(PublishFault::Unsendable {
            what: QUEUE_NAME_TOO_LONG.to_owned(),
        })?;
        let session = self.shared.session().await?;
        let channel = session.channel().await.map_err(closed)?;
        session
            .request(channel.queue_purge(name, QueuePurgeOptions::default()))
            .await
            .map_err(closed)
    }

    /// Closes the connection. Windows under way end as `Unknown`.
    pub fn close(&self) {
        self.shared.link.stop();
    }

    fn declared(&self, generation: u64) -> MutexGuard<'_, Declared> {
        let mut declared = self
            .shared
            .declared
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if declared.generation != generation {
            *declared = Declared {
                generation,
                queues: HashSet::new(),
            };
        }
        declared
    }

    fn forget(&self, queue: &str) {
        self.shared
            .declared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .queues
            .remove(queue);
    }

    fn count(&self, outcome: &PublishOutcome) {
        let outcome = match outcome {
            PublishOutcome::Confirmed => "confirmed",
            PublishOutcome::Returned { .. } => "returned",
            PublishOutcome::Nacked => "nacked",
            PublishOutcome::Unknown { .. } => "unknown",
            PublishOutcome::NotSent { .. } => "not_sent",
        };
        metrics::counter!("unstuck_publishes_total", "outcome" => outcome).increment(1);
    }
}

impl Shared {
    /// A connection that takes publishes.
    async fn session(&self) -> Result<Arc<Session>, PublishFault> {
        let session = self.link.session_within(LINK_PATIENCE).await;
        let session = session.map_err(|state| PublishFault::LinkDown { state })?;
        match session.blocked().borrow().clone() {
            Some(reason) => Err(PublishFault::Blocked { reason }),
            None => Ok(session),
        }
    }

    /// Sends one window. One outcome per envelope, in order.
    async fn send(&self, envelopes: &[&Envelope]) -> Vec<PublishOutcome> {
        let not_sent = |cause| vec![PublishOutcome::NotSent { cause }; envelopes.len()];
        let Ok(Ok(_permit)) = timeout(CONFIRM, self.lanes.acquire()).await else {
            return not_sent(PublishFault::TimedOut);
        };
        let lane = match self.lane().await {
            Ok(lane) => lane,
            Err(cause) => return not_sent(cause),
        };
        let (outcomes, complete) = lane.send(envelopes, CONFIRM).await;
        if complete {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(lane);
        } else {
            lane.discard();
        }
        outcomes
    }

    /// Sends one message on a channel of its own, without taking one of the lanes.
    async fn send_apart(&self, envelope: &Envelope, patience: Duration) -> PublishOutcome {
        let lane = match self.session().await {
            Ok(session) => Lane::open(session).await,
            Err(cause) => Err(cause),
        };
        let lane = match lane {
            Ok(lane) => lane,
            Err(cause) => return PublishOutcome::NotSent { cause },
        };
        let (mut outcomes, _) = lane.send(&[envelope], patience).await;
        lane.discard();
        outcomes.pop().expect("one message has one outcome")
    }

    async fn lane(&self) -> Result<Lane, PublishFault> {
        let session = self.session().await?;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(lane) if lane.is_usable(&session) => return Ok(lane),
                Some(_) => {}
                None => return Lane::open(session).await,
            }
        }
    }
}
