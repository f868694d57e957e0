//! Records and starts tasks: a start that was answered is in the database with its outbox row.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    backlog::{Backlog, OutboxFull},
    batch::{Batcher, SharedError},
    lifecycle::{Act, ActError, Acted, Lifecycle},
    queues::{Naming, QueueBook},
    relay::Relay,
};
use crate::{
    domain::task::{State, TaskView},
    store::{
        Store,
        tasks::{Created, Creation, CreationRefused},
    },
};

/// How many requests share one transaction at most.
const LARGEST_BATCH: usize = 256;
/// How long a start waits for its own confirm before it answers with what is known.
const CONFIRM_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Refused(#[from] CreationRefused),
    #[error("queue {0:?} is not known, and the list of queues is closed")]
    UnknownQueue(String),
    /// Nothing was recorded.
    #[error(transparent)]
    Full(#[from] OutboxFull),
    /// Nothing is known to have been recorded. With an idempotency key, asking again is safe.
    #[error(transparent)]
    Store(#[from] SharedError),
}

/// What was recorded.
#[derive(Clone, Debug)]
pub struct Submitted {
    pub tasks: Vec<TaskView>,
    /// The idempotency key had been used before: these are the tasks it made then.
    pub repeated: bool,
}

/// The producers' way in. Cheap to clone.
#[derive(Clone)]
pub struct Submit {
    store: Store,
    batcher: Batcher<Creation, Result<Created, CreationRefused>>,
    lifecycle: Lifecycle,
    queues: QueueBook,
    relay: Relay,
    backlog: Backlog,
}

/// What a start may be refused with.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing happened.
    #[error(transparent)]
    Full(#[from] OutboxFull),
    #[error(transparent)]
    Act(#[from] ActError),
}

impl Submit {
    /// Starts on the current runtime. `lifecycle` is the lane that starts go through.
    pub fn spawn(
        store: Store,
        lifecycle: Lifecycle,
        queues: QueueBook,
        relay: Relay,
        backlog: Backlog,
    ) -> Self {
        let keeper = store.clone();
        let batcher = Batcher::spawn(LARGEST_BATCH, move |creations: Arc<Vec<Creation>>| {
            let store = keeper.clone();
            async move { store.create(&creations).await }
        });
        Self {
            store,
            batcher,
            lifecycle,
            queues,
            relay,
            backlog,
        }
    }

    /// Records the tasks of `creation`, all or none, and starts those that ask for it.
    ///
    /// When one started task was asked for, waits briefly for the broker's confirm; `published_at` tells.
    pub async fn create(&self, creation: Creation) -> Result<Submitted, SubmitError> {
        for task in &creation.tasks {
            if self.queues.name(&task.queue).await.map_err(SharedError::from)? == Naming::Closed {
                return Err(SubmitError::UnknownQueue(task.queue.clone()));
            }
        }
        let starts = creation.tasks.iter().filter(|task| task.start).count();
        if starts > 0 {
            if let Err(full) = self.backlog.has_room() {
                // What was recorded already takes no more room.
                let before = self.store.created_before(&creation).await;
                return match before.map_err(SharedError::from)? {
                    Some(ids) => self.repeated(&ids?).await,
                    None => Err(full.into()),
                };
            }
            self.add_to_backlog(starts);
        }
        let confirm = match creation.tasks.as_slice() {
            [task] if task.start && self.relay.is_open() => Some(self.relay.watch(task.id, 1)),
            _ => None,
        };
        let (tasks, principal) = (creation.tasks.clone(), creation.principal.clone());
        let created = self.batcher.submit(creation).await??;
        if created.repeated {
            return self.repeated(&created.ids).await;
        }
        if starts > 0 {
            self.relay.nudge();
        }
        let mut views: Vec<TaskView> = tasks
            .into_iter()
            .map(|task| task.recorded(&principal, created.at))
            .collect();
        if let ([view], Some(confirm)) = (views.as_mut_slice(), confirm)
            && view.task.available_at <= created.at
        {
            view.task.published_at = confirm.within(CONFIRM_WAIT).await;
        }
        Ok(Submitted {
            tasks: views,
            repeated: false,
        })
    }

    /// What an earlier creation under the same key made.
    async fn repeated(&self, ids: &[Uuid]) -> Result<Submitted, SubmitError> {
        let tasks = self.store.tasks_by_id(ids).await.map_err(SharedError::from)?;
        Ok(Submitted {
            tasks,
            repeated: true,
        })
    }

    /// Starts a new task, and waits briefly for the broker's confirm. `act.event` is the start.
    pub async fn start(&self, act: Act) -> Result<Acted, StartError> {
        self.backlog.has_room()?;
        self.add_to_backlog(1);
        let confirm = self.relay.is_open().then(|| self.relay.watch(act.task_id, 1));
        let mut acted = self.act(act).await?;
        if let Some(confirm) = confirm
            && acted.task.state == State::Queued
            && acted.task.dispatch == 1
            && acted.task.available_at
                <= self
                    .store
                    .now()
                    .await
                    .map_err(|error| ActError::from(SharedError::from(error)))?
        {
            acted.task.published_at = confirm.within(CONFIRM_WAIT).await;
        }
        Ok(acted)
    }

    /// Notes messages that will be written and that nobody takes just now; what the broker takes is gone before it is counted.
    fn add_to_backlog(&self, messages: usize) {
        if !self.relay.is_open() {
            self.backlog.add(messages);
        }
    }

    /// Any other act of a person or program: retry, rerun, requeue, cancel. Its message goes out at once.
    pub async fn act(&self, act: Act) -> Result<Acted, ActError> {
        let acted = self.lifecycle.act(act).await?;
        if acted.task.state == State::Queued {
            self.relay.nudge();
        }
        Ok(acted)
    }

    /// Requeues, retries or cancels many tasks; one answer for each, in the order of `ids`.
    pub async fn act_on_all(&self, ids: &[Uuid], act: impl Fn(Uuid) -> Act) -> Vec<Result<Acted, ActError>> {
        let answers = self
            .lifecycle
            .act_all(ids.iter().map(|id| act(*id)).collect())
            .await;
        self.relay.nudge();
        answers
    }
}
