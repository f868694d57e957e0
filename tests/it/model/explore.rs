//! Every state that can be reached within a bound, nearest first, and whether something always moves.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

use super::{
    invariant::{Invariant, is_settled},
    sabotage::Sabotage,
    step::{Cause, Step},
    world::{Bound, World},
};

/// What was explored.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    pub states: usize,
    pub transitions: usize,
    /// The most steps that it takes to get to a state.
    pub depth: u32,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            states,
            transitions,
            depth,
        } = self;
        write!(f, "{states} states, {transitions} transitions, depth {depth}")
    }
}

/// A rule that does not hold, and the shortest way there.
#[derive(Debug)]
pub struct Counterexample {
    pub invariant: Invariant,
    pub by: String,
    pub way: Vec<Step>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken: {}\nby {}", self.invariant, self.by)?;
        for (nr, step) in self.way.iter().enumerate() {
            writeln!(f, "{:4}. {step:?}", nr + 1)?;
        }
        Ok(())
    }
}

/// A state: how it was first reached, and whether every task of it is settled.
struct Seen {
    from: u32,
    step: Option<Step>,
    depth: u32,
    settled: bool,
}

struct Graph {
    seen: Vec<Seen>,
    /// What happens by itself, as (from, to, cause).
    course: Vec<(u32, u32, Cause)>,
    transitions: usize,
}

/// Goes through every state within the bound.
///
/// First each change and each state is held against the rules. Then, with no more faults and nobody acting, every state must
/// lead to one in which each task has ended or its stall is shown: as every such state leads there, so does every fair
/// run from it. That is asked twice: once frozen workers wake up, once somebody replaces them.
pub fn explore(bound: Bound, sabotage: Option<Sabotage>) -> Result<Count, Counterexample> {
    let graph = Graph::of(bound, sabotage)?;
    for without in [Cause::Replace, Cause::Thaw] {
        if let Some(stuck) = graph.stuck(without) {
            return Err(Counterexample {
                invariant: Invariant::SomethingMoves,
                by: format!("no way on, without {without:?}"),
                way: graph.way(stuck, None),
            });
        }
    }
    Ok(Count {
        states: graph.seen.len(),
        transitions: graph.transitions,
        depth: graph.seen.last().map_or(0, |seen| seen.depth),
    })
}

impl Graph {
    fn of(bound: Bound, sabotage: Option<Sabotage>) -> Result<Self, Counterexample> {
        let first = World::new(bound);
        let mut numbers: HashMap<u64, u32> = HashMap::new();
        let mut graph = Self {
            seen: Vec::new(),
            course: Vec::new(),
            transitions: 0,
        };
        numbers.insert(first.key(), 0);
        graph.add(&first, 0, None);
        let mut waiting = VecDeque::from([first]);
        let mut from = 0;
        while let Some(world) = waiting.pop_front() {
            for step in world.choices() {
                let after = world.after(step, sabotage);
                graph.transitions += 1;
                if let Some(broken) = after.broken {
                    return Err(Counterexample {
                        invariant: broken.invariant,
                        by: broken.by,
                        way: graph.way(from, Some(step)),
                    });
                }
                let next = graph.seen.len() as u32;
                let to = *numbers.entry(after.key()).or_insert(next);
                if matches!(step.cause(), Cause::Course | Cause::Thaw | Cause::Replace) && to != from {
                    graph.course.push((from, to, step.cause()));
                }
                if to == next {
                    graph.add(&after, from, Some(step));
                    waiting.push_back(after);
                }
            }
            from += 1;
        }
        Ok(graph)
    }

    fn add(&mut self, world: &World, from: u32, step: Option<Step>) {
        let depth = step.map_or(0, |_| self.seen[from as usize].depth + 1);
        let settled = (0..world.tasks.len()).all(|nr| is_settled(world, nr));
        self.seen.push(Seen {
            from,
            step,
            depth,
            settled,
        });
    }

    /// The nearest state from which no settled one can be reached.
    fn stuck(&self, without: Cause) -> Option<u32> {
        let mut first = vec![0u32; self.seen.len() + 1];
        let edges = || self.course.iter().filter(|(_, _, cause)| *cause != without);
        for (_, to, _) in edges() {
            first[*to as usize + 1] += 1;
        }
        for nr in 0..self.seen.len() {
            first[nr + 1] += first[nr];
        }
        let mut sources = vec![0u32; first[self.seen.len()] as usize];
        let mut filled = first.clone();
        for (from, to, _) in edges() {
            let place = &mut filled[*to as usize];
            sources[*place as usize] = *from;
            *place += 1;
        }
        let mut reached: Vec<bool> = self.seen.iter().map(|seen| seen.settled).collect();
        let mut waiting: Vec<u32> = (0..self.seen.len() as u32)
            .filter(|nr| reached[*nr as usize])
            .collect();
        while let Some(to) = waiting.pop() {
            let to = to as usize;
            for from in &sources[first[to] as usize..first[to + 1] as usize] {
                if !std::mem::replace(&mut reached[*from as usize], true) {
                    waiting.push(*from);
                }
            }
        }
        reached.iter().position(|reached| !reached).map(|nr| nr as u32)
    }

    /// The shortest way to a state, and one step on.
    fn way(&self, mut to: u32, last: Option<Step>) -> Vec<Step> {
        let mut way: Vec<Step> = last.into_iter().collect();
        while let Some(step) = self.seen[to as usize].step {
            way.push(step);
            to = self.seen[to as usize].from;
        }
        way.reverse();
        way
    }
}
