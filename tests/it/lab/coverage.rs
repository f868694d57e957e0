//! docs/fault-coverage.md says what every fault is held by: here it is held to what there is.

use std::{collections::BTreeSet, path::Path};

use super::scenarios;

/// The numbers of the list of faults.
const FAULTS: [u8; 78] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20, 21, 22, 23, 25, 26, 27, 28, 29, 30, 31,
    32, 34, 35, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 56, 57, 58, 60, 61, 63,
    64, 65, 66, 68, 69, 70, 71, 72, 73, 74, 76, 77, 78, 79, 80, 81, 83, 84, 85, 86, 87, 88, 89, 90,
];

/// The rows of its tables: what stands in the first cell, and in the last.
fn rows() -> Vec<(String, String)> {
    let page = include_str!("../../../docs/fault-coverage.md");
    let lines = page.lines().filter(|line| line.starts_with("| "));
    let cells = lines.map(|line| line.trim_matches('|').split(" | ").collect::<Vec<_>>());
    let rows = cells.map(|cells| {
        (
            cells[0].trim().to_owned(),
            cells[cells.len() - 1].trim().to_owned(),
        )
    });
    rows.filter(|(first, _)| !["fault", "rule"].contains(&first.as_str()))
        .collect()
}

/// Every word in backticks.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The ids after the word `lab`.
fn played(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("lab ").skip(1);
    after.filter_map(|rest| rest.split([',', ';', ' ']).next())
}

/// All that the tests' files say.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("the tests") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|end| end == "rs") {
            *text += &std::fs::read_to_string(&path).expect("a test's file");
        }
    }
}

#[test]
fn every_fault_has_its_row_and_what_a_row_names_exists() {
    let rows = rows();
    let faults = FAULTS.iter().map(|number| format!("F{number:02}"));
    for fault in faults {
        let count = rows.iter().filter(|(first, _)| *first == fault).count();
        assert_eq!(count, 1, "{fault} has one row");
    }
    let mut tests = String::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"),
        &mut tests,
    );
    let ids: BTreeSet<&str> = scenarios::all().iter().map(|scenario| scenario.id).collect();
    let mut shown = BTreeSet::new();
    for (first, held) in &rows {
        for id in played(held) {
            assert!(ids.contains(id), "{first}: the lab has no {id}");
            shown.insert(id);
        }
        for test in named(held) {
            let is_there = tests.contains(&format!("fn {test}()"));
            assert!(is_there, "{first}: there is no test {test}");
        }
        let is_held = played(held).chain(named(held)).next().is_some();
        assert!(is_held || held.starts_with("not done: "), "{first} says neither");
    }
    assert_eq!(shown, ids, "every scenario is in a row");
}
