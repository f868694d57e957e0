//! What the tests share.

pub mod broker;
pub mod wait;
