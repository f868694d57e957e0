//! What the tasks' programs did, in the order in which they did it: the side effects, seen from outside.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Mutex,
};

use nix::{sys::stat::Mode, unistd::mkfifo};

/// The process that keeps what programs write to a pipe, and refuses what an attempt does after its successor began.
/// Killed when dropped.
pub struct Sink {
    child: Child,
    journal: PathBuf,
    answers: Mutex<BufReader<ChildStdout>>,
}

impl Sink {
    /// Starts it for the programs that write to `journal` with `.in` behind it.
    pub fn spawn(journal: PathBuf) -> Self {
        let inbox = beside(&journal, "in");
        mkfifo(&inbox, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
        let child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/sink.py"))
            .arg(&journal)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("Python runs");
        let answers = child.stdout.take().expect("it is piped");
        Self {
            child,
            journal,
            answers: Mutex::new(BufReader::new(answers)),
        }
    }

    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// What it kept of all that was written before.
    pub fn read(&self) -> Journal {
        let mut answers = self.answers.lock().expect("not poisoned");
        self.tell("SYNC");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("it answers");
        assert_eq!(answer, "SYNCED\n", "the sink has ended");
        Journal {
            lines: lines(&self.journal),
            refused: lines(&beside(&self.journal, "refused")),
        }
    }

    fn tell(&self, line: &str) {
        let mut inbox = File::options()
            .append(true)
            .open(beside(&self.journal, "in"))
            .expect("the pipe opens");
        inbox.write_all(format!("{line}\n").as_bytes()).expect("written");
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().expect("gone");
        }
    }
}

fn beside(journal: &Path, what: &str) -> PathBuf {
    journal.with_extension(what)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// BEGIN, STEP, END or TERM.
    pub word: String,
    pub task: String,
    pub attempt: i64,
    pub pid: i32,
    /// By the machine's monotonic clock.
    pub at_ns: u64,
}

fn lines(file: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap_or_else(|| panic!("a torn line: {line:?}"));
        Line {
            word: next().to_owned(),
            task: next().to_owned(),
            attempt: next().parse().expect("an attempt"),
            pid: next().parse().expect("a process id"),
            at_ns: next().parse().expect("a time"),
        }
    };
    whole.lines().map(parse).collect()
}

#[derive(Clone, Debug, Default)]
pub struct Journal {
    pub lines: Vec<Line>,
    /// What attempts wrote after their successor had begun.
    pub refused: Vec<Line>,
}

impl Journal {
    pub fn noted(&self, word: &str, task: &str, attempt: i64) -> bool {
        self.lines
            .iter()
            .any(|line| line.word == word && line.task == task && line.attempt == attempt)
    }

    /// The attempts that began the task's work, in that order.
    pub fn begun(&self, task: &str) -> Vec<i64> {
        self.attempts("BEGIN", task)
    }

    /// The attempts that did the task's work to its end, in that order.
    pub fn done(&self, task: &str) -> Vec<i64> {
        self.attempts("END", task)
    }

    fn attempts(&self, word: &str, task: &str) -> Vec<i64> {
        let lines = self
            .lines
            .iter()
            .filter(|line| line.word == word && line.task == task);
        lines.map(|line| line.attempt).collect()
    }

    /// Every (task, attempt) that did anything.
    pub fn ran(&self) -> BTreeSet<(String, i64)> {
        self.lines
            .iter()
            .map(|line| (line.task.clone(), line.attempt))
            .collect()
    }

    /// The order in which the tasks began first.
    pub fn order(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let begun = self.lines.iter().filter(|line| line.word == "BEGIN");
        begun
            .filter(|line| seen.insert(&line.task))
            .map(|line| line.task.clone())
            .collect()
    }

    /// Panics when an old attempt did anything after a newer one had begun, by the order of the lines or by their times, or two
    /// programs ran one attempt.
    pub fn nothing_ran_beside_its_successor(&self) {
        assert!(
            self.refused.is_empty(),
            "a newer attempt had begun, and yet: {:?}",
            self.refused
        );
        let mut last: HashMap<&str, &Line> = HashMap::new();
        let mut pids: BTreeMap<(&str, i64), i32> = BTreeMap::new();
        for line in &self.lines {
            let pid = *pids.entry((&line.task, line.attempt)).or_insert(line.pid);
            assert_eq!(pid, line.pid, "two programs ran one attempt: {line:?}");
            if let Some(before) = last.insert(&line.task, line) {
                assert!(
                    before.attempt <= line.attempt && before.at_ns <= line.at_ns,
                    "{line:?} came after {before:?}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Journal {
        let folder = tempfile::tempdir().expect("a folder");
        let sink = Sink::spawn(folder.path().join("journal"));
        for line in lines {
            sink.tell(line);
        }
        sink.read()
    }

    #[test]
    fn an_attempt_that_goes_on_beside_its_successor_is_refused() {
        let journal = told(&[
            "BEGIN a 1 7 10",
            "BEGIN a 2 8 20",
            "STEP a 1 7 30",
            "END a 2 8 40",
        ]);
        assert_eq!(journal.done("a"), [2]);
        let refused: Vec<(&str, i64)> = journal
            .refused
            .iter()
            .map(|line| (line.word.as_str(), line.attempt))
            .collect();
        assert_eq!(refused, [("STEP", 1)]);
        let checked = std::panic::catch_unwind(|| journal.nothing_ran_beside_its_successor());
        assert!(checked.is_err(), "it is noticed");
    }

    #[test]
    fn attempts_that_follow_each_other_are_kept() {
        let journal = told(&[
            "BEGIN a 1 7 10",
            "BEGIN b 1 9 10",
            "TERM a 1 7 20",
            "BEGIN a 2 8 20",
        ]);
        journal.nothing_ran_beside_its_successor();
        assert_eq!((journal.begun("a"), journal.refused.len()), (vec![1, 2], 0));
    }
}
