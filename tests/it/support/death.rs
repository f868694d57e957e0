//! SIGKILL at an exact place of a process: the N-th time that one of its threads makes a system call.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::process::Process;

/// When a process dies. The call itself is not made any more.
pub struct Death {
    call: &'static str,
    nth: u32,
    /// What strace saw.
    seen: PathBuf,
}

impl Death {
    /// Each thread counts its calls for itself; what the process starts dies likewise.
    pub fn at(call: &'static str, nth: u32, folder: &Path) -> Self {
        let name = format!("{call}-{nth}-{}", uuid::Uuid::new_v4().simple());
        Self {
            call,
            nth,
            seen: folder.join(name),
        }
    }

    /// The command, with its arguments and variables, under strace.
    pub fn of(&self, command: &Command) -> Command {
        let Self { call, nth, seen } = self;
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-q", "-o"])
            .arg(seen)
            .args(["-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:signal=SIGKILL:when={nth}")])
            .arg(command.get_program())
            .args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            strace.current_dir(folder);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => strace.env(name, value),
                None => strace.env_remove(name),
            };
        }
        strace
    }

    /// Whether it killed anything.
    pub fn came(&self) -> bool {
        let seen = std::fs::read_to_string(&self.seen).unwrap_or_default();
        seen.contains("+++ killed by SIGKILL +++")
    }
}

/// Kills what runs under strace, as `kill -9` would, and waits until it is gone. Fine when it is gone already.
pub async fn kill9_traced(mut strace: Process) {
    let children = format!("/proc/{0}/task/{0}/children", strace.pid());
    let children = std::fs::read_to_string(children).unwrap_or_default();
    for child in children.split_whitespace() {
        let pid = Pid::from_raw(child.parse().expect("a process id"));
        kill(pid, Signal::SIGKILL).ok();
    }
    strace.ended(super::client::PATIENCE).await;
}
