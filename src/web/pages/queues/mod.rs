//! `/admin/queues`: the ledger of every queue.

mod kinds;
pub(super) mod ledger;
mod lint;
pub(super) mod policy;
mod show;
mod tracer;

use std::{collections::HashMap, sync::Arc};

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

use crate::web::{
    Site,
    error::AppError,
    html,
    layout::{Chrome, Nav},
    session::Viewer,
};
use ledger::Row;

/// Queues on one page.
const PAGE: usize = 50;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/admin/queues", get(list))
        .route("/admin/queues/{name}", get(show::show))
        .route("/admin/queues/{name}/policies/{verdict}", post(policy::set))
        .route(
            "/admin/queues/{name}/policies/{verdict}/reset",
            post(policy::let_go_on),
        )
        .route("/admin/queues/{name}/tracer", post(tracer::switch))
}

#[derive(Deserialize)]
struct Place {
    /// The queue that the page before ended with.
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "queues/list.html")]
struct QueuesPage {
    c: Chrome,
    rows: Vec<Row>,
    newer: Option<&'static str>,
    older: Option<String>,
}

/// The queues by name.
async fn list(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Query(place): Query<Place>,
) -> Result<Response, AppError> {
    let c = viewer.chrome(Nav::Queues);
    let after = place.after.as_deref().unwrap_or_default();
    let one_more = PAGE as i64 + 1;
    let mut queues = site.store.queues(after, one_more).await?;
    let more = queues.len() > PAGE;
    queues.truncate(PAGE);
    let samples = site.store.latest_samples(after, one_more).await?;
    let mut samples: HashMap<String, _> = samples
        .into_iter()
        .map(|sample| (sample.queue.clone(), sample))
        .collect();
    let mut rows: Vec<Row> = queues
        .into_iter()
        .map(|queue| match samples.remove(&queue.name) {
            Some(sample) => Row::of(sample, c.now, site.numbers_fresh_for),
            None => Row::unread(queue.name),
        })
        .collect();
    ledger::complete(&site, &mut rows, c.now).await?;
    let last = rows.last().filter(|_| more).map(|row| row.name.as_str());
    html(&QueuesPage {
        older: last.map(|name| {
            format!(
                "/admin/queues?{}",
                Serializer::new(String::new()).append_pair("after", name).finish()
            )
        }),
        newer: place.after.as_ref().map(|_| "/admin/queues"),
        rows,
        c,
    })
}
