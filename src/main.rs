//! The one binary: parses the command line and hands over to `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = unstuck::services::guard::run_if_asked(std::env::args_os().skip(1)) {
        return code;
    }
    ExitCode::SUCCESS
}
