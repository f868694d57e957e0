//! One connection to the broker that mends itself and says how it is doing.
//!
//! lapin's own recovery is off: it leaves consumers that look alive and never get a message again, and publishes that
//! hang. A connection that failed in any way is cut and a new one made, so that nothing half-alive stays behind.

mod keeper;
mod screen;
mod state;
mod transport;

use std::{sync::Arc, time::Duration};

use lapin::{Channel, Connection, ErrorKind, protocol::AMQPErrorKind};
use thiserror::Error;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::config::BrokerConfig;
use keeper::Keeper;
pub(crate) use state::LinkRole;
pub use state::{DownCause, LinkState};
use transport::{Cutter, Heard};

/// Longest wait for the broker's answer to one request on a connection.
pub(crate) const REPLY: Duration = Duration::from_secs(5);
/// The broker says something every 5 s at least (half its heartbeat).
const SILENCE: Duration = Duration::from_secs(6);

/// Why a request on a connection had no result.
#[derive(Debug, Clone, Error)]
pub(crate) enum RequestError {
    /// The broker answered with an error that ended the channel only.
    #[error("{text}")]
    Refused { code: u16, text: String },
    /// Anything else: no answer in time, or the connection is gone or unusable.
    #[error("{detail}")]
    Broken { detail: String },
}

/// A self-mending connection. Clones share it; it is closed when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Link {
    state: watch::Receiver<LinkState>,
    session: watch::Receiver<Option<Arc<Session>>>,
    stop: CancellationToken,
    _guard: Arc<DropGuard>,
}

impl Link {
    pub(crate) fn spawn(config: BrokerConfig, role: LinkRole) -> Self {
        super::tls::install();
        let (state_in, state) = watch::channel(LinkState::Connecting);
        let (session_in, session) = watch::channel(None);
        let stop = CancellationToken::new();
        let keeper = Keeper {
            config,
            role,
            state: state_in,
            session: session_in,
            stop: stop.clone(),
        };
        tokio::spawn(keeper.run());
        Self {
            state,
            session,
            _guard: Arc::new(stop.clone().drop_guard()),
            stop,
        }
    }

    pub(crate) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// The present connection, or why there is none.
    pub(crate) fn session(&self) -> Result<Arc<Session>, LinkState> {
        match self.session.borrow().clone() {
            Some(session) => Ok(session),
            None => Err(self.state.borrow().clone()),
        }
    }

    /// Waits for a connection, at most `patience`. Errors: the state the link is in by then.
    pub(crate) async fn session_within(&self, patience: Duration) -> Result<Arc<Session>, LinkState> {
        let mut sessions = self.session.clone();
        // Bound first: the answer must not borrow the channel beyond this statement.
        let waited = timeout(patience, sessions.wait_for(Option::is_some))
            .await
            .map(|seen| seen.map(|one| one.clone()));
        match waited {
            Ok(Ok(Some(session))) => Ok(session),
            Ok(Ok(None) | Err(_)) | Err(_) => self.session(),
        }
    }

    /// Closes the connection and stops trying. Also happens when the last clone is dropped.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

/// One connection. It is never mended, only replaced.
pub(crate) struct Session {
    connection: Connection,
    cutter: Cutter,
    generation: u64,
    failed: watch::Sender<Option<String>>,
    blocked: watch::Sender<Option<String>>,
    ended: CancellationToken,
    heard: Heard,
    config: BrokerConfig,
}

impl Session {
    /// Differs for every connection of this link, and grows.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// A new channel. It is closed, and its unacknowledged deliveries returned, when the last clone of it is dropped.
    pub(crate) async fn channel(&self) -> Result<Channel, RequestError> {
        self.request(self.connection.create_channel()).await
    }

    /// Awaits the broker's answer, at most `REPLY`.
    ///
    /// One that does not come says nothing about the connection while the broker gives other signs of life: the queue
    /// asked about may be the one that hangs. In a silence the connection is given up.
    pub(crate) async fn request<T>(
        &self,
        request: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, RequestError> {
        match timeout(REPLY, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(_) => {
                let detail = format!("the broker did not answer within {} s", REPLY.as_secs());
                if self.heard.silent_for() >= SILENCE {
                    self.fail(detail.clone());
                }
                Err(RequestError::Broken { detail })
            }
        }
    }

    pub(crate) fn explain(&self, error: &lapin::Error) -> RequestError {
        match error.kind() {
            ErrorKind::ProtocolError(error) if matches!(error.kind(), AMQPErrorKind::Soft(_)) => {
                RequestError::Refused {
                    code: error.get_id(),
                    text: self.config.scrub(error.get_message().as_str()),
                }
            }
            _ => RequestError::Broken {
                detail: self.config.scrub(&error.to_string()),
            },
        }
    }

    /// Gives this connection up: it is cut and another one is made. For what can't be trusted any more.
    pub(crate) fn fail(&self, detail: String) {
        self.failed.send_replace(Some(detail));
    }

    /// Why the broker takes no publishes on this connection; None when it does.
    pub(crate) fn blocked(&self) -> watch::Receiver<Option<String>> {
        self.blocked.subscribe()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.status().connected()
    }

    /// Ends when this connection is lost or closed.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}
