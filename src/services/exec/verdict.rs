//! What a program's end means for its attempt.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{child::Outcome, output::Output};
use crate::services::{
    guard::wire::End,
    worker::{Job, JobError},
};

/// `EX_TEMPFAIL` of sysexits.h: try again later.
const TRY_AGAIN: i32 = 75;
/// Longest part of the log's last line in an error.
const LAST_WORDS_CHARS: usize = 300;

/// `output` is `None` when standard output never ended.
pub(super) fn judge(outcome: Outcome, output: Option<Output>, job: &Job) -> Result<Value, JobError> {
    let end = match outcome {
        Outcome::Ended(end) => end,
        Outcome::TrustOver => return Err(JobError::stopped()),
        Outcome::NotStarted(error) => {
            return Err(JobError::retryable(format!(
                "the program could not be started: {error}"
            )));
        }
        Outcome::GuardGone if job.is_cancelled() => return Err(JobError::stopped()),
        Outcome::GuardGone => return Err(JobError::retryable("the program's guard was killed")),
    };
    match end {
        End::Exited { code: 0 } => match output {
            Some(output) => Ok(output.into_result()),
            None => Err(JobError::failed(
                "a process that can't be killed holds the program's output open",
            )),
        },
        // It was asked to end, and did.
        End::Exited { .. } | End::Killed { .. } if job.is_cancelled() => Err(JobError::stopped()),
        End::Exited { code } => {
            let error = exit_error(code, job.last_words().as_deref());
            Err(if code == TRY_AGAIN {
                JobError::retryable(error)
            } else {
                JobError::failed(error)
            })
        }
        End::Killed { signal } => Err(signal_error(signal)),
    }
}

fn exit_error(code: i32, last_words: Option<&str>) -> String {
    match last_words {
        Some(words) if matches!(code, 126 | 127) && words.starts_with("unstuck: ") => {
            words.trim_start_matches("unstuck: ").to_owned()
        }
        Some(words) => {
            let words: String = words.chars().take(LAST_WORDS_CHARS).collect();
            format!("exit status {code}: {words}")
        }
        None => format!("exit status {code}"),
    }
}

fn signal_error(number: i32) -> JobError {
    let name =
        Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
    let error = JobError::failed(format!("killed by {name}"));
    // Who stops a whole service at once sends this to the program too: the worker knows whether it was that.
    if [
        Signal::SIGTERM as i32,
        Signal::SIGINT as i32,
        Signal::SIGHUP as i32,
    ]
    .contains(&number)
    {
        error.terminated()
    } else {
        error
    }
}
