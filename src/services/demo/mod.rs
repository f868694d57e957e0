//! A lively sample workload with troubles that recur, so that a newcomer sees stalls appear, explains them from the
//! page, requeues them and sees them finish.
//!
//! Everything is real: worker processes that run programs, kills and freezes, a purge in RabbitMQ. It only ever touches
//! queues named `demo.*`, and refuses a database that it did not make.

mod crew;
mod troubles;
mod workload;

use tokio_util::sync::CancellationToken;

pub use crew::CrewConfig;
use crew::{Crew, Post};
use workload::Workload;

use super::submit::Submit;
use crate::{
    broker::Publisher,
    store::{Store, StoreError},
};

const MARK: &str = "demo";

/// Short work, several a minute.
const REPORTS: &str = "demo.reports";
/// Short work that fails now and then, and whose workers go away now and then.
const MAIL: &str = "demo.mail";
/// Long work.
const VIDEO: &str = "demo.video";

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("this database has tasks that the demo did not make; give the demo a database of its own")]
    ForeignDatabase,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a worker could not be started: {0}")]
    Worker(#[from] std::io::Error),
}

/// Makes sure that the database is the demo's own: marked by an earlier demo, or without any task.
pub async fn claim_database(store: &Store) -> Result<(), DemoError> {
    if store.mark(MARK).await? {
        return Ok(());
    }
    let tasks = store.list_tasks(&Default::default(), None, 1).await?;
    if !tasks.items.is_empty() {
        return Err(DemoError::ForeignDatabase);
    }
    store.set_mark(MARK).await?;
    Ok(())
}

/// Runs the workload and stages the troubles until `stop`; then its workers are ended.
///
/// Errors: a worker process can't be started. What the database or broker refuse is logged and tried again.
pub async fn run(
    store: Store,
    submit: Submit,
    publisher: Publisher,
    config: CrewConfig,
    stop: CancellationToken,
) -> Result<(), DemoError> {
    let mut crew = Crew::new(config);
    for post in Post::ALL {
        crew.start(*post)?;
    }
    let workload = Workload::new(submit);
    let troubles = troubles::stage(&mut crew, &workload, &publisher, &store);
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = workload.trickle() => Ok(()),
        ended = troubles => ended,
    };
    crew.end().await;
    outcome
}
