//! The staged troubles: each happens for real, is left to be seen, and is put right again.

use std::time::Duration;

use super::{
    DemoError, MAIL, VIDEO,
    crew::{Crew, Post},
    workload::Workload,
};
use crate::{broker::Publisher, store::Store};

/// Time for a newcomer to look around before the first trouble.
const QUIET: Duration = Duration::from_secs(25);
/// Time between two troubles.
const BETWEEN: Duration = Duration::from_secs(30);
/// Longer than a lease and the broker's own patience with a silent connection.
const LONG: Duration = Duration::from_secs(75);

/// The demo's own idea of a long wait, so that a backlog shows within minutes.
const BACKLOG_TARGET: Duration = Duration::from_secs(120);

/// Stages one trouble after the other, again and again.
pub(super) async fn stage(
    crew: &mut Crew,
    workload: &Workload,
    publisher: &Publisher,
    store: &Store,
) -> Result<(), DemoError> {
    pause(QUIET).await;
    store.set_backlog_target(VIDEO, BACKLOG_TARGET).await?;
    loop {
        purge(crew, workload, publisher).await?;
        pause(BETWEEN).await;
        kill(crew, workload).await?;
        pause(BETWEEN).await;
        leave_without_consumers(crew).await?;
        pause(BETWEEN).await;
        freeze(crew).await?;
        pause(BETWEEN).await;
        pile_up(workload).await;
        pause(LONG).await;
    }
}

async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}

/// Letters wait, somebody purges their queue by hand, the worker comes back and finds nothing: the tasks are lost.
async fn purge(crew: &mut Crew, workload: &Workload, publisher: &Publisher) -> Result<(), DemoError> {
    tracing::info!("staged: the messages of {MAIL} are purged in RabbitMQ");
    crew.dismiss(Post::Mail).await;
    for round in 0..3 {
        workload.letter(round * 2).await;
    }
    match publisher.purge(MAIL).await {
        Ok(count) => tracing::info!(count, "messages purged"),
        Err(error) => tracing::warn!(%error, "the queue could not be purged"),
    }
    crew.start(Post::Mail)?;
    pause(LONG).await;
    Ok(())
}

/// A worker dies in the middle of its work; the tasks come back by themselves when their leases end.
async fn kill(crew: &mut Crew, workload: &Workload) -> Result<(), DemoError> {
    workload.video(0).await;
    pause(Duration::from_secs(5)).await;
    tracing::info!("staged: a worker is killed");
    crew.kill(Post::VideoOne).await;
    pause(LONG).await;
    crew.start(Post::VideoOne)?;
    Ok(())
}

/// Letters come in and nobody takes them.
async fn leave_without_consumers(crew: &mut Crew) -> Result<(), DemoError> {
    tracing::info!("staged: {MAIL} has no consumers");
    crew.dismiss(Post::Mail).await;
    pause(LONG + LONG).await;
    crew.start(Post::Mail)?;
    Ok(())
}

/// A worker stands still beyond its leases; its programs are ended in time and others go on.
async fn freeze(crew: &mut Crew) -> Result<(), DemoError> {
    tracing::info!("staged: a worker is frozen");
    crew.freeze(Post::VideoTwo);
    pause(LONG).await;
    crew.thaw(Post::VideoTwo);
    // It may have ended when it found its leases gone.
    crew.start(Post::VideoTwo)?;
    Ok(())
}

/// More videos than the workers can render soon.
async fn pile_up(workload: &Workload) {
    tracing::info!("staged: many videos are ordered at once");
    for round in 0..30 {
        workload.video(round).await;
    }
}
