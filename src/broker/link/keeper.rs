//! Makes a connection, watches over it, and makes the next one when it is lost.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::StreamExt;
use lapin::{
    ErrorKind, Event,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
    types::ShortString,
};
use rand::RngExt;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    BrokerConfig, DownCause, LinkRole, LinkState, Session,
    transport::{self, Cutter, Heard},
};

/// Longest wait for TCP, TLS and the AMQP handshake together.
const CONNECT: Duration = Duration::from_secs(4);
/// Wait before the first try after a loss, doubled up to `BACKOFF_MAX`, then shortened by up to half at random.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Shortest wait when the broker refused us: nothing of ours can change that.
const BACKOFF_REFUSED: Duration = Duration::from_secs(1);
/// A connection that lived shorter than this does not count as a success: a broker that accepts and closes at once
/// would otherwise be called without pause.
const STABLE_AFTER: Duration = Duration::from_secs(1);

/// The task behind a link.
pub(super) struct Keeper {
    pub(super) config: BrokerConfig,
    pub(super) role: LinkRole,
    pub(super) state: watch::Sender<LinkState>,
    pub(super) session: watch::Sender<Option<Arc<Session>>>,
    pub(super) stop: CancellationToken,
}

/// Why a try failed or a connection ended.
struct Loss {
    cause: DownCause,
    detail: String,
}

impl Keeper {
    pub(super) async fn run(self) {
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
