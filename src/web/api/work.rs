//! Workers' calls, for workers that consume the queue with their own AMQP client: claim, heartbeat, and the ends.
//! docs/http-api.md tells how to write one.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    auth::{Caller, Work},
    body::{Body, invalid},
    errors::*,
    read::task_id,
    refusal::{no_such_task, refused_claim, tracer, unknown_to_claim},
    schema::{Alive, Claim, Claimed, Failure, Heartbeat, Release, Reported, Success},
};
use crate::{
    domain::{
        submission::{Given, Wrongs},
        transition::{self, Answer, Event},
    },
    services::{
        lifecycle::{Act, ActError, Acted},
        tracers,
    },
    store::TracerDelivery,
    web::{
        Site,
        error::{AppError, Problem},
    },
};

/// The longest name of a worker or a claim.
const NAME_CHARS: usize = 200;
/// What a report says is cut, not refused: the work is done, and its end must arrive.
const MESSAGE_CHARS: usize = 500;
const ERROR_CHARS: usize = 10_000;
const LOG_CHARS: usize = 65_536;

/// Claim a task
///
/// Asks to run the task that a message names. 200: it is yours until the lease ends. 409: do not run it, and do with the
/// message what `action` says. 503: keep the message unacknowledged and ask again.
#[utoipa::path(
    post, operation_id = "claim_task", path = "/tasks/{id}/claim", tag = "Working", security(("token" = ["work"])),
    params(("id" = String, Path, description = "The message's body: the task's id.")), request_body = Claim,
    responses((status = 200, description = "Yours to run.", body = Claimed),
        BadRequest, Unauthenticated, Forbidden, RefusedClaim, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn claim(
    _: Caller<Work>,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Claimed>, AppError> {
    let (worker, claim) = claimed_by(body.read()?)?;
    // A message can name anything; what is no id is a task that is unknown here.
    let id = task_id(&id).map_err(|_| unknown_to_claim())?;
    let acted = match act(&site, id, &worker, Event::Claim(claim)).await {
        Err(ActError::NotFound) => return Err(no_task(&site, id, worker).await?),
        acted => acted.map_err(refused_claim)?,
    };
    let Acted {
        answer: Answer::Claimed {
            attempt,
            lease_expires_at,
        },
        task,
        claimed: Some(documents),
    } = acted
    else {
        return Err(AppError::new(Problem::Internal));
    };
    Ok(Json(Claimed {
        id,
        attempt,
        dispatch: task.dispatch,
        kind: task.kind,
        queue: task.queue,
        title: documents.title,
        owner: documents.owner,
        payload: documents.payload,
        timeout_s: documents.timeout_s,
        max_attempts: task.max_attempts,
        lease_expires_at,
        lease_s: site.work.lease().as_secs(),
    }))
}

/// What to do with a message that names no task: a tracer's is noted and done with.
async fn no_task(site: &Site, id: Uuid, worker: String) -> Result<AppError, AppError> {
    let delivery = TracerDelivery {
        id,
        worker,
        held: Duration::ZERO,
        redelivered: None,
    };
    let is_tracer = tracers::note(&site.store, &delivery).await?;
    Ok(if is_tracer { tracer() } else { unknown_to_claim() })
}

fn claimed_by(request: Claim) -> Result<(String, transition::Claim), AppError> {
    let mut wrongs = Wrongs::default();
    for (field, given) in [("worker", &request.worker), ("claim_id", &request.claim_id)] {
        if *given == Given::Absent {
            wrongs.add(field, "is required");
        }
    }
    let worker = wrongs
        .line("worker", request.worker, NAME_CHARS)
        .unwrap_or_default();
    let claim_id = wrongs
        .line("claim_id", request.claim_id, NAME_CHARS)
        .unwrap_or_default();
    let dispatch = wrongs.number("dispatch", request.dispatch, 0, i64::MAX);
    let claim = transition::Claim {
        claim_id,
        dispatch,
        worker: worker.clone(),
    };
    wrongs.or((worker, claim)).map_err(invalid)
}

/// Say that an attempt is alive
///
/// Renews the lease and tells whether somebody cancelled the task. 409: the attempt is closed, stop the work; nothing it
/// does counts any more.
#[utoipa::path(
    post, operation_id = "heartbeat", path = "/tasks/{id}/attempts/{n}/heartbeat", tag = "Working", security(("token" = ["work"])),
    params(("id" = Uuid, Path, description = "The task's id."), ("n" = i64, Path, minimum = 1, description = "The attempt, as the claim's answer named it.")),
    request_body = Option<Heartbeat>,
    responses((status = 200, description = "Alive.", body = Alive),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn heartbeat(
    caller: Caller<Work>,
    State(site): State<Arc<Site>>,
    Path((id, n)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Alive>, AppError> {
    let request: Heartbeat = body.read_or_empty()?;
    let (id, attempt) = place(&id, &n)?;
    let mut wrongs = Wrongs::default();
    let progress = wrongs.take(
        "progress",
        request.progress,
        "must be a number from 0 to 100",
        |progress| (0.0..=100.0).contains(&progress).then_some(progress),
    );
    let message = text(&mut wrongs, "message", request.message).map(|text| head(&text, MESSAGE_CHARS));
    wrongs.or(()).map_err(invalid)?;
    let event = Event::Heartbeat {
        attempt,
        progress,
        message,
    };
    match act(&site, id, caller.actor(), event).await?.answer {
        Answer::Alive {
            lease_expires_at,
            cancel_requested,
        } => Ok(Json(Alive {
            lease_expires_at,
            cancel_requested,
        })),
        Answer::Done | Answer::Repeated | Answer::Claimed { .. } => Err(AppError::new(Problem::Internal)),
    }
}

/// Report success
///
/// Ends the task. The same report again gives the same answer; acknowledge the message then. 409: the attempt is closed.
/// The report is kept on the timeline and not applied; acknowledge the message all the same.
#[utoipa::path(
    post, operation_id = "succeed", path = "/tasks/{id}/attempts/{n}/succeed", tag = "Working", security(("token" = ["work"])),
    params(("id" = Uuid, Path, description = "The task's id."), ("n" = i64, Path, minimum = 1, description = "The attempt, as the claim's answer named it.")),
    request_body = Option<Success>,
    responses((status = 200, description = "Applied, now or before.", body = Reported),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn succeed(
    caller: Caller<Work>,
    State(site): State<Arc<Site>>,
    Path((id, n)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Reported>, AppError> {
    let request: Success = body.read_or_empty()?;
    let mut wrongs = Wrongs::default();
    let result = wrongs.document("result", request.result).unwrap_or(Value::Null);
    let log = text(&mut wrongs, "log", request.log).map(|text| tail(&text, LOG_CHARS));
    wrongs.or(()).map_err(invalid)?;
    report(&site, &caller, &id, &n, |attempt| Event::Succeed {
        attempt,
        result,
        log,
    })
    .await
}

/// Report failure
///
/// With attempts left and `retryable`, the task is queued again after a backoff; else it is failed. The same report again
/// gives the same answer. 409: the attempt is closed; acknowledge the message all the same.
#[utoipa::path(
    post, operation_id = "fail", path = "/tasks/{id}/attempts/{n}/fail", tag = "Working", security(("token" = ["work"])),
    params(("id" = Uuid, Path, description = "The task's id."), ("n" = i64, Path, minimum = 1, description = "The attempt, as the claim's answer named it.")),
    request_body = Failure,
    responses((status = 200, description = "Applied, now or before.", body = Reported),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn fail(
    caller: Caller<Work>,
    State(site): State<Arc<Site>>,
    Path((id, n)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Reported>, AppError> {
    let request: Failure = body.read()?;
    let mut wrongs = Wrongs::default();
    let given = text(&mut wrongs, "error", request.error);
    let error = given
        .map(|text| head(text.trim(), ERROR_CHARS))
        .filter(|text| !text.is_empty());
    if error.is_none() {
        wrongs.add("error", "is required: what went wrong, a text");
    }
    let retryable = wrongs.take("retryable", request.retryable, "must be true or false", Some);
    let log = text(&mut wrongs, "log", request.log).map(|text| tail(&text, LOG_CHARS));
    wrongs.or(()).map_err(invalid)?;
    report(&site, &caller, &id, &n, |attempt| Event::Fail {
        attempt,
        error: error.unwrap_or_default(),
        retryable: retryable.unwrap_or(true),
        log,
    })
    .await
}

/// Hand a task back
///
/// For a worker that stops: the task is queued again at once, and the attempt does not count.
#[utoipa::path(
    post, operation_id = "release", path = "/tasks/{id}/attempts/{n}/release", tag = "Working", security(("token" = ["work"])),
    params(("id" = Uuid, Path, description = "The task's id."), ("n" = i64, Path, minimum = 1, description = "The attempt, as the claim's answer named it.")),
    request_body = Option<Release>,
    responses((status = 200, description = "Applied, now or before.", body = Reported),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn release(
    caller: Caller<Work>,
    State(site): State<Arc<Site>>,
    Path((id, n)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Reported>, AppError> {
    let Release {} = body.read_or_empty()?;
    report(&site, &caller, &id, &n, |attempt| Event::Release { attempt }).await
}

async fn report(
    site: &Site,
    caller: &Caller<Work>,
    id: &str,
    n: &str,
    event: impl FnOnce(i64) -> Event,
) -> Result<Json<Reported>, AppError> {
    let (id, attempt) = place(id, n)?;
    let acted = act(site, id, caller.actor(), event(attempt)).await?;
    Ok(Json(acted.task.into()))
}

async fn act(site: &Site, task_id: Uuid, actor: &str, event: Event) -> Result<Acted, ActError> {
    let act = Act {
        task_id,
        event,
        actor: actor.to_owned(),
        audit: None,
    };
    site.work.act(act).await
}

fn place(id: &str, n: &str) -> Result<(Uuid, i64), AppError> {
    let attempt = n
        .parse()
        .ok()
        .filter(|attempt| *attempt >= 1)
        .ok_or_else(no_such_task)?;
    Ok((task_id(id)?, attempt))
}

/// A text of any length; the character U+0000, which no database column takes, is left out.
fn text(wrongs: &mut Wrongs, field: &str, given: Given<String>) -> Option<String> {
    wrongs.take(field, given, "must be a text", |text| {
        Some(text.replace('\0', ""))
    })
}

fn head(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

fn tail(text: &str, longest: usize) -> String {
    let from = text.chars().count().saturating_sub(longest);
    text.chars().skip(from).collect()
}
