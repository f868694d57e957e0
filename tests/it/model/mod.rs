//! The protocol in small: tasks, workers, a relay and a broker of which everything that can fail does, in every order.
//!
//! Every change of a task is made by the product's own `decide`, and a lost message is missed by the product's own
//! `shortfall`; what surrounds them (the relay's and the worker's steps, the outbox, the broker) is told again here in a
//! few lines each. Within a bound every state is visited, beyond it histories are drawn at random. So that nobody believes
//! a blind model, guards are taken out of the protocol one by one, and each must be missed by the rule it serves.
//!
//! Time is counted in ticks of the take-over grace. A message may overtake any other; a worker holds one at a time.

mod choices;
mod database;
mod explore;
mod history;
mod invariant;
mod play;
mod sabotage;
mod shown;
mod step;
mod world;

use std::{fmt, io::Write, time::Instant};

use self::{explore::explore, history::History, sabotage::Sabotage, world::Bound};

const SMALL: Bound = Bound {
    tasks: 1,
    workers: 2,
    faults: 1,
    acts: 1,
    max_attempts: 2,
    copies: 2,
};

/// What every run of the tests explores.
const SHORT: &[Bound] = &[
    SMALL,
    Bound {
        faults: 2,
        acts: 0,
        ..SMALL
    },
    Bound {
        tasks: 2,
        acts: 0,
        ..SMALL
    },
];

/// What `make faults` adds.
const FULL: &[Bound] = &[
    Bound { faults: 2, ..SMALL },
    Bound { acts: 2, ..SMALL },
    Bound {
        workers: 3,
        faults: 2,
        acts: 0,
        ..SMALL
    },
    Bound {
        workers: 3,
        max_attempts: 3,
        ..SMALL
    },
];

/// Many tasks' worth of trouble, far beyond what can be explored.
const WILD: Bound = Bound {
    tasks: 2,
    workers: 3,
    faults: 120,
    acts: 60,
    max_attempts: 3,
    copies: 3,
};

fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Shown even when the test passes.
fn tell(line: fmt::Arguments<'_>) {
    writeln!(std::io::stderr(), "{line}").expect("there is somebody to tell");
}

#[test]
fn no_state_within_the_bound_breaks_a_rule() {
    let full = asked("UNSTUCK_TEST_MODEL").is_some_and(|form| form == "full");
    let bounds = [SHORT, if full { FULL } else { &[] }].concat();
    for bound in bounds {
        let began = Instant::now();
        match explore(bound, None) {
            Ok(count) => tell(format_args!(
                "model: {bound}: {count}, {} s",
                began.elapsed().as_secs()
            )),
            Err(broken) => panic!("{bound}: {broken}"),
        }
    }
}

#[test]
fn no_random_history_breaks_a_rule() {
    let first = asked("MODEL_SEED").map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    let mut steps = 0;
    const HISTORIES: u64 = 150;
    for nr in 0..HISTORIES {
        let seed = u64::wrapping_add(first, nr);
        let mut history = History::new(WILD, seed);
        if let Err(broken) = history.play() {
            panic!("MODEL_SEED={seed} plays it again first: {broken}");
        }
        steps += history.steps();
    }
    tell(format_args!(
        "model: {HISTORIES} random histories from seed {first}, {steps} steps; {WILD}"
    ));
}

#[test]
fn a_guard_that_is_taken_out_is_missed_by_its_rule() {
    for (sabotage, rule) in Sabotage::ALL {
        match explore(SMALL, Some(*sabotage)) {
            Ok(count) => panic!("{sabotage:?} goes unnoticed in {count}"),
            Err(found) => {
                assert_eq!(found.invariant, *rule, "{sabotage:?}: {found}");
                let steps = found.way.len();
                tell(format_args!(
                    "model: {sabotage:?} is found after {steps} steps: {rule}"
                ));
            }
        }
    }
}
