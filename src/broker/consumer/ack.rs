//! Which deliveries of a channel are unfinished, and how they are acknowledged.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use lapin::Channel;
use lapin::options::BasicAckOptions;
use tokio::sync::Notify;

use crate::broker::link::Session;

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckOutcome {
    /// Handed to the network. AMQP confirms no acknowledgement: the message can still come back, once in a while.
    Written,
    /// The channel it came on is gone: the message will be handed out again, to us or to another worker.
    Lost,
}

/// The right to acknowledge one delivery, once.
///
/// Dropping it unused gives the delivery up: it returns to the queue when nothing else of its channel is in work.
#[derive(Debug)]
pub struct AckHandle {
    ledger: Arc<Ledger>,
    generation: u64,
    tag: u64,
    settled: bool,
}

impl AckHandle {
    pub(super) fn new(ledger: Arc<Ledger>, generation: u64, tag: u64) -> Self {
        Self {
            ledger,
            generation,
            tag,
            settled: false,
        }
    }

    /// False when the broker has taken the delivery back: it is, or will be, handed out again.
    pub fn is_current(&self) -> bool {
        self.ledger.lock().generation == self.generation
    }

    /// Acknowledges this delivery alone. Several go better with `Consumer::ack`.
    pub async fn ack(self) -> AckOutcome {
        acknowledge(vec![self])
            .await
            .pop()
            .expect("one handle has one outcome")
    }
}

impl Drop for AckHandle {
    fn drop(&mut self) {
        if !self.settled {
            self.ledger.abandon(self.generation, self.tag);
        }
    }
}

/// The unfinished deliveries of a lane's present channel.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: Mutex<Open>,
    /// Held while acknowledgements are planned and handed over: one that covers several must not overtake those it covers.
    turn: tokio::sync::Mutex<()>,
    /// Told when nothing but abandoned deliveries is left.
    pub(super) only_abandoned: Notify,
}

#[derive(Default)]
struct Open {
    /// Grows with every channel; handles of an older one are stale.
    generation: u64,
    channel: Option<(Arc<Session>, Channel)>,
    unfinished: BTreeSet<u64>,
    abandoned: usize,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open")
            .field("generation", &self.generation)
            .field("unfinished", &self.unfinished.len())
            .finish_non_exhaustive()
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the book of a new channel. Handles of the one before are stale from here on.
    pub(super) fn open(&self, session: Arc<Session>, channel: Channel) -> u64 {
        let mut open = self.lock();
        *open = Open {
            generation: open.generation + 1,
            channel: Some((session, channel)),
            ..Open::default()
        };
        open.generation
    }

    /// Closes the book: every handle is stale, and the channel is free to go.
    pub(super) fn close(&self) {
        let mut open = self.lock();
        *open = Open {
            generation: open.generation + 1,
            ..Open::default()
        };
    }

    pub(super) fn note_delivered(&self, generation: u64, tag: u64) {
        let mut open = self.lock();
        if open.generation == generation {
            open.unfinished.insert(tag);
        }
    }

    fn abandon(&self, generation: u64, tag: u64) {
        let mut open = self.lock();
        if open.generation == generation && open.unfinished.contains(&tag) {
            open.abandoned += 1;
            metrics::counter!("unstuck_deliveries_abandoned_total").increment(1);
            if open.abandoned == open.unfinished.len() {
                self.only_abandoned.notify_one();
            }
        }
    }

    fn finish(&self, generation: u64, tags: &[u64]) {
        let mut open = self.lock();
        if open.generation == generation {
            for tag in tags {
                open.unfinished.remove(tag);
            }
            if open.abandoned > 0 && open.abandoned == open.unfinished.len() {
                self.only_abandoned.notify_one();
            }
        }
    }
}

/// One acknowledgement frame and the deliveries it settles.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    tag: u64,
    multiple: bool,
    settles: Vec<u64>,
}

/// `tags` in ascending order: those below the lowest tag that stays unfinished in one frame, each other in its own.
fn plan(tags: &[u64], unfinished: &BTreeSet<u64>) -> Vec<Frame> {
    let staying = unfinished
        .iter()
        .find(|tag| tags.binary_search(tag).is_err())
        .copied()
        .unwrap_or(u64::MAX);
    let (below, above) = tags.split_at(tags.partition_point(|tag| *tag < staying));
    let together = below.last().map(|last| Frame {
        tag: *last,
        multiple: true,
        settles: below.to_vec(),
    });
    together
        .into_iter()
        .chain(above.iter().map(|tag| Frame {
            tag: *tag,
            multiple: false,
            settles: vec![*tag],
        }))
        .collect()
}

