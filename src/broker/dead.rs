//! What lies on a dead-letter queue, looked at and left there.
//!
//! RabbitMQ can't show a message without handing it out. Measured on 3.10: one consumer that takes everything, acknowledges
//! nothing and closes its channel leaves the order as it was on both queue types; what it leaves behind is the mark
//! `redelivered` and, on a quorum queue, one delivery more on each message's count. `basic.get` and the management API's own
//! look scramble a quorum queue's order. A quorum queue with a low delivery limit drops what is looked at too often, so such a
//! queue is never looked at.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::timeout;
use uuid::Uuid;

use super::link::RequestError;
use super::message::{DEAD_AT, DEAD_REASON, parse, short};
use super::probe::Probe;
use super::reading::BrokerReader;
use crate::domain::{
    broker_version::BrokerVersion,
    queue_setup::{DELIVERY_LIMIT_DEFAULT, DeliveryLimit},
};

/// Most messages of one look.
const LOOKED_AT: u16 = 1_000;
/// A look ends when it has read so much: bodies of others may be of any size.
const BYTES_MAX: usize = 16 << 20;
/// The longest look, and the longest wait for the next message of it.
const LOOK: Duration = Duration::from_secs(4);
const NEXT: Duration = Duration::from_secs(1);
/// A quorum queue that gives a message up after fewer deliveries is not looked at.
const DELIVERY_LIMIT_MIN: i64 = 100;

/// A task's message on a dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub task_id: Uuid,
    /// None when it does not say: then it counts as the current one.
    pub dispatch: Option<i64>,
    pub cause: DeathCause,
    /// By the clock of whoever put it there; None when that is not said.
    pub died_at: Option<SystemTime>,
}

/// Why a message was dead-lettered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeathCause {
    /// It outlived its time to live.
    Expired,
    /// A consumer refused it.
    Rejected,
    /// The queue was full.
    Overflowed,
    /// It was handed out too often.
    DeliveryLimit,
    /// A worker put it there, for this reason.
    ByWorker(String),
    /// It does not say.
    Unexplained,
}

/// What one look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetters {
    /// Messages on the queue, when the look began.
    pub depth: u64,
    /// Those of tasks, oldest first.
    pub letters: Vec<DeadLetter>,
    /// All of the queue was seen.
    pub complete: bool,
}

/// Why there was no look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoLook {
    /// A look could cost messages: the queue drops them after this many deliveries.
    Harmful {
        delivery_limit: i64,
    },
    Unavailable {
        detail: String,
    },
}

impl BrokerReader {
    /// Looks at the messages of `queue`, up to 1,000 of the oldest, and leaves them there. At most about 10 s.
    ///
    /// A queue that does not exist is empty. Each look marks what it saw as redelivered: look when something changed, not
    /// on a timer.
    pub async fn dead_letters(&self, queue: &str) -> Result<DeadLetters, NoLook> {
        let unavailable = |detail: String| NoLook::Unavailable { detail };
        let detail = self
            .management()
            .queue(queue)
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let version = self.version().await.as_deref().and_then(BrokerVersion::parse);
        let limit = match detail.setup.delivery_limit(version) {
            DeliveryLimit::Never => None,
            DeliveryLimit::After(limit) => Some(limit),
            // The lowest it could be.
            DeliveryLimit::Unknown => Some(DELIVERY_LIMIT_DEFAULT),
        };
        match limit {
            Some(delivery_limit) if delivery_limit < DELIVERY_LIMIT_MIN => {
                Err(NoLook::Harmful { delivery_limit })
            }
            limit => look(self.probe(), queue, limit).await.map_err(unavailable),
        }
    }
}

