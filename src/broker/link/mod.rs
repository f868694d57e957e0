//! One connection to the broker that mends itself and says how it is doing.
//!
//! lapin's own recovery is off: it leaves consumers that look alive and never get a message again, and publishes that
//! hang. A connection that failed in any way is cut and a new one made, so that nothing half-alive stays behind.

mod screen;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::ShortString;
use lapin::{Channel, Connection, ErrorKind, Event};
use rand::RngExt;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::config::BrokerConfig;
use transport::{Cutter, Heard};

/// Longest wait for TCP, TLS and the AMQP handshake together.
const CONNECT: Duration = Duration::from_secs(4);
/// Longest wait for the broker's answer to one request on a connection.
pub(crate) const REPLY: Duration = Duration::from_secs(5);
/// The broker says something every 5 s at least (half its heartbeat).
const SILENCE: Duration = Duration::from_secs(6);
/// Wait before the first try after a loss, doubled up to `BACKOFF_MAX`, then shortened by up to half at random.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Shortest wait when the broker refused us: nothing of ours can change that.
const BACKOFF_REFUSED: Duration = Duration::from_secs(1);
/// A connection that lived shorter than this does not count as a success: a broker that accepts and closes at once
/// would otherwise be called without pause.
const STABLE_AFTER: Duration = Duration::from_secs(1);

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

/// The task behind a link.
struct Keeper {
    config: BrokerConfig,
    role: LinkRole,
    state: watch::Sender<LinkState>,
    session: watch::Sender<Option<Arc<Session>>>,
    stop: CancellationToken,
}

/// Why a try failed or a connection ended.
struct Loss {
    cause: DownCause,
    detail: String,
}

impl Keeper {
    async fn run(self) {
        let mut attempts = 0;
        let mut generation = 0;
        let mut down_since = None;
        loop {
            generation += 1;
            let loss = match self.open(generation).await {
                Ok(session) => {
                    let opened_at = Instant::now();
                    let Some(loss) = self.serve(session).await else {
                        return;
                    };
                    down_since = None;
                    if opened_at.elapsed() >= STABLE_AFTER {
                        attempts = 0;
                    }
                    loss
                }
                Err(loss) => loss,
            };
            attempts += 1;
            let wait = backoff(attempts, loss.cause);
            let cause = loss.cause.as_str();
            tracing::warn!(link = self.role.as_str(), broker = %self.config, cause, detail = %loss.detail, attempts, "not connected to the broker");
            self.state.send_replace(LinkState::Down {
                since: *down_since.get_or_insert_with(SystemTime::now),
                cause: loss.cause,
                detail: loss.detail,
                attempts,
            });
            if timeout(wait, self.stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    async fn open(&self, generation: u64) -> Result<Session, Loss> {
        let (cutter, heard) = (Cutter::default(), Heard::default());
        let opening = timeout(
            CONNECT,
            transport::connect(&self.config, cutter.clone(), heard.clone(), CONNECT),
        );
        let opened = tokio::select! {
            opened = opening => opened,
            () = self.stop.cancelled() => {
                cutter.cut();
                return Err(Loss { cause: DownCause::Closed, detail: "stopped".to_owned() });
            }
        };
        match opened {
            Ok(Ok(connection)) => Ok(Session {
                connection,
                cutter,
                generation,
                failed: watch::Sender::new(None),
                blocked: watch::Sender::new(None),
                ended: CancellationToken::new(),
                heard,
                config: self.config.clone(),
            }),
            Ok(Err(error)) => {
                cutter.cut();
                Err(explain_loss(&self.config, &error, DownCause::Unreachable))
            }
            Err(_) => {
                cutter.cut();
                Err(Loss {
                    cause: DownCause::Timeout,
                    detail: format!("no answer within {} s", CONNECT.as_secs()),
                })
            }
        }
    }

    /// Shows the connection to its users until it is lost. None when the link is to stop.
    async fn serve(&self, session: Session) -> Option<Loss> {
        let session = Arc::new(session);
        metrics::counter!("unstuck_reconnects_total", "link" => self.role.as_str()).increment(1);
        tracing::info!(link = self.role.as_str(), broker = %self.config, "connected to the broker");
        self.state.send_replace(LinkState::Up {
            since: SystemTime::now(),
        });
        self.session.send_replace(Some(session.clone()));
        let loss = tokio::select! {
            loss = self.watch_over(&session) => Some(loss),
            () = self.stop.cancelled() => None,
        };
        self.session.send_replace(None);
        if loss.is_none() {
            let close = session.connection.close(200, ShortString::from("stopped"));
            if !matches!(timeout(Duration::from_secs(2), close).await, Ok(Ok(()))) {
                tracing::debug!(
                    link = self.role.as_str(),
                    "the broker did not confirm the end of the connection"
                );
            }
            self.state.send_replace(LinkState::Down {
                since: SystemTime::now(),
                cause: DownCause::Closed,
                detail: "stopped".to_owned(),
                attempts: 0,
            });
        }
        session.cutter.cut();
        session.ended.cancel();
        loss
    }

    async fn watch_over(&self, session: &Session) -> Loss {
        let mut events = Box::pin(session.connection.events_listener());
        let mut failed = session.failed.subscribe();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(link = self.role.as_str(), reason, "the broker takes no publishes");
                        self.state.send_replace(LinkState::Blocked { since: SystemTime::now(), reason: reason.clone() });
                        session.blocked.send_replace(Some(reason));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!(link = self.role.as_str(), "the broker takes publishes again");
                        self.state.send_replace(LinkState::Up { since: SystemTime::now() });
                        session.blocked.send_replace(None);
                    }
                    // A channel's end is reported here too: then the connection lives on.
                    Some(Event::Error(error)) if !session.is_connected() => return explain_loss(&self.config, &error, DownCause::Closed),
                    Some(_) => {}
                    None => return Loss { cause: DownCause::Closed, detail: "the connection ended".to_owned() },
                },
                changed = failed.changed() => {
                    let detail = failed.borrow_and_update().clone().unwrap_or_default();
                    if changed.is_ok() {
                        return Loss { cause: DownCause::Timeout, detail };
                    }
                }
                _ = tick.tick() => if !session.is_connected() {
                    return Loss { cause: DownCause::Closed, detail: "the connection ended".to_owned() };
                },
            }
        }
    }
}

