//! One queue's subscription, made again whenever it ends.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use lapin::Channel;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use rand::RngExt;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ack::{AckHandle, Ledger};
use super::{Content, Delivery, Subscription};
use crate::broker::link::{Link, Session};
use crate::broker::message::{self, RawMessage, short};
use crate::broker::topology;
use crate::domain::queue_spec::QueueSpec;

/// Wait before the first new try, doubled up to `RETRY_MAX`, then shortened by up to half at random.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A subscription that lived shorter than this does not reset the wait.
const STABLE_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Lane {
    link: Link,
    queue: QueueSpec,
    tag: String,
    prefetch: NonZeroU16,
    deliveries: mpsc::Sender<Delivery>,
    state: watch::Sender<Subscription>,
    ledger: Arc<Ledger>,
}

/// Why a lane does not consume any more.
enum End {
    /// The consumer is being closed.
    Stopped,
    /// Anything else: subscribe again.
    Lost(String),
}

impl Lane {
    pub(super) fn new(
        link: Link,
        queue: QueueSpec,
        tag: &str,
        prefetch: NonZeroU16,
        deliveries: mpsc::Sender<Delivery>,
    ) -> (Self, watch::Receiver<Subscription>) {
        let (state, seen) = watch::channel(Subscription::Waiting {
            reason: "connecting".to_owned(),
        });
        let lane = Self {
            link,
            queue,
            tag: tag.to_owned(),
            prefetch,
            deliveries,
            state,
            ledger: Arc::default(),
        };
        (lane, seen)
    }

