//! The detector: its rules, its store, and what it finds on a real broker.

mod attempts;
mod cards;
mod copies;
mod dead;
mod head;
mod histories;
mod lost_workers;
mod overtaken;
mod passes;
mod policies;
mod proofs;
mod queue_world;
mod real;
mod rules;
mod scene;
mod settings;
mod snoozes;
mod stage;
mod support;
mod tasks;
mod thresholds;
mod traced;
mod tracers;
mod trails;
mod unusual;
mod words;
