//! The one binary: everything is in the library, so that tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The guard parses no settings and starts no runtime: it must begin at once and need next to nothing.
    match unstuck::services::guard::run_if_asked(std::env::args_os().skip(1)) {
        Some(code) => code,
        None => unstuck::cli::run(),
    }
}