    pub(super) async fn run(self, mut paused: watch::Receiver<bool>, stop: CancellationToken) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let end = tokio::select! {
                end = self.consume(&mut paused, &stop) => end,
                () = self.deliveries.closed() => End::Stopped,
            };
            self.ledger.close();
            let reason = match end {
                End::Stopped => return,
                End::Lost(reason) => reason,
            };
            failures = if began.elapsed() >= STABLE_AFTER {
                1
            } else {
                failures + 1
            };
            tracing::warn!(queue = self.queue.name, reason, "not consuming");
            self.state.send_replace(Subscription::Waiting { reason });
            if timeout(retry_wait(failures), stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    async fn consume(&self, paused: &mut watch::Receiver<bool>, stop: &CancellationToken) -> End {
        if *paused.borrow() {
            self.state.send_replace(Subscription::Paused);
        }
        tokio::select! {
            alive = turned(paused, false) => if !alive { return End::Stopped },
            () = stop.cancelled() => return End::Stopped,
        }
        let session = tokio::select! {
            session = self.link.session_within(Duration::from_secs(5)) => match session {
                Ok(session) => session,
                Err(state) => return End::Lost(state.to_string()),
            },
            () = stop.cancelled() => return End::Stopped,
        };
        let channel = match self.open(&session).await {
            Ok(channel) => channel,
            Err(reason) => return End::Lost(reason),
        };
        let end = self.pump(&session, &channel, paused, stop).await;
        self.ledger.close();
        // Unacknowledged deliveries return to the queue with the channel.
        if channel.status().connected()
            && session.is_connected()
            && let Err(error) = session
                .request(channel.close(200, ShortString::from("done")))
                .await
        {
            tracing::debug!(?error, queue = self.queue.name, "the channel could not be closed");
        }
        end
    }

    async fn open(&self, session: &Session) -> Result<Channel, String> {
        topology::ensure(session, &self.queue)
            .await
            .map_err(|error| error.to_string())?;
        let channel = session.channel().await.map_err(|error| error.to_string())?;
        session
            .request(channel.basic_qos(self.prefetch.get(), BasicQosOptions::default()))
            .await
            .map_err(|error| error.to_string())?;
        Ok(channel)
    }

    async fn subscribe(&self, session: &Session, channel: &Channel) -> Result<lapin::Consumer, String> {
        let tag = short(&self.tag).ok_or("the worker's id is longer than 255 bytes")?;
        let consume = channel.basic_consume(
            self.queue.name.as_str().into(),
            tag,
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        session.request(consume).await.map_err(|error| error.to_string())
    }

    /// Hands deliveries on until the subscription ends. Pausing cancels it and keeps the channel, and with it what is out.
    async fn pump(
        &self,
        session: &Arc<Session>,
        channel: &Channel,
        paused: &mut watch::Receiver<bool>,
        stop: &CancellationToken,
    ) -> End {
        let generation = self.ledger.open(session.clone(), channel.clone());
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            let mut stream = match self.subscribe(session, channel).await {
                Ok(stream) => stream,
                Err(reason) => return End::Lost(reason),
            };
            self.state.send_replace(Subscription::Consuming {
                since: SystemTime::now(),
            });
            let mut cancelling = false;
            loop {
                tokio::select! {
                    delivery = stream.next() => match delivery {
                        Some(Ok(delivery)) => {
                            let delivery = self.read(delivery, generation);
                            tokio::select! {
                                sent = self.deliveries.send(delivery) => if sent.is_err() { return End::Stopped },
                                () = stop.cancelled() => return End::Stopped,
                                () = session.ended() => return End::Lost("the connection ended".to_owned()),
                            }
                        }
                        Some(Err(error)) => return End::Lost(session.explain(&error).to_string()),
                        None if cancelling => break,
                        None => return End::Lost("the broker cancelled the subscription: the queue was deleted or moved".to_owned()),
                    },
                    alive = turned(paused, true), if !cancelling => {
                        if !alive {
                            return End::Stopped;
                        }
                        cancelling = true;
                        let cancel = channel.basic_cancel(self.tag.as_str().into(), BasicCancelOptions::default());
                        if let Err(error) = session.request(cancel).await {
                            return End::Lost(error.to_string());
                        }
                    }
                    () = self.ledger.only_abandoned.notified() => return End::Lost("every delivery out was given up".to_owned()),
                    () = stop.cancelled() => return End::Stopped,
                    () = session.ended() => return End::Lost("the connection ended".to_owned()),
                    _ = tick.tick() => if !channel.status().connected() {
                        return End::Lost("the channel closed".to_owned());
                    },
                }
            }
            self.state.send_replace(Subscription::Paused);
            loop {
                tokio::select! {
                    alive = turned(paused, false) => if alive { break } else { return End::Stopped },
                    () = stop.cancelled() => return End::Stopped,
                    () = session.ended() => return End::Lost("the connection ended".to_owned()),
                    _ = tick.tick() => if !channel.status().connected() {
                        return End::Lost("the channel closed".to_owned());
                    },
                }
            }
        }
    }

    fn read(&self, delivery: lapin::message::Delivery, generation: u64) -> Delivery {
        self.ledger.note_delivered(generation, delivery.delivery_tag);
        let content = match message::tracer_id(&delivery.properties, &delivery.data) {
            Some(id) => Content::Tracer(id),
            None => {
                let redelivered = if delivery.redelivered { "true" } else { "false" };
                metrics::counter!("unstuck_deliveries_total", "redelivered" => redelivered).increment(1);
                match message::parse(&delivery.properties, &delivery.data) {
                    Ok(incoming) => Content::Task(incoming),
                    Err(malformed) => Content::Malformed(malformed),
                }
            }
        };
        Delivery {
            queue: self.queue.name.clone(),
            content,
            redelivered: delivery.redelivered,
            received_at: Instant::now(),
            raw: RawMessage::new(delivery.properties, delivery.data),
            handle: AckHandle::new(self.ledger.clone(), generation, delivery.delivery_tag),
        }
    }
}

/// Waits until `paused` has the value. False when nobody is left to change it: the consumer was dropped.
async fn turned(paused: &mut watch::Receiver<bool>, value: bool) -> bool {
    paused.has_changed().is_ok() && paused.wait_for(|paused| *paused == value).await.is_ok()
}

fn retry_wait(failures: u32) -> Duration {
    let full = RETRY_MIN
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(RETRY_MAX);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}
