//! What a scenario did by way of the site: each must be in its audit log.

use std::cell::Cell;

use crate::support::client::Reply;

/// What was done to tasks as an operator does it.
#[derive(Debug, Default)]
pub struct Acts {
    pub done: Cell<i64>,
    /// Nobody answered, or not yet: they may be done or not.
    pub unsure: Cell<i64>,
}

impl Acts {
    pub const WORDS: [&str; 4] = ["requeue", "retry", "rerun", "cancel"];

    pub fn note(&self, path: &str, reply: Option<&Reply>) {
        let (_, act) = path.rsplit_once('/').expect("a path");
        if !Self::WORDS.contains(&act) {
            return;
        }
        match reply.map(|reply| reply.status) {
            Some(200..300) => self.done.set(self.done.get() + 1),
            Some(400..500) => {}
            _ => self.unsure.set(self.unsure.get() + 1),
        }
    }
}
