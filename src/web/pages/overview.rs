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
}

impl Status {
    fn of(attention: u64, snoozed: u64, unknown: bool, newest: Option<Time>, stale: bool) -> Self {
        match newest {
            _ if attention > 0 => Self::Trouble(attention),
            None if !unknown && snoozed == 0 => Self::Nothing,
            _ if unknown || stale => Self::Blind,
            _ if snoozed > 0 => Self::Snoozed(snoozed),
            _ => Self::Fine,
        }
    }

    const fn tone(self) -> &'static str {
        match self {
            Self::Nothing => "mute",
            Self::Fine => "ok",
            Self::Trouble(_) => "bad",
            Self::Snoozed(_) | Self::Blind => "warn",
        }
    }

    const fn icon(self) -> &'static str {
        match self {
            Self::Nothing => "info-circle",
            Self::Fine => "check-circle-fill",
            Self::Trouble(_) => "exclamation-octagon",
            Self::Snoozed(_) => "bell-slash",
            Self::Blind => "question-circle",
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
        }
    }

    const fn count(self) -> u64 {
        match self {
            Self::Trouble(count) | Self::Snoozed(count) => count,
            Self::Nothing | Self::Fine | Self::Blind => 0,
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
    let waiting: i64 = samples.iter().map(|sample| sample.ledger.queued).sum();
    let running: i64 = samples.iter().map(|sample| sample.ledger.running).sum();
    let stale = newest.is_none_or(|at| at + site.numbers_fresh_for < c.now);
    let mut rows: Vec<Row> = samples
        .into_iter()
        .map(|sample| Row::of(sample, c.now, site.numbers_fresh_for))
        .collect();
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
    let attention = (wrong + alone.len()) as u64;
    html(&OverviewPage {
        status: Status::of(attention, snoozed as u64, blind, newest, stale),
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
