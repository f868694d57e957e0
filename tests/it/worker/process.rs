//! Processes, seen from outside.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use nix::sys::signal::Signal;

use super::{guard::kill, workshop::PATIENCE};
use crate::support::wait::eventually;

/// A process of ours; killed when dropped.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a process id")
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    pub async fn ended(&mut self) -> ExitStatus {
        eventually(PATIENCE, "the process ended", async || self.has_ended()).await
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("it is our child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().expect("it was or is our child");
        self.0.wait().expect("it ends");
    }
}

/// Whether the process runs: it exists and is no zombie.
pub fn is_alive(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

pub async fn until_gone(pid: i32, deadline: Duration) {
    eventually(deadline, &format!("process {pid} is gone"), async || {
        (!is_alive(pid)).then_some(())
    })
    .await;
}

/// A folder in which a test's programs leave notes.
pub struct Notes(tempfile::TempDir);

impl Notes {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Waits for a note that ends with a line end, and reads it.
    pub async fn read(&self, name: &str) -> String {
        read_note(&self.path(name)).await
    }

    /// Waits for a note that is a process id.
    pub async fn pid(&self, name: &str) -> i32 {
        let text = self.read(name).await;
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no process id: {text}"))
    }
}

async fn read_note(path: &Path) -> String {
    eventually(
        Duration::from_secs(20),
        &format!("{} is written", path.display()),
        async || {
            std::fs::read_to_string(path)
                .ok()
                .filter(|text| text.ends_with('\n'))
        },
    )
    .await
}
