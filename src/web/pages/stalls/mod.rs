//! `/admin/stalls`: what the detector found: open, grouped under its causes, and closed.

pub(super) mod card;
mod finding;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use axum_extra::extract::Query;
use serde::Deserialize;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::{
    domain::{finding::Verdict, time::Time, words::words},
    store::findings::{ClosedCursor, IncidentRow, StallFilter, StallRow},
    web::{
        Site,
        error::{AppError, Problem},
        findings::severity,
        html,
        layout::{Chrome, Nav},
        pages::queues::policy::{Stopped, stopped},
        session::Viewer,
    },
};
use card::{About, Card};

/// Findings on one page.
const PAGE: usize = 50;
const INCIDENTS: i64 = 200;
/// Causes that are shown with their stalls, and stalls that are shown with a cause.
const UNFOLDED: usize = 12;
const UNDER_CAUSE: usize = 10;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/admin/stalls", get(list))
        .route("/admin/stalls/{id}", get(finding::show))
        .route("/admin/stalls/{id}/snooze", post(finding::snooze))
        .route("/admin/stalls/{id}/snooze/end", post(finding::take_snooze_back))
        .route("/admin/stalls/{id}/false-alarm", post(finding::mark))
        .route("/admin/stalls/{id}/false-alarm/withdraw", post(finding::withdraw))
}

words! {
    /// Which findings are shown: the tabs. The words are of the family `stalls-view`.
    pub enum View {
        Open = "open",
        Snoozed = "snoozed",
        Closed = "closed",
        Incidents = "incidents",
    }
}

/// The filters as they stand in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Filters {
    view: Option<View>,
    /// One of the verdicts' words; an empty text is no filter.
    verdict: String,
    queue: String,
    incident: Option<Uuid>,
    /// The finding that the page before ended with, and, of closed ones, when it closed.
    before: Option<Uuid>,
    closed_before: Option<Time>,
}

impl Filters {
    fn view(&self) -> View {
        self.view.unwrap_or(View::Open)
    }

    fn filter(&self) -> Result<StallFilter, AppError> {
        let verdict = match self.verdict.as_str() {
            "" => None,
            word => Some(word.parse().map_err(|_| AppError::new(Problem::BadRequest))?),
        };
        let queue = Some(self.queue.trim().to_owned()).filter(|queue| !queue.is_empty());
        Ok(StallFilter {
            verdict,
            queue,
            incident_id: self.incident,
        })
    }

    fn any(&self) -> bool {
        !self.verdict.is_empty() || !self.queue.trim().is_empty() || self.incident.is_some()
    }

    /// Where a list of closed findings goes on.
    fn cursor(&self) -> ClosedCursor {
        match (self.closed_before, self.before) {
            (Some(closed_at), Some(id)) => ClosedCursor { closed_at, id },
            _ => ClosedCursor::START,
        }
    }

    fn with_view(&self, view: View) -> Self {
        Self {
            view: Some(view),
            before: None,
            closed_before: None,
            ..self.clone()
        }
    }

    fn first(&self) -> String {
        self.with_view(self.view()).address()
    }

    fn after(&self, id: Uuid, closed_at: Option<Time>) -> String {
        Self {
            before: Some(id),
            closed_before: closed_at,
            ..self.clone()
        }
        .address()
    }

    fn address(&self) -> String {
        let mut query = Serializer::new(String::new());
        if self.view() != View::Open {
            query.append_pair("view", self.view().as_str());
        }
        for (name, value) in [("verdict", self.verdict.as_str()), ("queue", self.queue.trim())] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if let Some(incident) = self.incident {
            query.append_pair("incident", &incident.to_string());
        }
        if let Some(at) = self.closed_before {
            query.append_pair("closed_before", &at.to_string());
        }
        if let Some(before) = self.before {
            query.append_pair("before", &before.to_string());
        }
        match query.finish() {
            query if query.is_empty() => "/admin/stalls".to_owned(),
            query => format!("/admin/stalls?{query}"),
        }
    }
}

#[derive(Template)]
#[template(path = "stalls/list.html")]
struct StallsPage {
    c: Chrome,
    filters: Filters,
    view: View,
    /// Causes; on a page about one incident, that one.
    causes: Vec<Cause>,
    /// The heading of `stalls` in the catalogue.
    stalls_title: &'static str,
    stalls: Vec<Card>,
    /// Policies that their breakers stopped.
    stopped: Vec<Stopped>,
    newer: Option<String>,
    older: Option<String>,
}

/// A cause and the first of its stalls.
struct Cause {
    card: Card,
    tasks: Vec<Card>,
    /// There are more on its own page.
    more: bool,
}

impl StallsPage {
    fn is_open(&self) -> bool {
        matches!(self.view, View::Open | View::Snoozed)
    }

    fn tab(&self, view: &View) -> String {
        self.filters.with_view(*view).address()
    }

    /// Only what is open can be acted on from here.
    fn may_tick(&self) -> bool {
        self.is_open() && self.c.may("operator")
    }

