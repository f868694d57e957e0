//! The confusion matrix, and what it was made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::judge::{Cell, NOTHING, Outcome};

pub struct Report<'a> {
    seed: u64,
    outcomes: Vec<&'a Outcome>,
}

/// What the cells of one verdict come to.
#[derive(Debug, Default, PartialEq)]
pub struct Score {
    /// How often it was true.
    pub truths: usize,
    /// How often it was said when it was true.
    pub found: usize,
    pub late: usize,
    /// How often it was said when it was not true.
    pub wrong_proven: usize,
    pub wrong_likely: usize,
    /// From the harm to the word, in order.
    pub after_ms: Vec<i64>,
}

impl Score {
    pub fn of<'c>(verdict: &str, cells: impl Iterator<Item = &'c Cell>) -> Self {
        let mut score = Self::default();
        for cell in cells {
            let right = cell.said == verdict && cell.after_ms.is_some();
            // A wrong word about something that was another truth does not make that truth twice.
            if cell.truth == verdict && (right || cell.said == NOTHING) {
                score.truths += 1;
                score.found += usize::from(right);
                score.late += usize::from(cell.late);
                score.after_ms.extend(cell.after_ms);
            } else if cell.said == verdict {
                if cell.proven {
                    score.wrong_proven += 1;
                } else {
                    score.wrong_likely += 1;
                }
            }
        }
        score.after_ms.sort_unstable();
        score
    }

    /// Of what was said, how much was true. None when it was never said.
    pub fn precision(&self) -> Option<f64> {
        share(self.found, self.found + self.wrong_proven + self.wrong_likely)
    }

    /// Of what was true, how much was said. None when it was never true.
    pub fn recall(&self) -> Option<f64> {
        share(self.found, self.truths)
    }

    fn median_ms(&self) -> Option<i64> {
        self.after_ms.get(self.after_ms.len() / 2).copied()
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

impl<'a> Report<'a> {
    pub fn new(seed: u64, outcomes: &'a [Outcome]) -> Self {
        let mut outcomes: Vec<&Outcome> = outcomes.iter().collect();
        outcomes.sort_by_key(|outcome| (&outcome.scenario, &outcome.variant));
        Self { seed, outcomes }
    }

    fn cells(&self) -> impl Iterator<Item = &'a Cell> {
        self.outcomes.iter().flat_map(|outcome| &outcome.cells)
    }

    fn verdicts(&self) -> BTreeSet<&'a str> {
        self.cells()
            .flat_map(|cell| [cell.truth.as_str(), cell.said.as_str()])
            .filter(|word| *word != NOTHING)
            .collect()
    }

    fn matrix(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for cell in self.cells() {
            *counts.entry((&cell.truth, &cell.said)).or_default() += 1;
        }
        let words: Vec<&str> = self.verdicts().into_iter().chain([NOTHING]).collect();
        let said: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        writeln!(f, "| true \\ said | {} |", said.join(" | "))?;
        writeln!(f, "|---|{}", "--:|".repeat(words.len()))?;
        for truth in &words {
            let row: Vec<String> = words
                .iter()
                .map(|said| match counts.get(&(*truth, *said)) {
                    Some(count) if truth == said => format!("**{count}**"),
                    Some(count) => count.to_string(),
                    None => String::new(),
                })
                .collect();
            writeln!(f, "| `{truth}` | {} |", row.join(" | "))?;
        }
        Ok(())
    }

    fn scores(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| verdict | true | said of them | too late | wrong, proven | wrong, likely | precision | recall | median | worst |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        let percent = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{share:.1} %"));
        let seconds =
            |ms: Option<i64>| ms.map_or("–".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1000.0));
        for verdict in self.verdicts() {
            let score = Score::of(verdict, self.cells());
            writeln!(
                f,
                "| `{verdict}` | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                score.truths,
                score.found,
                score.late,
                score.wrong_proven,
                score.wrong_likely,
                percent(score.precision()),
                percent(score.recall()),
                seconds(score.median_ms()),
                seconds(score.after_ms.last().copied()),
            )?;
        }
        Ok(())
    }

    fn scenarios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| fault | what was done | on | lease | look | took | the site was |"
        )?;
        writeln!(f, "|---|---|---|--:|--:|--:|---|")?;
        for outcome in &self.outcomes {
            let result = if outcome.problems.is_empty() {
                "right".to_owned()
            } else {
                outcome.problems.join("; ").replace('|', "\\|")
            };
            writeln!(
                f,
                "| {} | {} | {} | {} s | {} s | {} s | {result} |",
                outcome.scenario,
                outcome.name,
                outcome.variant,
                outcome.lease_s,
                outcome.detect_every_s,
                outcome.seconds,
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.problems.is_empty())
            .count();
        writeln!(f, "# What the detector said, and what was true\n")?;
        writeln!(
            f,
            "Written by the fault lab (docs/fault-lab.md) with the seed {}, in one go or several: {right} of {} scenarios right.\n",
            self.seed,
            self.outcomes.len()
        )?;
        writeln!(
            f,
            "A row is what was true of a task, a queue or the broker, a column what was said of it: one count for each\n\
             subject and truth. `nothing` is neither wrong nor said to be. Cards that only gather what is folded under\n\
             them are not counted.\n"
        )?;
        self.matrix(f)?;
        writeln!(
            f,
            "\nTimes run from the harm to the word. They hold what the verdict's rule waits for (docs/verdicts.md), and\n\
             depend on the settings that each scenario used: its lease, and the time between two looks, are below. The\n\
             scenarios ran side by side on one machine, on a broker whose statistics are 1-2 s late.\n"
        )?;
        self.scores(f)?;
        writeln!(f, "\n## What was done\n")?;
        self.scenarios(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(truth: &str, said: &str, after_ms: Option<i64>) -> Cell {
        Cell {
            truth: truth.into(),
            said: said.into(),
            proven: true,
            after_ms,
            late: false,
        }
    }

    #[test]
    fn a_verdict_that_was_missed_costs_recall_and_one_that_was_wrong_costs_precision() {
        let cells = [
            cell("message_lost", "message_lost", Some(4_000)),
            cell("message_lost", "message_lost", Some(9_000)),
            cell("message_lost", "message_lost", Some(6_000)),
            cell("message_lost", NOTHING, None),
            cell("message_lost", "worker_lost", None),
            cell(NOTHING, "message_lost", None),
            cell(NOTHING, NOTHING, None),
        ];
        let lost = Score::of("message_lost", cells.iter());
        assert_eq!((lost.truths, lost.found, lost.wrong_proven), (4, 3, 1));
        assert_eq!(
            (lost.precision(), lost.recall()),
            (Some(75.0), Some(75.0)),
            "{lost:?}"
        );
        assert_eq!(
            (lost.median_ms(), lost.after_ms.last()),
            (Some(6_000), Some(&9_000))
        );
        let worker = Score::of("worker_lost", cells.iter());
        assert_eq!((worker.precision(), worker.recall()), (Some(0.0), None));
    }
}
