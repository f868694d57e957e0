//! `/admin/tasks/{id}`: everything about one task, and what can be done to it now.

mod act;
mod delivery;
mod documents;
mod timeline;
mod usual;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::{get, post},
};
use axum_extra::extract::Query;
use serde::Deserialize;

use super::{
    address,
    tasks::{action::Offer, row},
};
use crate::{
    domain::{
        task::{Attempt, State as TaskState, TaskView},
        time::Time,
    },
    web::{
        Site,
        error::AppError,
        findings::{Finding, Seen},
        html,
        layout::{Chrome, Nav},
        session::Viewer,
    },
};
use documents::Document;
use timeline::Line;

/// Lines of the timeline and attempts on one page.
const LINES: usize = 100;
const ATTEMPTS: usize = 20;
const FINDINGS: i64 = 20;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/admin/tasks/{id}", get(show))
        .route("/admin/tasks/{id}/payload", get(documents::payload))
        .route("/admin/tasks/{id}/result", get(documents::result))
        .route("/admin/tasks/{id}/{action}", post(act::act))
}

#[derive(Deserialize)]
struct Places {
    /// Show the timeline from before this entry on.
    history_before: Option<i64>,
    /// Show the attempts from before this number on.
    attempts_before: Option<i64>,
}

#[derive(Template)]
#[template(path = "tasks/show.html")]
struct TaskPage {
    c: Chrome,
    name: String,
    view: TaskView,
    offers: Vec<Offer>,
    lease_alive: bool,
    /// What is usual for the kind of a task that runs.
    usual: Option<usual::Told>,
    /// What the broker allows its delivery.
    delivery: Option<delivery::Told>,
    stalls: Vec<Finding>,
    /// Stalls that have closed, the newest of them.
    closed: Vec<Finding>,
    timeline: Vec<Line>,
    attempts: Vec<Run>,
    payload: Document,
    result: Option<Document>,
    history_older: Option<i64>,
    attempts_older: Option<i64>,
}

impl TaskPage {
    /// The form's address of an offer.
    fn href(&self, offer: &Offer) -> String {
        format!("/admin/tasks/{}/{}", self.view.task.id, offer.action)
    }

    /// The address of the tasks that have `value` in the filter `name`.
    fn list(&self, name: &str, value: &str) -> String {
        address::tasks(name, value)
    }

    fn queue_href(&self) -> String {
        address::queue(&self.view.task.queue)
    }

    /// How long the lease still runs.
    fn lease_left(&self) -> String {
        let task = &self.view.task;
        let left = task
            .lease_expires_at
            .map_or(0, |until| until.ms_since(self.c.now));
        self.c.l.span(left)
    }

    /// How long ago the worker was last heard of.
    fn beat_age(&self) -> String {
        let age = self.view.task.beat_at.map_or(0, |at| self.c.now.ms_since(at));
        self.c.l.span(age)
    }

    /// Whether the task waits for a time that lies ahead.
    fn scheduled(&self) -> bool {
        self.view.task.state == TaskState::Queued && self.view.task.available_at > self.c.now
    }
}

/// An attempt as the page shows it.
struct Run {
    attempt: Attempt,
    /// How long it took, or takes so far.
    took_ms: i64,
    /// What it reported after its end, cut to what can be read.
    late: Option<Document>,
}

impl Run {
    fn of(attempt: Attempt, now: Time) -> Self {
        Self {
            took_ms: attempt.ended_at.unwrap_or(now).ms_since(attempt.started_at),
            late: attempt.late.as_ref().map(Document::of),
            attempt,
        }
    }
}

async fn show(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    Query(places): Query<Places>,
) -> Result<Response, AppError> {
    let view = documents::find(&site, &id).await?;
    let id = view.task.id;
    let mut history = site
        .store
        .history_back(id, places.history_before, one_more(LINES))
        .await?;
    let mut attempts = site
        .store
        .attempts_back(id, places.attempts_before, one_more(ATTEMPTS))
        .await?;
    let history_older = history.len() > LINES;
    history.truncate(LINES);
    let attempts_older = attempts.len() > ATTEMPTS;
    attempts.truncate(ATTEMPTS);
    let c = viewer.chrome(Nav::Tasks);
    let findings = site.store.stalls_of_task(id, FINDINGS).await?;
    let seen = Seen::for_stalls(&site, &findings).await?;
    let ids: Vec<_> = findings.iter().map(|row| row.id).collect();
    let said = site.store.said_of(&ids).await?;
    let findings = findings
        .iter()
        .map(|row| Finding::of_stall(c.l, row, c.now, &seen).with(said.get(&row.id)));
    let (stalls, closed) = findings.partition(|finding| finding.closed.is_none());
    let newest = places.history_before.is_none();
    let usual = usual::tell(&site.store, &c, &view).await?;
    let delivery = delivery::tell(&site.store, &c, &view.task).await?;
    html(&TaskPage {
        usual,
        delivery,
        name: row::name(view.title.as_deref(), &view.task.kind),
        offers: Offer::all(&view.task, c.now),
        lease_alive: view.task.lease_alive(c.now),
        stalls,
        closed,
        history_older: history.last().map(|last| last.id).filter(|_| history_older),
        attempts_older: attempts.last().map(|last| last.number).filter(|_| attempts_older),
        timeline: timeline::tell(&c, &view.task, &history, newest),
        payload: Document::of(&view.payload),
        result: view.result.as_ref().map(Document::of),
        attempts: attempts
            .into_iter()
            .map(|attempt| Run::of(attempt, c.now))
            .collect(),
        view,
        c,
    })
}

fn one_more(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_add(1)
}
