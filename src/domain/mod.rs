//! Decides: states, transitions, rules. Pure: no I/O, no clock, no async.

pub mod time;
