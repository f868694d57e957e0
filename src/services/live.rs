//! Tells open pages that there is something new to read.

use tokio::sync::broadcast;

/// One signal for everybody who listens. Clones share it.
#[derive(Clone, Debug)]
pub struct Live {
    signal: broadcast::Sender<()>,
}

impl Default for Live {
    fn default() -> Self {
        // A listener that is behind needs to know only that something changed, not how often.
        Self {
            signal: broadcast::channel(1).0,
        }
    }
}

impl Live {
    /// Says that what pages show may have changed. Costs nothing when nobody listens.
    pub fn changed(&self) {
        if self.signal.send(()).is_err() {
            tracing::trace!("no page is open");
        }
    }

    /// Hears every `changed` from now on. `Lagged` means the same as a signal.
    pub fn listen(&self) -> broadcast::Receiver<()> {
        self.signal.subscribe()
    }
}
