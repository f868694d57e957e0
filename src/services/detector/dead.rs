//! Dead-letter queues: when one is looked at, and which queued tasks lie there.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use crate::{
    broker::{BrokerReader, DeathCause as Cause, NoLook},
    domain::{
        evidence::{Figure, Source},
        finding::Stall,
        observation::{BrokerSight, DeadLetter, DeadSight, DeathCause},
        rules::{Thresholds, dead::dead_lettered},
        time::Time,
    },
    store::{Store, StoreError},
};

/// Depths are read not more often than this.
const DEPTHS_EVERY_MS: i64 = 9_000;
/// One queue is looked at not more often than this, and so many queues in one pass.
const LOOK_EVERY_MS: i64 = 30_000;
const LOOKS: usize = 3;
/// A loss is told without the dead letters when they could not be read for so long.
const UNKNOWN_MS: i64 = 60_000;

/// What is remembered of dead-letter queues, by the queue they belong to. A queue is looked at when its depth is not what it
/// was at the last look, and never on a timer.
#[derive(Default)]
pub(super) struct Graveyard {
    depths_at: Option<Time>,
    looks: u64,
    graves: HashMap<String, Grave>,
}

struct Grave {
    looked_at: Time,
    /// As it was counted before the last look; another one is a reason to look again.
    depth: u64,
    sight: Option<DeadSight>,
}

impl Graveyard {
    /// Looks where something changed, and where tasks seem lost.
    pub(super) async fn look(
        &mut self,
        reader: &BrokerReader,
        queues: &[String],
        suspects: &Suspects,
        now: Time,
    ) -> Buried {
        self.graves.retain(|queue, _| queues.contains(queue));
        let known = self.search(reader, suspects, now).await;
        let due = self
            .depths_at
            .is_none_or(|at| now <= at || now.ms_since(at) >= DEPTHS_EVERY_MS);
        if due {
            self.depths_at = Some(now);
            let names: Vec<String> = queues.iter().map(|queue| dead_of(queue)).collect();
            let depths = reader.depths(&names).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "dead-letter queues can't be counted");
                HashMap::new()
            });
            let changed = queues.iter().zip(&names).filter_map(|(queue, name)| {
                let depth = *depths.get(name)?;
                match self.graves.get(queue) {
                    None => (depth > 0).then_some((queue, name)),
                    Some(grave) => {
                        let rested = now <= grave.looked_at || now.ms_since(grave.looked_at) >= LOOK_EVERY_MS;
                        (depth != grave.depth && rested).then_some((queue, name))
                    }
                }
            });
            let changed: Vec<(String, String)> = changed
                .take(LOOKS)
                .map(|(queue, name)| (queue.clone(), name.clone()))
                .collect();
            for (queue, name) in changed {
                self.look_at(reader, queue, &name, depths[&name], now).await;
            }
        }
        let seen = self.graves.iter();
        let seen = seen.filter_map(|(queue, grave)| Some((queue.clone(), grave.sight.clone()?)));
        Buried {
            seen: seen.collect(),
            known,
        }
    }

    /// Counts the dead letters of the suspects by live numbers, and looks at what is not known; the queues of which
    /// everything is.
    async fn search(&mut self, reader: &BrokerReader, suspects: &Suspects, now: Time) -> HashSet<String> {
        let mut known = HashSet::new();
        if suspects.queues.is_empty() {
            return known;
        }
        let names: Vec<String> = suspects.queues.keys().map(|queue| dead_of(queue)).collect();
        let ready = reader.ready(&names).await;
        let mut looks = LOOKS;
        for (queue, suspicion) in &suspects.queues {
            let name = dead_of(queue);
            let depth = match ready.get(&name) {
                None => continue,
                Some(depth) => depth.unwrap_or(0),
            };
            let may_look = self.graves.get(queue).is_none_or(|grave| {
                grave.looked_at < suspicion.first_at || now.ms_since(grave.looked_at) >= LOOK_EVERY_MS
            });
            if depth > 0 && !self.knows(queue, depth) && may_look && looks > 0 {
                looks -= 1;
                self.look_at(reader, queue.clone(), &name, depth, now).await;
            }
            if depth == 0 || self.knows(queue, depth) {
                known.insert(queue.clone());
            }
        }
        known
    }

    /// Whether the last look at the queue's dead letters saw all of them, and so many.
    fn knows(&self, queue: &str, depth: u64) -> bool {
        let sight = self.graves.get(queue).and_then(|grave| grave.sight.as_ref());
        sight.is_some_and(|sight| sight.complete && u64::try_from(sight.depth.value) == Ok(depth))
    }

    async fn look_at(&mut self, reader: &BrokerReader, queue: String, name: &str, depth: u64, now: Time) {
        let looked = match reader.dead_letters(name).await {
            Ok(looked) => looked,
            Err(NoLook::Harmful { delivery_limit }) => {
                tracing::warn!(
                    queue = name,
                    delivery_limit,
                    "not looked at: the queue drops what was delivered too often"
                );
                let grave = Grave {
                    looked_at: now,
                    depth,
                    sight: None,
                };
                self.graves.insert(queue, grave);
                return;
            }
            Err(NoLook::Unavailable { detail }) => {
                tracing::debug!(queue = name, detail, "dead letters can't be looked at");
                return;
            }
        };
        self.looks += 1;
        // What somebody else holds at the moment was not shown to us.
        let complete = looked.complete && looked.depth >= depth;
        let letters = looked.letters.into_iter().map(|letter| {
            let (cause, detail) = match letter.cause {
                Cause::Expired => (DeathCause::Expired, None),
                Cause::Rejected => (DeathCause::Rejected, None),
                Cause::Overflowed => (DeathCause::Overflowed, None),
                Cause::DeliveryLimit => (DeathCause::DeliveryLimit, None),
                Cause::ByWorker(reason) => (DeathCause::ByWorker, Some(reason)),
                Cause::Unexplained => (DeathCause::Unexplained, None),
            };
            let since = letter.died_at.map(|at| at.duration_since(std::time::UNIX_EPOCH));
            DeadLetter {
                task_id: letter.task_id,
                dispatch: letter.dispatch,
                cause,
                detail,
                died_at: since
                    .and_then(Result::ok)
                    .and_then(|since| i64::try_from(since.as_millis()).ok())
                    .map(Time::from_ms),
            }
        });
        let sight = DeadSight {
            look: self.looks,
            depth: Figure {
                value: i64::try_from(looked.depth).unwrap_or(i64::MAX),
                source: Source::Declare,
                read_at: now,
            },
            letters: Arc::new(letters.collect()),
            complete,
        };
        let grave = Grave {
            looked_at: now,
            depth,
            sight: Some(sight),
        };
        self.graves.insert(queue, grave);
    }
}

