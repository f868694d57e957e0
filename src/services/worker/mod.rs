//! Works: takes tasks from queues, runs their handlers under a lease, reports how they ended.
//!
//! A delivery's way is `desk`; a handler's run is `attempt`; what its end means is `report`. docs/workers.md is the
//! contract with handlers and programs.

mod attempt;
mod builder;
mod desk;
mod gate;
mod handler;
mod job;
mod log_tail;
mod report;
mod run;
mod shutdown;

pub use builder::{BuildError, Worker, WorkerBuilder, WorkerConfig};
pub use handler::{Handler, JobError};
pub use job::{Job, JobSpec, Progress, Reins, StopCause};
pub use run::WorkerError;
pub use shutdown::Shutdown;
