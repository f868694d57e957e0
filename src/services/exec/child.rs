//! A program under its guard, as the worker sees it.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{AccessFlags, Pid, access},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{ChildStderr, ChildStdout, Command},
};

use crate::services::{
    guard::{
        self,
        wire::{End, Notice, Order, Trust},
    },
    worker::Job,
};

/// What became of the program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ended(End),
    /// The guard killed it because the worker's word had run out.
    TrustOver,
    NotStarted(String),
    /// The guard itself was killed, and the kernel killed the program with it.
    GuardGone,
}

/// The worker's end of the socket pair. Dropping it makes the guard kill the program.
pub(super) struct GuardedChild {
    notices: OwnedReadHalf,
    orders: OwnedWriteHalf,
}

/// Marks its job when the guard's last word is not waited for: the program may live on for a moment.
struct Unheard<'a>(Option<&'a Job>);

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.0 {
            job.leave_behind();
        }
    }
}

impl GuardedChild {
    /// Starts the guard; the program itself starts in `run`.
    pub(super) fn spawn(
        guard: &Path,
        command: &[OsString],
        job: &Job,
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = Command::new(guard)
            .arg0("unstuck")
            .args([guard::COMMAND, "--"])
            .args(command)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
            .env("UNSTUCK_TASK_ID", job.task_id.to_string())
            .env("UNSTUCK_ATTEMPT", job.attempt.to_string())
            .env("UNSTUCK_KIND", &job.kind)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // What stops or kills the worker's group must not reach the guard.
            .process_group(0)
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = stdout.zip(stderr).expect("both were asked for above");
        let (notices, orders) = UnixStream::from_std(ours)?.into_split();
        Ok((Self { notices, orders }, stdout, stderr))
    }

    /// Runs the program to its end: hands on the payload, every renewal of trust and every wish to stop.
    pub(super) async fn run(self, job: &Job, grace: Duration) -> Outcome {
        let mut unheard = Unheard(Some(job));
        let outcome = self.steer(job, grace).await;
        unheard.0 = None;
        outcome
    }

    async fn steer(mut self, job: &Job, grace: Duration) -> Outcome {
        let mut trusted_until = job.trusted_until();
        let trust = Order::Trust {
            until: *trusted_until.borrow_and_update(),
        };
        self.order(&trust).await;
        self.order(&Order::Start {
            payload: job.payload.to_string().into_bytes(),
        })
        .await;
        let Self { notices, mut orders } = self;
        let mut notices = BufReader::new(notices).lines();
        let (mut group, mut stopping) = (None, None);
        loop {
            tokio::select! {
                line = notices.next_line() => match line.ok().flatten().map(|line| Notice::decode(&line)) {
                    Some(Ok(Notice::Started { group: number })) => group = Some(Pid::from_raw(number)),
                    Some(Ok(Notice::NotStarted { error })) => return Outcome::NotStarted(error),
                    Some(Ok(Notice::Ended { end, trust: Trust::Held })) => return Outcome::Ended(end),
                    Some(Ok(Notice::Ended { trust: Trust::Over, .. })) => return Outcome::TrustOver,
                    Some(Err(_)) | None => return guard_gone(group),
                },
                Ok(()) = trusted_until.changed() => {
                    let until = *trusted_until.borrow_and_update();
                    send(&mut orders, &Order::Trust { until }).await;
                }
                cause = job.cancelled_beyond(stopping) => {
                    stopping = Some(cause);
                    let grace = if cause.is_gentle() { grace } else { Duration::ZERO };
                    send(&mut orders, &Order::Stop { grace }).await;
                }
            }
        }
    }

    async fn order(&mut self, order: &Order) {
        send(&mut self.orders, order).await;
    }
}

/// A guard that is gone hears nothing; its end of the socket tells so where notices are read.
async fn send(orders: &mut OwnedWriteHalf, order: &Order) {
    if let Err(error) = orders.write_all(&order.encode()).await {
        tracing::debug!(%error, "the guard did not take an order");
    }
}

/// The kernel has killed the program; what it started in its own group is killed here.
fn guard_gone(group: Option<Pid>) -> Outcome {
    if let Some(Err(error)) = group.map(|group| killpg(group, Signal::SIGKILL)) {
        tracing::debug!(%error, "nothing left to kill");
    }
    Outcome::GuardGone
}

/// Everything of ours is named `UNSTUCK_…`, secrets included.
fn is_passed_on(name: &OsStr) -> bool {
    !name.as_bytes().starts_with(b"UNSTUCK_")
}

/// Whether `name` is an executable file, searched as `execvp` does.
pub(super) fn can_run(name: &OsStr) -> bool {
    let runs = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    if name.as_bytes().contains(&b'/') {
        return runs(Path::new(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).any(|folder| runs(&folder.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_as_the_kernel_would() {
        assert!(can_run("sh".as_ref()) && can_run("/bin/sh".as_ref()));
        for wrong in ["", "no-such-command", "/bin", "/etc/passwd", "./sh"] {
            assert!(!can_run(wrong.as_ref()), "{wrong:?}");
        }
    }
}
