//! A queue with its workers and its broker, played in steps, and seen as the detector sees it: late, in pieces, and
//! never at the right moment.

mod readings;
mod truth;

use std::collections::HashMap;

use unstuck::domain::{
    evidence::{Figure, Source},
    observation::{Activity, ConsumerTags, Numbers, Presence, QueueFacts, Sample, Snapshot, Window, lag_ms},
    rules::{
        overtaken::{Crew, HandedOut, Oldest, Taken},
        task::Suspect,
    },
    time::Time,
};
use uuid::Uuid;

use super::support::{at, suspect};

pub const STEP_MS: i64 = 50;
pub const EVERY_MS: i64 = 5_000;
const LEASE_MS: i64 = 30_000;
/// How long the statistics need to list a new consumer, and to drop a dead one.
const BIRTH_MS: i64 = 5_000;
const DEATH_MS: i64 = 300;
/// How late a quorum queue's totals are at most, in this simulation.
const TICK_MS: i64 = 5_000;

/// A small generator: the same seed gives the same history.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as i64) % bound.max(1)
    }

    /// True once in `times` on average.
    fn once_in(&mut self, times: i64) -> bool {
        self.below(times) == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Started; the confirm is on its way until the time given.
    Sent(i64),
    Queued {
        published: i64,
    },
    Running {
        worker: usize,
        started: i64,
        ends: i64,
        lease: i64,
        gone: bool,
    },
    Done,
}

pub struct Message {
    task: usize,
    /// When its publisher sent it.
    sent: i64,
    /// Who holds it, and since when; nobody: it is ready.
    held: Option<(usize, i64)>,
}

fn name(worker: usize) -> String {
    format!("w{worker}")
}

struct Worker {
    born: i64,
    died: Option<i64>,
    /// Takes no more, and is not listed any more.
    draining: Option<i64>,
    prefetch: usize,
    concurrency: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub quorum: bool,
    pub workers: i64,
    /// One task is started every so many milliseconds, on average.
    pub pace_ms: i64,
    /// A task takes at least this, and up to `longest_ms` more.
    pub shortest_ms: i64,
    pub longest_ms: i64,
    /// Messages that a worker may buffer beyond what it runs.
    pub buffer: i64,
    pub churn: bool,
    /// Workers die, and messages are handed back.
    pub deaths: bool,
    pub purge_at: Option<i64>,
    /// After the purge nothing new is started.
    pub quiet_after_purge: bool,
    /// Tasks have so many priorities; the highest goes first.
    pub priorities: i64,
    /// One message in so many is published twice, as its confirm got lost; 0: none.
    pub twice_in: i64,
    /// What is handed back comes behind others, as on a quorum queue without a delivery limit.
    pub scatters: bool,
}

/// What does not change about a task.
struct Task {
    priority: i64,
    /// When it was started, and its message sent.
    started: i64,
}

pub struct World {
    plan: Plan,
    dice: Dice,
    pub now: i64,
    known: Vec<Task>,
    tasks: Vec<State>,
    messages: Vec<Message>,
    workers: Vec<Worker>,
    pub activity: Activity,
    /// What the totals list of a quorum queue says: the counts of its last tick.
    ticked: (i64, i64),
    pub window: Window,
    /// Acknowledgements on their way: the message's task and when it arrives.
    acks: Vec<(usize, i64)>,
    /// Tasks that were taken since the last reading, and by whom.
    taken: Vec<(usize, Taken)>,
    /// What the detector remembers of the messages that were handed out.
    pub handed_out: HandedOut,
    /// And of the consumers.
    pub crew: Crew,
    /// When the oldest message was sent, as of the reading before: the statistics are late.
    pub head: Option<i64>,
    next_head: Option<i64>,
}

impl World {
    pub fn new(plan: Plan, seed: u64) -> Self {
        let mut world = Self {
            plan,
            dice: Dice(seed),
            now: 0,
            tasks: Vec::new(),
            messages: Vec::new(),
            workers: Vec::new(),
            activity: Activity::default(),
            ticked: (0, 0),
            window: Window::default(),
            acks: Vec::new(),
            known: Vec::new(),
            taken: Vec::new(),
            handed_out: HandedOut::default(),
            crew: Crew::default(),
            head: None,
            next_head: None,
        };
        for _ in 0..plan.workers {
            world.hire();
        }
        world
    }