/// `otherwise` is the cause of a plain connection error: it never came to be, or it ended.
fn explain_loss(config: &BrokerConfig, error: &lapin::Error, otherwise: DownCause) -> Loss {
    let text = config.scrub(&error.to_string());
    match error.kind() {
        ErrorKind::ProtocolError(amqp) => match amqp.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Loss {
                cause: DownCause::AccessRefused,
                detail: "the broker refused the login".to_owned(),
            },
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)
                if amqp.get_message().as_str().contains("not found") =>
            {
                Loss {
                    cause: DownCause::VhostNotFound,
                    detail: format!("the broker has no virtual host '{}'", config.vhost()),
                }
            }
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Loss {
                cause: DownCause::AccessRefused,
                detail: format!("the user may not use the virtual host '{}'", config.vhost()),
            },
            AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED) => Loss {
                cause: DownCause::Closed,
                detail: text,
            },
            _ => Loss {
                cause: DownCause::ProtocolError,
                detail: text,
            },
        },
        ErrorKind::IOError(io) if io.kind() == std::io::ErrorKind::TimedOut => Loss {
            cause: DownCause::Timeout,
            detail: text,
        },
        ErrorKind::IOError(_) => Loss {
            cause: otherwise,
            detail: text,
        },
        ErrorKind::MissingHeartbeatError => Loss {
            cause: DownCause::Timeout,
            detail: "no sign of life from the broker for two heartbeats".to_owned(),
        },
        ErrorKind::InvalidConnectionState(_) | ErrorKind::InvalidChannelState(..) => Loss {
            cause: otherwise,
            detail: text,
        },
        _ => Loss {
            cause: DownCause::ProtocolError,
            detail: text,
        },
    }
}

fn backoff(attempts: u32, cause: DownCause) -> Duration {
    let full = BACKOFF_MIN
        .saturating_mul(1 << attempts.saturating_sub(1).min(10))
        .min(BACKOFF_MAX);
    let jittered = full.mul_f64(rand::rng().random_range(0.5..=1.0));
    match cause {
        DownCause::AccessRefused | DownCause::VhostNotFound => jittered.max(BACKOFF_REFUSED),
        DownCause::Unreachable | DownCause::ProtocolError | DownCause::Timeout | DownCause::Closed => {
            jittered
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_grows_to_five_seconds_and_never_hurries_a_refusal() {
        for attempts in 1..40 {
            let wait = backoff(attempts, DownCause::Unreachable);
            assert!(
                wait >= BACKOFF_MIN / 2 && wait <= BACKOFF_MAX,
                "try {attempts} waits {wait:?}"
            );
            assert!(backoff(attempts, DownCause::AccessRefused) >= Duration::from_secs(1));
            assert!(backoff(attempts, DownCause::VhostNotFound) >= Duration::from_secs(1));
        }
        assert!(backoff(1, DownCause::Closed) <= BACKOFF_MIN);
        assert!(backoff(30, DownCause::Timeout) >= BACKOFF_MAX / 2);
    }
}
