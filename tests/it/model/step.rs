//! The steps of the protocol, and who brings each about.

use super::world::End;

/// One step. The numbers are places in the lists of the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Start {
        task: usize,
        later: bool,
    },
    Person {
        task: usize,
        act: Act,
    },
    Recover {
        task: usize,
    },
    /// A relay takes the row.
    Take {
        task: usize,
    },
    /// The broker has the message, and the relay its confirm.
    Confirm {
        flight: usize,
    },
    /// The relay writes that it was confirmed.
    Settle {
        flight: usize,
    },
    /// It counts as failed, and …
    Unconfirmed {
        flight: usize,
        message: Fate,
    },
    /// The relay was so slow that another one may take the row.
    RowLeaseOver {
        task: usize,
    },
    /// A publish that counted as failed arrives after all.
    Arrive {
        late: usize,
    },
    Vanish {
        late: usize,
    },
    Deliver {
        ready: usize,
        worker: usize,
    },
    Purge,
    /// One more copy of the newest message.
    Copy {
        task: usize,
    },
    /// A message without a dispatch, from somebody else.
    Foreign {
        task: usize,
    },
    Work {
        worker: usize,
        does: Does,
    },
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    Cancel,
    Retry,
    Rerun,
    Requeue,
    ForceRequeue,
    PolicyRequeue,
}

/// What became of a message whose publish counts as failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Arrived,
    Late,
    Lost,
}

/// Whether the database did what was asked, and the worker heard of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heard {
    Yes,
    /// It was done, and the answer got lost.
    Unanswered,
    /// It was never asked.
    Unasked,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Does {
    Claim(Heard),
    /// The broker took the message back: the worker lets it be.
    LetBe,
    /// It renews a claim of unknown age before it begins.
    Renew,
    Beat(Heard),
    /// The handler ends and its worker reports so.
    End(End, Heard),
    /// The handler ends, and the database is out of reach.
    EndUnheard(End),
    /// The report once more.
    Report(Heard),
    /// A program that overran its lease is killed.
    Stop,
    /// The handler can't be stopped: nothing is reported.
    LeaveBehind,
    Acknowledge,
    /// It is told to end.
    Drain,
    Crash,
    Freeze,
    Thaw,
    /// Somebody kills a frozen worker and starts another.
    Replace,
    /// Its connection to the broker is cut.
    LoseLink,
    /// The broker takes a frozen worker for dead.
    TakenForDead,
    LoseDatabase,
    FindDatabase,
}

/// Who brings a step about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody: it happens by itself, sooner or later.
    Course,
    Thaw,
    Replace,
    Program,
    Person,
    Fault,
}

impl Step {
    pub fn cause(self) -> Cause {
        match self {
            Self::Start { .. } => Cause::Program,
            Self::Person { .. } => Cause::Person,
            Self::Unconfirmed { .. }
            | Self::RowLeaseOver { .. }
            | Self::Purge
            | Self::Copy { .. }
            | Self::Foreign { .. } => Cause::Fault,
            Self::Work { does, .. } => match does {
                Does::Claim(heard) | Does::Beat(heard) | Does::End(_, heard) | Does::Report(heard) => {
                    match heard {
                        Heard::Yes => Cause::Course,
                        Heard::Unanswered | Heard::Unasked => Cause::Fault,
                    }
                }
                Does::Drain => Cause::Person,
                Does::LeaveBehind | Does::Crash | Does::Freeze | Does::LoseLink | Does::LoseDatabase => {
                    Cause::Fault
                }
                Does::Thaw => Cause::Thaw,
                Does::Replace => Cause::Replace,
                Does::LetBe
                | Does::EndUnheard(_)
                | Does::TakenForDead
                | Does::Renew
                | Does::Stop
                | Does::Acknowledge
                | Does::FindDatabase => Cause::Course,
            },
            Self::Recover { .. }
            | Self::Take { .. }
            | Self::Confirm { .. }
            | Self::Settle { .. }
            | Self::Arrive { .. }
            | Self::Vanish { .. }
            | Self::Deliver { .. }
            | Self::Tick => Cause::Course,
        }
    }
}
