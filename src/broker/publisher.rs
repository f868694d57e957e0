//! Puts messages on queues and tells, for each, what became of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueuePurgeOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::config::BrokerConfig;
use super::link::{Link, LinkRole, LinkState, RequestError, Session};
use super::message::{PublishKey, RawMessage, TaskMessage, short};
use super::topology::{self, DeclareError, QueueSpec};

/// Longest wait for the confirms of one window.
const CONFIRM: Duration = Duration::from_secs(10);
/// How long a window goes on when the broker blocks the connection under it: an alarm that passes at once does no harm.
const BLOCKED_PATIENCE: Duration = Duration::from_secs(1);
/// How long a publish waits for a connection that is being made.
const LINK_PATIENCE: Duration = Duration::from_millis(500);
/// Windows under way at once, each on a channel of its own: one without an answer does not hold up the others.
const LANES: usize = 4;
/// Most messages in one window. Beyond some hundreds the broker gets no faster (measured), only later.
const WINDOW: usize = 500;

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
    link: Link,
    shared: Arc<Shared>,
}

struct Shared {
    lanes: Semaphore,
    idle: Mutex<Vec<Lane>>,
    declared: Mutex<Declared>,
}

/// Queues known to exist, as seen over the connection of that generation.
#[derive(Default)]
struct Declared {
    generation: u64,
    queues: HashSet<String>,
}

/// A channel in confirm mode with nothing outstanding.
struct Lane {
    session: Arc<Session>,
    channel: Channel,
}

impl Publisher {
    /// Connects in the background and keeps at it; needs a running tokio runtime. `connection_name` should say whose
    /// publisher it is.
    pub fn spawn(config: BrokerConfig) -> Self {
        let shared = Shared {
            lanes: Semaphore::new(LANES),
            idle: Mutex::default(),
            declared: Mutex::default(),
        };
        Self {
            link: Link::spawn(config, LinkRole::Publish),
            shared: Arc::new(shared),
        }
    }

    /// How the publishing connection is doing.
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.link.state()
    }

    /// Publishes the messages, persistent and mandatory, and waits for the broker's word on each; the outcomes are in
    /// the order of the messages.
    ///
    /// Answers within about 10 s per 500 messages whatever the broker does, and at once when there is no connection or
    /// it is blocked. A message that is in the window twice (same queue, id and dispatch) is sent once. Publishing the
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
            match Envelope::of(message) {
                Ok(envelope) => sendable.push((key, envelope)),
                Err(what) => {
                    outcomes.insert(
                        key,
                        PublishOutcome::NotSent {
                            cause: PublishFault::Unsendable {
                                what: what.to_owned(),
                            },
                        },
                    );
                }
            }
        }
        for chunk in sendable.chunks(WINDOW) {
            let envelopes: Vec<&Envelope> = chunk.iter().map(|(_, envelope)| envelope).collect();
            let answers = self.send(&envelopes).await;
            outcomes.extend(chunk.iter().map(|(key, _)| *key).zip(answers));
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
            let what = "the queue's name is longer than 255 bytes".to_owned();
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

    /// Makes sure that the queue and its dead-letter queue exist. Cheap when that is known already: it is remembered
    /// until the connection changes or a message for the queue comes back.
    pub async fn declare(&self, spec: &QueueSpec) -> Result<(), DeclareError> {
        let unavailable = |detail| DeclareError::Unavailable {
            queue: spec.name.clone(),
            detail,
        };
        let session = self
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
        let session = self.session().await?;
        let closed = |error: RequestError| PublishFault::Closed {
            detail: error.to_string(),
        };
        let channel = session.channel().await.map_err(closed)?;
        let purge = channel.queue_purge(ShortString::from(queue), QueuePurgeOptions::default());
        session.request(purge).await.map_err(closed)
    }

    /// Closes the connection. Windows under way end as `Unknown`.
    pub fn close(&self) {
        self.link.stop();
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

    /// A connection that takes publishes.
    async fn session(&self) -> Result<Arc<Session>, PublishFault> {
        let session = self
            .link
            .session_within(LINK_PATIENCE)
            .await
            .map_err(|state| PublishFault::LinkDown { state })?;
        match session.blocked().borrow().clone() {
            Some(reason) => Err(PublishFault::Blocked { reason }),
            None => Ok(session),
        }
    }

    /// Sends one window. One outcome per envelope, in order.
    async fn send(&self, envelopes: &[&Envelope]) -> Vec<PublishOutcome> {
        let not_sent = |cause| vec![PublishOutcome::NotSent { cause }; envelopes.len()];
        let Ok(Ok(_permit)) = timeout(CONFIRM, self.shared.lanes.acquire()).await else {
            return not_sent(PublishFault::TimedOut);
        };
        let lane = match self.lane().await {
            Ok(lane) => lane,
            Err(cause) => return not_sent(cause),
        };
        let (outcomes, complete) = lane.send(envelopes).await;
        if complete {
            self.shared
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(lane);
        } else {
            lane.discard();
        }
        outcomes
    }

    async fn lane(&self) -> Result<Lane, PublishFault> {
        let session = self.session().await?;
        loop {
            let idle = self
                .shared
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            match idle {
                Some(lane)
                    if lane.session.generation() == session.generation()
                        && lane.channel.status().connected() =>
                {
                    return Ok(lane);
                }
                Some(_) => {}
                None => break,
            }
        }
        let closed = |error: RequestError| PublishFault::Closed {
            detail: error.to_string(),
        };
        let channel = session.channel().await.map_err(closed)?;
        session
            .request(channel.confirm_select(ConfirmSelectOptions::default()))
            .await
            .map_err(closed)?;
        Ok(Lane { session, channel })
    }
}

/// One message ready to be sent.
struct Envelope {
    routing_key: ShortString,
    body: Vec<u8>,
    properties: BasicProperties,
    /// None for a foreign message: it is sent alone, so that whatever comes back is it.
    key: Option<PublishKey>,
}

impl Envelope {
    fn of(message: &TaskMessage) -> Result<Self, &'static str> {
        let routing_key = short(&message.queue).ok_or("the queue's name is longer than 255 bytes")?;
        Ok(Self {
            routing_key,
            body: message.body().into_bytes(),
            properties: message.properties()?,
            key: Some(PublishKey::of(message)),
        })
    }
}

