//! Decides: states, transitions, rules. Pure: no I/O, no clock, no async.

pub mod access;
pub mod audit;
pub mod retry;
pub mod task;
pub mod time;
pub mod transition;
pub mod words;
