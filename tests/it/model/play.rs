//! What each step does.

use unstuck::domain::transition::{Answer, Claim, Event, LeasePolicy, Refusal, RequeueBy};

use super::{
    invariant::{self, Broken},
    sabotage::{Sabotage, trust},
    step::{Act, Cause, Does, Fate, Heard, Step},
    world::{End, Flight, Message, NOW, Phase, TICK, Worker, World},
};

impl World {
    /// The world after the step; `broken` says the first rule that does not hold any more.
    pub fn after(&self, step: Step, sabotage: Option<Sabotage>) -> Self {
        let mut world = self.clone();
        match step.cause() {
            Cause::Fault => world.faults -= 1,
            Cause::Person => world.acts -= 1,
            Cause::Course | Cause::Thaw | Cause::Replace | Cause::Program => {}
        }
        world.play(step, sabotage);
        if world.broken.is_none()
            && let Some(invariant) = invariant::of_state(&world)
        {
            let by = format!("{step:?}");
            world.broken = Some(Broken { invariant, by });
        }
        world
    }

    fn play(&mut self, step: Step, sabotage: Option<Sabotage>) {
        match step {
            Step::Start { task, later } => {
                let available_at = Some(if later { NOW + TICK } else { NOW });
                let started = self.act(task, Event::Start { available_at }, sabotage);
                started.expect("a new task can be started");
            }
            Step::Person { task, act } => {
                self.act(task, asked(act), sabotage).ok();
            }
            Step::Recover { task } => {
                self.act(task, Event::Recover, sabotage).ok();
            }
            Step::Take { task } => self.take_row(task, sabotage),
            Step::Confirm { flight } => {
                let Flight { task, dispatch, .. } = self.flights[flight];
                self.flights[flight].confirmed = true;
                let dispatch = Some(dispatch);
                self.ready.push(Message { task, dispatch });
            }
            Step::Settle { flight } => {
                let flight = self.flights.swap_remove(flight);
                self.mark_published(flight);
            }
            Step::Unconfirmed { flight, message } => self.put_back(flight, message),
            Step::RowLeaseOver { task } => {
                if let Some(row) = &mut self.tasks[task].row {
                    row.taken = false;
                }
            }
            Step::Arrive { late } => {
                let message = self.late.swap_remove(late);
                self.ready.push(message);
            }
            Step::Vanish { late } => {
                self.late.swap_remove(late);
            }
            Step::Deliver { ready, worker } => {
                let message = self.ready.swap_remove(ready);
                let claim = self.fresh_id();
                self.workers[worker] = Worker {
                    phase: Phase::Holding { claim, asked: false },
                    message: Some(message),
                    holds: sabotage != Some(Sabotage::AcknowledgedBeforeClaim),
                    ..self.workers[worker]
                };
            }
            Step::Purge => {
                for message in std::mem::take(&mut self.ready) {
                    let kept = &mut self.tasks[message.task];
                    if message.dispatch == Some(kept.task.dispatch) {
                        kept.purged = message.dispatch;
                    }
                }
            }
            Step::Copy { task } => {
                let dispatch = Some(self.tasks[task].task.dispatch);
                self.ready.push(Message { task, dispatch });
            }
            Step::Foreign { task } => self.ready.push(Message { task, dispatch: None }),
            Step::Work { worker, does } => self.work(worker, does, sabotage),
            Step::Tick => self.tick(),
        }
    }

    fn take_row(&mut self, task: usize, sabotage: Option<Sabotage>) {
        let row = self.tasks[task].row.as_mut().expect("the row is due");
        row.taken = true;
        let flight = Flight {
            task,
            row: row.id,
            dispatch: row.dispatch,
            confirmed: false,
        };
        if sabotage == Some(Sabotage::SettledBeforeConfirm) {
            self.mark_published(flight);
        }
        self.flights.push(flight);
    }

    fn put_back(&mut self, flight: usize, fate: Fate) {
        let flight = self.flights.swap_remove(flight);
        let message = Message {
            task: flight.task,
            dispatch: Some(flight.dispatch),
        };
        match fate {
            Fate::Arrived => self.ready.push(message),
            Fate::Late => self.late.push(message),
            Fate::Lost => {}
        }
        if let Some(row) = &mut self.tasks[flight.task].row
            && row.id == flight.row
        {
            row.taken = false;
        }
    }

    fn tick(&mut self) {
        for kept in &mut self.tasks {
            kept.settle(TICK);
        }
        for worker in &mut self.workers {
            if let Phase::Running { attempt, trust } = worker.phase {
                let trust = trust.saturating_sub(1);
                worker.phase = if trust == 0 && !worker.frozen {
                    let end = End::Released;
                    Phase::Ending { attempt, end }
                } else {
                    Phase::Running { attempt, trust }
                };
            }
        }
    }

