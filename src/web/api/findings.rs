//! What the detector found: stalls of tasks, and the incidents that are their causes.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    auth::{Caller, Read},
    errors::*,
    query::{List, Query},
    read::{cut, one_more},
};
use crate::{
    domain::{
        evidence::Evidence,
        finding::{About, Freshness, Verdict, remedy, sentence},
        time::Time,
        words::words,
    },
    store::findings::{ClosedCursor, FalseAlarm, IncidentRow, Said, StallFilter, StallRow},
    web::{Site, error::AppError, findings::Seen, i18n::Lang},
};

/// That somebody put a finding off. It stays open.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Snooze)]
pub(super) struct SnoozeJson {
    /// When it comes back by itself; earlier when it gets worse.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Time,
    reason: String,
    #[schema(example = "user:night.shift@example.org")]
    actor: String,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
}

/// That somebody calls a finding wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalseAlarm)]
pub(super) struct FalseAlarmJson {
    reason: String,
    actor: String,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
}

/// What people said about the findings of one answer.
struct Voices {
    said: HashMap<Uuid, Said>,
    now: Time,
}

impl Voices {
    async fn of(site: &Site, ids: &[Uuid]) -> Result<Self, AppError> {
        let said = site.store.said_of(ids).await?;
        let now = match said.is_empty() {
            true => Time::from_ms(0),
            false => site.store.now().await?,
        };
        Ok(Self { said, now })
    }

    /// The snooze by which the finding is put off now.
    fn snooze(&self, id: Uuid, closed_at: Option<Time>) -> Option<SnoozeJson> {
        let snooze = self.said.get(&id)?.snooze.clone()?;
        (closed_at.is_none() && snooze.holds(self.now)).then_some(SnoozeJson {
            ends_at: snooze.ends_at,
            reason: snooze.reason,
            actor: snooze.actor,
            at: snooze.at,
        })
    }

    fn false_alarm(&self, id: Uuid) -> Option<FalseAlarmJson> {
        let FalseAlarm { reason, actor, at } = self.said.get(&id)?.false_alarm.clone()?;
        Some(FalseAlarmJson { reason, actor, at })
    }
}

/// A finding about one task.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stall)]
pub(super) struct StallJson {
    id: Uuid,
    task_id: Uuid,
    queue: String,
    /// The dispatch and attempt that were judged.
    dispatch: i64,
    attempt: i64,
    #[schema(value_type = String, example = "message_lost")]
    verdict: &'static str,
    /// `proven`: it follows from what was read; `likely`: there is an innocent explanation, but an unusual one.
    #[schema(value_type = String, example = "proven")]
    confidence: &'static str,
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// What is wrong, in English.
    sentence: String,
    /// What to do about it, in English. Nothing that could do harm is suggested while the broker's numbers are old.
    remedy: String,
    /// The queue was not seen in full lately: by now it may look otherwise than the evidence says.
    numbers_are_old: bool,
    /// The numbers, each with its source and the time it was read, and the threshold they were held against.
    #[schema(value_type = Object)]
    evidence: Value,
    /// When the evidence was written.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Time,
    /// The incident that it is folded under.
    incident_id: Option<Uuid>,
    /// Null while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Time>,
    #[schema(value_type = Option<String>, example = "requeued")]
    closed_reason: Option<&'static str>,
    /// Null while nobody has put it off.
    snooze: Option<SnoozeJson>,
    /// Null while nobody calls it wrong.
    false_alarm: Option<FalseAlarmJson>,
}

/// The stalls as JSON, with what people said about them.
pub(super) async fn tell_stalls(site: &Site, rows: Vec<StallRow>) -> Result<Vec<StallJson>, AppError> {
    let seen = Seen::for_stalls(site, &rows).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let voices = Voices::of(site, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| StallJson::new(row, &seen, &voices))
        .collect())
}

impl StallJson {
    pub(super) fn task_id(&self) -> Uuid {
        self.task_id
    }

    fn new(row: StallRow, seen: &Seen, voices: &Voices) -> Self {
        let told = Told::new(About::Task, row.verdict, &row.evidence, seen.stall(&row));
        Self {
            snooze: voices.snooze(row.id, row.closed_at),
            false_alarm: voices.false_alarm(row.id),
            id: row.id,
            task_id: row.task_id,
            queue: row.queue,
            dispatch: row.dispatch,
            attempt: row.attempt,
            verdict: row.verdict.as_str(),
            confidence: row.confidence.as_str(),
            since: row.since,
            sentence: told.sentence,
            remedy: told.remedy,
            numbers_are_old: told.numbers == Freshness::Old,
            evidence: told.evidence,
            seen_at: row.seen_at,
            incident_id: row.incident_id,
            closed_at: row.closed_at,
            closed_reason: row.closed_reason.map(|reason| reason.as_str()),
        }
    }
}

