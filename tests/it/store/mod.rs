//! The store's conformance: every case on both databases.

mod accounts;
mod broker_queues;
mod clock;
mod deadlock;
mod durations;
mod findings;
mod leases;
mod said;
mod tasks;
