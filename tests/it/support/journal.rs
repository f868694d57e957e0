//! What the tasks' programs did, in the order in which they did it: the side effects, seen from outside.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// BEGIN, STEP, END or TERM.
    pub word: String,
    pub task: String,
    pub attempt: i64,
    pub pid: i32,
}

#[derive(Clone, Debug, Default)]
pub struct Journal {
    pub lines: Vec<Line>,
}

impl Journal {
    /// Empty when nothing ran yet.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let parse = |line: &str| {
            let mut words = line.split(' ');
            let mut next = || words.next().unwrap_or_else(|| panic!("a torn line: {line:?}"));
            Line {
                word: next().to_owned(),
                task: next().to_owned(),
                attempt: next().parse().expect("an attempt"),
                pid: next().parse().expect("a process id"),
            }
        };
        Self {
            lines: whole.lines().map(parse).collect(),
        }
    }

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

    /// Panics when an old attempt did anything after a newer one had begun, or two programs ran one attempt.
    pub fn nothing_ran_beside_its_successor(&self) {
        let mut newest: HashMap<&str, i64> = HashMap::new();
        let mut pids: BTreeMap<(&str, i64), i32> = BTreeMap::new();
        for line in &self.lines {
            let pid = *pids.entry((&line.task, line.attempt)).or_insert(line.pid);
            assert_eq!(pid, line.pid, "two programs ran one attempt: {line:?}");
            let newest = newest.entry(&line.task).or_insert(line.attempt);
            assert!(
                *newest <= line.attempt,
                "attempt {newest} had begun, and yet: {line:?}"
            );
            *newest = line.attempt;
        }
    }
}
