//! How a connection to the broker is doing, and what it is for.

use std::{fmt, time::SystemTime};

/// How a connection to the broker is doing. No text in it ever contains a user or a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The first try is under way.
    Connecting,
    Up {
        since: SystemTime,
    },
    /// Connected, but the broker takes no publishes for now (memory or disk alarm). It says so at the first publish only.
    Blocked {
        since: SystemTime,
        reason: String,
    },
    Down {
        since: SystemTime,
        cause: DownCause,
        /// What happened, one sentence.
        detail: String,
        /// Tries that failed since it went down.
        attempts: u32,
    },
}

impl LinkState {
    /// Whether requests can be sent: true for `Up` and `Blocked`.
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Up { .. } | Self::Blocked { .. } => true,
            Self::Connecting | Self::Down { .. } => false,
        }
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Up { .. } => f.write_str("connected"),
            Self::Blocked { reason, .. } => {
                write!(f, "connected, but the broker takes no publishes: {reason}")
            }
            Self::Down { detail, .. } => f.write_str(detail),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownCause {
    /// Nothing answers at the address, or the name does not resolve, or TLS failed.
    Unreachable,
    /// The broker refused the user or the password, or the user may not use the virtual host.
    AccessRefused,
    VhostNotFound,
    /// What answered does not speak AMQP 0-9-1 properly.
    ProtocolError,
    /// No answer in time: a frozen broker or a network that swallows packets.
    Timeout,
    /// The connection ended after it had been made.
    Closed,
}

impl DownCause {
    /// One lower-case word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::AccessRefused => "access_refused",
            Self::VhostNotFound => "vhost_not_found",
            Self::ProtocolError => "protocol_error",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
        }
    }
}

/// What an established connection is for. Metrics and logs tell the links apart by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkRole {
    Publish,
    Consume,
    Probe,
}

impl LinkRole {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
            Self::Probe => "probe",
        }
    }
}
