//! Runs a program per task: the payload on its standard input, the result on its standard output.
//!
//! docs/workers.md is the contract with the program; `guard` is what keeps it from outliving its lease.

mod child;
mod output;
mod verdict;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::time::timeout;

use super::worker::{Handler, Job, JobError};
use child::GuardedChild;
use output::{read_log, read_result};

/// A handler that runs a program.
///
/// The program gets the payload as JSON on standard input and `UNSTUCK_TASK_ID`, `UNSTUCK_ATTEMPT`, `UNSTUCK_KIND` in
/// its environment; no other variable named `UNSTUCK_…` is passed on. Exit status 0 is success with standard output as
/// the result (JSON, else text; nothing is null), 75 a failure worth another try, everything else a failure. Standard
/// error is the attempt's log.
#[derive(Clone, Debug)]
pub struct Exec {
    guard: PathBuf,
    command: Vec<OsString>,
    grace: Duration,
}

/// A command that can't be run from here, and why.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("no command was given to run")]
    Missing,
    #[error("{0} is not a program that can be run from here")]
    NotFound(String),
}

/// From SIGTERM to SIGKILL.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long output may stay open once the guard said that everything is gone.
const OUTPUT_GRACE: Duration = Duration::from_secs(10);

impl Exec {
    /// `command` is the program and its arguments, taken as they are: no shell reads them.
    ///
    /// The guard is this very binary, whose `main` must call `guard::run_if_asked` first. Errors: there is no such
    /// program, on the `PATH` or at the path given, or it is not executable. It is looked for again at each run.
    pub fn new<S: Into<OsString>>(command: impl IntoIterator<Item = S>) -> Result<Self, CommandError> {
        let command: Vec<OsString> = command.into_iter().map(Into::into).collect();
        let name = command.first().ok_or(CommandError::Missing)?;
        if !child::can_run(name) {
            return Err(CommandError::NotFound(name.display().to_string()));
        }
        Ok(Self {
            guard: "/proc/self/exe".into(),
            command,
            grace: STOP_GRACE,
        })
    }

    /// Uses another binary's guard; for binaries that don't call `guard::run_if_asked`.
    #[must_use]
    pub fn guarded_by(mut self, unstuck: impl Into<PathBuf>) -> Self {
        self.guard = unstuck.into();
        self
    }

    /// From SIGTERM to SIGKILL; 5 s unless set.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

impl Handler for Exec {
    async fn run(&self, job: Job) -> Result<Value, JobError> {
        let (child, stdout, stderr) = GuardedChild::spawn(&self.guard, &self.command, &job)
            .map_err(|error| JobError::retryable(format!("the program could not be started: {error}")))?;
        let reading = async { tokio::join!(read_result(stdout), read_log(stderr, &job)).0 };
        let running = child.run(&job, self.grace);
        tokio::pin!(reading, running);
        // Both at once: a program whose output nobody reads would wait for ever.
        let (end, output) = tokio::select! {
            end = &mut running => (end, timeout(OUTPUT_GRACE, reading).await.ok()),
            output = &mut reading => (running.await, Some(output)),
        };
        verdict::judge(end, output, &job)
    }
}
