//! The database: every change of a task goes through the product's own `decide`, and is held against the rules.

use std::time::Duration;

use unstuck::domain::{
    task::{State, Task},
    transition::{Answer, Effect, Event, Refusal, RequeueBy, Rules},
};

use super::{
    invariant::{self, Broken},
    sabotage::{Sabotage, decided},
    world::{Flight, LEASE, NOW, Row, World},
};

impl World {
    /// Applies the event to the task in one transaction.
    pub fn act(&mut self, nr: usize, event: Event, sabotage: Option<Sabotage>) -> Result<Answer, Refusal> {
        let kept = &self.tasks[nr];
        let rules = Rules {
            now: NOW,
            lease: LEASE,
            jitter: 0.0,
        };
        let reported = match &event {
            Event::Succeed { attempt, .. } | Event::Fail { attempt, .. } | Event::Release { attempt } => {
                let index = usize::try_from(attempt - 1).expect("attempts begin with 1");
                kept.attempts[index]
            }
            _ => None,
        };
        let decision = decided(sabotage, &kept.task, &event, reported, &rules);
        if let Some(invariant) = invariant::of_change(kept, &event, &decision) {
            self.broken.get_or_insert_with(|| Broken {
                invariant,
                by: format!("{event:?} of {:?}", kept.task),
            });
        }
        self.write(nr, decision.task, &decision.effects);
        let kept = &mut self.tasks[nr];
        let by_person = match event {
            Event::Retry { .. } | Event::Rerun { .. } => true,
            Event::Requeue { by, .. } => by == RequeueBy::Person,
            _ => false,
        };
        if by_person && decision.answer.is_ok() {
            kept.granted = kept.attempts.len();
        }
        kept.settle(Duration::ZERO);
        decision.answer
    }

    fn write(&mut self, nr: usize, task: Task, effects: &[Effect]) {
        let id = self.fresh_id();
        let kept = &mut self.tasks[nr];
        kept.task = task;
        for effect in effects {
            match effect {
                Effect::OpenAttempt { .. } => kept.attempts.push(None),
                Effect::EndAttempt { outcome, .. } => {
                    if let Some(end) = kept.attempts.last_mut() {
                        *end = Some(*outcome);
                    }
                }
                Effect::Unpublish => kept.row = None,
                // A row of the same dispatch that is there already was not sent yet.
                Effect::Publish { due_at } => {
                    kept.row.get_or_insert(Row {
                        id,
                        dispatch: kept.task.dispatch,
                        due: *due_at,
                        taken: false,
                    });
                }
                Effect::KeepLate { .. }
                | Effect::SetResult(_)
                | Effect::SetPayload(_)
                | Effect::Record { .. } => {}
            }
        }
    }

    /// What a relay's last transaction does: the task of a newer dispatch is not touched, and a row that went meanwhile
    /// is no error.
    pub fn mark_published(&mut self, flight: Flight) {
        let kept = &mut self.tasks[flight.task];
        let waits = matches!(kept.task.state, State::Queued | State::Running);
        if waits && kept.task.dispatch == flight.dispatch {
            kept.task.published_at = Some(NOW);
        }
        kept.row = kept.row.filter(|row| row.id != flight.row);
    }
}
