//! Producers' calls: create, create many, start.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    auth::{Caller, Produce},
    body::{BATCH_BYTES, Body, invalid, read},
    errors::*,
    read::{show, show_all},
    schema::{CreateBatch, CreateTask, TaskJson, TaskList},
};
use crate::{
    domain::{
        submission::{Given, Submission, Wrong, Wrongs, traceparent},
        task::NewTask,
        time::Time,
    },
    services::submit::Submitted,
    store::tasks::{Creation, Idempotency},
    web::{
        Site,
        error::{AppError, Problem},
        extract::wall_clock,
    },
};

/// How many tasks one batch records at most.
pub(super) const BATCH_MAX: usize = 1000;
/// The longest idempotency key.
pub(super) const KEY_CHARS: usize = 255;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Create a task
///
/// Records a task; with `start` it is started in the same transaction. When it is due at once, the answer waits up to a
/// second for the broker's confirm; `published_at` tells whether it came. A start that was answered is never lost.
#[utoipa::path(
    post, operation_id = "create_task", path = "/tasks", tag = "Producing", security(("token" = ["produce"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters. The same key and body again give the task that was made then, with the header `Idempotent-Replayed: true`; another body is refused with 409.")),
    request_body = CreateTask,
    responses(
        (status = 201, description = "Recorded.", body = TaskJson, headers(
            ("Location" = String, description = "The task's address."),
            ("Idempotent-Replayed" = Option<String>, description = "`true` when the key had been used before."))),
        BadRequest, Unauthenticated, Forbidden, Conflict, TooLarge, MediaType, Invalid, Unavailable
    )
)]
pub(super) async fn create(
    caller: Caller<Produce>,
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AppError> {
    let idempotency = idempotency(&headers, &body, "create")?;
    let request: CreateTask = body.read()?;
    let task = Submission::from(request)
        .parse(Uuid::now_v7(), wall_clock(), trace(&headers))
        .map_err(invalid)?;
    let submitted = submit(&site, &caller, vec![task], idempotency).await?;
    let repeated = submitted.repeated;
    let Some(view) = submitted.tasks.into_iter().next() else {
        return Err(gone());
    };
    let place = format!("/api/v1/tasks/{}", view.task.id);
    let task = if repeated {
        show(&site, view).await?
    } else {
        TaskJson::new(view, Vec::new())
    };
    let mut response = (StatusCode::CREATED, Json(task)).into_response();
    if let Ok(place) = HeaderValue::try_from(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(replayed(response, repeated))
}

/// Create many tasks
///
/// Records 1 to 1,000 tasks in one transaction, all of them or none. A wrong field is named with its task's index, such
/// as `tasks[3].kind`. The answer does not wait for the broker.
#[utoipa::path(
    post, operation_id = "create_tasks", path = "/tasks/batch", tag = "Producing", security(("token" = ["produce"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "As for a single task; the key stands for the whole batch.")),
    request_body = CreateBatch,
    responses(
        (status = 201, description = "Recorded, in the order of the request.", body = TaskList, headers(
            ("Idempotent-Replayed" = Option<String>, description = "`true` when the key had been used before."))),
        BadRequest, Unauthenticated, Forbidden, Conflict, TooLarge, MediaType, Invalid, Unavailable
    )
)]
pub(super) async fn create_batch(
    caller: Caller<Produce>,
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Body<BATCH_BYTES>,
) -> Result<Response, AppError> {
    let idempotency = idempotency(&headers, &body, "batch")?;
    let request: CreateBatch = body.read()?;
    let tasks = parse_batch(request, wall_clock(), trace(&headers).as_deref())?;
    let wanted = tasks.len();
    let submitted = submit(&site, &caller, tasks, idempotency).await?;
    if submitted.tasks.len() < wanted {
        return Err(gone());
    }
    let items = if submitted.repeated {
        show_all(&site, submitted.tasks).await?
    } else {
        let fresh = |view| TaskJson::new(view, Vec::new());
        submitted.tasks.into_iter().map(fresh).collect()
    };
    let response = (StatusCode::CREATED, Json(TaskList { items })).into_response();
    Ok(replayed(response, submitted.repeated))
}

fn parse_batch(request: CreateBatch, now: Time, trace: Option<&str>) -> Result<Vec<NewTask>, AppError> {
    let given = match request.tasks {
        Given::Is(tasks) if (1..=BATCH_MAX).contains(&tasks.len()) => tasks,
        _ => {
            let mut wrongs = Wrongs::default();
            wrongs.add("tasks", format!("must be a list of 1 to {BATCH_MAX} tasks"));
            return wrongs.or(Vec::new()).map_err(invalid);
        }
    };
    let (mut tasks, mut wrongs) = (Vec::with_capacity(given.len()), Vec::new());
    for (index, value) in given.into_iter().enumerate() {
        match parse_one(value, index, now, trace)? {
            Ok(task) => tasks.push(task),
            Err(more) => wrongs.extend(more),
        }
        if wrongs.len() >= WRONGS_SHOWN {
            break;
        }
    }
    if wrongs.is_empty() {
        Ok(tasks)
    } else {
        Err(invalid(wrongs))
    }
}

/// A batch of a thousand tasks that are all wrong in the same way needs no thousand sentences.
const WRONGS_SHOWN: usize = 20;

fn parse_one(
    value: Value,
    index: usize,
    now: Time,
    trace: Option<&str>,
) -> Result<Result<NewTask, Vec<Wrong>>, AppError> {
    let at = format!("tasks[{index}]");
    if !value.is_object() {
        return Err(AppError::new(Problem::BadRequest).detail(format!("{at} must be a JSON object")));
    }
    let request: CreateTask = read(value, &at)?;
    let parsed = Submission::from(request).parse(Uuid::now_v7(), now, trace.map(str::to_owned));
    Ok(parsed.map_err(|wrongs| {
        let named = |wrong: Wrong| Wrong {
            field: format!("{at}.{}", wrong.field),
            ..wrong
        };
        wrongs.into_iter().map(named).collect()
    }))
}

async fn submit(
    site: &Site,
    caller: &Caller<Produce>,
    tasks: Vec<NewTask>,
    idempotency: Option<Idempotency>,
) -> Result<Submitted, AppError> {
    let creation = Creation {
        tasks,
        principal: caller.actor().to_owned(),
        idempotency,
    };
    Ok(site.submit.create(creation).await?)
}

/// The request's key, if it brings one.
fn idempotency<const LIMIT: usize>(
    headers: &HeaderMap,
    body: &Body<LIMIT>,
    call: &str,
) -> Result<Option<Idempotency>, AppError> {
    let key = idempotency_key(headers)?;
    Ok(key.map(|key| Idempotency {
        key,
        body_hash: body.digest(call),
    }))
}

/// The request's idempotency key. Errors: 400 for one that is no key.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, AppError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let visible = |text: &&str| {
        (1..=KEY_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match (key.to_str().ok().filter(visible), keys.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(AppError::new(Problem::BadRequest).detail(format!(
            "Idempotency-Key must be given once, with 1 to {KEY_CHARS} visible ASCII characters"
        ))),
    }
}

/// The caller's trace, to travel on with the message.
fn trace(headers: &HeaderMap) -> Option<String> {
    traceparent(headers.get("traceparent")?.to_str().ok()?)
}

fn replayed(mut response: Response, repeated: bool) -> Response {
    if repeated {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// The key outlived its task.
fn gone() -> AppError {
    AppError::new(Problem::NotFound).detail("what this Idempotency-Key made is no longer kept; use a new key")
}