impl Lane {
    /// Publishes all, then waits for all confirms. False when some have no answer: then the channel must not be used
    /// again, so that a late answer is never taken for another message's.
    async fn send(&self, envelopes: &[&Envelope]) -> (Vec<PublishOutcome>, bool) {
        let deadline = Instant::now() + CONFIRM;
        let mut pending: FuturesUnordered<_> = envelopes
            .iter()
            .enumerate()
            .map(|(index, envelope)| async move { (index, self.send_one(envelope).await) })
            .collect();
        let mut window = Window::new(envelopes);
        let mut blocked = self.session.blocked();
        let fault = loop {
            tokio::select! {
                biased;
                answer = timeout_at(deadline, pending.next()) => match answer {
                    Ok(Some((index, answer))) => window.note(index, self.explain(answer)),
                    Ok(None) => break None,
                    Err(_) => break Some(PublishFault::TimedOut),
                },
                reason = stays_blocked(&mut blocked) => break Some(PublishFault::Blocked { reason }),
            }
        };
        if fault.is_some() {
            // Returns already here tell which of the answers above are real. An answer seen only now can't be
            // trusted: the return that belongs to it may be attached to a confirm we have just passed.
            while let Some(Some((index, answer))) = futures_util::FutureExt::now_or_never(pending.next()) {
                window.note_late(index, self.explain(answer));
            }
        }
        window.finish(fault)
    }

    async fn send_one(&self, envelope: &Envelope) -> lapin::Result<Confirmation> {
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let queue = envelope.routing_key.clone();
        self.channel
            .basic_publish(
                ShortString::default(),
                queue,
                options,
                &envelope.body,
                envelope.properties.clone(),
            )
            .await?
            .await
    }

    fn explain(&self, answer: lapin::Result<Confirmation>) -> Result<Confirmation, PublishFault> {
        answer.map_err(|error| PublishFault::Closed {
            detail: self.session.explain(&error).to_string(),
        })
    }

    /// Closes the channel, so that an answer still to come finds nobody.
    fn discard(self) {
        tokio::spawn(async move {
            if self.session.blocked().borrow().is_some() {
                // Nothing is written on a blocked connection: closing would wait for the alarm's end.
                return;
            }
            if let Err(RequestError::Broken { detail }) = self
                .session
                .request(self.channel.close(200, "no answer".into()))
                .await
            {
                tracing::debug!(detail, "the channel could not be closed");
            }
        });
    }
}

