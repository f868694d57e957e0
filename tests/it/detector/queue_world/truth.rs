//! What is true of the queue, whoever sees it.

use unstuck::domain::time::Time;

use super::{State, World};
use crate::detector::support::at;

impl World {
    /// Whether the task is queued, and no message is left of it.
    pub fn is_lost(&self, nr: usize) -> bool {
        let has = self.messages.iter().any(|message| message.task == nr);
        matches!(self.tasks[nr], State::Queued { .. }) && !has
    }

    /// How many such tasks there are.
    pub fn lost(&self) -> usize {
        (0..self.tasks.len()).filter(|nr| self.is_lost(*nr)).count()
    }

    /// The tasks that are queued and were confirmed before, with that time and their priority; the oldest first.
    pub fn waiting_before(&self, before: Time) -> Vec<(usize, i64, Time)> {
        let mut waiting: Vec<(usize, i64, Time)> = Vec::new();
        for (nr, state) in self.tasks.iter().enumerate() {
            if let State::Queued { published } = *state
                && at(published) <= before
            {
                waiting.push((nr, self.known[nr].priority, at(published)));
            }
        }
        waiting.sort_by_key(|(nr, _, published_at)| (*published_at, *nr));
        waiting
    }

    /// The highest priority of a task that did not end.
    pub fn highest_priority(&self) -> i64 {
        let open = self
            .tasks
            .iter()
            .zip(&self.known)
            .filter(|(state, _)| **state != State::Done);
        open.map(|(_, known)| known.priority).max().unwrap_or(0)
    }

    pub fn is_quorum(&self) -> bool {
        self.plan.quorum
    }

    /// More messages than tasks that did not end.
    pub fn surplus(&self) -> usize {
        let open = self.tasks.iter().filter(|state| **state != State::Done).count();
        self.messages.len().saturating_sub(open)
    }
}
