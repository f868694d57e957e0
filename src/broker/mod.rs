//! Speaks to RabbitMQ: the only module that names `lapin` and `reqwest`.
//!
//! Pure I/O. It knows nothing of the store; a task is its id and its dispatch here. Every connection mends itself with
//! backoff and says how it is doing (`LinkState`), every wait has an end, and a number that RabbitMQ did not give is
//! absent, never 0. Publishing, consuming and probing each have a connection of their own: a broker that blocks
//! publishers stops reading their connection, acknowledgements included.

pub mod config;
pub mod consumer;
pub mod dead;
mod link;
pub mod management;
pub mod message;
pub mod probe;
pub mod publisher;
pub mod reading;
pub mod tls;
pub mod topology;

pub use config::{BrokerConfig, BrokerConfigError};
pub use consumer::{AckHandle, AckOutcome, Consumer, ConsumerSpec, Content, Delivery};
pub use dead::{DeadLetter, DeadLetters, DeathCause, NoLook};
pub use link::{DownCause, LinkState};
pub use management::{Management, ManagementError};
pub use message::{Incoming, Malformed, RawMessage, TaskMessage};
pub use probe::{Probe, Probed};
pub use publisher::{PublishFault, PublishOutcome, Publisher};
pub use reading::{BrokerReader, BrokerReading, QueueReading, QueueState};
pub use topology::DeclareError;

pub use crate::domain::queue_spec::{QueueSpec, QueueType};