/// One cause, and how many tasks it touches.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Incident)]
pub(super) struct IncidentJson {
    id: Uuid,
    #[schema(value_type = String, example = "no_consumers")]
    verdict: &'static str,
    /// What it is about: `queue`, `worker` or `broker`.
    #[schema(value_type = String, example = "queue")]
    scope: &'static str,
    /// The queue, the worker, or the broker's address.
    name: String,
    tasks: i64,
    #[schema(value_type = String, example = "proven")]
    confidence: &'static str,
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// What is wrong, in English.
    sentence: String,
    /// What to do about it, in English. Nothing that could do harm is suggested while the broker's numbers are old.
    remedy: String,
    /// The queue was not seen in full lately: by now it may look otherwise than the evidence says.
    numbers_are_old: bool,
    /// The numbers, each with its source and the time it was read, and the threshold they were held against.
    #[schema(value_type = Object)]
    evidence: Value,
    /// When it was last found to be so.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Time,
    /// Null while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Time>,
    #[schema(value_type = Option<String>, example = "cleared")]
    closed_reason: Option<&'static str>,
    /// Null while nobody has put it off.
    snooze: Option<SnoozeJson>,
    /// Null while nobody calls it wrong.
    false_alarm: Option<FalseAlarmJson>,
}

impl IncidentJson {
    fn new(row: IncidentRow, seen: &Seen, voices: &Voices) -> Self {
        let told = Told::new(About::Cause, row.verdict, &row.evidence, seen.incident(&row));
        Self {
            snooze: voices.snooze(row.id, row.closed_at),
            false_alarm: voices.false_alarm(row.id),
            id: row.id,
            verdict: row.verdict.as_str(),
            scope: row.subject.scope.as_str(),
            name: row.subject.name,
            tasks: row.tasks,
            confidence: row.confidence.as_str(),
            since: row.since,
            sentence: told.sentence,
            remedy: told.remedy,
            numbers_are_old: told.numbers == Freshness::Old,
            evidence: told.evidence,
            seen_at: row.seen_at,
            closed_at: row.closed_at,
            closed_reason: row.closed_reason.map(|reason| reason.as_str()),
        }
    }
}

struct Told {
    sentence: String,
    remedy: String,
    evidence: Value,
    numbers: Freshness,
}

impl Told {
    fn new(about: About, verdict: Verdict, evidence: &Evidence, numbers: Freshness) -> Self {
        Self {
            sentence: Lang::En.phrase(&sentence(about, verdict, evidence)).to_string(),
            remedy: Lang::En
                .phrase(&remedy(about, verdict, evidence, numbers))
                .to_string(),
            evidence: serde_json::to_value(evidence).unwrap_or_default(),
            numbers,
        }
    }
}

/// A page of stalls.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StallPage {
    items: Vec<StallJson>,
    /// The `cursor` of the next page; null at the end.
    next: Option<String>,
}

/// A page of incidents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IncidentPage {
    items: Vec<IncidentJson>,
    /// The `cursor` of the next page; null at the end.
    next: Option<String>,
}

words! {
    /// Which findings are asked for.
    pub enum Standing {
        Open = "open",
        Closed = "closed",
    }
}

/// Where a list of closed findings goes on, as a cursor holds it.
struct Closed(ClosedCursor);

impl FromStr for Closed {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (ms, id) = text.split_once(' ').ok_or(())?;
        Ok(Self(ClosedCursor {
            closed_at: Time::from_ms(ms.parse().map_err(|_| ())?),
            id: id.parse().map_err(|_| ())?,
        }))
    }
}

/// The place after a closed finding.
fn place(closed_at: Option<Time>, id: Uuid) -> String {
    format!("{} {id}", closed_at.map_or(i64::MAX, Time::ms))
}

