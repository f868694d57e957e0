//! Whether tracers are sent to a queue, and what the last one measured.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
    response::Response,
};
use serde::Deserialize;

use crate::{
    domain::{broker_queue::BrokerQueue, time::Time, tracer::Obstacle},
    services::tracers,
    web::{
        Site,
        error::{AppError, Problem},
        layout::Flash,
        pages::address,
        see_other,
        session::Admin,
    },
};

/// What a queue's page tells of its tracers.
pub(super) struct TracerView {
    /// How long the newest one was on the queue, and when it came out.
    pub(super) measured: Option<(i64, Time)>,
    /// The broker's settings that keep tracers away, as a word of the family `obstacle`.
    pub(super) obstacle: Option<Obstacle>,
}

impl TracerView {
    pub(super) async fn read(
        site: &Site,
        queue: &str,
        described: Option<&(Time, BrokerQueue)>,
    ) -> Result<Self, AppError> {
        let passed = site.store.passed_tracers(&[queue]).await?.pop();
        let settings = described
            .map(|(_, told)| told.setup.settings())
            .unwrap_or_default();
        Ok(Self {
            measured: passed.and_then(|tracer| Some((tracer.wait_ms()?, tracer.delivered_at?))),
            obstacle: Obstacle::among(settings.iter().map(|setting| setting.name.as_str())),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    traced: bool,
}

pub(super) async fn switch(
    admin: Admin,
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Form(wanted): Form<Wanted>,
) -> Result<Response, AppError> {
    if site.store.queue(&name).await?.is_none() {
        return Err(AppError::new(Problem::NotFound));
    }
    let audit = admin.audit("trace", "queue", name.as_str());
    tracers::switch(&site.store, &name, wanted.traced, audit).await?;
    let done = if wanted.traced {
        Flash::done("flash-traced")
    } else {
        Flash::done("flash-not-traced")
    };
    Ok(see_other(
        &format!("{}#tracer", address::queue(&name)),
        Some(done),
    ))
}
