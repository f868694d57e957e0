//! The ledger: per queue, what the database says is out against what the broker holds.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    auth::{Caller, Read},
    errors::*,
    policies::PolicyJson,
    query::{List, Query},
    read::{cut, one_more},
};
use crate::{
    domain::{
        expectation::KindTimes, ledger::Health, replay::READING, sketch::Sketch, time::Time, tracer::Tracer,
        words::words,
    },
    store::{KeptFor, LedgerSample, QueueRow},
    web::{
        Site,
        error::{AppError, Problem},
    },
};

/// A queue and the newest reading of its ledger. A number that was not read is null, never 0.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub(super) struct QueueJson {
    name: String,
    /// `quorum` or `classic`.
    #[schema(example = "quorum")]
    queue_type: String,
    /// The wait that staff find acceptable, in seconds.
    backlog_target_s: i64,
    /// Tasks that are due and whose message the broker confirmed.
    queued: Option<i64>,
    /// Attempts that hold a message.
    running: Option<i64>,
    /// Tracers that are out: messages that belong to no task.
    tracers: Option<i64>,
    messages_ready: Option<i64>,
    messages_unacknowledged: Option<i64>,
    consumers: Option<i64>,
    /// `queued + running + tracers - messages_ready - messages_unacknowledged`. Zero is no proof of health.
    balance: Option<i64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    sampled_at: Option<Time>,
    /// `ok`, `warning`, `stalled`; `unknown` when the numbers are missing or old.
    #[schema(value_type = String, example = "ok")]
    health: &'static str,
    /// Where each of the broker's numbers was read, and when.
    #[schema(value_type = Object)]
    detail: Value,
    /// The first 50 of its kinds by name of which anything was measured in the last seven days; null in a list.
    kinds: Option<Vec<KindJson>>,
    /// What is done by itself about the queue's findings; those that were never set do nothing, and are left out.
    policies: Vec<PolicyJson>,
    /// Whether tracers are sent to it.
    traced: bool,
    /// How long the newest tracer took through the queue, in milliseconds; null when none did within the last day.
    time_in_queue_ms: Option<i64>,
    /// When that one came out.
    #[schema(value_type = Option<String>, format = DateTime)]
    time_in_queue_at: Option<Time>,
}

impl QueueJson {
    fn new(
        queue: QueueRow,
        sample: Option<LedgerSample>,
        passed: Option<&Tracer>,
        policies: Vec<PolicyJson>,
        now: Time,
        fresh_for: Duration,
    ) -> Self {
        let time_in_queue_ms = passed.and_then(Tracer::wait_ms);
        let health = sample.as_ref().map_or(Health::Unknown, |sample| {
            sample.health.aged(now.ms_since(sample.at), fresh_for)
        });
        let ledger = sample.as_ref().map(|sample| sample.ledger);
        Self {
            name: queue.name,
            queue_type: queue.queue_type,
            backlog_target_s: queue.backlog_target_s,
            queued: ledger.map(|ledger| ledger.queued),
            running: ledger.map(|ledger| ledger.running),
            tracers: ledger.map(|ledger| ledger.tracers),
            messages_ready: ledger.and_then(|ledger| ledger.messages_ready),
            messages_unacknowledged: ledger.and_then(|ledger| ledger.messages_unacknowledged),
            consumers: ledger.and_then(|ledger| ledger.consumers),
            balance: ledger.and_then(|ledger| ledger.balance),
            sampled_at: sample.as_ref().map(|sample| sample.at),
            health: health.as_str(),
            detail: sample.map_or_else(|| Value::Object(Default::default()), figures),
            traced: queue.traced,
            time_in_queue_ms,
            time_in_queue_at: passed
                .filter(|_| time_in_queue_ms.is_some())
                .and_then(|tracer| tracer.delivered_at),
            kinds: None,
            policies,
        }
    }
}

/// How long the tasks of one kind take on one queue, in the last seven days.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Kind)]
pub(super) struct KindJson {
    #[schema(example = "report.render")]
    kind: String,
    /// From when a task was due until a worker claimed it.
    wait: DurationsJson,
    /// Attempts that succeeded, from their claim to their end.
    run: DurationsJson,
}

/// What 50, 95 and 99 of 100 did not exceed, right to 5 %; null when nothing was counted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Durations)]
pub(super) struct DurationsJson {
    samples: i64,
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
    p99_ms: Option<i64>,
}

