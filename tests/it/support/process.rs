//! The built binary as real processes, started and killed as an operator or a machine would.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::wait::eventually;

/// How many lines of its log a process leaves behind when its test fails.
const LAST_LINES: usize = 60;

/// One process, with all that it says in a file. Killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in a process group of its own. `name` tells it from the others of its folder.
    pub fn spawn(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("its log opens");
        let err = out.try_clone().expect("its log opens twice");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn();
        Self {
            name: name.to_owned(),
            child: child.expect("the binary runs"),
            log,
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is there to be told");
    }

    /// `kill -9`, of the process alone as the kernel's out-of-memory killer does it. Returns when it is gone.
    pub fn kill9(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// SIGTERM; returns its status once it ended.
    pub async fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended(Duration::from_secs(60)).await
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} ended", self.name);
        eventually(deadline, &what, async || {
            self.child.try_wait().expect("its status")
        })
        .await
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its status").is_none()
    }

    /// Everything it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("its log")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(LAST_LINES);
            eprintln!("— {} said last:\n{}", self.name, lines[from..].join("\n"));
        }
        if self.child.kill().is_ok() {
            self.child.wait().expect("gone");
        }
    }
}

/// The processes, zombies excepted, whose environment holds exactly this variable.
pub fn marked(name: &str, value: &Path) -> Vec<i32> {
    let mark = format!("{name}={}", value.display());
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|one| one == mark.as_bytes())
    })
    .collect()
}

/// Kills them all. Those that end by themselves meanwhile are fine.
pub fn kill_marked(name: &str, value: &Path) {
    for pid in marked(name, value) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
}
