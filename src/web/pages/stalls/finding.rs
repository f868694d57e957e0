//! `/admin/stalls/{id}`: one finding, and what people say about it: not now, not true.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use axum_extra::extract::Form;
use serde::Deserialize;
use uuid::Uuid;

use super::card::{About, Card};
use crate::{
    domain::snooze::Span,
    services::findings::{self, Done, FindingError, REASON_CHARS},
    store::findings::FindingRow,
    web::{
        Site,
        error::{AppError, Problem},
        html,
        layout::{Chrome, Flash, Nav},
        pages::{address, tasks::read_time},
        see_other,
        session::{Operator, Viewer},
    },
};

#[derive(Template)]
#[template(path = "stalls/show.html")]
struct FindingPage {
    c: Chrome,
    card: Card,
    /// The incident that a stall is folded under.
    cause: Option<Card>,
    reason_max: usize,
}

impl FindingPage {
    fn href(&self, act: &str) -> String {
        format!("{}/{act}", address::finding(self.card.finding.id))
    }

    fn is_open(&self) -> bool {
        self.card.finding.closed.is_none()
    }

    /// What the page is about, for its title.
    fn name(&self) -> &str {
        match &self.card.about {
            About::Cause { name, .. } | About::Task { name, .. } => name,
        }
    }
}

/// A finding, open or closed, with its evidence and what can be said about it.
pub(super) async fn show(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Path(id): Path<Uuid>,
) -> Result<Response, AppError> {
    let c = viewer.chrome(Nav::Stalls);
    let (cards, cause) = match site.store.finding(id).await? {
        None => return Err(AppError::new(Problem::NotFound)),
        Some(FindingRow::Incident(row)) => (Card::of_incidents(&site, &c, &[row]).await?, None),
        Some(FindingRow::Stall(row)) => {
            let cause = match row.incident_id {
                Some(id) => site.store.incident(id).await?,
                None => None,
            };
            (Card::of_stalls(&site, &c, &[row]).await?, cause)
        }
    };
    let cause = cause.as_slice();
    let cause = Card::of_incidents(&site, &c, cause).await?.into_iter().next();
    let card = cards.into_iter().next().ok_or(AppError::new(Problem::NotFound))?;
    html(&FindingPage {
        card,
        cause,
        reason_max: REASON_CHARS,
        c,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snoozing {
    span: Span,
    /// A date and a time without a zone, in UTC; what browsers send.
    #[serde(default)]
    until: String,
    reason: String,
}

pub(super) async fn snooze(
    operator: Operator,
    State(site): State<Arc<Site>>,
    Path(id): Path<Uuid>,
    Form(asked): Form<Snoozing>,
) -> Result<Response, AppError> {
    let until = read_time(asked.until.trim());
    let audit = operator.audit("snooze", "", id.to_string());
    let done = findings::snooze(&site.store, id, asked.span, until, &asked.reason, audit).await;
    let l = operator.lang;
    answer(
        id,
        done.map(|ends_at| Flash::done("flash-snoozed").a("until", l.instant(ends_at))),
    )
}

pub(super) async fn take_snooze_back(
    operator: Operator,
    State(site): State<Arc<Site>>,
    Path(id): Path<Uuid>,
) -> Result<Response, AppError> {
    let audit = operator.audit("snooze_end", "", id.to_string());
    let done = findings::take_snooze_back(&site.store, id, audit).await;
    answer(id, done.map(|done| flash(done, "flash-snooze-ended")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marking {
    reason: String,
}

pub(super) async fn mark(
    operator: Operator,
    State(site): State<Arc<Site>>,
    Path(id): Path<Uuid>,
    Form(asked): Form<Marking>,
) -> Result<Response, AppError> {
    let audit = operator.audit("false_alarm", "", id.to_string());
    let done = findings::mark_false_alarm(&site.store, id, &asked.reason, audit).await;
    answer(id, done.map(|done| flash(done, "flash-false-alarm")))
}

pub(super) async fn withdraw(
    operator: Operator,
    State(site): State<Arc<Site>>,
    Path(id): Path<Uuid>,
) -> Result<Response, AppError> {
    let audit = operator.audit("false_alarm_withdraw", "", id.to_string());
    let done = findings::withdraw_false_alarm(&site.store, id, audit).await;
    answer(id, done.map(|done| flash(done, "flash-false-alarm-withdrawn")))
}

fn flash(done: Done, key: &'static str) -> Flash {
    match done {
        Done::Now => Flash::done(key),
        Done::Before => Flash::refused("flash-finding-same"),
    }
}

/// Back to the finding, with what was done or why not.
fn answer(id: Uuid, done: Result<Flash, FindingError>) -> Result<Response, AppError> {
    let flash = match done {
        Ok(flash) => flash,
        Err(FindingError::Reason) => Flash::refused("flash-reason-needed"),
        Err(FindingError::Span(_)) => Flash::refused("flash-snooze-bounds"),
        Err(FindingError::Closed) => Flash::refused("flash-finding-closed"),
        Err(FindingError::NotFound) => return Err(AppError::new(Problem::NotFound)),
        Err(FindingError::Store(error)) => return Err(error.into()),
    };
    Ok(see_other(&address::finding(id), Some(flash)))
}
