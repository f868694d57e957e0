//! The integration tests: one binary, so that the crate links once.

mod catalogue;
mod architecture;
mod detector;
mod rabbitmq;
mod store;
mod support;
mod worker;