    fn work(&mut self, nr: usize, does: Does, sabotage: Option<Sabotage>) {
        let worker = self.workers[nr];
        let task = worker.message.map_or(0, |message| message.task);
        let phase = match (does, worker.phase) {
            (Does::Claim(heard), Phase::Holding { claim, asked }) => {
                self.claim(nr, task, (claim, asked), heard, sabotage)
            }
            (Does::Renew, Phase::Confirming { attempt }) => match self.act(task, beat(attempt), sabotage) {
                Ok(_) => running(attempt, sabotage),
                Err(_) => Phase::Done,
            },
            (Does::Beat(heard), Phase::Running { attempt, .. }) => {
                let answer = self.act(task, beat(attempt), sabotage);
                match (heard, answer) {
                    (Heard::Unanswered | Heard::Unasked, _) => worker.phase,
                    (Heard::Yes, Ok(_)) => running(attempt, sabotage),
                    (Heard::Yes, Err(_)) => Phase::Done,
                }
            }
            (Does::End(end, heard), Phase::Running { attempt, .. })
            | (Does::Report(heard), Phase::Ending { attempt, end }) => {
                self.act(task, report(attempt, end), sabotage).ok();
                match heard {
                    Heard::Yes => Phase::Done,
                    Heard::Unanswered | Heard::Unasked => Phase::Ending { attempt, end },
                }
            }
            (Does::EndUnheard(end), Phase::Running { attempt, .. }) => Phase::Ending { attempt, end },
            (Does::Stop | Does::Drain, Phase::Running { attempt, .. }) => Phase::Ending {
                attempt,
                end: End::Released,
            },
            (Does::LeaveBehind, _) => Phase::Done,
            (
                Does::LoseLink
                | Does::TakenForDead
                | Does::Freeze
                | Does::Thaw
                | Does::LoseDatabase
                | Does::FindDatabase,
                phase,
            ) => phase,
            _ => Phase::Idle,
        };
        let worker = &mut self.workers[nr];
        worker.phase = phase;
        match does {
            Does::Freeze => worker.frozen = true,
            Does::Thaw => worker.frozen = false,
            Does::LoseDatabase => worker.cut_off = true,
            Does::FindDatabase => worker.cut_off = false,
            Does::Crash | Does::Replace => {
                self.give_back(nr);
                self.workers[nr] = Worker::FRESH;
            }
            Does::LoseLink | Does::TakenForDead => self.give_back(nr),
            Does::Acknowledge => self.workers[nr].holds = false,
            _ => {}
        }
        if phase == Phase::Idle {
            self.give_back(nr);
            self.workers[nr].message = None;
        }
    }

    /// The broker hands what the worker holds to somebody else.
    fn give_back(&mut self, nr: usize) {
        let worker = &mut self.workers[nr];
        if std::mem::take(&mut worker.holds) {
            self.ready.extend(worker.message);
        }
    }

    fn claim(
        &mut self,
        nr: usize,
        task: usize,
        (claim, asked): (u32, bool),
        heard: Heard,
        sabotage: Option<Sabotage>,
    ) -> Phase {
        if heard == Heard::Unasked {
            return Phase::Holding { claim, asked: true };
        }
        let event = Event::Claim(Claim {
            claim_id: claim.to_string(),
            dispatch: self.workers[nr].message.and_then(|message| message.dispatch),
            worker: String::new(),
        });
        let answer = self.act(task, event, sabotage);
        match (heard, answer) {
            (Heard::Unasked | Heard::Unanswered, _) => Phase::Holding { claim, asked: true },
            (Heard::Yes, Ok(Answer::Claimed { attempt, .. })) => {
                if asked && sabotage != Some(Sabotage::OldClaimUnconfirmed) {
                    Phase::Confirming { attempt }
                } else {
                    running(attempt, sabotage)
                }
            }
            (Heard::Yes, Ok(_) | Err(Refusal { .. })) => Phase::Done,
        }
    }
}

fn running(attempt: i64, sabotage: Option<Sabotage>) -> Phase {
    let trust = trust(sabotage);
    Phase::Running { attempt, trust }
}

fn beat(attempt: i64) -> Event {
    Event::Heartbeat {
        attempt,
        progress: None,
        message: None,
    }
}

fn report(attempt: i64, end: End) -> Event {
    let fail = |retryable| Event::Fail {
        attempt,
        error: String::new(),
        retryable,
        log: None,
    };
    match end {
        End::Succeeded => Event::Succeed {
            attempt,
            result: serde_json::Value::Null,
            log: None,
        },
        End::Failed => fail(true),
        End::Hopeless => fail(false),
        End::Released => Event::Release { attempt },
    }
}

fn asked(act: Act) -> Event {
    let requeue = |by, lease| Event::Requeue {
        by,
        lease,
        payload: None,
    };
    match act {
        Act::Cancel => Event::Cancel,
        Act::Retry => Event::Retry { payload: None },
        Act::Rerun => Event::Rerun { payload: None },
        Act::Requeue => requeue(RequeueBy::Person, LeasePolicy::Respect),
        Act::ForceRequeue => requeue(RequeueBy::Person, LeasePolicy::Override),
        Act::PolicyRequeue => requeue(RequeueBy::Policy, LeasePolicy::Respect),
    }
}