impl From<&Sketch> for DurationsJson {
    fn from(sketch: &Sketch) -> Self {
        Self {
            samples: sketch.count(),
            p50_ms: sketch.percentile_ms(50),
            p95_ms: sketch.percentile_ms(95),
            p99_ms: sketch.percentile_ms(99),
        }
    }
}

impl From<KindTimes> for KindJson {
    fn from(times: KindTimes) -> Self {
        Self {
            wait: DurationsJson::from(&times.wait),
            run: DurationsJson::from(&times.run),
            kind: times.kind,
        }
    }
}

/// Where each figure was read; what else is kept of a reading is the detector's own.
fn figures(mut sample: LedgerSample) -> Value {
    if let Some(detail) = sample.detail.as_object_mut() {
        detail.remove(READING);
    }
    sample.detail
}

/// A page of queues, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueuePage {
    items: Vec<QueueJson>,
    /// The `cursor` of the next page; null at the end.
    next: Option<String>,
}

/// One reading of a queue's ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sample)]
pub(super) struct SampleJson {
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    queued: i64,
    running: i64,
    tracers: i64,
    messages_ready: Option<i64>,
    messages_unacknowledged: Option<i64>,
    consumers: Option<i64>,
    balance: Option<i64>,
    #[schema(value_type = String, example = "ok")]
    health: &'static str,
}

impl From<&LedgerSample> for SampleJson {
    fn from(sample: &LedgerSample) -> Self {
        Self {
            at: sample.at,
            queued: sample.ledger.queued,
            running: sample.ledger.running,
            tracers: sample.ledger.tracers,
            messages_ready: sample.ledger.messages_ready,
            messages_unacknowledged: sample.ledger.messages_unacknowledged,
            consumers: sample.ledger.consumers,
            balance: sample.ledger.balance,
            health: sample.health.as_str(),
        }
    }
}

/// A page of readings, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SamplePage {
    items: Vec<SampleJson>,
    /// The `cursor` of the next page; null at the end.
    next: Option<String>,
}

words! {
    /// The distance between two samples that are asked for.
    pub enum Every {
        Sample = "sample",
        Minute = "minute",
        TenMinutes = "ten_minutes",
    }
}

impl Every {
    /// Samples are thinned with age: the first of a minute is kept a day, the first of ten minutes a week.
    const fn kept_for(self) -> KeptFor {
        match self {
            Self::Sample => KeptFor::Hour,
            Self::Minute => KeptFor::Day,
            Self::TenMinutes => KeptFor::Week,
        }
    }
}

/// List queues
///
/// Every queue that a task or a worker has named, with the newest reading of its ledger, by name.
#[utoipa::path(
    get, operation_id = "list_queues", path = "/queues", tag = "Reading", security(("token" = ["read"])),
    params(
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "How many at most; 50 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before.")
    ),
    responses((status = 200, description = "A page.", body = QueuePage),
        BadRequest, Unauthenticated, Forbidden, Invalid, Unavailable)
)]
pub(super) async fn list(
    _: Caller<Read>,
    State(site): State<Arc<Site>>,
    mut query: Query,
) -> Result<Json<QueuePage>, AppError> {
    let (limit, after) = (query.limit(), query.cursor::<String>(List::Queues));
    query.finish()?;
    let after = after.unwrap_or_default();
    let mut queues = site.store.queues(&after, one_more(limit)).await?;
    let more = cut(&mut queues, limit);
    // Sampled queues are some of the queues, so as many of them reach at least as far.
    let samples = site.store.latest_samples(&after, one_more(limit)).await?;
    let mut by_queue: HashMap<String, LedgerSample> = samples
        .into_iter()
        .map(|sample| (sample.queue.clone(), sample))
        .collect();
    let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
    let passed = site.store.passed_tracers(&names).await?;
    let passed: HashMap<&str, &Tracer> = passed
        .iter()
        .map(|tracer| (tracer.queue.as_str(), tracer))
        .collect();
    let now = site.store.now().await?;
    let mut policies: HashMap<String, Vec<PolicyJson>> = HashMap::new();
    for row in site.store.policies_of(&names).await? {
        let of_queue = policies.entry(row.queue.clone()).or_default();
        of_queue.push(PolicyJson::new(row, now));
    }
    let next = queues
        .last()
        .filter(|_| more)
        .map(|queue| List::Queues.cursor(&queue.name));
    let items = queues
        .into_iter()
        .map(|queue| {
            let sample = by_queue.remove(&queue.name);
            let passed = passed.get(queue.name.as_str()).copied();
            let policies = policies.remove(&queue.name).unwrap_or_default();
            QueueJson::new(queue, sample, passed, policies, now, site.numbers_fresh_for)
        })
        .collect();
    Ok(Json(QueuePage { items, next }))
}

