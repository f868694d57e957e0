//! What the tests share.

pub mod broker;
pub mod store;
pub mod wait;