    /// The heading of the column of times.
    fn since_title(&self) -> &'static str {
        match self.view {
            View::Open | View::Snoozed => "task-since",
            View::Closed | View::Incidents => "stalls-closed",
        }
    }

    fn anything_to_tick(&self) -> bool {
        self.may_tick()
            && (!self.stalls.is_empty() || self.causes.iter().any(|cause| !cause.tasks.is_empty()))
    }

    fn is_wanted(&self, verdict: &Verdict) -> bool {
        self.filters.verdict == verdict.as_str()
    }
}

/// The findings that the address asks for, newest first.
async fn list(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Query(filters): Query<Filters>,
) -> Result<Response, AppError> {
    let c = viewer.chrome(Nav::Stalls);
    let filter = filters.filter()?;
    let view = filters.view();
    let one_more = PAGE as i64 + 1;
    let store = &site.store;
    let mut older = None;
    let mut stalls_title = "stalls-alone";
    let (incidents, stalls) = match (view, filter.incident_id) {
        (View::Open, Some(id)) => {
            stalls_title = "stalls-of-incident";
            let incident = store
                .incident(id)
                .await?
                .ok_or(AppError::new(Problem::NotFound))?;
            (
                vec![incident],
                store.open_stalls(&filter, filters.before, one_more).await?,
            )
        }
        (View::Open, None) => {
            let mut incidents = store.open_incidents(INCIDENTS).await?;
            let (put_off, _) = store.snoozed(c.now).await?;
            incidents.retain(|incident| {
                fits(&filter, incident) && put_off.iter().all(|snoozed| snoozed.id != incident.id)
            });
            incidents.sort_by_key(|incident| (severity(incident.verdict), incident.since));
            // The causes stand above the first page only.
            if filters.before.is_some() {
                incidents.clear();
            }
            let stalls = match filter.verdict {
                // Who asks for a verdict wants every task that has it, whatever its cause.
                Some(_) => {
                    stalls_title = "tasks-title";
                    store.open_stalls(&filter, filters.before, one_more).await?
                }
                None => {
                    store
                        .open_stalls_alone(&filter, filters.before, c.now, one_more)
                        .await?
                }
            };
            (incidents, stalls)
        }
        (View::Snoozed, _) => {
            let (mut incidents, mut stalls) = store.snoozed(c.now).await?;
            incidents.retain(|incident| fits(&filter, incident));
            stalls.retain(|stall| {
                filter.verdict.is_none_or(|verdict| verdict == stall.verdict)
                    && filter.queue.as_ref().is_none_or(|queue| *queue == stall.queue)
            });
            (incidents, stalls)
        }
        (View::Closed, _) => (
            Vec::new(),
            store.closed_stalls(&filter, filters.cursor(), one_more).await?,
        ),
        (View::Incidents, _) => {
            let queue = filter.queue.as_deref();
            let mut incidents = store
                .closed_incidents(filter.verdict, queue, filters.cursor(), one_more)
                .await?;
            if incidents.len() > PAGE {
                incidents.truncate(PAGE);
                older = incidents
                    .last()
                    .map(|last| filters.after(last.id, last.closed_at));
            }
            (incidents, Vec::new())
        }
    };
    // What people put off is little, and shown whole.
    let stalls = match view {
        View::Snoozed => stalls,
        View::Open | View::Closed | View::Incidents => page_of(stalls, &filters, &mut older),
    };
    // The lists below show them already.
    let unfold = matches!(view, View::Open | View::Snoozed)
        && filter.incident_id.is_none()
        && filter.verdict.is_none();
    html(&StallsPage {
        causes: causes(&site, &c, &incidents, unfold).await?,
        stalls_title,
        stalls: Card::of_stalls(&site, &c, &stalls).await?,
        stopped: stopped(&site).await?,
        newer: filters.before.map(|_| filters.first()),
        older,
        view,
        filters,
        c,
    })
}

/// The cards of `incidents`; with `unfold`, the first of them with their first stalls.
async fn causes(
    site: &Site,
    c: &Chrome,
    incidents: &[IncidentRow],
    unfold: bool,
) -> Result<Vec<Cause>, AppError> {
    let mut causes = Vec::with_capacity(incidents.len());
    let cards = Card::of_incidents(site, c, incidents).await?;
    for (place, (row, card)) in incidents.iter().zip(cards).enumerate() {
        let mut stalls = Vec::new();
        if unfold && place < UNFOLDED && row.tasks > 0 {
            let under = StallFilter {
                incident_id: Some(row.id),
                ..StallFilter::default()
            };
            stalls = site
                .store
                .open_stalls(&under, None, UNDER_CAUSE as i64 + 1)
                .await?;
        }
        let more = stalls.len() > UNDER_CAUSE;
        stalls.truncate(UNDER_CAUSE);
        causes.push(Cause {
            card,
            tasks: Card::of_stalls(site, c, &stalls).await?,
            more,
        });
    }
    Ok(causes)
}

fn fits(filter: &StallFilter, incident: &IncidentRow) -> bool {
    filter.verdict.is_none_or(|verdict| verdict == incident.verdict)
        && filter
            .queue
            .as_ref()
            .is_none_or(|queue| *queue == incident.subject.name)
}

fn page_of(mut stalls: Vec<StallRow>, filters: &Filters, older: &mut Option<String>) -> Vec<StallRow> {
    if stalls.len() > PAGE {
        stalls.truncate(PAGE);
        *older = stalls.last().map(|last| filters.after(last.id, last.closed_at));
    }
    stalls
}