/// Kinds that are told with a queue.
const KINDS: i64 = 50;

/// Get a queue
///
/// The newest reading of its ledger, and how long the tasks of its kinds wait and run.
#[utoipa::path(
    get, operation_id = "get_queue", path = "/queues/{name}", tag = "Reading", security(("token" = ["read"])),
    params(("name" = String, Path, description = "The queue's name.")),
    responses((status = 200, description = "The queue.", body = QueueJson),
        BadRequest, Unauthenticated, Forbidden, NotFound, Unavailable)
)]
pub(super) async fn get(
    _: Caller<Read>,
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Json<QueueJson>, AppError> {
    query.finish()?;
    let queue = find(&site, &name).await?;
    let sample = site.store.latest_sample(&queue.name).await?;
    let passed = site.store.passed_tracers(&[queue.name.as_str()]).await?;
    let now = site.store.now().await?;
    let kinds = site.store.times_of_kinds(&queue.name, now, KINDS).await?;
    let rows = site.store.policies_of(&[queue.name.as_str()]).await?;
    let policies = rows.into_iter().map(|row| PolicyJson::new(row, now)).collect();
    let fresh_for = site.numbers_fresh_for;
    let mut queue = QueueJson::new(queue, sample, passed.first(), policies, now, fresh_for);
    queue.kinds = Some(kinds.into_iter().map(KindJson::from).collect());
    Ok(Json(queue))
}

/// How far back samples are read when nobody says.
const SAMPLES_DEFAULT: Duration = Duration::from_secs(3600);

/// Read a queue's samples
///
/// Earlier readings, oldest first. All of the last hour are kept, one a minute of the last day, one in ten minutes of
/// the last week.
#[utoipa::path(
    get, operation_id = "get_queue_samples", path = "/queues/{name}/samples", tag = "Reading", security(("token" = ["read"])),
    params(
        ("name" = String, Path, description = "The queue's name."),
        ("after" = Option<String>, Query, format = DateTime, description = "Read after this time; an hour ago when absent."),
        ("until" = Option<String>, Query, format = DateTime, description = "Read then or earlier; now when absent."),
        ("every" = Option<String>, Query, description = "`sample`, which is the default, `minute` or `ten_minutes`: the distance between two readings."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "How many at most; 50 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before.")
    ),
    responses((status = 200, description = "A page.", body = SamplePage),
        BadRequest, Unauthenticated, Forbidden, NotFound, Invalid, Unavailable)
)]
pub(super) async fn samples(
    _: Caller<Read>,
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    mut query: Query,
) -> Result<Json<SamplePage>, AppError> {
    let (after, until) = (query.time("after"), query.time("until"));
    let every = query.parsed("every").unwrap_or(Every::Sample);
    let (limit, cursor) = (query.limit(), query.cursor::<i64>(List::Samples));
    query.finish()?;
    let queue = find(&site, &name).await?;
    let now = site.store.now().await?;
    let after = match cursor {
        Some(ms) => Time::from_ms(ms),
        None => after.unwrap_or(now - SAMPLES_DEFAULT),
    };
    let until = until.unwrap_or(now);
    let mut rows = site
        .store
        .samples(&queue.name, after, until, every.kept_for(), one_more(limit))
        .await?;
    let more = cut(&mut rows, limit);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|sample| List::Samples.cursor(sample.at.ms()));
    let items = rows.iter().map(SampleJson::from).collect();
    Ok(Json(SamplePage { items, next }))
}

async fn find(site: &Site, name: &str) -> Result<QueueRow, AppError> {
    let queue = match name.contains('\0') {
        true => None,
        false => site.store.queue(name).await?,
    };
    queue.ok_or_else(|| AppError::new(Problem::NotFound).detail("there is no queue of this name here"))
}
