//! The detector: its rules, its store, and what it finds on a real broker.

mod histories;
mod proofs;
mod rules;
mod support;
mod tasks;
mod words;
