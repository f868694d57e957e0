//! Works: takes tasks from queues, runs their handlers under a lease, reports how they ended.

mod handler;
mod job;
mod log_tail;

pub use handler::{Handler, JobError};
pub use job::{Job, JobSpec, Progress, Reins, StopCause};