async fn look(probe: &Probe, queue: &str, limit: Option<i64>) -> Result<DeadLetters, String> {
    let said = |error: RequestError| error.to_string();
    let session = probe.session().await?;
    let channel = session.channel().await.map_err(said)?;
    let name = short(queue).ok_or("its name is longer than 255 bytes")?;
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let seen = channel.queue_declare(name.clone(), passive, FieldTable::default());
    let depth = session.request(seen).await.map_err(said)?.message_count();
    let mut looked = DeadLetters {
        depth: depth.into(),
        letters: Vec::new(),
        complete: depth <= u32::from(LOOKED_AT),
    };
    if depth == 0 {
        return Ok(looked);
    }
    session
        .request(channel.basic_qos(LOOKED_AT, BasicQosOptions::default()))
        .await
        .map_err(said)?;
    let tag = short(&format!("unstuck-look-{}", Uuid::new_v4())).ok_or("its tag is too long")?;
    let mut behind_others = FieldTable::default();
    behind_others.insert("x-priority".into(), AMQPValue::LongInt(-10));
    let consume = channel.basic_consume(name, tag, BasicConsumeOptions::default(), behind_others);
    let mut deliveries = session.request(consume).await.map_err(said)?;
    let (began, mut count, mut bytes) = (Instant::now(), 0, 0);
    while count < depth.min(LOOKED_AT.into()) {
        let Ok(Some(delivery)) = timeout(NEXT, deliveries.next()).await else {
            looked.complete = false;
            break;
        };
        let delivery = delivery.map_err(|error| said(session.explain(&error)))?;
        count += 1;
        bytes += delivery.data.len();
        looked
            .letters
            .extend(letter(&delivery.properties, &delivery.data));
        let worn = limit.is_some_and(|limit| deliveries_of(&delivery.properties) >= limit / 2);
        if worn || bytes > BYTES_MAX || began.elapsed() > LOOK {
            looked.complete = count == depth;
            break;
        }
    }
    // With the channel everything goes back to where it was.
    session
        .request(channel.close(200, "looked".into()))
        .await
        .map_err(said)?;
    Ok(looked)
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

fn deliveries_of(properties: &BasicProperties) -> i64 {
    match header(properties, "x-delivery-count") {
        Some(AMQPValue::LongLongInt(count)) => *count,
        Some(AMQPValue::LongInt(count)) => (*count).into(),
        _ => 0,
    }
}

/// None for a message that names no task.
fn letter(properties: &BasicProperties, body: &[u8]) -> Option<DeadLetter> {
    let incoming = parse(properties, body).ok()?;
    let text = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        _ => None,
    };
    let (cause, died_at) = match header(properties, DEAD_REASON).and_then(text) {
        Some(reason) => {
            let at = match header(properties, DEAD_AT) {
                Some(AMQPValue::LongLongInt(ms)) => u64::try_from(*ms).ok().map(Duration::from_millis),
                _ => None,
            };
            (DeathCause::ByWorker(reason), at)
        }
        None => {
            let newest = match header(properties, "x-death") {
                Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice().first(),
                _ => None,
            };
            let death = match newest {
                Some(AMQPValue::FieldTable(death)) => death.inner(),
                _ => {
                    return Some(DeadLetter {
                        task_id: incoming.task_id,
                        dispatch: incoming.dispatch,
                        cause: DeathCause::Unexplained,
                        died_at: None,
                    });
                }
            };
            let at = match death.get("time") {
                Some(AMQPValue::Timestamp(seconds)) => Some(Duration::from_secs(*seconds)),
                _ => None,
            };
            let cause = match death.get("reason").and_then(text).as_deref() {
                Some("expired") => DeathCause::Expired,
                Some("rejected") => DeathCause::Rejected,
                Some("maxlen") => DeathCause::Overflowed,
                Some("delivery_limit") => DeathCause::DeliveryLimit,
                _ => DeathCause::Unexplained,
            };
            (cause, at)
        }
    };
    Some(DeadLetter {
        task_id: incoming.task_id,
        dispatch: incoming.dispatch,
        cause,
        died_at: died_at.and_then(|since| UNIX_EPOCH.checked_add(since)),
    })
}
