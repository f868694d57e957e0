//! Asks the broker itself how many messages wait and who consumes: live, and without statistics.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesOrdered, StreamExt};
use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::sync::{Mutex, watch};

use super::config::BrokerConfig;
use super::link::{Link, LinkRole, LinkState, RequestError, Session};
use super::message::short;

/// Questions on their way at once.
const AT_ONCE: usize = 64;
/// How long a reading waits for a connection that is being made.
const LINK_PATIENCE: Duration = Duration::from_millis(500);
/// Longest pass over all queues, give or take one that hangs for 5 s. Those it leaves out come first the next time.
const PASS: Duration = Duration::from_secs(5);

/// What the broker says about one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// Both right to 0.2 s. `consumers` counts one of a quorum queue that cancelled until its last acknowledgement.
    /// Both are also 0 when a quorum queue hangs or has no leader: RabbitMQ asks it for 0.25 s, then says 0.
    Present { messages_ready: u64, consumers: u64 },
    /// There is no such queue.
    Missing,
    /// The broker did not say: no connection, no permission, the queue's node is down.
    Unavailable { detail: String },
}

/// A connection of its own for passive declarations. Clones share it.
#[derive(Clone)]
pub struct Probe {
    link: Link,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    lane: Option<(Arc<Session>, Channel)>,
    /// Without a good answer the last time: asking for one costs a channel, or seconds, so these come last.
    troublesome: HashSet<String>,
}

impl Probe {
    /// Connects in the background and keeps at it; needs a running tokio runtime.
    pub fn spawn(config: BrokerConfig) -> Self {
        Self {
            link: Link::spawn(config, LinkRole::Probe),
            state: Arc::default(),
        }
    }

    /// How the probing connection is doing.
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.link.state()
    }

    /// The connection, for a channel of one's own. Errors: how the connection is doing.
    pub(super) async fn session(&self) -> Result<Arc<Session>, String> {
        let session = self.link.session_within(LINK_PATIENCE).await;
        session.map_err(|state| state.to_string())
    }

    /// Asks for each of these queues; every one is in the answer. 1000 queues take a fraction of a second, a missing
    /// one about 2 ms. Calls wait for each other.
    pub async fn passive(&self, queues: &[String]) -> HashMap<String, Probed> {
        let mut state = self.state.lock().await;
        let mut answers = HashMap::with_capacity(queues.len());
        let (last, first): (Vec<_>, Vec<_>) = queues
            .iter()
            .partition(|queue| state.troublesome.contains(*queue));
        let mut waiting: VecDeque<&String> = first.into_iter().chain(last).collect();
        let began = Instant::now();
        while !waiting.is_empty() {
            let lane = match self.lane(&mut state).await {
                Ok(_) if began.elapsed() >= PASS => Err("there was no time left to ask".to_owned()),
                other => other,
            };
            match lane {
                Ok(lane) => {
                    if ask(&lane, &mut waiting, &mut answers).await == Asked::Refused {
                        state.lane = None;
                    }
                }
                Err(detail) => {
                    let unanswered = waiting.drain(..).cloned();
                    answers.extend(unanswered.map(|queue| {
                        (
                            queue,
                            Probed::Unavailable {
                                detail: detail.clone(),
                            },
                        )
                    }));
                }
            }
        }
        let troublesome = answers
            .iter()
            .filter(|(_, probed)| !matches!(probed, Probed::Present { .. }));
        state.troublesome = troublesome.map(|(queue, _)| queue.clone()).collect();
        answers
    }

    async fn lane(&self, state: &mut State) -> Result<(Arc<Session>, Channel), String> {
        if let Some((session, channel)) = &state.lane
            && session.is_connected()
            && channel.status().connected()
        {
            return Ok((session.clone(), channel.clone()));
        }
        let session = self
            .link
            .session_within(LINK_PATIENCE)
            .await
            .map_err(|state| state.to_string())?;
        let channel = session.channel().await.map_err(|error| error.to_string())?;
        state.lane = Some((session.clone(), channel.clone()));
        Ok((session, channel))
    }
}

#[derive(PartialEq)]
enum Asked {
    All,
    /// One was refused or hangs: the channel is of no use any more.
    Refused,
}

/// Asks for the waiting queues, up to `AT_ONCE` ahead of the answers, until all are answered or one is not.
///
/// A refusal closes the channel and a queue that hangs holds it up. Answers come in order: the first question without
/// one is at fault, those behind it go back to waiting.
async fn ask(
    lane: &(Arc<Session>, Channel),
    waiting: &mut VecDeque<&String>,
    answers: &mut HashMap<String, Probed>,
) -> Asked {
    let (session, channel) = lane;
    let mut asked = FuturesOrdered::new();
    let mut ahead: VecDeque<&String> = VecDeque::new();
    loop {
        while ahead.len() < AT_ONCE
            && let Some(queue) = waiting.pop_front()
        {
            let Some(name) = short(queue) else {
                answers.insert(queue.clone(), Probed::Missing);
                continue;
            };
            let passive = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            asked.push_back(session.request(channel.queue_declare(name, passive, FieldTable::default())));
            ahead.push_back(queue);
        }
        let (Some(answer), Some(queue)) = (asked.next().await, ahead.pop_front()) else {
            return Asked::All;
        };
        let probed = match answer {
            Ok(seen) => Probed::Present {
                messages_ready: seen.message_count().into(),
                consumers: seen.consumer_count().into(),
            },
            // A queue whose node is down is NOT_FOUND as well.
            Err(RequestError::Refused { code: 404, text }) if text.contains("no queue") => Probed::Missing,
            Err(error) => Probed::Unavailable {
                detail: error.to_string(),
            },
        };
        let closed = !matches!(probed, Probed::Present { .. });
        answers.insert(queue.clone(), probed);
        if closed {
            while let Some(queue) = ahead.pop_back() {
                waiting.push_front(queue);
            }
            return Asked::Refused;
        }
    }
}
