//! `/admin/tasks`: the list, its filters as its address, and what is done to the ticked.

pub(super) mod action;
mod bulk;
mod filter;
pub(super) mod row;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use axum_extra::extract::Query;
use uuid::Uuid;

use crate::{
    domain::finding::{About, FORMS, Verdict},
    web::{
        Site,
        error::AppError,
        html,
        layout::{Chrome, Nav},
        session::Viewer,
    },
};
pub(super) use bulk::REASON_CHARS;
pub(super) use filter::read_time;
use filter::{Filters, Tab, Wrong};
use row::Row;

/// Tasks on one page.
const PAGE: usize = 50;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/admin/tasks", get(list))
        .route("/admin/tasks/act", post(bulk::act))
        .route("/admin/tasks/outcome/{request_id}", get(bulk::outcome))
}

#[derive(Template)]
#[template(path = "tasks/list.html")]
struct TasksPage {
    c: Chrome,
    filters: Filters,
    tabs: [Tab; 7],
    wrong: Vec<Wrong>,
    tasks: Vec<Row>,
    /// The address of the first page, when this is another one.
    newer: Option<String>,
    older: Option<String>,
}

impl TasksPage {
    /// The verdicts that a task can have, to choose from.
    fn verdicts(&self) -> Vec<Verdict> {
        let of_tasks = FORMS.iter().filter(|(about, ..)| *about == About::Task);
        of_tasks.map(|(_, verdict, _)| *verdict).collect()
    }

    fn is_wanted(&self, verdict: &Verdict) -> bool {
        self.filters.verdict == verdict.as_str()
    }

    /// The text about a field that can't be read.
    fn wrong(&self, field: &str) -> Option<String> {
        let (_, key) = self.wrong.iter().find(|(name, _)| *name == field)?;
        Some(self.c.t(key).to_string())
    }
}

/// The tasks that the address asks for, newest first.
async fn list(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Query(filters): Query<Filters>,
) -> Result<Response, AppError> {
    let (filter, wrong) = filters.read()?;
    let page = if wrong.is_empty() {
        Some(site.store.list_heads(&filter, filters.before, PAGE).await?)
    } else {
        None
    };
    let (tasks, next) = page.map_or((Vec::new(), None), |page| (page.items, page.next));
    let c = viewer.chrome(Nav::Tasks);
    let mut tasks: Vec<Row> = tasks.into_iter().map(|head| Row::of(head, c.now)).collect();
    let open: Vec<Uuid> = tasks
        .iter()
        .filter(|task| !task.state.is_end())
        .map(|task| task.id)
        .collect();
    if !open.is_empty() {
        for stall in site.store.stalls_of_tasks(&open).await? {
            if let Some(task) = tasks.iter_mut().find(|task| task.id == stall.task_id) {
                task.stalls.push((stall.verdict, stall.confidence));
            }
        }
    }
    html(&TasksPage {
        c,
        tabs: Tab::ALL,
        wrong,
        tasks,
        newer: filters.before.map(|_| filters.first()),
        older: next.map(|before| filters.after(before)),
        filters,
    })
}
