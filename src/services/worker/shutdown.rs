//! How a worker is told to end: first gently, then at once.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Signals so close together are one wish: whoever signals a process and its group sends two.
const SAME_WISH: Duration = Duration::from_millis(500);

/// The wish that a worker ends. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    at_once: CancellationToken,
}

impl Shutdown {
    /// One that `drain` and `at_once` bring about.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that these bring about: the first drains, the second ends at once.
    pub fn by(drain: CancellationToken, at_once: CancellationToken) -> Self {
        Self { drain, at_once }
    }

    /// One that SIGTERM or SIGINT brings about: the first drains, the second ends at once. Needs a tokio runtime.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let told = shutdown.clone();
        tokio::spawn(async move {
            let mut first: Option<Instant> = None;
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                match first {
                    None => {
                        told.drain();
                        first = Some(Instant::now());
                    }
                    Some(first) if first.elapsed() < SAME_WISH => {}
                    Some(_) => return told.at_once(),
                }
            }
        });
        Ok(shutdown)
    }

    /// Takes no new work, lets running work finish for a while, hands the rest back.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Hands running work back without waiting for it.
    pub fn at_once(&self) {
        self.drain.cancel();
        self.at_once.cancel();
    }

    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    pub(crate) async fn draining(&self) {
        self.drain.cancelled().await;
    }

    pub(crate) async fn hurried(&self) {
        self.at_once.cancelled().await;
    }
}
