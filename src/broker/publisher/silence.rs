//! Queues that take messages and never confirm them.
//!
//! A quorum queue without a leader (its other nodes are down, or it was damaged in a crash) does that, and the broker
//! works a channel off in order: messages for healthy queues behind it wait as well. Were it tried again with every
//! window, each would last its full ten seconds. So after a window without confirms each of its queues is tried apart,
//! in the background: a healthy one is back within milliseconds, a silent one gets nothing else until it answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use super::lane::Envelope;
use super::{PublishOutcome, Shared};
use crate::broker::message::TaskMessage;

/// How long one sounding waits for its confirm. It comes as soon as the queue has recovered.
const SOUNDING: Duration = Duration::from_secs(30);
/// Pause after a sounding that ended at once.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(super) struct Silence(Mutex<HashMap<String, SystemTime>>);

impl Silence {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, SystemTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the queue has been silent; None when it is not.
    pub(super) fn since(&self, queue: &str) -> Option<SystemTime> {
        self.lock().get(queue).copied()
    }

    /// Notes that a message for this queue was not confirmed in time, and sounds the queue with that very message until
    /// it answers: publishing the same dispatch again is always safe.
    pub(super) fn note(shared: &Arc<Shared>, message: &TaskMessage) {
        let newly = shared
            .silence
            .lock()
            .insert(message.queue.clone(), SystemTime::now())
            .is_none();
        if let (true, Ok(envelope)) = (newly, Envelope::of(message)) {
            tracing::warn!(
                queue = message.queue,
                "the queue confirms nothing; it is tried apart from the others"
            );
            tokio::spawn(sound(Arc::downgrade(shared), message.queue.clone(), envelope));
        }
    }
}

async fn sound(shared: Weak<Shared>, queue: String, envelope: Envelope) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        match shared.send_apart(&envelope, SOUNDING).await {
            PublishOutcome::Confirmed | PublishOutcome::Returned { .. } | PublishOutcome::Nacked => {
                shared.silence.lock().remove(&queue);
                tracing::info!(queue, "the queue answers again");
                return;
            }
            PublishOutcome::Unknown { .. } | PublishOutcome::NotSent { .. } => {}
        }
        drop(shared);
        tokio::time::sleep(PAUSE).await;
    }
}
