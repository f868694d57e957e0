//! The guard: a small process between a worker and the program that it runs (`unstuck guard`, a hidden command).
//!
//! A worker that is killed can't stop its program, and one that is frozen can't either. The guard can: it sits in a
//! process group of its own, holds one end of a socket pair, and knows until when the worker may be trusted. When the
//! worker's end closes, or that time passes, it kills the program and everything that the program started. It opens
//! no network and was given none of Unstuck's configuration.
//!
//! The program is started through one more step of the same binary, which asks the kernel to kill it when the guard
//! dies and then becomes the program.

mod boot_time;
mod descendants;
mod keeper;
mod program;
pub(crate) mod wire;

use std::{ffi::OsString, process::ExitCode};

pub use boot_time::{BootTime, sleep_until};

/// The first argument that makes the binary a guard.
pub(crate) const COMMAND: &str = "guard";

/// Plays the guard when the command line (without the binary's name) asks for one; `None` for any other command line.
///
/// To be called first in `main`, before threads, logs and configuration: by Unstuck's own binary, and by any other
/// whose worker uses `Exec`.
pub fn run_if_asked(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next()? != COMMAND {
        return None;
    }
    let rest: Vec<OsString> = arguments.collect();
    Some(match rest.as_slice() {
        [flag, program @ ..] if flag == "--" && !program.is_empty() => keeper::keep(program),
        [flag, guard, program @ ..] if flag == program::FLAG && !program.is_empty() => {
            program::become_program(guard, program)
        }
        _ => {
            eprintln!("unstuck guard is started by `unstuck worker --exec`; it is of no use by hand");
            ExitCode::from(2)
        }
    })
}
