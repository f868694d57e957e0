//! `/admin/webhook`: what the webhook was told, and whether it listened.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    store::webhooks::Delivery,
    web::{
        Site,
        error::{AppError, Problem},
        html,
        layout::{Chrome, Flash, Nav, Pill},
        see_other,
        session::{Admin, Operator, Viewer},
    },
};

/// Deliveries on one page.
const PAGE: usize = 50;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/admin/webhook", get(show))
        .route("/admin/webhook/test", post(test))
        .route("/admin/webhook/{id}/send-again", post(send_again))
}

#[derive(Deserialize)]
struct Asked {
    before: Option<Uuid>,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    c: Chrome,
    /// Whom it goes to: the host alone, because the rest of the address may be a secret.
    receiver: Option<String>,
    deliveries: Vec<Delivery>,
    newer: Option<String>,
    older: Option<String>,
}

impl WebhookPage {
    fn state(&self, delivery: &Delivery) -> Pill {
        let (state, tone, icon) = match (delivery.delivered_at, delivery.next_try_at, &delivery.last_error) {
            (Some(_), _, _) => ("delivered", "ok", "check-circle"),
            (None, None, _) => ("given-up", "bad", "x-circle"),
            (None, Some(_), Some(_)) => ("retrying", "warn", "arrow-repeat"),
            (None, Some(_), None) => ("waiting", "wait", "hourglass-split"),
        };
        Pill {
            tone,
            icon,
            text: self.c.of("delivery", state).to_string(),
        }
    }

    /// What the incident is about, as the delivery says it.
    fn about(&self, delivery: &Delivery) -> Option<String> {
        let text = |name: &str| delivery.body.get(name)?.as_str();
        match (text("verdict"), text("name")) {
            (Some(verdict), Some(name)) => Some(format!("{} · {name}", self.c.of("verdict", verdict))),
            _ => None,
        }
    }
}

async fn show(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Query(asked): Query<Asked>,
) -> Result<Response, AppError> {
    let mut deliveries = site.store.deliveries(asked.before, PAGE as i64 + 1).await?;
    let more = deliveries.len() > PAGE;
    deliveries.truncate(PAGE);
    let last = deliveries.last().filter(|_| more);
    html(&WebhookPage {
        c: viewer.chrome(Nav::None),
        receiver: site.webhook_host.clone(),
        newer: asked.before.map(|_| "/admin/webhook".to_owned()),
        older: last.map(|delivery| format!("/admin/webhook?before={}", delivery.id)),
        deliveries,
    })
}

/// Sends a delivery that tells of nothing.
async fn test(admin: Admin, State(site): State<Arc<Site>>) -> Result<Response, AppError> {
    if site.webhook_host.is_none() {
        return Err(AppError::new(Problem::Conflict).explain("webhook-off"));
    }
    site.store
        .enqueue_test(&admin.audit("test", "webhook", ""))
        .await?;
    Ok(see_other(
        "/admin/webhook",
        Some(Flash::done("flash-webhook-test")),
    ))
}

/// Makes a delivery due at once.
async fn send_again(
    operator: Operator,
    State(site): State<Arc<Site>>,
    Path(id): Path<Uuid>,
) -> Result<Response, AppError> {
    if site.webhook_host.is_none() {
        return Err(AppError::new(Problem::Conflict).explain("webhook-off"));
    }
    let audit = operator.audit("send_again", "webhook", id.to_string());
    if !site.store.send_again(id, &audit).await? {
        return Err(AppError::new(Problem::NotFound));
    }
    Ok(see_other(
        "/admin/webhook",
        Some(Flash::done("flash-webhook-again")),
    ))
}