    fn hire(&mut self) {
        let concurrency = 1 + self.dice.below(3) as usize;
        self.workers.push(Worker {
            born: self.now,
            died: None,
            draining: None,
            prefetch: concurrency + self.dice.below(self.plan.buffer + 1) as usize,
            concurrency,
        });
    }

    fn step(&mut self) {
        self.now += STEP_MS;
        let purged = self.plan.purge_at.is_some_and(|at| self.now > at);
        if self.dice.once_in(self.plan.pace_ms / STEP_MS) && !(purged && self.plan.quiet_after_purge) {
            self.tasks.push(State::Sent(self.now + self.dice.below(300)));
            let task = self.tasks.len() - 1;
            let priority = self.dice.below(self.plan.priorities);
            self.known.push(Task {
                priority,
                started: self.now,
            });
            self.publish(task);
            if self.plan.twice_in > 0 && self.dice.once_in(self.plan.twice_in) {
                self.publish(task);
            }
        }
        if self.plan.purge_at.is_some_and(|at| self.now == at) {
            self.messages.retain(|message| message.held.is_some());
        }
        self.arrive();
        self.deliver();
        self.work();
        if self.plan.churn && self.dice.once_in(400) {
            self.drain_one();
        }
        if self.plan.deaths {
            self.go_wrong();
        }
        if self.now % TICK_MS == 2_350 {
            self.ticked = self.counts();
        }
    }

    fn publish(&mut self, task: usize) {
        self.messages.push(Message {
            task,
            sent: self.now,
            held: None,
        });
    }

    /// Confirms and acknowledgements reach their ends.
    fn arrive(&mut self) {
        let now = self.now;
        for state in &mut self.tasks {
            if let State::Sent(at) = *state
                && at <= now
            {
                *state = State::Queued { published: now };
            }
        }
        let (due, later): (Vec<_>, Vec<_>) = self.acks.drain(..).partition(|(_, at)| *at <= now);
        self.acks = later;
        for (task, _) in due {
            // One acknowledgement takes one copy away: the one that is held.
            let held = self
                .messages
                .iter()
                .position(|message| message.task == task && message.held.is_some());
            if let Some(held) = held {
                self.messages.remove(held);
            }
        }
    }

    fn holding(&self, worker: usize) -> usize {
        self.messages
            .iter()
            .filter(|message| message.held.is_some_and(|(by, _)| by == worker))
            .count()
    }

    fn deliver(&mut self) {
        for worker in 0..self.workers.len() {
            let Worker {
                died,
                draining,
                prefetch,
                ..
            } = self.workers[worker];
            if died.is_some() || draining.is_some() {
                continue;
            }
            let room = prefetch.saturating_sub(self.holding(worker));
            for _ in 0..room {
                let known = &self.known;
                let ready = self.messages.iter_mut().filter(|message| message.held.is_none());
                // The first of the highest priority.
                let next = ready.rev().max_by_key(|message| known[message.task].priority);
                let Some(message) = next else {
                    break;
                };
                message.held = Some((worker, self.now));
            }
        }
    }

    fn running(&self, of: usize) -> usize {
        let mine = |state: &&State| matches!(state, State::Running { worker, .. } if *worker == of);
        self.tasks.iter().filter(mine).count()
    }

    fn work(&mut self) {
        let now = self.now;
        for nr in 0..self.tasks.len() {
            if let State::Running {
                worker,
                started,
                ends,
                lease,
                gone,
            } = self.tasks[nr]
            {
                let alive = self.workers[worker].died.is_none();
                if alive && ends <= now {
                    self.tasks[nr] = State::Done;
                    self.activity.ended += 1;
                    self.acks.push((nr, now + self.dice.below(500)));
                } else if alive && lease - now < LEASE_MS * 2 / 3 {
                    self.tasks[nr] = State::Running {
                        worker,
                        started,
                        ends,
                        lease: now + LEASE_MS,
                        gone,
                    };
                } else if !alive && lease + 3_000 == now - now % STEP_MS {
                    // serve puts the same dispatch out again.
                    self.publish(nr);
                }
            }
        }
        for at in 0..self.messages.len() {
            let Message {
                task,
                held: Some((worker, since)),
                ..
            } = self.messages[at]
            else {
                continue;
            };
            if now - since < 100 || self.workers[worker].died.is_some() {
                continue;
            }
            self.claim(task, worker);
        }
    }

