//! What the tests share.

pub mod broker;
pub mod browser;
pub mod chaos;
pub mod node;
pub mod raw_amqp;
pub mod site;
pub mod store;
pub mod stub_http;
pub mod wait;
