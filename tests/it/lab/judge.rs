//! What was said, held against what was true.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{
    said::{Said, Subject},
    scenario::{Scenario, Truth},
    stage::Stage,
};

/// What is neither wrong nor said to be.
pub const NOTHING: &str = "nothing";

/// One judgement: about this it was so, and that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// A verdict, or `nothing`.
    pub truth: String,
    /// A verdict, or `nothing`.
    pub said: String,
    pub proven: bool,
    /// From the harm to the word, when it was the right one.
    pub after_ms: Option<i64>,
    /// Right, and later than the scenario demands.
    pub late: bool,
}

/// How one scenario went.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub scenario: String,
    pub name: String,
    pub variant: String,
    pub lease_s: u64,
    pub detect_every_s: u64,
    pub seconds: u64,
    pub cells: Vec<Cell>,
    /// Empty when everything was right.
    pub problems: Vec<String>,
}

/// A card about a worker is opened for tasks that may have moved on before they get a line under it.
fn is_worker(subject: &Subject) -> bool {
    matches!(subject, Subject::Worker(_))
}

/// A finding of just before the mark belongs to a harm that took a moment.
fn from_ms(stage: &Stage, truth: &Truth) -> i64 {
    stage.marked_ms(truth.on) - 2_000
}

/// The findings that the scenario's truths ask for: for each truth and subject, the first that fits.
fn matched<'a>(
    scenario: &Scenario,
    stage: &Stage,
    said: &'a [Said],
) -> Vec<(usize, Subject, Option<&'a Said>)> {
    let mut all = Vec::new();
    for (at, truth) in scenario.truths.iter().enumerate() {
        let from_ms = from_ms(stage, truth);
        for subject in stage.subjects(truth.on) {
            let fits = |one: &&Said| {
                one.verdict == truth.verdict.as_str()
                    && truth.form.is_none_or(|form| one.variant == form)
                    && one.about == subject
                    && one.opened_ms >= from_ms
            };
            all.push((at, subject.clone(), said.iter().find(fits)));
        }
    }
    all
}

/// Whether everything was said that must be.
pub fn is_complete(scenario: &Scenario, stage: &Stage, said: &[Said]) -> bool {
    matched(scenario, stage, said)
        .iter()
        .all(|(_, _, found)| found.is_some())
}

/// The findings that must not be open once everything is mended.
pub fn left_open<'a>(scenario: &Scenario, stage: &Stage, said: &'a [Said]) -> Vec<&'a Said> {
    let mut staying: BTreeSet<&str> = BTreeSet::new();
    for (at, _, found) in matched(scenario, stage, said) {
        if let Some(found) = found.filter(|_| scenario.truths[at].stays) {
            staying.insert(&found.id);
            staying.extend(found.incident.as_deref());
        }
    }
    said.iter()
        .filter(|one| one.closed_ms.is_none() && !staying.contains(one.id.as_str()))
        .collect()
}

/// Holds all that was said against the scenario.
pub fn judge(scenario: &Scenario, stage: &Stage, said: &[Said]) -> (Vec<Cell>, Vec<String>) {
    let (mut cells, mut problems) = (Vec::new(), Vec::new());
    let mut right: BTreeSet<&str> = BTreeSet::new();
    let mut truths: HashMap<Subject, &str> = HashMap::new();
    for (at, subject, found) in matched(scenario, stage, said) {
        let truth = &scenario.truths[at];
        truths.insert(subject.clone(), truth.verdict.as_str());
        let mut cell = Cell {
            truth: truth.verdict.to_string(),
            said: NOTHING.to_owned(),
            proven: false,
            after_ms: None,
            late: false,
        };
        match found {
            None => problems.push(format!("{} was not said of {subject:?}", truth.verdict)),
            Some(found) => {
                let after_ms = (found.opened_ms - stage.marked_ms(truth.on)).max(0);
                let within_ms = i64::try_from(truth.within_s).expect("some seconds") * 1000;
                cell.said = found.verdict.clone();
                cell.proven = found.proven;
                cell.after_ms = Some(after_ms);
                cell.late = after_ms > within_ms;
                if cell.late {
                    problems.push(format!(
                        "{} was said of {subject:?} after {after_ms} ms; {within_ms} ms is the limit",
                        truth.verdict
                    ));
                }
                right.insert(&found.id);
            }
        }
        cells.push(cell);
    }
    // The same truth may be said twice, when its finding closed and opened again, and what may be said is no error.
    for one in said {
        let expected = scenario.truths.iter().any(|truth| {
            one.verdict == truth.verdict.as_str()
                && truth.form.is_none_or(|form| one.variant == form)
                && one.opened_ms >= from_ms(stage, truth)
                && (stage.subjects(truth.on).contains(&one.about) || is_worker(&one.about))
        });
        let allowed = scenario.may.iter().any(|may| {
            one.verdict == may.verdict.as_str()
                && (!may.afterwards || one.opened_ms >= stage.mended_ms)
                && (stage.subjects(may.on).contains(&one.about) || is_worker(&one.about))
        });
        if expected || allowed {
            right.insert(&one.id);
        }
    }
    // A card over tasks is as right as what is folded under it.
    let cards: BTreeSet<&str> = said
        .iter()
        .filter(|one| right.contains(one.id.as_str()))
        .filter_map(|one| one.incident.as_deref())
        .collect();
    let mut accused: BTreeSet<&Subject> = BTreeSet::new();
    for one in said {
        accused.insert(&one.about);
        if right.contains(one.id.as_str()) || cards.contains(one.id.as_str()) {
            continue;
        }
        let truth = truths.get(&one.about).copied().unwrap_or(NOTHING);
        problems.push(format!(
            "{} ({}, {}) was said of {:?}, and it is {truth}: {}",
            one.verdict,
            one.variant,
            if one.proven { "proven" } else { "likely" },
            one.about,
            one.sentence
        ));
        cells.push(Cell {
            truth: truth.to_owned(),
            said: one.verdict.clone(),
            proven: one.proven,
            after_ms: None,
            late: false,
        });
    }
    for subject in stage.everything() {
        if !truths.contains_key(&subject) && !accused.contains(&subject) {
            cells.push(Cell {
                truth: NOTHING.to_owned(),
                said: NOTHING.to_owned(),
                proven: false,
                after_ms: None,
                late: false,
            });
        }
    }
    (cells, problems)
}