fn dead_of(queue: &str) -> String {
    format!("{queue}.dead")
}

/// What is known of dead letters, by the queue they belong to.
#[derive(Default)]
pub(super) struct Buried {
    /// The last look at each.
    pub(super) seen: HashMap<String, DeadSight>,
    /// Suspects of which everything was known at this look.
    pub(super) known: HashSet<String>,
}

/// Whether to tell that tasks have lost their messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspected {
    /// Not before their dead letters were read.
    Wait,
    /// Those can't be read: they may lie there.
    Unsure,
    Sure,
}

/// Queues with tasks that seem to have lost their messages. Those may lie on the dead-letter queue: nothing is told before
/// that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspects {
    queues: HashMap<String, Suspicion>,
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    first_at: Time,
    /// When it last was so.
    last_at: Time,
    /// When the dead letters were last known; when it was first so, before.
    known_at: Time,
}

impl Suspects {
    /// Notes that tasks of `queue` seem lost, and says what of that may be told. A dead-letter queue that can't be read holds
    /// it back for a minute.
    pub(super) fn suspect(&mut self, queue: &str, sight: &BrokerSight, now: Time) -> Suspected {
        let suspicion = self.queues.entry(queue.to_owned()).or_insert(Suspicion {
            first_at: now,
            last_at: now,
            known_at: now,
        });
        suspicion.last_at = now;
        if sight.queues.get(queue).is_some_and(|sight| sight.dead_known) {
            suspicion.known_at = now;
            return Suspected::Sure;
        }
        match now.ms_since(suspicion.known_at) {
            UNKNOWN_MS.. => Suspected::Unsure,
            _ => Suspected::Wait,
        }
    }

    /// Forgets those that were none at this look.
    pub(super) fn close(&mut self, now: Time) {
        self.queues.retain(|_, suspicion| suspicion.last_at == now);
    }
}

/// The letters of each queue's last look that may still be a task's current message.
#[derive(Default)]
pub(super) struct Letters {
    queues: HashMap<String, (u64, Vec<DeadLetter>)>,
}

/// Tasks whose current message is dead.
#[derive(Default)]
pub(super) struct Dead {
    pub(super) stalls: Vec<Stall>,
    pub(super) tasks: HashSet<Uuid>,
    /// When the broker confirmed the message of each, by queue.
    pub(super) published: HashMap<String, Vec<Time>>,
}

impl Letters {
    /// Holds the letters against their tasks. One that is not about a queued task's current dispatch never will be, and is
    /// forgotten until the next look.
    pub(super) async fn match_up(
        &mut self,
        store: &Store,
        sight: &BrokerSight,
        now: Time,
        thresholds: &Thresholds,
    ) -> Result<Dead, StoreError> {
        self.queues.retain(|queue, _| sight.queues.contains_key(queue));
        let mut dead = Dead::default();
        for (queue, seen) in &sight.queues {
            let Some(seen) = &seen.dead else {
                continue;
            };
            let (look, letters) = self.queues.entry(queue.clone()).or_default();
            if *look != seen.look {
                (*look, *letters) = (seen.look, seen.letters.as_ref().clone());
            }
            if letters.is_empty() {
                continue;
            }
            let ids: Vec<Uuid> = letters.iter().map(|letter| letter.task_id).collect();
            let tasks = store.queued_tasks(queue, &ids).await?;
            letters.retain(|letter| {
                let current = tasks.get(&letter.task_id).map(|(suspect, _)| suspect.dispatch);
                current.is_some_and(|current| letter.dispatch.is_none_or(|dispatch| dispatch >= current))
            });
            for letter in letters.iter() {
                let Some((suspect, Some(published_at))) = tasks.get(&letter.task_id) else {
                    continue;
                };
                let task = crate::domain::rules::dead::Queued {
                    suspect: suspect.clone(),
                    published_at: *published_at,
                };
                if let Some(stall) = dead_lettered(task, letter, seen.depth, now, thresholds)
                    && dead.tasks.insert(stall.task_id)
                {
                    dead.published
                        .entry(queue.clone())
                        .or_default()
                        .push(*published_at);
                    dead.stalls.push(stall);
                }
            }
        }
        Ok(dead)
    }
}
