//! Does: one use case per file, on top of the store, the broker and a clock.

pub mod accounts;
pub mod attachments;
pub mod backlog;
pub mod backtest;
pub mod batch;
pub mod demo;
pub mod detector;
pub mod doctor;
pub mod exec;
pub mod findings;
pub mod form_seal;
pub mod guard;
pub mod lifecycle;
pub mod policies;
pub mod pruner;
pub mod queues;
pub mod recovery;
pub mod relay;
pub mod renewal;
pub mod report_limits;
pub mod submit;
pub mod thresholds;
pub mod ticketing;
pub(crate) mod tracers;
pub mod webhook;
pub mod worker;
