//! What pages, probes and metrics say of the links to the database and the broker.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    broker::{DownCause, LinkState, management::ManagementLink},
    domain::words::words,
    services::backlog::Backlog,
};

words! {
    /// The links whose health every staff page shows.
    pub enum LinkName {
        Database = "database",
        Publisher = "publisher",
        Consumer = "consumer",
        Management = "management",
        /// Shown only while it is full.
        Outbox = "outbox",
    }
}

words! {
    pub enum LinkHealth {
        Up = "up",
        Connecting = "connecting",
        /// The broker takes nothing more: an alarm.
        Blocked = "blocked",
        Down = "down",
        /// This process does not ask, so it can't tell.
        Unknown = "unknown",
    }
}

words! {
    /// Why a link is not up.
    pub enum LinkCause {
        Unreachable = "unreachable",
        Refused = "refused",
        VhostNotFound = "vhost_not_found",
        ProtocolError = "protocol_error",
        TimedOut = "timed_out",
        Closed = "closed",
        Alarm = "alarm",
        Unasked = "unasked",
        Full = "full",
    }
}

/// How one link is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub name: LinkName,
    pub health: LinkHealth,
    /// Of a link that is not up; none while it is made for the first time.
    pub cause: Option<LinkCause>,
    /// The same as one sentence in English, as the log has it: for staff, never for strangers.
    pub detail: Option<String>,
}

impl Link {
    pub fn up(name: LinkName) -> Self {
        Self {
            name,
            health: LinkHealth::Up,
            cause: None,
            detail: None,
        }
    }

    pub fn not_up(name: LinkName, health: LinkHealth, cause: LinkCause, detail: Option<String>) -> Self {
        Self {
            name,
            health,
            cause: Some(cause),
            detail,
        }
    }

    fn publisher(state: &LinkState) -> Self {
        let name = LinkName::Publisher;
        match state {
            LinkState::Up { .. } => Self::up(name),
            LinkState::Connecting => Self {
                health: LinkHealth::Connecting,
                ..Self::up(name)
            },
            LinkState::Blocked { reason, .. } => {
                Self::not_up(name, LinkHealth::Blocked, LinkCause::Alarm, Some(reason.clone()))
            }
            LinkState::Down { cause, detail, .. } => {
                let cause = match cause {
                    DownCause::Unreachable => LinkCause::Unreachable,
                    DownCause::AccessRefused => LinkCause::Refused,
                    DownCause::VhostNotFound => LinkCause::VhostNotFound,
                    DownCause::ProtocolError => LinkCause::ProtocolError,
                    DownCause::Timeout => LinkCause::TimedOut,
                    DownCause::Closed => LinkCause::Closed,
                };
                Self::not_up(name, LinkHealth::Down, cause, Some(detail.clone()))
            }
        }
    }

    fn management(state: &ManagementLink) -> Self {
        let name = LinkName::Management;
        match state {
            ManagementLink::Up => Self::up(name),
            ManagementLink::Unasked => Self::not_up(name, LinkHealth::Unknown, LinkCause::Unasked, None),
            ManagementLink::Down { kind, detail } => {
                let cause = match *kind {
                    "unreachable" => LinkCause::Unreachable,
                    "timed_out" => LinkCause::TimedOut,
                    "refused" => LinkCause::Refused,
                    _ => LinkCause::ProtocolError,
                };
                Self::not_up(name, LinkHealth::Down, cause, Some(detail.clone()))
            }
        }
    }

    /// Whether the process lacks something that it needs. What another process looks after is nothing that it lacks.
    pub fn degrades(&self) -> bool {
        match self.health {
            LinkHealth::Up | LinkHealth::Unknown => false,
            LinkHealth::Connecting | LinkHealth::Blocked | LinkHealth::Down => true,
        }
    }
}

/// Reads the links' present states. The database is up for whoever asks: a page that is shown has reached it.
pub fn watched(
    publisher: watch::Receiver<LinkState>,
    management: watch::Receiver<ManagementLink>,
    backlog: Backlog,
) -> Arc<dyn Fn() -> Vec<Link> + Send + Sync> {
    Arc::new(move || {
        let mut links = vec![
            Link::up(LinkName::Database),
            Link::publisher(&publisher.borrow()),
            Link::management(&management.borrow()),
        ];
        links.extend(backlog.full().map(|full| {
            let detail = format!("{} messages wait", full.cap);
            Link::not_up(
                LinkName::Outbox,
                LinkHealth::Blocked,
                LinkCause::Full,
                Some(detail),
            )
        }));
        links
    })
}
