//! Does: one use case per file, on top of the store, the broker and a clock.

pub mod batch;
pub mod lifecycle;
pub mod recovery;
