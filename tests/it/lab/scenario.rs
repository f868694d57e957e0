//! What a scenario is: a fault, what is true once it happened, and what mends it.

use std::{future::Future, pin::Pin};

use unstuck::domain::finding::Verdict;

use super::stage::Stage;
use crate::support::plant::Engine;

/// Something done to an installation.
pub type Act = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One fault, from the first task to the last closed finding.
pub struct Scenario {
    /// The fault's number in the list of faults, where it has one.
    pub id: &'static str,
    /// What is done, in a few words.
    pub name: &'static str,
    pub ground: Ground,
    pub pace: Pace,
    pub only: Only,
    /// Puts up the queues, tasks and workers, and does the harm. Detection times count from its end, or from the last
    /// `stage.mark()` in it.
    pub inject: Act,
    /// What must be said. Whatever else is said counts as false, but for `may`.
    pub truths: &'static [Truth],
    /// What may be said, since it is true for a moment, or nobody can tell.
    pub may: &'static [May],
    /// For how long nothing else may be said, once everything was.
    pub quiet_s: u64,
    /// Mends it. Afterwards every task must end, and every finding close.
    pub remedy: Act,
}

/// Something that is true, and how soon it must be said.
pub struct Truth {
    pub verdict: Verdict,
    pub on: On,
    pub within_s: u64,
    /// The form of the verdict, where it matters which.
    pub form: Option<&'static str>,
    /// It is told on after the remedy, too: nothing undoes what happened.
    pub stays: bool,
}

impl Truth {
    pub const fn new(verdict: Verdict, on: On, within_s: u64) -> Self {
        Self {
            verdict,
            on,
            within_s,
            form: None,
            stays: false,
        }
    }

    /// Said in this form.
    pub const fn in_form(mut self, form: &'static str) -> Self {
        self.form = Some(form);
        self
    }

    pub const fn stays(mut self) -> Self {
        self.stays = true;
        self
    }
}

/// Something that is no error, said or not.
pub struct May {
    pub verdict: Verdict,
    pub on: On,
    /// Only once the harm is mended.
    pub afterwards: bool,
}

impl May {
    pub const fn new(verdict: Verdict, on: On) -> Self {
        Self {
            verdict,
            on,
            afterwards: false,
        }
    }

    pub const fn afterwards(mut self) -> Self {
        self.afterwards = true;
        self
    }
}

/// What a finding is about. Tasks and queues go by the labels that the scenario gave them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Each task of that label.
    Tasks(&'static str),
    Queue(&'static str),
    Broker,
}

/// Where it is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The shared broker.
    Shared,
    /// The same, with every AMQP connection of the installation through `stage.chaos`.
    Proxied,
    /// The same, with the management API behind `stage.veil`.
    Veiled,
    /// A broker of the lab's own, `stage.node`: one scenario at a time.
    Node,
    /// A PostgreSQL server of the scenario's own, `stage.cluster`.
    Cluster,
}

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A lease of 5 s, a look every 2 s: so that a fault takes a minute and not ten.
    Quick,
    /// The lease of the defaults, 30 s, and a look every 2 s.
    Patient,
    /// Nothing set.
    Defaults,
}

impl Pace {
    /// `UNSTUCK_LEASE_S` and `UNSTUCK_DETECT_EVERY_S`.
    pub fn settings(self) -> (u64, u64) {
        match self {
            Self::Quick => (5, 2),
            Self::Patient => (30, 2),
            Self::Defaults => (30, 5),
        }
    }
}

/// What it can be played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    Any,
    Postgres,
    Classic,
    Quorum,
}

/// A database and a queue type to play on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    pub engine: Engine,
    pub queue_type: &'static str,
}

impl Variant {
    pub fn name(self) -> String {
        let engine = match self.engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        };
        format!("{engine}/{}", self.queue_type)
    }
}

impl Scenario {
    /// The same variant, as far as the scenario can be played on it.
    pub fn on(&self, variant: Variant) -> Variant {
        match (self.only, self.ground) {
            (_, Ground::Cluster) | (Only::Postgres, _) => Variant {
                engine: Engine::Postgres,
                ..variant
            },
            (Only::Classic, _) => Variant {
                queue_type: "classic",
                ..variant
            },
            (Only::Quorum, _) => Variant {
                queue_type: "quorum",
                ..variant
            },
            (Only::Any, _) => variant,
        }
    }
}