/// List stalls
///
/// Open findings about tasks, newest first, those that are folded under an incident included; with `state=closed` those
/// that are over, the last closed first.
#[utoipa::path(
    get, operation_id = "list_stalls", path = "/stalls", tag = "Reading", security(("token" = ["read"])),
    params(
        ("state" = Option<String>, Query, description = "`open`, which is the default, or `closed`."),
        ("verdict" = Option<String>, Query, description = "Only this verdict."),
        ("queue" = Option<String>, Query, description = "Only tasks of this queue."),
        ("incident_id" = Option<Uuid>, Query, description = "Only those folded under this incident."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "How many at most; 50 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before.")
    ),
    responses((status = 200, description = "A page.", body = StallPage),
        BadRequest, Unauthenticated, Forbidden, Invalid, Unavailable)
)]
pub(super) async fn stalls(
    _: Caller<Read>,
    State(site): State<Arc<Site>>,
    mut query: Query,
) -> Result<Json<StallPage>, AppError> {
    let standing = query.parsed("state").unwrap_or(Standing::Open);
    let filter = StallFilter {
        verdict: query.parsed("verdict"),
        queue: query.text("queue"),
        incident_id: query.parsed("incident_id"),
    };
    let limit = query.limit();
    let (mut rows, list) = match standing {
        Standing::Open => {
            let before = query.cursor::<Uuid>(List::OpenStalls);
            query.finish()?;
            (
                site.store.open_stalls(&filter, before, one_more(limit)).await?,
                List::OpenStalls,
            )
        }
        Standing::Closed => {
            let after = query
                .cursor::<Closed>(List::ClosedStalls)
                .map_or(ClosedCursor::START, |closed| closed.0);
            query.finish()?;
            (
                site.store.closed_stalls(&filter, after, one_more(limit)).await?,
                List::ClosedStalls,
            )
        }
    };
    let more = cut(&mut rows, limit);
    let next = rows.last().filter(|_| more).map(|row| match standing {
        Standing::Open => list.cursor(row.id),
        Standing::Closed => list.cursor(place(row.closed_at, row.id)),
    });
    let items = tell_stalls(&site, rows).await?;
    Ok(Json(StallPage { items, next }))
}

/// List incidents
///
/// Open causes, newest first: queues without consumers, lost workers, unbalanced ledgers, broker alarms, and numbers
/// that are not there (`unknown`). With `state=closed` those that are over, the last closed first.
#[utoipa::path(
    get, operation_id = "list_incidents", path = "/incidents", tag = "Reading", security(("token" = ["read"])),
    params(
        ("state" = Option<String>, Query, description = "`open`, which is the default, or `closed`."),
        ("verdict" = Option<String>, Query, description = "Only this verdict."),
        ("queue" = Option<String>, Query, description = "Only those about this queue."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "How many at most; 50 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before.")
    ),
    responses((status = 200, description = "A page.", body = IncidentPage),
        BadRequest, Unauthenticated, Forbidden, Invalid, Unavailable)
)]
pub(super) async fn incidents(
    _: Caller<Read>,
    State(site): State<Arc<Site>>,
    mut query: Query,
) -> Result<Json<IncidentPage>, AppError> {
    let standing = query.parsed("state").unwrap_or(Standing::Open);
    let (verdict, queue, limit) = (query.parsed("verdict"), query.text("queue"), query.limit());
    let queue = queue.as_deref();
    let (mut rows, list) = match standing {
        Standing::Open => {
            let before = query.cursor::<Uuid>(List::OpenIncidents);
            query.finish()?;
            let rows = site
                .store
                .open_incidents_page(verdict, queue, before, one_more(limit));
            (rows.await?, List::OpenIncidents)
        }
        Standing::Closed => {
            let after = query
                .cursor::<Closed>(List::ClosedIncidents)
                .map_or(ClosedCursor::START, |closed| closed.0);
            query.finish()?;
            let rows = site
                .store
                .closed_incidents(verdict, queue, after, one_more(limit));
            (rows.await?, List::ClosedIncidents)
        }
    };
    let more = cut(&mut rows, limit);
    let next = rows.last().filter(|_| more).map(|row| match standing {
        Standing::Open => list.cursor(row.id),
        Standing::Closed => list.cursor(place(row.closed_at, row.id)),
    });
    let seen = Seen::for_incidents(&site, &rows).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let voices = Voices::of(&site, &ids).await?;
    let items = rows.into_iter().map(|row| IncidentJson::new(row, &seen, &voices));
    Ok(Json(IncidentPage {
        items: items.collect(),
        next,
    }))
}
