//! What the tests share.

pub mod broker;
pub mod raw_amqp;
pub mod store;
pub mod wait;
