//! One long history drawn at random: trouble first, then calm, in which everything has to come to an end.

use std::collections::VecDeque;

use super::{
    explore::Counterexample,
    invariant::{Invariant, is_settled},
    step::{Cause, Step},
    world::{Bound, World},
};
use crate::lab::dice::Dice;

const TROUBLE: usize = 800;
/// How many steps the calm may take: each is drawn at random, so that ways round are gone, too.
const CALM: usize = 20_000;
/// So many of the last steps are told.
const TOLD: usize = 60;

pub struct History {
    world: World,
    dice: Dice,
    steps: usize,
    last: VecDeque<Step>,
}

impl History {
    pub fn new(bound: Bound, seed: u64) -> Self {
        Self {
            world: World::new(bound),
            dice: Dice::new(seed, "model"),
            steps: 0,
            last: VecDeque::new(),
        }
    }

    pub fn steps(&self) -> usize {
        self.steps
    }

    pub fn play(&mut self) -> Result<(), Counterexample> {
        for _ in 0..TROUBLE {
            let rolled = self.dice.roll(0, 99);
            self.go_on(|cause| match cause {
                Cause::Fault => rolled < 12,
                Cause::Person => (12..18).contains(&rolled),
                Cause::Thaw | Cause::Replace => (18..24).contains(&rolled),
                Cause::Course | Cause::Program => rolled >= 24,
            })?;
        }
        for _ in 0..CALM {
            if (0..self.world.tasks.len()).all(|nr| is_settled(&self.world, nr)) {
                return Ok(());
            }
            self.go_on(|cause| match cause {
                Cause::Course | Cause::Thaw | Cause::Replace => true,
                Cause::Program | Cause::Person | Cause::Fault => false,
            })?;
        }
        Err(self.broken(Invariant::SomethingMoves, "no end within the calm".into()))
    }

    fn go_on(&mut self, allowed: impl Fn(Cause) -> bool) -> Result<(), Counterexample> {
        let mut steps = self.world.choices();
        steps.retain(|step| allowed(step.cause()));
        let Some(last) = steps.len().checked_sub(1) else {
            return Ok(());
        };
        let step = steps[self.dice.roll(0, last as u64) as usize];
        self.world = self.world.after(step, None);
        self.steps += 1;
        self.last.push_back(step);
        if self.last.len() > TOLD {
            self.last.pop_front();
        }
        match self.world.broken.take() {
            None => Ok(()),
            Some(broken) => Err(self.broken(broken.invariant, broken.by)),
        }
    }

    fn broken(&self, invariant: Invariant, by: String) -> Counterexample {
        let way = self.last.iter().copied().collect();
        Counterexample { invariant, by, way }
    }
}
