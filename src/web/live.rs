//! `GET /admin/live`: tells open pages that something changed, so that they fetch themselves again.
//!
//! The stream carries no data of its own: a page's next state comes from the page's own address, with its own checks.
//! One look at the database a second serves every open tab of this process, and nobody looks when no tab is open.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, interval_at},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Site, session::Viewer};
use crate::store::{Pulse, Store, StoreError};

/// Between two looks at the database.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two signs of life; the script takes a stream that is silent for longer than two as dead.
const BEAT_EVERY: Duration = Duration::from_secs(15);

/// What open pages listen to. It ends when the server stops.
pub type Changes = watch::Receiver<Pulse>;

/// Looks for changes and tells the pages, until `stop`.
pub struct Lookout {
    store: Store,
    told: watch::Sender<Pulse>,
}

impl Lookout {
    pub fn new(store: Store) -> (Self, Changes) {
        let (told, changes) = watch::channel(Pulse::default());
        (Self { store, told }, changes)
    }

    /// Looks once; whether anything had changed. Without a listener it does not look.
    pub async fn tick(&self) -> Result<bool, StoreError> {
        // One receiver is the site's own, from which the pages' are cloned.
        if self.told.receiver_count() <= 1 {
            return Ok(false);
        }
        let pulse = self.store.pulse().await?;
        Ok(self.told.send_if_modified(|old| {
            let changed = *old != pulse;
            *old = pulse;
            changed
        }))
    }

    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.tick().await {
                debug!(error = %error, "could not look for changes");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// The stream: `changed` when something did, `beat` every 15 s. It ends with the session and with the server.
pub(crate) async fn follow(viewer: Viewer, State(site): State<Arc<Site>>) -> Response {
    let mut response = Sse::new(events(site, viewer.token.clone())).into_response();
    // A proxy that collects answers before it passes them on would hold every event back.
    let buffering = HeaderName::from_static("x-accel-buffering");
    response
        .headers_mut()
        .insert(buffering, HeaderValue::from_static("no"));
    response
}

/// A browser drops an event without data, so each carries a letter.
fn event(name: &str) -> Event {
    Event::default().event(name).data("-")
}

fn events(site: Arc<Site>, token: String) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut changes = site.changes.clone();
    changes.mark_unchanged();
    let beats = interval_at(Instant::now(), BEAT_EVERY);
    stream::unfold(
        (site, token, changes, beats),
        |(site, token, mut changes, mut beats)| async move {
            let event = tokio::select! {
                changed = changes.changed() => {
                    changed.ok()?;
                    event("changed")
                }
                _ = beats.tick() => {
                    site.accounts.still_signed_in(&token).await.ok().filter(|alive| *alive)?;
                    event("beat")
                }
            };
            Some((Ok(event), (site, token, changes, beats)))
        },
    )
}
