//! Calls that move a task: start, retry, rerun, requeue, cancel.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::Value;

use super::{
    auth::{Caller, Operate, Produce},
    body::{Body, invalid},
    errors::*,
    read::{show, task_id},
    refusal::no_such_task,
    schema::{Action, TaskJson},
};
use crate::{
    domain::{
        submission::{Given, Wrongs},
        transition::{Event, LeasePolicy, RequeueBy},
    },
    services::lifecycle::{Act, Acted},
    web::{Site, error::AppError},
};

type Answer = Result<(StatusCode, Json<TaskJson>), AppError>;

/// An action's checked body.
struct Asked {
    reason: Option<String>,
    payload: Option<Value>,
    lease: LeasePolicy,
}

/// What an action's body may say beside the reason.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Payload,
    PayloadAndForce,
    Nothing,
}

fn ask(body: Body, takes: Takes) -> Result<Asked, AppError> {
    let action: Action = body.read_or_empty()?;
    let mut wrongs = Wrongs::default();
    let given = action.reason != Given::Absent;
    let reason = wrongs.reason("reason", action.reason);
    let force = wrongs.take("force", action.force, "must be true or false", Some) == Some(true);
    if force && takes != Takes::PayloadAndForce {
        wrongs.add("force", "only a requeue can be forced");
    }
    if force && !given {
        wrongs.add(
            "reason",
            "is required when a requeue is forced: it takes the task away from a living worker",
        );
    }
    let payload = match (takes, action.payload) {
        (Takes::Nothing, Given::Is(_)) => {
            wrongs.add("payload", "only retry, requeue and rerun take a payload");
            None
        }
        (_, payload) => wrongs.document("payload", payload),
    };
    let lease = if force {
        LeasePolicy::Override
    } else {
        LeasePolicy::Respect
    };
    wrongs
        .or(Asked {
            reason,
            payload,
            lease,
        })
        .map_err(invalid)
}

/// Start a task
///
/// Queues a new task that was created without `start`, and waits up to a second for the broker's confirm:
/// `published_at` is set when it came in time, else null, and the message goes out as soon as the broker takes it.
#[utoipa::path(
    post, operation_id = "start_task", path = "/tasks/{id}/start", tag = "Producing", security(("token" = ["produce"])),
    params(("id" = Uuid, Path, description = "The task's id.")),
    responses((status = 202, description = "Queued.", body = TaskJson),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, Unavailable)
)]
pub(super) async fn start(
    caller: Caller<Produce>,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let id = task_id(&id)?;
    let Empty {} = body.read_or_empty()?;
    let act = Act {
        task_id: id,
        event: Event::Start { available_at: None },
        actor: caller.actor().to_owned(),
        // A program's routine: the timeline says who started it. What staff do is in the audit log.
        audit: None,
    };
    let acted = site.submit.start(act).await?;
    moved(&site, acted).await
}

/// A body that says nothing.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// Retry a failed or cancelled task
///
/// Queues the task again, with `max_attempts` granted anew and, if given, another payload.
#[utoipa::path(
    post, operation_id = "retry_task", path = "/tasks/{id}/retry", tag = "Operating", security(("token" = ["operate"])),
    params(("id" = Uuid, Path, description = "The task's id.")), request_body = Option<Action>,
    responses((status = 202, description = "Queued.", body = TaskJson),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn retry(
    caller: Caller<Operate>,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let asked = ask(body, Takes::Payload)?;
    operate(&site, &caller, &id, "retry", asked, |asked| Event::Retry {
        payload: asked.payload,
    })
    .await
}

/// Run a succeeded task again
///
/// The only way to run a task again that succeeded. Its result is dropped.
#[utoipa::path(
    post, operation_id = "rerun_task", path = "/tasks/{id}/rerun", tag = "Operating", security(("token" = ["operate"])),
    params(("id" = Uuid, Path, description = "The task's id.")), request_body = Option<Action>,
    responses((status = 202, description = "Queued.", body = TaskJson),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn rerun(
    caller: Caller<Operate>,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let asked = ask(body, Takes::Payload)?;
    operate(&site, &caller, &id, "rerun", asked, |asked| Event::Rerun {
        payload: asked.payload,
    })
    .await
}

/// Put a stalled task's message out again
///
/// For a queued or running task. It takes the next dispatch, so the old message is discarded should it come back, and a
/// running attempt is closed. A live lease refuses, unless forced with a reason: the new message then waits for the end
/// of that lease.
#[utoipa::path(
    post, operation_id = "requeue_task", path = "/tasks/{id}/requeue", tag = "Operating", security(("token" = ["operate"])),
    params(("id" = Uuid, Path, description = "The task's id.")), request_body = Option<Action>,
    responses((status = 202, description = "Queued.", body = TaskJson),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn requeue(
    caller: Caller<Operate>,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let asked = ask(body, Takes::PayloadAndForce)?;
    operate(&site, &caller, &id, "requeue", asked, |asked| Event::Requeue {
        by: RequeueBy::Person,
        lease: asked.lease,
        payload: asked.payload,
    })
    .await
}

/// Cancel a task that has not ended
///
/// A new or queued task is cancelled at once. A running one has `cancel_requested_at` set: its worker is told at its
/// next heartbeat, and the task is cancelled when the worker obeys, or when its lease is over. Asking twice is fine.
#[utoipa::path(
    post, operation_id = "cancel_task", path = "/tasks/{id}/cancel", tag = "Operating", security(("token" = ["operate"])),
    params(("id" = Uuid, Path, description = "The task's id.")), request_body = Option<Action>,
    responses((status = 202, description = "Cancelled, or asked of its worker.", body = TaskJson),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn cancel(
    caller: Caller<Operate>,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let asked = ask(body, Takes::Nothing)?;
    operate(&site, &caller, &id, "cancel", asked, |_| Event::Cancel).await
}

async fn operate(
    site: &Site,
    caller: &Caller<Operate>,
    id: &str,
    action: &str,
    asked: Asked,
    event: impl FnOnce(Asked) -> Event,
) -> Answer {
    let task_id = task_id(id)?;
    let act = Act {
        task_id,
        actor: caller.actor().to_owned(),
        audit: Some(caller.audit(action, task_id, asked.reason.clone())),
        event: event(asked),
    };
    let acted = site.submit.act(act).await?;
    moved(site, acted).await
}

/// 202 with the task as the act left it.
async fn moved(site: &Site, acted: Acted) -> Answer {
    let mut view = site.store.task(acted.task.id).await?.ok_or_else(no_such_task)?;
    view.task = acted.task;
    Ok((StatusCode::ACCEPTED, Json(show(site, view).await?)))
}
