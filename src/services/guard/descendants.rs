//! Finding every process that a program started, whatever group or session it moved to.

use std::collections::HashMap;

use nix::unistd::Pid;

/// All living descendants of `root`, parents before children, as `/proc` shows them now.
///
/// A child that outlives its parent is handed to the nearest subreaper above it, so below a guard nothing gets lost:
/// neither `setsid` nor a double fork leads out. Empty when `/proc` can't be read.
pub(super) fn descendants(root: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        // A process that ended meanwhile has no file any more.
        if let Some(parent) = std::fs::read(entry.path().join("stat"))
            .ok()
            .and_then(|stat| parent_of(&stat))
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found: Vec<i32> = children.remove(&root.as_raw()).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        if let Some(more) = children.remove(pid) {
            found.extend(more);
        }
        next += 1;
    }
    found.into_iter().map(Pid::from_raw).collect()
}

/// The fourth field of `/proc/<pid>/stat`. The second, the name, stands in parentheses and may contain anything.
fn parent_of(stat: &[u8]) -> Option<i32> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_parent() {
        assert_eq!(parent_of(b"4711 (a) R 1 (b) S 42 4711 4711 0"), Some(42));
        assert_eq!(parent_of(b"4711 (\xff\xfe) Z 7 1 1"), Some(7));
        assert_eq!(parent_of(b""), None);
    }

    #[test]
    fn a_child_is_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        assert!(descendants(Pid::this()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants(Pid::this()).contains(&pid));
    }
}
