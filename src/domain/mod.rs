//! Decides: states, transitions, rules. Pure: no I/O, no clock, no async.

pub mod access;
pub mod attachment;
pub mod audit;
pub mod broker_queue;
pub mod broker_version;
pub mod delivery;
pub mod evidence;
pub mod expectation;
pub mod finding;
pub mod ledger;
pub mod lint;
pub mod observation;
pub mod policy;
pub mod queue_setup;
pub mod queue_spec;
pub mod report;
pub mod resend;
pub mod retry;
pub mod rules;
pub mod sketch;
pub mod submission;
pub mod task;
pub mod ticket;
pub mod time;
pub mod transition;
pub mod words;
