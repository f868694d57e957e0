//! What the broker and the database say of the world.

use super::*;

impl World {
    pub(super) fn counts(&self) -> (i64, i64) {
        let held = self
            .messages
            .iter()
            .filter(|message| message.held.is_some())
            .count() as i64;
        (self.messages.len() as i64 - held, held)
    }

    fn listed(&self, worker: usize, seen_at: i64) -> bool {
        let Worker {
            born, died, draining, ..
        } = self.workers[worker];
        let gone = died.or(draining).is_some_and(|at| at + DEATH_MS <= seen_at);
        born + BIRTH_MS <= seen_at && !gone
    }

    /// One reading, which takes 300 ms: the broker at its beginning, the database at its end.
    pub(super) fn read(&mut self) {
        let began = self.now;
        self.step();
        let (ready, unacknowledged) = self.counts();
        let (seen_ready, seen_unacknowledged) = if self.plan.quorum {
            self.ticked
        } else {
            (ready, unacknowledged)
        };
        let figure = |value, source| {
            Some(Figure {
                value,
                source,
                read_at: at(began),
            })
        };
        let listed = (0..self.workers.len())
            .filter(|nr| self.listed(*nr, self.now))
            .count() as i64;
        let active = self
            .workers
            .iter()
            .filter(|w| w.died.is_none() && w.draining.is_none())
            .count() as i64;
        let tags: Vec<bool> = (0..self.workers.len())
            .map(|nr| self.listed(nr, self.now))
            .collect();
        let numbers = Numbers {
            presence: Presence::Here,
            ready: figure(ready, Source::Declare),
            unacknowledged: figure(seen_unacknowledged, Source::Totals),
            consumers: figure(active.max(listed), Source::Declare),
            snapshot: Some(Snapshot {
                ready: seen_ready,
                unacknowledged: seen_unacknowledged,
                lag_ms: lag_ms(Source::Totals, self.plan.quorum),
            }),
            prefetch: Some(
                tags.iter()
                    .zip(&self.workers)
                    .filter(|(listed, _)| **listed)
                    .map(|(_, worker)| worker.prefetch as i64)
                    .sum(),
            ),
        };
        self.head = self.next_head;
        let highest = self
            .messages
            .iter()
            .map(|message| self.known[message.task].priority)
            .max();
        let first = |message: &&Message| Some(self.known[message.task].priority) == highest;
        self.next_head = self
            .messages
            .iter()
            .filter(first)
            .map(|message| message.sent)
            .min();
        for (worker, taken) in std::mem::take(&mut self.taken) {
            if self.workers[worker].born + BIRTH_MS <= self.now {
                self.handed_out.note(taken);
            }
        }
        for _ in 0..5 {
            self.step();
        }
        let facts = self.facts(began, &numbers, &tags);
        let (listed, held) = self.consumers(began, &tags);
        self.crew.note(at(began), Some(&listed), held);
        self.window.push(Sample {
            at: at(began),
            numbers,
            facts,
            activity: self.activity,
            expected_wait_ms: None,
        });
    }

    /// The listed consumers, and what each has held since before the reading for attempts that run.
    fn consumers(&self, began: i64, tags: &[bool]) -> (ConsumerTags, HashMap<String, i64>) {
        let lag = lag_ms(Source::Totals, self.plan.quorum);
        let listed = || (0..self.workers.len()).filter(|nr| tags.get(*nr).copied().unwrap_or(false));
        let limits = listed().map(|nr| (name(nr), Some(self.workers[nr].prefetch as i64)));
        let held = listed().map(|nr| {
            let holds = |state: &&State| {
                matches!(**state, State::Running { worker, started, lease, gone, .. }
                    if worker == nr && lease > self.now && !gone && started <= began - lag)
            };
            (name(nr), self.tasks.iter().filter(holds).count() as i64)
        });
        (limits.collect(), held.collect())
    }

    fn facts(&self, began: i64, numbers: &Numbers, tags: &[bool]) -> QueueFacts {
        let settled_before = self.window.settled_before(at(began), numbers);
        let lag = lag_ms(Source::Totals, self.plan.quorum);
        let mut facts = QueueFacts::default();
        for state in &self.tasks {
            match *state {
                State::Sent(_) => {
                    facts.waiting += 1;
                    facts.in_flight += 1;
                }
                State::Queued { published } => {
                    facts.waiting += 1;
                    facts.queued += 1;
                    facts.settled += i64::from(settled_before.is_some_and(|before| at(published) <= before));
                }
                State::Running {
                    worker,
                    started,
                    lease,
                    gone,
                    ..
                } => {
                    facts.running += 1;
                    facts.holding += i64::from(!gone);
                    let live = lease > self.now;
                    facts.live += i64::from(live);
                    let listed = tags.get(worker).copied().unwrap_or(false);
                    facts.held += i64::from(live && !gone && listed && started <= began - lag);
                }
                State::Done => {}
            }
        }
        facts
    }
}