    fn claim(&mut self, task: usize, worker: usize) {
        let take = match self.tasks[task] {
            State::Running {
                worker: owner,
                lease,
                started,
                ends,
                ..
            } if lease > self.now => {
                if owner != worker {
                    self.tasks[task] = State::Running {
                        worker: owner,
                        started,
                        ends,
                        lease,
                        gone: true,
                    };
                    self.acks.push((task, self.now));
                }
                false
            }
            State::Done => {
                if !self.acks.iter().any(|(of, _)| *of == task) {
                    self.acks.push((task, self.now));
                }
                false
            }
            State::Running { .. } | State::Queued { .. } | State::Sent(_) => {
                self.running(worker) < self.workers[worker].concurrency
            }
        };
        if take {
            self.activity.claimed += 1;
            self.note(task, worker);
            let length = self.plan.shortest_ms + self.dice.below(self.plan.longest_ms);
            self.tasks[task] = State::Running {
                worker,
                started: self.now,
                ends: self.now + length,
                lease: self.now + LEASE_MS,
                gone: false,
            };
        }
    }

    fn note(&mut self, task: usize, worker: usize) {
        let Task { priority, started } = self.known[task];
        let taken = Taken {
            task_id: Uuid::from_u128(task as u128),
            queue: "q".into(),
            priority,
            due_at: at(started),
            started_at: at(self.now),
            worker: name(worker),
        };
        self.taken.push((worker, taken));
    }

    /// A worker drains: it hands back what it only buffered, ends what it runs, and another one comes.
    fn drain_one(&mut self) {
        let active = |worker: &Worker| worker.died.is_none() && worker.draining.is_none();
        let Some(leaver) = self.workers.iter().position(active) else {
            return;
        };
        self.hire();
        self.workers[leaver].draining = Some(self.now);
        self.hand_back(leaver, false);
    }

    fn hand_back(&mut self, worker: usize, everything: bool) {
        let tasks = &self.tasks;
        let mut back: Vec<(usize, i64)> = Vec::new();
        self.messages.retain(|message| {
            let runs = matches!(tasks[message.task], State::Running { worker: by, .. } if by == worker);
            let mine = message.held.is_some_and(|(by, _)| by == worker);
            let goes = mine && (everything || !runs && tasks[message.task] != State::Done);
            if goes {
                back.push((message.task, message.sent));
            }
            !goes
        });
        for (task, sent) in back.into_iter().rev() {
            let place = if self.plan.scatters {
                self.dice.below(self.messages.len() as i64 + 1) as usize
            } else {
                0
            };
            self.messages.insert(
                place,
                Message {
                    task,
                    sent,
                    held: None,
                },
            );
        }
    }

    /// A worker dies, or somebody hands a message back for no reason.
    fn go_wrong(&mut self) {
        if self.dice.once_in(600) {
            let alive: Vec<usize> = (0..self.workers.len())
                .filter(|nr| self.workers[*nr].died.is_none())
                .collect();
            if alive.len() > 1 {
                let victim = alive[self.dice.below(alive.len() as i64) as usize];
                self.workers[victim].died = Some(self.now);
                let dead_tasks: Vec<usize> = (0..self.tasks.len())
                    .filter(|nr| matches!(self.tasks[*nr], State::Running { worker, .. } if worker == victim))
                    .collect();
                self.acks.retain(|(task, _)| !dead_tasks.contains(task));
                self.hand_back(victim, true);
                self.hire();
            }
        }
        if self.dice.once_in(50) && !self.messages.is_empty() {
            let nr = self.dice.below(self.messages.len() as i64) as usize;
            if matches!(self.tasks[self.messages[nr].task], State::Queued { .. }) {
                let mut message = self.messages.remove(nr);
                message.held = None;
                let place = if self.plan.scatters {
                    self.messages.len()
                } else {
                    nr
                };
                self.messages.insert(place, message);
            }
        }
    }

    /// Goes on to the next reading.
    pub fn advance(&mut self) {
        while self.now % EVERY_MS != 0 {
            self.step();
        }
        self.read();
    }
}

/// The task, as the rules are given it.
pub fn named(nr: usize) -> Suspect {
    Suspect {
        task_id: Uuid::from_u128(nr as u128),
        ..suspect()
    }
}

/// The same, as the oldest of its priority.
pub fn oldest(nr: usize, priority: i64, published_at: Time) -> Oldest {
    Oldest {
        suspect: named(nr),
        priority,
        published_at,
    }
}
