//! `/admin`: is anything wrong, what, and the ledger.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    queues::{
        ledger::{self, Row},
        policy::{Stopped, stopped},
    },
    stalls::card::{About, Card},
};
use crate::{
    domain::{finding::Verdict, time::Time},
    store::Counts,
    web::{
        Site,
        error::AppError,
        findings::{needs_attention, severity},
        html,
        layout::{Chrome, Nav},
        links::Link,
        session::Viewer,
    },
};

/// Incidents, single stalls and queues that are shown; the rest is a link away.
const INCIDENTS: i64 = 100;
const INCIDENTS_SHOWN: usize = 12;
const ALONE: i64 = 8;
const QUEUES: i64 = 500;
const QUEUES_SHOWN: usize = 15;

/// The answer to "is anything wrong?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// No queue has been named and no sample taken yet.
    Nothing,
    Fine,
    /// So many causes and single tasks need somebody.
    Trouble(u64),
    /// Nothing else is wrong than what somebody put off.
    Snoozed(u64),
    /// The numbers that a judgement needs are not there.
    Blind,
    /// Nothing is known of, but a link is not up.
    Unlinked,
}

/// What the status is told by.
struct Known {
    /// Causes and single tasks that need somebody.
    attention: u64,
    /// Those that somebody put off.
    snoozed: u64,
    /// The broker's numbers are missing.
    unknown: bool,
    newest: Option<Time>,
    /// The newest numbers are old.
    stale: bool,
    /// Every link is up, as far as this process needs it.
    linked: bool,
}

impl Status {
    fn of(known: &Known) -> Self {
        let Known {
            attention,
            snoozed,
            unknown,
            newest,
            stale,
            linked,
        } = *known;
        match newest {
            _ if attention > 0 => Self::Trouble(attention),
            None if !linked => Self::Unlinked,
            None if !unknown && snoozed == 0 => Self::Nothing,
            _ if unknown || stale => Self::Blind,
            _ if !linked => Self::Unlinked,
            _ if snoozed > 0 => Self::Snoozed(snoozed),
            _ => Self::Fine,
        }
    }

    const fn tone(self) -> &'static str {
        match self {
            Self::Nothing => "mute",
            Self::Fine => "ok",
            Self::Trouble(_) => "bad",
            Self::Snoozed(_) | Self::Blind | Self::Unlinked => "warn",
        }
    }

    const fn icon(self) -> &'static str {
        match self {
            Self::Nothing => "info-circle",
            Self::Fine => "check-circle-fill",
            Self::Trouble(_) => "exclamation-octagon",
            Self::Snoozed(_) => "bell-slash",
            Self::Blind => "question-circle",
            Self::Unlinked => "exclamation-triangle",
        }
    }

    /// Its word in the family `overview-status`.
    const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Fine => "fine",
            Self::Trouble(_) => "trouble",
            Self::Snoozed(_) => "snoozed",
            Self::Blind => "blind",
            Self::Unlinked => "unlinked",
        }
    }

    const fn count(self) -> u64 {
        match self {
            Self::Trouble(count) | Self::Snoozed(count) => count,
            Self::Nothing | Self::Fine | Self::Blind | Self::Unlinked => 0,
        }
    }
}

#[derive(Template)]
#[template(path = "overview/show.html")]
struct OverviewPage {
    c: Chrome,
    status: Status,
    incidents: Vec<Card>,
    incidents_left: usize,
    /// Policies that their breakers stopped.
    stopped: Vec<Stopped>,
    /// Stalls under no incident.
    alone: Vec<Card>,
    alone_left: bool,
    /// How many findings somebody put off.
    snoozed: usize,
    rows: Vec<Row>,
    queues: usize,
    /// When the newest numbers were read.
    newest: Option<Time>,
    waiting: i64,
    running: i64,
    hour: Counts,
}

