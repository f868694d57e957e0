//! Everything that can differ between two moments of the protocol: what the database, the relay, the broker and the
//! workers hold.
//!
//! Time goes in ticks, and now is always the same instant: a tick moves every time that is kept into the past. Times that
//! no guard tells apart any more are made equal, so that the number of states is finite.

use std::{
    fmt,
    hash::{DefaultHasher, Hasher},
    time::Duration,
};

use unstuck::domain::{
    task::{AttemptOutcome, State, Task},
    time::Time,
    transition::TAKE_OVER_GRACE,
};
use uuid::Uuid;

use super::invariant::Broken;

pub const NOW: Time = Time::from_ms(1_767_225_600_000);
/// The take-over grace is one tick; a lease is three.
pub const TICK: Duration = TAKE_OVER_GRACE;
pub const LEASE: Duration = TICK.saturating_mul(3);
/// A worker trusts its lease for so many ticks after it claimed or renewed it.
pub const TRUST: u8 = 2;

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub tasks: usize,
    pub workers: usize,
    /// Things that go wrong, at most.
    pub faults: u8,
    /// What persons do, and workers told to end, at most.
    pub acts: u8,
    pub max_attempts: i64,
    /// `serve` puts no message out again while so many of the task wait.
    pub copies: usize,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tasks,
            workers,
            faults,
            acts,
            max_attempts,
            copies,
        } = self;
        write!(
            f,
            "tasks {tasks}, workers {workers}, faults {faults}, acts {acts}, attempts {max_attempts}, copies {copies}"
        )
    }
}

#[derive(Clone, Debug)]
pub struct World {
    pub bound: Bound,
    pub tasks: Vec<Kept>,
    /// Messages that wait in the broker. Any of them may be handed out next: no order is relied on.
    pub ready: Vec<Message>,
    /// Publishes that counted as failed, and may arrive yet.
    pub late: Vec<Message>,
    pub flights: Vec<Flight>,
    pub workers: Vec<Worker>,
    /// What may still happen.
    pub faults: u8,
    pub acts: u8,
    /// The first rule that was broken on the way here.
    pub broken: Option<Broken>,
    ids: u32,
}

/// What the database keeps of a task.
#[derive(Clone, Debug)]
pub struct Kept {
    pub task: Task,
    /// The end of each attempt; `None` while it runs.
    pub attempts: Vec<Option<AttemptOutcome>>,
    pub row: Option<Row>,
    /// How many attempts there were when a person last granted them anew.
    pub granted: usize,
    /// The dispatch whose message was purged by hand.
    pub purged: Option<i64>,
}

/// The task's outbox row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    pub id: u32,
    pub dispatch: i64,
    pub due: Time,
    /// A relay has it.
    pub taken: bool,
}

