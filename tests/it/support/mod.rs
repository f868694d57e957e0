//! What the tests share.

pub mod broker;
pub mod browser;
pub mod chaos;
pub mod client;
pub mod cluster;
pub mod death;
pub mod finding;
pub mod journal;
pub mod load;
pub mod lock;
pub mod node;
pub mod plant;
pub mod policy;
pub mod process;
pub mod raw_amqp;
pub mod site;
pub mod store;
pub mod stub_http;
pub mod tracer;
pub mod truth;
pub mod veil;
pub mod wait;
pub mod wall_clock;
