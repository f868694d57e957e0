//! The integration tests: one binary, so that the crate links once.

mod rabbitmq;
mod store;
mod support;
