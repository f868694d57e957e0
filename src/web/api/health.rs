//! For probes: alive, ready.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::{
    Site,
    layout::{LinkHealth, LinkName},
};

/// A database that takes longer is as good as away.
const PING_LONGEST: Duration = Duration::from_secs(1);

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alive {
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
}

/// How the process and its links are doing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// `ok`; `degraded` when the database answers and another link is not up: tasks are taken and go out later;
    /// `unavailable` when the database does not answer.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    /// By name: `up`, `connecting`, `blocked` (the broker takes no publishes), `down` or `unknown`.
    #[schema(value_type = BTreeMap<String, String>, example = json!({"database": "up", "publisher": "up"}))]
    links: BTreeMap<&'static str, &'static str>,
}

/// Whether the process is alive
#[utoipa::path(
    get, path = "/healthz", tag = "Health", security(()),
    responses((status = 200, description = "Alive.", body = Alive))
)]
pub(super) async fn healthz() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Whether requests can be served
///
/// 200 while the database answers, also when the broker is away: what is started then goes out when it comes back.
#[utoipa::path(
    get, path = "/readyz", tag = "Health", security(()),
    responses((status = 200, description = "Ready, or degraded.", body = Ready),
        (status = 503, description = "The database does not answer.", body = Ready))
)]
pub(super) async fn readyz(State(site): State<Arc<Site>>) -> Response {
    let answers = tokio::time::timeout(PING_LONGEST, site.store.ping()).await;
    let database = if matches!(answers, Ok(Ok(()))) {
        LinkHealth::Up
    } else {
        LinkHealth::Down
    };
    let mut links: BTreeMap<&str, &str> = (site.links)()
        .into_iter()
        .map(|link| (link.name.as_str(), link.health.as_str()))
        .collect();
    links.insert(LinkName::Database.as_str(), database.as_str());
    let (code, status) = if database != LinkHealth::Up {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    } else if links.values().all(|health| *health == LinkHealth::Up.as_str()) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::OK, "degraded")
    };
    (code, Json(Ready { status, links })).into_response()
}
