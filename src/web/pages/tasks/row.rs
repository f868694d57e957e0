//! A task as a list shows it.

use uuid::Uuid;

use crate::domain::{
    finding::{Confidence, Verdict},
    task::{State, Task, TaskHead},
    time::Time,
};

/// The instant that matters in a task's state, and its word in the family `task-since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) word: &'static str,
    pub(crate) at: Time,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) short: String,
    /// Its title; the kind of one that has none.
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) queue: String,
    pub(crate) owner: Option<String>,
    pub(crate) state: State,
    pub(crate) dispatch: i64,
    /// 0 to 100, while it runs.
    pub(crate) progress: Option<f64>,
    pub(crate) tries: i64,
    pub(crate) max_attempts: i64,
    pub(crate) since: Option<Since>,
    pub(crate) created_at: Time,
    /// Its open stalls.
    pub(crate) stalls: Vec<(Verdict, Confidence)>,
}

impl Row {
    pub(crate) fn of(head: TaskHead, now: Time) -> Self {
        let name = name(head.title.as_deref(), &head.task.kind);
        let TaskHead { task, owner, .. } = head;
        Self {
            id: task.id,
            short: short(task.id),
            name,
            since: since(&task, now),
            progress: task.progress.filter(|_| task.state == State::Running),
            state: task.state,
            dispatch: task.dispatch,
            tries: task.tries,
            max_attempts: task.max_attempts,
            created_at: task.created_at,
            stalls: Vec::new(),
            kind: task.kind,
            queue: task.queue,
            owner,
        }
    }
}

/// What a task is called on a page: its title, or else its kind.
pub(crate) fn name(title: Option<&str>, kind: &str) -> String {
    let title = title.map(str::trim).filter(|title| !title.is_empty());
    title.unwrap_or(kind).to_owned()
}

/// The start of an id that tells tasks of different milliseconds apart, and that the search finds.
pub(crate) fn short(id: Uuid) -> String {
    id.to_string().chars().take(13).collect()
}

fn since(task: &Task, now: Time) -> Option<Since> {
    let (word, at) = match task.state {
        State::New => return None,
        State::Queued if task.available_at > now => ("due", Some(task.available_at)),
        State::Queued => ("waiting", Some(task.available_at)),
        State::Running => ("running", task.started_at),
        State::Succeeded | State::Failed | State::Cancelled => ("ended", task.finished_at),
    };
    at.map(|at| Since { word, at })
}
