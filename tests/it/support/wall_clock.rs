//! A wall clock that a test sets, for processes that run by it; the clocks that only count on stay as they are.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// `libfaketime`; the linker puts the machine's folder for `$LIB`.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

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

    /// What a process runs by it with.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", LIBRARY.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}
