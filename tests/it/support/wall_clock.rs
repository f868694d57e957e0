//! A wall clock that a test sets, for processes that run by it; the clocks that only count on stay as they are.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// `libfaketime`; the linker puts the machine's folder for `$LIB`.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// The name of a process that runs by such a clock.
const RULED: &str = "unstuck-by-wall-clock";

#[derive(Clone)]
pub struct WallClock {
    file: PathBuf,
}

impl WallClock {
    /// One that is right, kept in `folder`.
    pub fn right(folder: &Path) -> Self {
        let installed = fs::read_dir("/usr/lib").expect("libraries").any(|entry| {
            let folder = entry.expect("a folder").path();
            folder.join("faketime/libfaketimeMT.so.1").exists()
        });
        assert!(
            installed,
            "libfaketime is missing: scripts/setup.sh test installs it"
        );
        let clock = Self {
            file: folder.join("wall-clock"),
        };
        clock.set("+0");
        clock
    }

    /// Sets it off by so much at once, such as `+3600s`.
    pub fn set(&self, offset: &str) {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, offset).expect("written");
        fs::rename(&fresh, &self.file).expect("whole at every moment");
    }

    /// Lets the process run by it, and none that it starts: the library moves timers of the clocks that only count on, too,
    /// and a guard has such a timer.
    pub fn rule(&self, command: &mut Command) {
        command
            .arg0(RULED)
            .env("FAKETIME_ONLY_CMDS", RULED)
            .env("LD_PRELOAD", LIBRARY)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}