/// A row on its way through a relay.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    pub task: usize,
    pub row: u32,
    pub dispatch: i64,
    /// The broker confirmed it; the database does not know yet.
    pub confirmed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Message {
    pub task: usize,
    /// `None`: somebody else put it there, without the header.
    pub dispatch: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Worker {
    pub phase: Phase,
    pub message: Option<Message>,
    /// The broker still counts the message as its.
    pub holds: bool,
    pub frozen: bool,
    /// It can't reach the database.
    pub cut_off: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    Idle,
    /// It has a message and claims its task; `asked` once a claim went without an answer.
    Holding {
        claim: u32,
        asked: bool,
    },
    /// A claim of unknown age was answered: it is renewed before the work begins.
    Confirming {
        attempt: i64,
    },
    /// The handler runs, and may for `trust` more ticks.
    Running {
        attempt: i64,
        trust: u8,
    },
    /// The handler ended, the database does not know yet.
    Ending {
        attempt: i64,
        end: End,
    },
    /// The message is not needed any more.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Succeeded,
    Failed,
    /// Not to be tried again.
    Hopeless,
    Released,
}

impl Worker {
    pub const FRESH: Self = Self {
        phase: Phase::Idle,
        message: None,
        holds: false,
        frozen: false,
        cut_off: false,
    };

    pub fn is_free(&self) -> bool {
        self.phase == Phase::Idle && !self.frozen && !self.cut_off
    }

    /// The task whose handler it runs, and trusts to run.
    pub fn runs(&self) -> Option<usize> {
        let trusts = matches!(self.phase, Phase::Running { trust, .. } if trust > 0);
        self.message
            .filter(|_| trusts && !self.frozen)
            .map(|message| message.task)
    }
}

impl World {
    pub fn new(bound: Bound) -> Self {
        Self {
            bound,
            tasks: (0..bound.tasks).map(|_| Kept::new(bound.max_attempts)).collect(),
            ready: Vec::new(),
            late: Vec::new(),
            flights: Vec::new(),
            workers: vec![Worker::FRESH; bound.workers],
            faults: bound.faults,
            acts: bound.acts,
            broken: None,
            ids: 0,
        }
    }

    /// A number that was never given before.
    pub fn fresh_id(&mut self) -> u32 {
        self.ids += 1;
        self.ids
    }

    /// The message belongs to the newest dispatch, or to whichever is the newest.
    pub fn is_current(&self, message: Message) -> bool {
        message
            .dispatch
            .is_none_or(|dispatch| dispatch == self.tasks[message.task].task.dispatch)
    }

    /// The messages of the broker, waiting and handed out.
    pub fn in_broker(&self) -> impl Iterator<Item = Message> {
        let held = self.workers.iter().filter(|worker| worker.holds);
        let held = held.filter_map(|worker| worker.message);
        self.ready.iter().copied().chain(held)
    }

    /// Messages that would bring the task to a worker, those still on their way included.
    pub fn carriers(&self, nr: usize) -> usize {
        let flying = self.flights.iter().filter(|flight| !flight.confirmed);
        let flying = flying.map(|flight| Message {
            task: flight.task,
            dispatch: Some(flight.dispatch),
        });
        self.in_broker()
            .chain(self.late.iter().copied())
            .chain(flying)
            .filter(|message| message.task == nr && self.is_current(*message))
            .count()
    }

    /// Tells states apart, and states only: the same for two worlds that differ in the names of their workers, tasks
    /// and claims, or in the order of what has none. 64 bits of a hash: of ten million states two would be taken for
    /// one with a chance of 1 in 300,000.
    pub fn key(&self) -> u64 {
        let plain = self.encoded(&|nr| nr);
        let bytes = if self.tasks.len() == 2 {
            plain.min(self.encoded(&|nr| 1 - nr))
        } else {
            plain
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        hasher.finish()
    }

    fn encoded(&self, name: &dyn Fn(usize) -> usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend([self.faults, self.acts]);
        for nr in 0..self.tasks.len() {
            bytes.extend(self.tasks[name(nr)].encoded());
        }
        let workers = self.workers.iter().map(|worker| self.worker_code(worker, name));
        let messages = |messages: &[Message]| -> Vec<u32> {
            let codes = messages.iter().map(|message| self.message_code(*message, name));
            codes.collect()
        };
        let flights = self.flights.iter().map(|flight| self.flight_code(flight, name));
        for mut codes in [
            workers.collect(),
            messages(&self.ready),
            messages(&self.late),
            flights.collect::<Vec<u32>>(),
        ] {
            codes.sort_unstable();
            bytes.push(codes.len() as u8);
            bytes.extend(codes.iter().flat_map(|code| code.to_le_bytes()));
        }
        bytes
    }

    fn message_code(&self, message: Message, name: &dyn Fn(usize) -> usize) -> u32 {
        let task = &self.tasks[message.task].task;
        let ended = task.state.is_end();
        let age = match message.dispatch {
            None => 2,
            Some(dispatch) => u32::from(ended || dispatch != task.dispatch),
        };
        name(message.task) as u32 * 3 + age
    }

    fn flight_code(&self, flight: &Flight, name: &dyn Fn(usize) -> usize) -> u32 {
        let kept = &self.tasks[flight.task];
        let message = Message {
            task: flight.task,
            dispatch: Some(flight.dispatch),
        };
        let alive = kept.row.is_some_and(|row| row.id == flight.row);
        self.message_code(message, name) * 4 + u32::from(alive) * 2 + u32::from(flight.confirmed)
    }

    fn worker_code(&self, worker: &Worker, name: &dyn Fn(usize) -> usize) -> u32 {
        let message = worker
            .message
            .map_or(0, |message| 1 + self.message_code(message, name));
        let kept = worker.message.map(|message| &self.tasks[message.task]);
        let owns = |attempt: i64| {
            u32::from(
                kept.is_some_and(|kept| kept.task.state == State::Running && kept.task.attempt == attempt),
            )
        };
        let (phase, detail) = match worker.phase {
            Phase::Idle => (0, 0),
            Phase::Holding { asked: false, .. } => (1, 0),
            Phase::Holding { claim, asked: true } => {
                let name = claim.to_string();
                let mine = kept.is_some_and(|kept| kept.task.claim_id.as_deref() == Some(name.as_str()));
                (2, u32::from(mine))
            }
            Phase::Confirming { attempt } => (3, owns(attempt)),
            Phase::Running { attempt, trust } => (4, owns(attempt) * 4 + u32::from(trust)),
            Phase::Ending { attempt, end } => (5, owns(attempt) * 4 + end as u32),
            Phase::Done => (6, 0),
        };
        let flags = u32::from(worker.holds) + 2 * u32::from(worker.frozen) + 4 * u32::from(worker.cut_off);
        ((message * 8 + phase) * 8 + detail) * 8 + flags
    }
}

impl Kept {
    fn new(max_attempts: i64) -> Self {
        let task = Task {
            id: Uuid::nil(),
            kind: String::new(),
            queue: String::new(),
            state: State::New,
            priority: 0,
            max_attempts,
            version: 0,
            dispatch: 0,
            attempt: 0,
            tries: 0,
            worker: None,
            claim_id: None,
            message_gone: false,
            progress: None,
            progress_message: None,
            error: None,
            created_at: NOW,
            available_at: NOW,
            published_at: None,
            started_at: None,
            beat_at: None,
            lease_expires_at: None,
            resent_at: None,
            cancel_requested_at: None,
            finished_at: None,
        };
        Self {
            task,
            attempts: Vec::new(),
            row: None,
            granted: 0,
            purged: None,
        }
    }

    /// Makes equal what no guard tells apart, with the times as they are after `passed`.
    pub fn settle(&mut self, passed: Duration) {
        let tick = TICK.as_millis() as i64;
        // Waits end with a tick.
        let on_tick =
            |time: Time| Time::from_ms(NOW.ms() + (time.ms() - NOW.ms() + tick - 1).div_euclid(tick) * tick);
        let task = &mut self.task;
        task.available_at = on_tick(task.available_at - passed).max(NOW);
        task.lease_expires_at = task
            .lease_expires_at
            .map(|until| (until - passed).max(NOW - TAKE_OVER_GRACE));
        task.resent_at = task
            .resent_at
            .map(|at| at - passed)
            .filter(|at| NOW < *at + LEASE);
        if let Some(row) = &mut self.row {
            row.due = on_tick(row.due - passed).max(NOW);
        }
    }

    fn encoded(&self) -> [u8; 8] {
        let task = &self.task;
        let ticks = |time: Time| ((time.ms() - NOW.ms()) / TICK.as_millis() as i64 + 8) as u8;
        let running = task.state == State::Running;
        let open = !task.state.is_end();
        let live = |code: u8| if open { code } else { 0 };
        [
            task.state as u8,
            live(task.tries as u8),
            if task.state == State::Queued {
                ticks(task.available_at)
            } else {
                0
            },
            task.lease_expires_at.filter(|_| running).map_or(0, ticks),
            task.resent_at.filter(|_| running).map_or(0, ticks),
            live(u8::from(task.published_at.is_some()) * 2 + u8::from(task.cancel_requested_at.is_some())),
            self.row.map_or(0, |row| ticks(row.due) * 2 + u8::from(row.taken)),
            live(u8::from(self.purged == Some(task.dispatch))),
        ]
    }
}
