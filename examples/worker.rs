//! A worker in Rust, with the library.
//!
//! ```sh
//! UNSTUCK_DATABASE_URL=sqlite://unstuck.db UNSTUCK_AMQP_URL=amqp://127.0.0.1/%2f QUEUE=images cargo run --example worker
//! ```
//!
//! It talks to the database and the broker itself, and takes part in the same group commits as `unstuck worker`.

use std::{env, time::Duration};

use serde_json::{Value, json};
use unstuck::{
    broker::BrokerConfig,
    services::worker::{Job, JobError, Shutdown, Worker, WorkerConfig},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let variable = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let amqp_url = variable("UNSTUCK_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f");
    let config = WorkerConfig::new(
        variable("UNSTUCK_DATABASE_URL", "sqlite://unstuck.db"),
        BrokerConfig::parse(&amqp_url, None)?,
    );
    let worker = Worker::builder(config)
        .queue(variable("QUEUE", "images"))
        .handle_every_kind(work)
        .concurrency(4)
        .build()?;
    // SIGTERM: finish what runs, hand back what doesn't finish in time, end.
    worker.run(Shutdown::on_signals()?).await?;
    Ok(())
}

/// Each `.await` is a place where it can be stopped. `job.attempt` goes along to whatever it writes to, as a fence.
async fn work(job: Job) -> Result<Value, JobError> {
    let seconds = job.payload["seconds"].as_f64().unwrap_or(1.0);
    let part = Duration::try_from_secs_f64(seconds / 10.0).map_err(JobError::failed)?;
    for done in 0..10 {
        job.progress_with(f64::from(done) * 10.0, &format!("part {} of 10", done + 1));
        tokio::select! {
            () = tokio::time::sleep(part) => {}
            _ = job.cancelled() => return Err(JobError::stopped()),
        }
    }
    match job.payload["fail"].as_str() {
        Some(error) => Err(JobError::retryable(error)),
        None => Ok(json!({ "slept_s": seconds })),
    }
}
