//! Notices which snoozes are over, and tells of the causes that are back.

use super::judge::Announce;
use crate::{
    domain::{finding::About, snooze::End, time::Time},
    store::{
        Leadership, Store, StoreError,
        findings::{Ended, Running},
    },
};

/// Ends the snoozes whose time is over, and those whose finding closed or got worse; false when the leadership was lost.
///
/// The webhook is told of a cause that is back. One that closed was told to it already, and one that somebody took back
/// is known.
pub(super) async fn end(
    store: &Store,
    leadership: &Leadership,
    announce: Option<&Announce>,
    now: Time,
) -> Result<bool, StoreError> {
    let mut ended = Vec::new();
    for running in store.running_snoozes().await? {
        let Some(end) = running.snooze.end(running.found, now) else {
            continue;
        };
        let told = match announce {
            Some(announce) if is_back(&running, end) => store
                .incident(running.finding_id)
                .await?
                .map(|row| announce(&row)),
            _ => None,
        };
        ended.push(Ended { running, end, told });
    }
    if ended.is_empty() {
        return Ok(true);
    }
    store.end_snoozes(leadership, now, &ended).await
}

fn is_back(running: &Running, end: End) -> bool {
    match end {
        End::Over | End::Worse => running.about == About::Cause,
        End::TakenBack | End::Closed => false,
    }
}
