//! The numbers for Prometheus, in its text format.

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::header,
    response::{IntoResponse, Response},
};

use super::{
    auth::{Caller, Read},
    errors::*,
    local::is_local,
};
use crate::{
    store::{LedgerSample, StoreError},
    web::{Site, error::AppError, links::LinkHealth},
};

/// How many queues are shown at most: each is a handful of time series.
const QUEUES_MAX: i64 = 500;
/// Incidents that are counted at most.
const INCIDENTS_MAX: i64 = 10_000;

/// Read the metrics
///
/// In Prometheus' text format. Needs a token with the scope `read`, but for callers on this machine itself. A number
/// that the broker did not give is left out, never 0.
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
    let mut text = Exposition(site.metrics.render());
    links(&mut text, &site);
    // Without the database the process's own numbers are still worth having.
    if let Err(error) = ledger(&mut text, &site).await {
        tracing::warn!(%error, "the ledger can't be read for the metrics");
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text.0).into_response())
}

/// A text in the making.
struct Exposition(String);

impl Exposition {
    /// One metric with its values: labels in braces, and the number.
    fn gauge(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (String, i64)>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} gauge"));
        for (labels, value) in values {
            self.line(format_args!("{name}{labels} {value}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes every text");
    }
}

/// One label with its value, escaped.
fn label(name: &str, value: &str) -> String {
    let value = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("{{{name}=\"{value}\"}}")
}

fn links(text: &mut Exposition, site: &Site) {
    let up = (site.links)().into_iter().map(|link| {
        (
            label("link", link.name.as_str()),
            i64::from(link.health == LinkHealth::Up),
        )
    });
    text.gauge("unstuck_link_up", "Whether a connection is up.", up);
}

/// A number of a sample, if it was read.
type Reading = fn(&LedgerSample) -> Option<i64>;

const READINGS: [(&str, &str, Reading); 6] = [
    (
        "unstuck_queue_tasks_queued",
        "Tasks that are due and whose message the broker confirmed.",
        |sample| Some(sample.ledger.queued),
    ),
    (
        "unstuck_queue_tasks_running",
        "Attempts that hold a message.",
        |sample| Some(sample.ledger.running),
    ),
    (
        "unstuck_queue_messages_ready",
        "Messages that wait, as the broker says.",
        |sample| sample.ledger.messages_ready,
    ),
    (
        "unstuck_queue_messages_unacknowledged",
        "Messages that consumers hold, as the broker says.",
        |sample| sample.ledger.messages_unacknowledged,
    ),
    (
        "unstuck_queue_consumers",
        "Consumers, as the broker says.",
        |sample| sample.ledger.consumers,
    ),
    (
        "unstuck_queue_balance",
        "Tasks that are out less messages that are there.",
        |sample| sample.ledger.balance,
    ),
];

async fn ledger(text: &mut Exposition, site: &Site) -> Result<(), StoreError> {
    let now = site.store.now().await?;
    let samples = site.store.latest_samples("", QUEUES_MAX).await?;
    for (name, help, reading) in READINGS {
        let values = samples
            .iter()
            .filter_map(|sample| Some((label("queue", &sample.queue), reading(sample)?)));
        text.gauge(name, help, values);
    }
    text.gauge(
        "unstuck_queue_sample_age_milliseconds",
        "How old the numbers of a queue are.",
        samples
            .iter()
            .map(|sample| (label("queue", &sample.queue), now.ms_since(sample.at))),
    );
    let names: Vec<&str> = samples.iter().map(|sample| sample.queue.as_str()).collect();
    let passed = site.store.passed_tracers(&names).await?;
    text.gauge(
        "unstuck_queue_time_milliseconds",
        "How long the newest tracer took through the queue.",
        passed
            .iter()
            .filter_map(|tracer| Some((label("queue", &tracer.queue), tracer.wait_ms()?))),
    );
    text.gauge(
        "unstuck_queue_time_age_milliseconds",
        "How long ago that tracer came out.",
        passed.iter().filter_map(|tracer| {
            let delivered_at = tracer.delivered_at.filter(|_| tracer.wait_ms().is_some())?;
            Some((label("queue", &tracer.queue), now.ms_since(delivered_at)))
        }),
    );
    let mut open: Vec<(&str, i64)> = Vec::new();
    for incident in site.store.open_incidents(INCIDENTS_MAX).await? {
        let verdict = incident.verdict.as_str();
        match open.iter_mut().find(|(known, _)| *known == verdict) {
            Some((_, count)) => *count += 1,
            None => open.push((verdict, 1)),
        }
    }
    text.gauge(
        "unstuck_incidents_open",
        "Open incidents by verdict.",
        open.into_iter()
            .map(|(verdict, count)| (label("verdict", verdict), count)),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_escaped() {
        assert_eq!(label("queue", "a\"b\\c\nd"), r#"{queue="a\"b\\c\nd"}"#);
    }

    #[test]
    fn a_metric_without_values_is_left_out() {
        let mut text = Exposition(String::new());
        text.gauge("nothing", "Nothing.", []);
        text.gauge("one", "One.", [(String::new(), 1)]);
        assert_eq!(text.0, "# HELP one One.\n# TYPE one gauge\none 1\n");
    }
}
