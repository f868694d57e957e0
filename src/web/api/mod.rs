//! The JSON API: one file per group of calls. docs/http-api.md tells how to use it.
//!
//! - A handler's first argument is its permission (`Caller<Produce>`), so that nothing of a request is read for a caller
//!   who may not.
//! - A body is read with `Body`, a query with `Query`: both refuse what they don't know.
//! - A call is added with `#[utoipa::path]` and `routes!`: that is its route and its place in the OpenAPI document at
//!   once. Its errors are the names of `errors`.

mod actions;
mod auth;
mod body;
mod create;
mod docs;
mod errors;
mod exact;
mod findings;
mod health;
mod local;
mod metrics;
mod policies;
mod query;
mod queues;
mod read;
mod reference;
mod refusal;
mod reports;
mod schema;
mod strict;
mod work;

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::Instant;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Site;
use errors::{ProblemField, ProblemJson};

/// Where the API is.
const BASE: &str = "/api/v1";

/// Every call with its part of the OpenAPI document.
fn calls() -> OpenApiRouter<Arc<Site>> {
    let api = OpenApiRouter::new()
        .routes(routes!(create::create, read::list))
        .routes(routes!(create::create_batch))
        .routes(routes!(read::get))
        .routes(routes!(read::history))
        .routes(routes!(read::attempts))
        .routes(routes!(queues::list))
        .routes(routes!(queues::get))
        .routes(routes!(queues::samples))
        .routes(routes!(policies::set))
        .routes(routes!(policies::reset))
        .routes(routes!(findings::stalls))
        .routes(routes!(findings::incidents))
        .routes(routes!(actions::start))
        .routes(routes!(actions::retry))
        .routes(routes!(actions::rerun))
        .routes(routes!(actions::requeue))
        .routes(routes!(actions::cancel))
        .routes(routes!(work::claim))
        .routes(routes!(work::heartbeat))
        .routes(routes!(work::succeed))
        .routes(routes!(work::fail))
        .routes(routes!(work::release))
        .routes(routes!(reports::file))
        .routes(routes!(reports::answer))
        .routes(routes!(describe));
    OpenApiRouter::with_openapi(head())
        .nest(BASE, api)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

/// The routes of the API, of its description, and of the probes at the root.
pub(super) fn routes() -> Router<Arc<Site>> {
    let (calls, _) = calls().split_for_parts();
    calls
        .route_layer(middleware::from_fn(count))
        .route("/api/docs", get(docs::page))
}

/// The OpenAPI document, made from the code.
pub fn openapi() -> &'static OpenApi {
    static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| {
        let mut document = calls().into_openapi();
        exact::tell_bounds(&mut document);
        document
    });
    &DOCUMENT
}

/// The same as JSON text, for people too.
pub fn openapi_json() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        openapi()
            .to_pretty_json()
            .expect("a document of texts and numbers is JSON")
    });
    &TEXT
}

/// Read this document
#[utoipa::path(
    get, operation_id = "get_openapi", path = "/openapi.json", tag = "Health", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
async fn describe() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json()).into_response()
}

/// What the document says beside its calls.
fn head() -> OpenApi {
    let mut components = Components::new();
    errors::add_to(&mut components);
    for (name, schema) in [
        (ProblemJson::name(), ProblemJson::schema()),
        (ProblemField::name(), ProblemField::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token made by an administrator, with scopes: produce, work, read, operate, report.",
        ))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    let info = InfoBuilder::new()
        .title("Unstuck")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("about.md")))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    let tags = [
        ("Producing", "Create and start tasks. Scope: produce."),
        ("Reading", "Look at tasks, queues and findings. Scope: read."),
        ("Operating", "Put stalled and failed tasks right. Scope: operate."),
        ("Working", "Run tasks with your own AMQP client. Scope: work."),
        (
            "Reporting",
            "File what users report, and add to it. Scope: report; a message needs the report's own key instead.",
        ),
        ("Health", "For probes and scrapers."),
    ];
    let tags = tags.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build());
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(tags))
        .components(Some(components))
        .build()
}

/// Counts calls and the time they take, by route: never by the path that was asked for, which anybody chooses.
async fn count(path: MatchedPath, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let response = next.run(request).await;
    let labels = [
        ("method", method.as_str().to_owned()),
        ("path", path.as_str().to_owned()),
        ("status", response.status().as_u16().to_string()),
    ];
    ::metrics::counter!("unstuck_http_requests_total", &labels).increment(1);
    let spent_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    ::metrics::counter!("unstuck_http_request_microseconds_total", &labels).increment(spent_us);
    response
}
