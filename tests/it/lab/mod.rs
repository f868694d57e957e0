//! The fault lab: every fault is done for real, and what the site said is held against what was true.
//! docs/fault-lab.md says how to run it and how to read its report.

mod acts;
mod coverage;
pub mod dice;
mod judge;
mod report;
mod run;
mod said;
mod scenario;
mod scenarios;
mod stage;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Mutex,
};

use self::{
    judge::Outcome,
    report::Report,
    run::play,
    scenario::{Ground, Scenario, Variant},
};
use crate::support::{node::Node, plant::Engine};

/// How many scenarios are played side by side on the shared broker; one more has a broker to itself.
const LANES: usize = 6;

/// What was asked for: `LAB_SEED`, `LAB_FORM`, `LAB_ONLY`, `LAB_KEEP` and `LAB_REPORT`.
struct Wish {
    seed: u64,
    full: bool,
    /// Ids; empty for all.
    only: Vec<String>,
    /// Outcomes are kept there, and not played again.
    keep: Option<PathBuf>,
    /// Where the report goes.
    report: Option<PathBuf>,
}

impl Wish {
    fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let seed = text("LAB_SEED").map_or_else(
            || rand::random::<u64>() % 1_000_000,
            |seed| seed.parse().expect("LAB_SEED is a number"),
        );
        let only = text("LAB_ONLY").unwrap_or_default();
        Self {
            seed,
            full: match text("LAB_FORM").as_deref() {
                None | Some("short") => false,
                Some("full") => true,
                Some(other) => panic!("LAB_FORM is {other:?}; it may be short or full"),
            },
            only: only
                .split(',')
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .collect(),
            keep: text("LAB_KEEP").map(PathBuf::from),
            report: text("LAB_REPORT").map(PathBuf::from),
        }
    }

    /// A database and a queue type each; another seed crosses them.
    fn variants(&self) -> [Variant; 2] {
        let types = if self.seed.is_multiple_of(2) {
            ["quorum", "classic"]
        } else {
            ["classic", "quorum"]
        };
        [
            Variant {
                engine: Engine::Sqlite,
                queue_type: types[0],
            },
            Variant {
                engine: Engine::Postgres,
                queue_type: types[1],
            },
        ]
    }

    /// What is to be played. The short form plays each scenario on one variant, and of those that need a broker of
    /// their own every second one: which, the seed says.
    fn games(&self) -> Vec<(&'static Scenario, Variant)> {
        let variants = self.variants();
        let turn = usize::try_from(self.seed % 2).expect("0 or 1");
        let mut games = Vec::new();
        let mut nodes = 0;
        for (at, scenario) in scenarios::all().into_iter().enumerate() {
            if !self.only.is_empty() {
                if self.only.iter().any(|id| id == scenario.id) {
                    games.extend(self.on(scenario, variants, at));
                }
                continue;
            }
            if scenario.ground == Ground::Node {
                nodes += 1;
                if !self.full && nodes % 2 != turn {
                    continue;
                }
            }
            games.extend(self.on(scenario, variants, at));
        }
        assert!(!games.is_empty(), "LAB_ONLY names no scenario");
        games
    }

    fn on(
        &self,
        scenario: &'static Scenario,
        variants: [Variant; 2],
        at: usize,
    ) -> Vec<(&'static Scenario, Variant)> {
        let mut on: Vec<Variant> = variants.map(|variant| scenario.on(variant)).to_vec();
        on.dedup();
        if !self.full {
            on = vec![on[at % on.len()]];
        }
        on.into_iter().map(|variant| (scenario, variant)).collect()
    }

    /// The file that keeps the outcome.
    fn kept(&self, scenario: &Scenario, variant: Variant) -> Option<PathBuf> {
        let name = format!("{}-{}-{}.json", self.seed, scenario.id, variant.name()).replace('/', "-");
        Some(self.keep.as_ref()?.join(name))
    }
}

#[test]
fn the_site_says_what_is_wrong_and_nothing_else() {
    let wish = Wish::read();
    eprintln!("seed {}", wish.seed);
    let (own, shared): (VecDeque<_>, VecDeque<_>) = wish
        .games()
        .into_iter()
        .partition(|(scenario, _)| scenario.ground == Ground::Node);
    let (own, shared) = (Mutex::new(own), Mutex::new(shared));
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        threads.spawn(|| lane(&wish, &own, &outcomes));
        for _ in 0..LANES {
            threads.spawn(|| lane(&wish, &shared, &outcomes));
        }
    });
    let outcomes = outcomes.into_inner().expect("no lane panicked");
    let report = Report::new(wish.seed, &outcomes);
    eprintln!("{report}");
    if let Some(path) = &wish.report {
        std::fs::write(path, report.to_string()).expect("the report is written");
    }
    let problems: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !outcome.problems.is_empty())
        .map(|outcome| {
            format!(
                "{} on {}: {:#?}",
                outcome.scenario, outcome.variant, outcome.problems
            )
        })
        .collect();
    assert!(problems.is_empty(), "seed {}: {}", wish.seed, problems.join("\n"));
}

/// Plays one after the other.
fn lane(wish: &Wish, games: &Mutex<VecDeque<(&'static Scenario, Variant)>>, outcomes: &Mutex<Vec<Outcome>>) {
    let mut node: Option<Node> = None;
    loop {
        let next = games.lock().expect("not poisoned").pop_front();
        let Some((scenario, variant)) = next else {
            return;
        };
        let kept = wish.kept(scenario, variant);
        let outcome = match kept.as_deref().and_then(read) {
            Some(outcome) => outcome,
            None => play(scenario, variant, wish.seed, &mut node),
        };
        let verdict = if outcome.problems.is_empty() {
            "right"
        } else {
            "WRONG"
        };
        eprintln!(
            "{verdict} {:5} {:16} {:4} s  {} {}",
            outcome.scenario,
            outcome.variant,
            outcome.seconds,
            outcome.name,
            outcome.problems.join("; ")
        );
        if let Some(path) = kept.filter(|_| outcome.problems.is_empty()) {
            let text = serde_json::to_string(&outcome).expect("an outcome can be written");
            std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder is made");
            std::fs::write(path, text).expect("the outcome is kept");
        }
        outcomes.lock().expect("not poisoned").push(outcome);
    }
}

/// A kept outcome.
fn read(path: &Path) -> Option<Outcome> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}
