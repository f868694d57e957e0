//! Which steps can be taken from a state.

use unstuck::domain::task::State;

use super::{
    step::{Act, Cause, Does, Fate, Heard, Step},
    world::{End, NOW, Phase, TRUST, Worker, World},
};

impl World {
    /// Every step that can be taken. Faults and what persons do only as long as some are left.
    pub fn choices(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(32);
        for task in 0..self.tasks.len() {
            self.of_task(task, &mut steps);
        }
        self.of_messages(&mut steps);
        let mut seen: Vec<&Worker> = Vec::new();
        for (nr, worker) in self.workers.iter().enumerate() {
            if worker.is_free() {
                // One that waits is like the other.
                if seen.iter().any(|other| other.is_free()) {
                    continue;
                }
                for ready in 0..self.ready.len() {
                    if !self.ready[..ready].contains(&self.ready[ready]) {
                        steps.push(Step::Deliver { ready, worker: nr });
                    }
                }
            }
            seen.push(worker);
            let mut does = Vec::with_capacity(12);
            self.of_worker(worker, &mut does);
            steps.extend(does.into_iter().map(|does| Step::Work { worker: nr, does }));
        }
        if self.time_may_pass() {
            steps.push(Step::Tick);
        }
        steps.retain(|step| match step.cause() {
            Cause::Fault => self.faults > 0,
            Cause::Person => self.acts > 0,
            Cause::Course | Cause::Thaw | Cause::Replace | Cause::Program => true,
        });
        steps
    }

    fn of_task(&self, nr: usize, steps: &mut Vec<Step>) {
        let kept = &self.tasks[nr];
        let task = &kept.task;
        let acts: &[Act] = match task.state {
            State::New => {
                steps.extend([false, true].map(|later| Step::Start { task: nr, later }));
                &[Act::Cancel]
            }
            State::Queued => &[Act::Cancel, Act::Requeue, Act::PolicyRequeue],
            State::Running => {
                let over = !task.lease_alive(NOW);
                let ends = task.cancel_requested_at.is_some() || task.tries >= task.max_attempts;
                if over && (ends || self.carriers(nr) < self.bound.copies) {
                    steps.push(Step::Recover { task: nr });
                }
                &[Act::Cancel, Act::Requeue, Act::ForceRequeue, Act::PolicyRequeue]
            }
            State::Succeeded => &[Act::Rerun],
            State::Failed | State::Cancelled => &[Act::Retry],
        };
        steps.extend(acts.iter().map(|act| Step::Person { task: nr, act: *act }));
        match kept.row {
            Some(row) if row.taken => steps.push(Step::RowLeaseOver { task: nr }),
            Some(row) if row.due <= NOW => steps.push(Step::Take { task: nr }),
            Some(_) | None => {}
        }
        if self
            .in_broker()
            .any(|message| message.task == nr && message.dispatch == Some(task.dispatch))
        {
            steps.push(Step::Copy { task: nr });
        }
        if task.state != State::New {
            steps.push(Step::Foreign { task: nr });
        }
    }

    fn of_messages(&self, steps: &mut Vec<Step>) {
        for (flight, one) in self.flights.iter().enumerate() {
            if one.confirmed {
                steps.push(Step::Settle { flight });
            } else {
                steps.push(Step::Confirm { flight });
                let fates = [Fate::Arrived, Fate::Late, Fate::Lost];
                steps.extend(fates.map(|message| Step::Unconfirmed { flight, message }));
            }
        }
        for late in 0..self.late.len() {
            steps.extend([Step::Arrive { late }, Step::Vanish { late }]);
        }
        if !self.ready.is_empty() {
            steps.push(Step::Purge);
        }
    }

    fn of_worker(&self, worker: &Worker, does: &mut Vec<Does>) {
        if worker.frozen {
            does.extend([Does::Thaw, Does::Replace]);
            if worker.holds {
                does.push(Does::TakenForDead);
            }
            return;
        }
        if worker.phase == Phase::Idle {
            if worker.cut_off {
                does.push(Does::FindDatabase);
            }
            return;
        }
        does.extend([Does::Crash, Does::Freeze]);
        if worker.holds {
            does.push(Does::LoseLink);
        }
        does.push(if worker.cut_off {
            Does::FindDatabase
        } else {
            Does::LoseDatabase
        });
        match worker.phase {
            Phase::Idle => {}
            Phase::Holding { .. } => {
                if !worker.holds {
                    does.push(Does::LetBe);
                }
                does.push(Does::Drain);
                if !worker.cut_off {
                    does.extend([Heard::Yes, Heard::Unanswered, Heard::Unasked].map(Does::Claim));
                }
            }
            Phase::Confirming { .. } => {
                does.push(Does::Drain);
                if !worker.cut_off {
                    does.push(Does::Renew);
                }
            }
            Phase::Running { trust: 0, .. } => {
                // It was paused beyond its lease. It may have come to its end in that very moment.
                does.push(Does::Stop);
                if !worker.cut_off {
                    does.push(Does::End(End::Succeeded, Heard::Yes));
                }
            }
            Phase::Running { trust, .. } => {
                does.push(Does::LeaveBehind);
                if worker.cut_off {
                    does.extend([End::Succeeded, End::Failed].map(Does::EndUnheard));
                    return;
                }
                if trust < TRUST {
                    does.extend([Heard::Yes, Heard::Unanswered].map(Does::Beat));
                }
                let ends = [End::Succeeded, End::Failed, End::Hopeless];
                does.extend(ends.map(|end| Does::End(end, Heard::Yes)));
                let ends = [End::Succeeded, End::Failed];
                does.extend(ends.map(|end| Does::End(end, Heard::Unanswered)));
                does.push(Does::Drain);
            }
            Phase::Ending { .. } => {
                if !worker.cut_off {
                    does.extend([Heard::Yes, Heard::Unanswered].map(Does::Report));
                }
            }
            Phase::Done => does.push(Does::Acknowledge),
        }
    }

    /// A worker that can renews its lease before its trust is over, and one that overran it is killed at once.
    fn time_may_pass(&self) -> bool {
        self.workers.iter().all(|worker| match worker.phase {
            Phase::Running { trust, .. } => worker.frozen || trust > 1 || (trust == 1 && worker.cut_off),
            _ => true,
        })
    }
}
