//! For probes: alive, ready.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::{
    Site,
    error::TRY_AGAIN_AFTER,
    links::{Link, LinkCause, LinkHealth, LinkName},
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
    /// By name, `database`, `publisher`, `management`: `up`, `connecting`, `blocked` (the broker takes no publishes),
    /// `down`, or `unknown` (another process asks the management API for all); and `outbox`, `blocked`, while as many messages
    /// wait for the broker as may.
    #[schema(value_type = BTreeMap<String, String>, example = json!({"database": "up", "publisher": "up", "management": "up"}))]
    links: BTreeMap<&'static str, &'static str>,
    /// Of the links that are not up, by name: `unreachable`, `refused`, `vhost_not_found`, `protocol_error`, `timed_out`,
    /// `closed`, `alarm`, `unasked` or `full`. The log and the site say more.
    #[schema(value_type = BTreeMap<String, String>, example = json!({}))]
    causes: BTreeMap<&'static str, &'static str>,
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
    let down = |cause| Link::not_up(LinkName::Database, LinkHealth::Down, cause, None);
    let database = match answers {
        Ok(Ok(())) => Link::up(LinkName::Database),
        Ok(Err(_)) => down(LinkCause::Unreachable),
        Err(_) => down(LinkCause::TimedOut),
    };
    let mut links = (site.links)();
    links.retain(|link| link.name != LinkName::Database);
    let (code, status) = if database.health != LinkHealth::Up {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    } else if links.iter().any(Link::degrades) {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::OK, "ok")
    };
    links.push(database);
    let ready = Ready {
        status,
        links: links
            .iter()
            .map(|link| (link.name.as_str(), link.health.as_str()))
            .collect(),
        causes: links
            .iter()
            .filter_map(|link| Some((link.name.as_str(), link.cause?.as_str())))
            .collect(),
    };
    let mut response = (code, Json(ready)).into_response();
    if code == StatusCode::SERVICE_UNAVAILABLE {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, TRY_AGAIN_AFTER.as_secs().into());
    }
    response
}