pub(super) async fn show(viewer: Viewer, State(site): State<Arc<Site>>) -> Result<Response, AppError> {
    let c = viewer.chrome(Nav::Overview);
    let (put_off, stalls_put_off) = site.store.snoozed(c.now).await?;
    let mut incidents = site.store.open_incidents(INCIDENTS).await?;
    incidents.retain(|incident| put_off.iter().all(|snoozed| snoozed.id != incident.id));
    let snoozed = put_off.len()
        + stalls_put_off
            .iter()
            .filter(|stall| stall.incident_id.is_none())
            .count();
    incidents.sort_by_key(|incident| (severity(incident.verdict), incident.since));
    let mut alone = site
        .store
        .open_stalls_alone(&Default::default(), None, c.now, ALONE + 1)
        .await?;
    let alone_left = alone.len() > ALONE as usize;
    alone.truncate(ALONE as usize);
    let samples = site.store.latest_samples("", QUEUES).await?;
    let queues = samples.len();
    let newest = samples.iter().map(|sample| sample.at).max();
    let stale = newest.is_none_or(|at| at + site.numbers_fresh_for < c.now);
    let mut rows: Vec<Row> = samples
        .into_iter()
        .map(|sample| Row::of(sample, c.now, site.numbers_fresh_for))
        .collect();
    let waiting = rows.iter().map(|row| row.all.waiting).sum();
    let running = rows.iter().map(|row| row.all.running).sum();
    rows.sort_by(|a, b| a.rank().cmp(&b.rank()).then_with(|| a.name.cmp(&b.name)));
    rows.truncate(QUEUES_SHOWN);
    ledger::complete(&site, &mut rows, c.now).await?;
    let hour = site
        .store
        .throughput(c.now - Duration::from_secs(3600), None)
        .await?;
    let wrong = incidents
        .iter()
        .filter(|incident| needs_attention(incident.verdict))
        .count();
    // Also what was put off: nobody can see more by not wanting to be told.
    let blind = incidents
        .iter()
        .chain(&put_off)
        .any(|incident| incident.verdict == Verdict::Unknown);
    let known = Known {
        attention: (wrong + alone.len()) as u64,
        snoozed: snoozed as u64,
        unknown: blind,
        newest,
        stale,
        linked: !c.links.iter().any(Link::degrades),
    };
    html(&OverviewPage {
        status: Status::of(&known),
        incidents_left: incidents.len().saturating_sub(INCIDENTS_SHOWN),
        incidents: {
            incidents.truncate(INCIDENTS_SHOWN);
            Card::of_incidents(&site, &c, &incidents).await?
        },
        snoozed,
        alone: Card::of_stalls(&site, &c, &alone).await?,
        alone_left,
        stopped: stopped(&site).await?,
        rows,
        queues,
        newest,
        waiting,
        running,
        hour,
        c,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_and_linked_is_called_well() {
        let well = || Known {
            attention: 0,
            snoozed: 0,
            unknown: false,
            newest: Some(Time::from_ms(1)),
            stale: false,
            linked: true,
        };
        let told = |change: fn(&mut Known)| {
            let mut known = well();
            change(&mut known);
            Status::of(&known)
        };
        assert_eq!(told(|_| ()), Status::Fine);
        assert_eq!(told(|known| known.linked = false), Status::Unlinked);
        assert_eq!(told(|known| known.stale = true), Status::Blind);
        assert_eq!(told(|known| known.unknown = true), Status::Blind);
        assert_eq!(told(|known| known.snoozed = 2), Status::Snoozed(2));
        assert_eq!(told(|known| known.newest = None), Status::Nothing);
        let all = told(|known| (known.attention, known.linked, known.stale) = (3, false, true));
        assert_eq!(all, Status::Trouble(3));
        let empty = told(|known| (known.newest, known.linked) = (None, false));
        assert_eq!(empty, Status::Unlinked);
        let put_off = told(|known| (known.snoozed, known.linked) = (1, false));
        assert_eq!(put_off, Status::Unlinked);
    }
}
