//! Random histories of a queue, seen as the detector sees them: late, in pieces, and never at the right moment.
//!
//! Truth is known here, so what the rules say can be held against it: a healthy queue gives no finding, a shortage is
//! never larger than the truth, a task called lost is lost, and a purge is found in time.

use proptest::prelude::*;
use unstuck::domain::{
    evidence::{Figure, Source},
    finding::Verdict,
    ledger::{Named, Shortfall, shortfall},
    observation::{Activity, Numbers, Presence, QueueFacts, Sample, Snapshot, Window, lag_ms},
};

use super::support::{at, verdicts};

const STEP_MS: i64 = 50;
const EVERY_MS: i64 = 5_000;
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
enum State {
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

struct Message {
    task: usize,
    /// Who holds it, and since when; nobody: it is ready.
    held: Option<(usize, i64)>,
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
struct Plan {
    quorum: bool,
    workers: i64,
    /// One task is started every so many milliseconds, on average.
    pace_ms: i64,
    longest_ms: i64,
    /// Messages that a worker may buffer beyond what it runs.
    buffer: i64,
    churn: bool,
    /// Workers die, and messages are handed back.
    deaths: bool,
    purge_at: Option<i64>,
    /// After the purge nothing new is started.
    quiet_after_purge: bool,
}

struct World {
    plan: Plan,
    dice: Dice,
    now: i64,
    tasks: Vec<State>,
    messages: Vec<Message>,
    workers: Vec<Worker>,
    activity: Activity,
    /// What the totals list of a quorum queue says: the counts of its last tick.
    ticked: (i64, i64),
    window: Window,
    /// Acknowledgements on their way: the message's task and when it arrives.
    acks: Vec<(usize, i64)>,
}

impl World {
    fn new(plan: Plan, seed: u64) -> Self {
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
            self.messages.push(Message { task, held: None });
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
            let mut room = prefetch.saturating_sub(self.holding(worker));
            for message in &mut self.messages {
                if room == 0 {
                    break;
                }
                if message.held.is_none() {
                    message.held = Some((worker, self.now));
                    room -= 1;
                }
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
                    self.messages.push(Message { task: nr, held: None });
                }
            }
        }
        for at in 0..self.messages.len() {
            let Message {
                task,
                held: Some((worker, since)),
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
        let free = self.running(worker) < self.workers[worker].concurrency;
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
            State::Running { .. } | State::Queued { .. } | State::Sent(_) => free,
        };
        if take {
            self.activity.claimed += 1;
            let length = 10 + self.dice.below(self.plan.longest_ms);
            self.tasks[task] = State::Running {
                worker,
                started: self.now,
                ends: self.now + length,
                lease: self.now + LEASE_MS,
                gone: false,
            };
        }
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
        let mut back = Vec::new();
        self.messages.retain(|message| {
            let runs = matches!(tasks[message.task], State::Running { worker: by, .. } if by == worker);
            let mine = message.held.is_some_and(|(by, _)| by == worker);
            let goes = mine && (everything || !runs && tasks[message.task] != State::Done);
            if goes {
                back.push(message.task);
            }
            !goes
        });
        for task in back.into_iter().rev() {
            self.messages.insert(0, Message { task, held: None });
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
                self.messages[nr].held = None;
            }
        }
    }

    fn counts(&self) -> (i64, i64) {
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
    fn read(&mut self) {
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
            prefetch: None,
        };
        for _ in 0..5 {
            self.step();
        }
        let facts = self.facts(began, &numbers, &tags);
        self.window.push(Sample {
            at: at(began),
            numbers,
            facts,
            activity: self.activity,
            expected_wait_ms: None,
        });
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

    /// Queued tasks that no message is left of.
    fn lost(&self) -> usize {
        let has = |nr: usize| self.messages.iter().any(|message| message.task == nr);
        self.tasks
            .iter()
            .enumerate()
            .filter(|(nr, state)| matches!(state, State::Queued { .. }) && !has(*nr))
            .count()
    }

    /// Goes on to the next reading.
    fn advance(&mut self) {
        while self.now % EVERY_MS != 0 {
            self.step();
        }
        self.read();
    }
}

fn plans(deaths: bool) -> impl Strategy<Value = Plan> {
    (
        any::<bool>(),
        1..5i64,
        50..1_500i64,
        20..40_000i64,
        0..8i64,
        any::<bool>(),
    )
        .prop_map(
            move |(quorum, workers, pace_ms, longest_ms, buffer, churn)| Plan {
                quorum,
                workers,
                pace_ms,
                longest_ms,
                buffer,
                churn,
                deaths,
                purge_at: None,
                quiet_after_purge: false,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_healthy_queue_gives_no_finding(plan in plans(false), seed in any::<u64>()) {
        let mut world = World::new(plan, seed);
        for _ in 0..30 {
            world.advance();
            prop_assert_eq!(world.lost(), 0);
            prop_assert_eq!(verdicts(&world.window), Vec::<Verdict>::new(), "at {} ms", world.now);
        }
    }

    #[test]
    fn what_is_called_lost_is_lost(plan in plans(true), seed in any::<u64>(), purge_at in 200..1_000i64) {
        let plan = Plan { purge_at: Some(purge_at * STEP_MS), ..plan };
        let mut world = World::new(plan, seed);
        for _ in 0..24 {
            world.advance();
            let truth = world.lost() as i64;
            if let Shortfall::AtLeast { missing, of, named, .. } = shortfall(&world.window) {
                prop_assert!(missing <= truth, "{} called missing, {} are, at {} ms", missing, truth, world.now);
                if named != Named::Some {
                    prop_assert!(of <= truth, "all {} called lost, {} are, at {} ms", of, truth, world.now);
                }
            }
        }
    }

    #[test]
    fn a_purge_is_found_within_twenty_seconds(plan in plans(false), seed in any::<u64>(), purge_at in 200..1_000i64) {
        // Workers that buffer nothing, so that each waiting task had its message in the queue.
        let plan = Plan {
            purge_at: Some(purge_at * STEP_MS),
            quiet_after_purge: true,
            buffer: 0,
            churn: false,
            ..plan
        };
        let mut world = World::new(plan, seed);
        let mut found = false;
        let mut ended_before = 0;
        while world.now < purge_at * STEP_MS + 20_000 - EVERY_MS / 2 {
            if world.now <= purge_at * STEP_MS {
                ended_before = world.activity.ended;
            }
            world.advance();
            let now_found = verdicts(&world.window).contains(&Verdict::LedgerShort);
            prop_assert!(!now_found || world.lost() > 0);
            found |= now_found;
        }
        // The message of a task that ended while the totals were late may have been anybody's.
        let hidden = world.activity.ended - ended_before;
        prop_assert!(found || world.lost() as i64 <= hidden, "{} tasks lost", world.lost());
    }
}
