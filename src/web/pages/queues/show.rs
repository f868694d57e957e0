//! `/admin/queues/{name}`: one queue: its ledger, its depth over time, its consumers and what is wrong with it.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use axum_extra::extract::Query;
use serde::Deserialize;

use super::{
    kinds::Kinds,
    ledger::{self, Row},
    lint,
    policy::{self, PolicyCard},
    tracer::TracerView,
};
use crate::{
    domain::{
        broker_queue::{BrokerConsumer, BrokerQueue},
        finding::Scope,
        queue_setup::Setting,
        time::Time,
        words::words,
    },
    store::{Counts, KeptFor, LedgerSample, QueueRow, findings::StallFilter},
    web::{
        Site,
        chart::{self, Chart, Points, Span},
        error::{AppError, Problem},
        findings::severity,
        html,
        layout::{Chrome, Nav},
        pages::{
            address,
            stalls::card::{About, Card},
        },
        session::Viewer,
    },
};

const INCIDENTS: i64 = 200;
const STALLS: usize = 20;
const CONSUMERS: usize = 100;
/// Points of one line.
const POINTS: usize = 240;
/// Rows of the table beside the chart.
const TABLE_ROWS: usize = 24;

words! {
    /// The time that a chart shows. The words are of the family `range`.
    pub enum Range {
        Hour = "1h",
        Day = "24h",
        Week = "7d",
    }
}

impl Range {
    const fn span(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        })
    }

    const fn every(self) -> KeptFor {
        match self {
            Self::Hour => KeptFor::Hour,
            Self::Day => KeptFor::Day,
            Self::Week => KeptFor::Week,
        }
    }

    /// More than there are samples of this span.
    const fn most(self) -> i64 {
        4_000
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    range: Option<Range>,
}

#[derive(Template)]
#[template(path = "queues/show.html")]
struct QueuePage {
    c: Chrome,
    queue: QueueRow,
    row: Row,
    range: Range,
    /// For a wide and for a narrow window.
    charts: Option<[Chart; 2]>,
    table: Vec<LedgerSample>,
    /// The queue as the broker last described it, and when.
    described: Option<(Time, BrokerQueue)>,
    settings: Vec<Setting>,
    consumers: Vec<BrokerConsumer>,
    tracer: TracerView,
    incidents: Vec<Card>,
    stalls: Vec<Card>,
    stalls_left: bool,
    policies: Vec<PolicyCard>,
    /// Empty when the broker never described the queue.
    lints: Vec<lint::Line>,
    hour: Counts,
    kinds: Kinds,
}

impl QueuePage {
    fn range_href(&self, range: &Range) -> String {
        format!("{}?range={range}#depth", self.row.href)
    }

    fn list(&self, state: &str) -> String {
        format!("{}&state={state}", address::tasks("queue", &self.queue.name))
    }

    fn stalls_href(&self) -> String {
        address::stalls_of_queue(&self.queue.name)
    }

    /// An instant on the time axis.
    fn tick(&self, ms: &i64) -> String {
        let text = Time::from_ms(*ms).to_string();
        let part = match self.range {
            Range::Hour | Range::Day => text.get(11..16),
            Range::Week => text.get(5..10),
        };
        part.unwrap_or_default().to_owned()
    }
}

pub(super) async fn show(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, AppError> {
    let c = viewer.chrome(Nav::Queues);
    let store = &site.store;
    let queue = store
        .queue(&name)
        .await?
        .ok_or(AppError::new(Problem::NotFound))?;
    let sample = store.latest_sample(&name).await?;
    let mut row = match sample {
        Some(sample) => Row::of(sample, c.now, site.numbers_fresh_for),
        None => Row::unread(name.clone()),
    };
    ledger::complete(&site, std::slice::from_mut(&mut row), c.now).await?;
    let range = asked.range.unwrap_or(Range::Hour);
    let span = Span {
        from: c.now - range.span(),
        until: c.now,
    };
    let samples = store
        .samples(&name, span.from, span.until, range.every(), range.most())
        .await?;
    let mut incidents = store.open_incidents(INCIDENTS).await?;
    incidents.retain(|incident| incident.subject.scope == Scope::Queue && incident.subject.name == name);
    incidents.sort_by_key(|incident| severity(incident.verdict));
    let of_queue = StallFilter {
        queue: Some(name.clone()),
        ..StallFilter::default()
    };
    let mut stalls = store.open_stalls(&of_queue, None, STALLS as i64 + 1).await?;
    let stalls_left = stalls.len() > STALLS;
    stalls.truncate(STALLS);
    let described = store.broker_queue(&name).await?;
    let kinds = Kinds::of(store, &name, c.now).await?;
    html(&QueuePage {
        charts: charts(span, &samples),
        table: table(samples),
        settings: described
            .as_ref()
            .map(|(_, queue)| queue.setup.settings())
            .unwrap_or_default(),
        consumers: consumers(described.as_ref()),
        lints: described
            .as_ref()
            .map(|(_, told)| lint::lines(&site, &c, &queue, told, kinds.slowest.clone()))
            .unwrap_or_default(),
        tracer: TracerView::read(&site, &name, described.as_ref()).await?,
        described,
        incidents: Card::of_incidents(&site, &c, &incidents).await?,
        stalls: Card::of_stalls(&site, &c, &stalls).await?,
        stalls_left,
        policies: policy::cards(&site, &c, &name).await?,
        hour: store
            .throughput(c.now - Duration::from_secs(3600), Some(&name))
            .await?,
        kinds,
        queue,
        row,
        range,
        c,
    })
}

/// Ready, unacknowledged, and what the database expects; `None` without samples.
fn charts(span: Span, samples: &[LedgerSample]) -> Option<[Chart; 2]> {
    if samples.len() < 2 {
        return None;
    }
    let series = |value: fn(&LedgerSample) -> Option<i64>| -> Points {
        let points = samples.iter().map(|sample| (sample.at, value(sample))).collect();
        chart::thin(span, points, POINTS)
    };
    let series = [
        series(|sample| sample.ledger.messages_ready),
        series(|sample| sample.ledger.messages_unacknowledged),
        series(|sample| Some(sample.ledger.queued + sample.ledger.running)),
    ];
    Some([
        chart::chart(960, 240, span, &series),
        chart::chart(340, 220, span, &series),
    ])
}

/// The consumers to show; empty when the broker lists none, or none that we know of.
fn consumers(described: Option<&(Time, BrokerQueue)>) -> Vec<BrokerConsumer> {
    let listed = described.and_then(|(_, queue)| queue.consumers.clone());
    let mut consumers = listed.unwrap_or_default();
    consumers.truncate(CONSUMERS);
    consumers
}

/// A few of the samples, evenly, newest first.
fn table(samples: Vec<LedgerSample>) -> Vec<LedgerSample> {
    let step = samples.len().div_ceil(TABLE_ROWS).max(1);
    samples.into_iter().rev().step_by(step).collect()
}
