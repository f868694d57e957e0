//! For probes and scrapers: alive, ready, and the numbers.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderName, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    auth::{Caller, Read},
    errors::*,
};
use crate::web::{
    Site,
    error::AppError,
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

/// Read the metrics
///
/// In Prometheus' text format. Needs a token with the scope `read`, but for callers on this machine itself.
#[utoipa::path(
    get, path = "/metrics", tag = "Health", security(("token" = ["read"]), ()),
    responses((status = 200, description = "The numbers.", body = String, content_type = "text/plain; version=0.0.4"),
        Unauthenticated, Forbidden)
)]
pub(super) async fn metrics(State(site): State<Arc<Site>>, request: Request) -> Result<Response, AppError> {
    let (mut parts, _) = request.into_parts();
    if !is_local(&parts) {
        Caller::<Read>::from_request_parts(&mut parts, &site).await?;
    }
    let mut text = site.metrics.render();
    text.push_str("# TYPE unstuck_link_up gauge\n");
    for link in (site.links)() {
        let up = u8::from(link.health == LinkHealth::Up);
        text.push_str(&format!("unstuck_link_up{{link=\"{}\"}} {up}\n", link.name));
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Headers that a proxy adds: behind one on this machine, everybody comes from this machine.
const FORWARDED: [HeaderName; 4] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
];

/// Whether a program on this machine asks, by this machine's own name: a web page whose name somebody points at this
/// machine asks by that name.
fn is_local(parts: &Parts) -> bool {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let near = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    let direct = FORWARDED.iter().all(|name| !parts.headers.contains_key(name));
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let named = host
        .and_then(|host| host.parse::<axum::http::uri::Authority>().ok())
        .is_some_and(|authority| {
            let name = authority.host().trim_start_matches('[').trim_end_matches(']');
            name.eq_ignore_ascii_case("localhost")
                || name
                    .parse()
                    .is_ok_and(|addr: std::net::IpAddr| addr.is_loopback())
        });
    near && direct && named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(peer: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, _) = request
            .body(axum::body::Body::empty())
            .expect("a request")
            .into_parts();
        let peer: SocketAddr = peer.parse().expect("an address");
        parts.extensions.insert(ConnectInfo(peer));
        is_local(&parts)
    }

    #[test]
    fn only_this_machine_itself_reads_metrics_without_a_token() {
        assert!(asked("127.0.0.1:4", &[("host", "localhost:8080")]));
        assert!(asked("[::1]:4", &[("host", "[::1]:8080")]));
        for (peer, headers) in [
            ("10.0.0.9:4", &[("host", "localhost")][..]),
            ("127.0.0.1:4", &[("host", "evil.example")]),
            ("127.0.0.1:4", &[]),
            (
                "127.0.0.1:4",
                &[("host", "localhost"), ("x-forwarded-for", "1.2.3.4")],
            ),
            ("127.0.0.1:4", &[("host", "127.0.0.1"), ("via", "1.1 proxy")]),
        ] {
            assert!(!asked(peer, headers), "{peer} {headers:?}");
        }
    }
}
