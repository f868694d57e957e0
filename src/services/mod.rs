//! Does: one use case per file, on top of the store, the broker and a clock.

pub mod accounts;
pub mod batch;
pub mod demo;
pub mod exec;
pub mod guard;
pub mod lifecycle;
pub mod queues;
pub mod recovery;
pub mod relay;
pub mod renewal;
pub mod submit;
pub mod worker;
