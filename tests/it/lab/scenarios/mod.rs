//! The faults, and the healthy days. Those that take longest come first: they are played side by side.

mod attempt;
mod broker;
mod compound;
mod database;
mod dead;
mod healthy;
mod link;
mod management;
mod message;
mod queue;
mod settings;
mod together;
mod worker;

use super::scenario::Scenario;

/// Every scenario.
pub fn all() -> Vec<&'static Scenario> {
    [
        attempt::ALL,
        queue::ALL,
        healthy::ALL,
        compound::ALL,
        link::ALL,
        message::ALL,
        dead::ALL,
        worker::ALL,
        database::ALL,
        management::ALL,
        broker::ALL,
        settings::ALL,
        together::ALL,
    ]
    .into_iter()
    .flatten()
    .collect()
}
