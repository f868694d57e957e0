//! The last step before the program: tie its life to the guard's, then become it.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use nix::{
    sys::{
        prctl,
        signal::{SigSet, Signal},
    },
    unistd::getppid,
};

pub(super) const FLAG: &str = "--program";

/// Becomes `command`, to be killed by the kernel when the process `guard` dies. Returns only when that failed: 127
/// when there is no such command, 126 when it can't be run, as shells do; the reason goes to standard error.
pub(super) fn become_program(guard: &OsStr, command: &[OsString]) -> ExitCode {
    let (name, arguments) = command
        .split_first()
        .expect("the caller checked that it is not empty");
    let tied = prctl::set_pdeathsig(Signal::SIGKILL)
        // What the guard waits for in its own way must not stay blocked in the program.
        .and_then(|()| SigSet::all().thread_unblock());
    // A guard that died before the call above left us to somebody else.
    if tied.is_err() || guard.to_str() != Some(getppid().to_string().as_str()) {
        eprintln!("unstuck: the guard is gone");
        return ExitCode::from(126);
    }
    let error = Command::new(name).args(arguments).exec();
    eprintln!("unstuck: can't run {}: {error}", name.display());
    ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    })
}
