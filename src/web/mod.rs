//! Shows: the only module that names `axum` and `askama`.
//!
//! # How to write a page
//!
//! A page is a struct whose fields are exactly what its template reads, decided but not formatted, and whose first
//! field is its frame:
//!
//! ```text
//! #[derive(Template)]
//! #[template(path = "queues/show.html")]
//! struct QueuePage { c: Chrome, queue: Queue, samples: Vec<Sample> }
//!
//! async fn show(viewer: Viewer, State(site): State<Arc<Site>>, Path(name): Path<String>) -> Result<Response, AppError> {
//!     let queue = site.store.queue(&name).await?.ok_or(AppError::new(Problem::NotFound))?;
//!     html(&QueuePage { c: viewer.chrome(Nav::Queues), queue, samples })
//! }
//! ```
//!
//! - **Who may**: take `Viewer`, `Operator` or `Admin` as an argument; the extractor redirects a GET to the login and
//!   refuses everything else. `viewer.chrome(nav)` is the frame, `operator.actor()` the actor for services and audit.
//! - **Template**: `{% extends "staff.html" %}`, `{% import "components/ui.html" as ui %}`, blocks `title`, `head`
//!   (inside `.page-head`, beside the live sign), `main`. Public pages extend `public.html`. What is in `main` is
//!   fetched again and morphed when something changes: give rows and folds an `id`, and a `<details>`, a tick or a
//!   half-typed reason survives.
//! - **Texts**: `{{ c.t("tasks-title") }}`, `{{ c.n("tasks-count", n) }}`, `{{ c.t("x").a("queue", name).a("n", n) }}`;
//!   a word of the domain is `{{ c.of("event", entry.event) }}`. Keys are literals; a test finds the missing ones and
//!   the unused ones, and equal variables in both languages. Domain words need a line in `tests/it/catalogue.rs`.
//! - **Numbers and times**: `{{ c.l.number(n) }}`, `{{ c.l.decimal(x, 1) }}`, `{{ c.l.span(ms) }}`, `{{ c.l.size(b) }}`;
//!   `{{ ui::ago(c, at) }}` (relative, exact in its title), `{{ ui::when(c, at) }}` (exact), `{{ ui::maybe(c, number) }}`
//!   for a number that may be unknown.
//! - **Words with a colour**: `{{ ui::pill(c.state(task.state)) }}`, and `c.verdict`, `c.health`, `c.outcome`,
//!   `c.ticket_status`.
//! - **Actions**: a POST that calls a service, then `see_other("/admin/…", Some(Flash::done("flash-requeued").a("n", 3)))`.
//! - **Errors**: `?` on anything that is `Into<AppError>`; `AppError::new(Problem::Conflict).detail(…)`. Under `/api`
//!   the same error is problem+json.

pub mod api;
pub mod assets;
mod chart;
pub mod error;
pub mod extract;
mod findings;
pub mod i18n;
pub mod layout;
pub mod links;
pub mod live;
mod pages;
mod render;
mod runbook;
pub mod security;
pub mod server;
pub mod session;
mod upload;

pub(crate) use render::{html, see_other};

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use crate::{
    broker::LinkState,
    services::{accounts::Accounts, lifecycle::Lifecycle, submit::Submit, ticketing::Ticketing},
    store::Store,
};
use layout::Counts;
use links::Link;
use security::Origin;

/// What the handlers work with.
pub struct Site {
    pub store: Store,
    pub accounts: Accounts,
    pub origin: Arc<Origin>,
    /// Creating, starting, retrying, requeuing and cancelling.
    pub submit: Submit,
    /// Workers' calls, on the database connections reserved for them.
    pub work: Lifecycle,
    /// How the publishing connection is doing.
    pub publisher: watch::Receiver<LinkState>,
    pub metrics: PrometheusHandle,
    /// How the links are doing, as of now.
    pub links: Arc<dyn Fn() -> Vec<Link> + Send + Sync>,
    /// Where reports come in and tickets are worked on.
    pub desk: Ticketing,
    /// Whom the webhook goes to: its host alone, because the rest may be a secret. `None` when there is none.
    pub webhook_host: Option<String>,
    /// What waits for staff, for the navigation.
    pub counts: watch::Receiver<Counts>,
    /// What open pages listen to.
    pub changes: live::Changes,
    /// How long the broker's numbers count as current: three of the detector's intervals.
    pub numbers_fresh_for: Duration,
    pub broker: BrokerPlace,
}

/// How this installation reaches its broker, as far as pages tell of it.
pub struct BrokerPlace {
    pub vhost: String,
    /// The user that everybody knows is used for a broker on another machine.
    pub guest_over_network: bool,
}

/// Every route of the site, inside its protecting layers.
pub fn router(site: Arc<Site>, limits: server::Limits) -> Router {
    let origin = site.origin.clone();
    let routes = Router::new()
        .route("/static/{*path}", get(assets::serve))
        .merge(api::routes())
        .merge(pages::routes())
        .with_state(site);
    server::protect(routes, origin, limits)
}