pub(super) async fn acknowledge(handles: Vec<AckHandle>) -> Vec<AckOutcome> {
    let mut outcomes = vec![AckOutcome::Lost; handles.len()];
    let mut lanes: HashMap<(usize, u64), Vec<(usize, AckHandle)>> = HashMap::new();
    for (index, handle) in handles.into_iter().enumerate() {
        lanes
            .entry((Arc::as_ptr(&handle.ledger).addr(), handle.generation))
            .or_default()
            .push((index, handle));
    }
    for written in join_all(lanes.into_values().map(acknowledge_lane)).await {
        for index in written {
            outcomes[index] = AckOutcome::Written;
        }
    }
    outcomes
}

/// The handles are all of one channel. Returns the indexes of those that were written.
async fn acknowledge_lane(mut handles: Vec<(usize, AckHandle)>) -> Vec<usize> {
    handles.sort_unstable_by_key(|(_, handle)| handle.tag);
    let Some((_, first)) = handles.first() else {
        return Vec::new();
    };
    let (ledger, generation) = (first.ledger.clone(), first.generation);
    let _turn = ledger.turn.lock().await;
    let tags: Vec<u64> = handles.iter().map(|(_, handle)| handle.tag).collect();
    let (session, channel, frames) = {
        let open = ledger.lock();
        match &open.channel {
            Some((session, channel)) if open.generation == generation => {
                (session.clone(), channel.clone(), plan(&tags, &open.unfinished))
            }
            _ => {
                metrics::counter!("unstuck_acks_lost_total").increment(tags.len() as u64);
                return Vec::new();
            }
        }
    };
    let sends = frames.iter().map(|frame| {
        session.request(channel.basic_ack(
            frame.tag,
            BasicAckOptions {
                multiple: frame.multiple,
            },
        ))
    });
    let mut written = BTreeSet::new();
    for (frame, sent) in frames.iter().zip(join_all(sends).await) {
        match sent {
            Ok(()) if channel.status().connected() => {
                ledger.finish(generation, &frame.settles);
                written.extend(frame.settles.iter().copied());
            }
            Ok(()) => {}
            Err(error) => tracing::debug!(?error, "an acknowledgement could not be sent"),
        }
    }
    metrics::counter!("unstuck_acks_lost_total").increment((tags.len() - written.len()) as u64);
    let mut indexes = Vec::with_capacity(written.len());
    for (index, handle) in &mut handles {
        if written.contains(&handle.tag) {
            handle.settled = true;
            indexes.push(*index);
        }
    }
    indexes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_lies_below_the_lowest_unfinished_tag_goes_together() {
        let unfinished = BTreeSet::from([3, 4, 5, 6, 9]);
        let frames = plan(&[3, 4, 6], &unfinished);
        assert_eq!(
            frames,
            [
                Frame {
                    tag: 4,
                    multiple: true,
                    settles: vec![3, 4]
                },
                Frame {
                    tag: 6,
                    multiple: false,
                    settles: vec![6]
                }
            ]
        );
        assert_eq!(
            plan(&[9], &unfinished),
            [Frame {
                tag: 9,
                multiple: false,
                settles: vec![9]
            }]
        );
        assert_eq!(plan(&[3, 4, 5, 6, 9], &unfinished).len(), 1);
    }

    proptest! {
        /// What the broker forgets by a plan is exactly what was to be acknowledged.
        #[test]
        fn a_plan_settles_its_tags_and_no_other(unfinished in proptest::collection::btree_set(1u64..60, 1..40), picks in proptest::collection::vec(any::<bool>(), 60)) {
            let tags: Vec<u64> = unfinished.iter().copied().filter(|tag| picks[usize::try_from(*tag).unwrap()]).collect();
            let mut held = unfinished.clone();
            for frame in plan(&tags, &unfinished) {
                if frame.multiple {
                    held.retain(|tag| *tag > frame.tag);
                } else {
                    prop_assert!(held.remove(&frame.tag), "an unknown tag would close the channel");
                }
            }
            let left: BTreeSet<u64> = unfinished.into_iter().filter(|tag| !tags.contains(tag)).collect();
            prop_assert_eq!(held, left);
        }
    }
}
