//! One channel that publishes a window at a time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::window::Window;
use super::{PublishFault, PublishOutcome, QUEUE_NAME_TOO_LONG};
use crate::broker::link::{RequestError, Session};
use crate::broker::message::{PublishKey, TaskMessage, short};

/// How long a window goes on when the broker blocks the connection under it: an alarm that passes at once does no harm.
const BLOCKED_PATIENCE: Duration = Duration::from_secs(1);

/// One message ready to be sent.
pub(super) struct Envelope {
    pub(super) routing_key: ShortString,
    pub(super) body: Vec<u8>,
    pub(super) properties: BasicProperties,
    /// None for a foreign message: it is sent alone, so that whatever comes back is it.
    pub(super) key: Option<PublishKey>,
}

impl Envelope {
    pub(super) fn of(message: &TaskMessage) -> Result<Self, &'static str> {
        let routing_key = short(&message.queue).ok_or(QUEUE_NAME_TOO_LONG)?;
        Ok(Self {
            routing_key,
            body: message.body().into_bytes(),
            properties: message.properties()?,
            key: Some(PublishKey::of(message)),
        })
    }
}

/// A channel in confirm mode with nothing outstanding.
pub(super) struct Lane {
    session: Arc<Session>,
    channel: Channel,
}

impl Lane {
    pub(super) async fn open(session: Arc<Session>) -> Result<Self, PublishFault> {
        let closed = |error: RequestError| PublishFault::Closed {
            detail: error.to_string(),
        };
        let channel = session.channel().await.map_err(closed)?;
        session
            .request(channel.confirm_select(ConfirmSelectOptions::default()))
            .await
            .map_err(closed)?;
        Ok(Self { session, channel })
    }

    /// Whether it is of this connection and can still be used.
    pub(super) fn is_usable(&self, session: &Session) -> bool {
        self.session.generation() == session.generation() && self.channel.status().connected()
    }

    /// Publishes all, then waits for all confirms, at most `patience`. False when some have no answer: then the channel must not be used
    /// again, so that a late answer is never taken for another message's.
    pub(super) async fn send(
        &self,
        envelopes: &[&Envelope],
        patience: Duration,
    ) -> (Vec<PublishOutcome>, bool) {
        let deadline = Instant::now() + patience;
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
            while let Some(Some((index, answer))) = pending.next().now_or_never() {
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
    pub(super) fn discard(self) {
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
        let reason = blocked
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        let Some(reason) = reason else {
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