/// Ends when the connection has been blocked for `BLOCKED_PATIENCE` without a pause.
async fn stays_blocked(blocked: &mut watch::Receiver<Option<String>>) -> String {
    loop {
        let seen = blocked
            .wait_for(Option::is_some)
            .await
            .map(|reason| reason.clone().unwrap_or_default());
        let Ok(reason) = seen else {
            return std::future::pending().await;
        };
        if timeout(BLOCKED_PATIENCE, blocked.wait_for(Option::is_none))
            .await
            .is_err()
        {
            return reason;
        }
    }
}

/// The answers of one window as they come in.
///
/// lapin attaches a returned message to whichever confirm resolves next, not to its own, so what was returned is known
/// from the returned messages only. RabbitMQ sends a return before its confirm, and lapin hands a return out with the
/// next confirm: so when all confirms are in, all returns are, and an `Ack` without a return shows that none was waiting.
struct Window<'a> {
    envelopes: &'a [&'a Envelope],
    answers: Vec<Answer>,
    returned: HashMap<Option<PublishKey>, (u16, String)>,
}

#[derive(Clone)]
enum Answer {
    None,
    /// Acknowledged with no return waiting.
    Acked,
    /// Acknowledged, but with another message's return: its own may still have been waiting.
    AckedBesideReturn,
    Nacked,
    Failed(PublishFault),
}

impl<'a> Window<'a> {
    fn new(envelopes: &'a [&'a Envelope]) -> Self {
        Self {
            envelopes,
            answers: vec![Answer::None; envelopes.len()],
            returned: HashMap::new(),
        }
    }

    fn note(&mut self, index: usize, answer: Result<Confirmation, PublishFault>) {
        self.answers[index] = match answer {
            Ok(Confirmation::Ack(None)) => Answer::Acked,
            Ok(Confirmation::Ack(Some(message))) => {
                self.note_return(message);
                Answer::AckedBesideReturn
            }
            Ok(Confirmation::Nack(message)) => {
                if let Some(message) = message {
                    self.note_return(message);
                }
                Answer::Nacked
            }
            Ok(Confirmation::NotRequested) => Answer::Failed(PublishFault::Closed {
                detail: "the channel does not confirm".to_owned(),
            }),
            Err(fault) => Answer::Failed(fault),
        };
    }

    fn note_late(&mut self, index: usize, answer: Result<Confirmation, PublishFault>) {
        self.note(index, answer);
        if matches!(self.answers[index], Answer::Acked | Answer::AckedBesideReturn) {
            self.answers[index] = Answer::None;
        }
    }

    fn note_return(&mut self, message: lapin::message::BasicReturnMessage) {
        let key = PublishKey::of_returned(&message.delivery.routing_key, &message.delivery.properties);
        let alone = self.envelopes.len() == 1;
        let key = if alone { self.envelopes[0].key.clone() } else { key };
        self.returned
            .insert(key, (message.reply_code, message.reply_text.as_str().to_owned()));
    }

    fn finish(self, fault: Option<PublishFault>) -> (Vec<PublishOutcome>, bool) {
        // The first failure stands for those without an answer: the others mostly echo it.
        let failure = self.answers.iter().find_map(|answer| match answer {
            Answer::Failed(fault) => Some(fault.clone()),
            _ => None,
        });
        let complete = fault.is_none() && failure.is_none();
        let cause = fault.or(failure).unwrap_or(PublishFault::TimedOut);
        let outcomes = self.envelopes.iter().zip(self.answers).map(|(envelope, answer)| {
            if let Some((code, text)) = self.returned.get(&envelope.key) {
                return PublishOutcome::Returned {
                    code: *code,
                    text: text.clone(),
                };
            }
            match answer {
                Answer::Acked => PublishOutcome::Confirmed,
                Answer::AckedBesideReturn if complete => PublishOutcome::Confirmed,
                Answer::Nacked => PublishOutcome::Nacked,
                Answer::AckedBesideReturn | Answer::None => PublishOutcome::Unknown { cause: cause.clone() },
                Answer::Failed(fault) => PublishOutcome::Unknown { cause: fault },
            }
        });
        (outcomes.collect(), complete)
    }
}
