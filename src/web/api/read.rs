//! Calls that read tasks: a list, one task, its timeline, its attempts.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};
use uuid::Uuid;

use super::{
    auth::{Caller, Follow, Read},
    errors::*,
    findings::{StallJson, tell_stalls},
    query::{List, Query},
    refusal::no_such_task,
    schema::{AttemptJson, AttemptPage, DeliveryJson, HistoryPage, TaskJson, TaskPage},
};
use crate::{
    domain::{
        delivery::Delivery,
        finding::Verdict,
        task::{State as TaskState, TaskView},
    },
    store::tasks::TaskFilter,
    web::{Site, error::AppError},
};

/// How many payload conditions a list takes, and how deep each may reach.
const PAYLOAD_FILTERS_MAX: usize = 5;
const PAYLOAD_DEPTH_MAX: usize = 8;

/// The id in a path. Errors: 404 for what can't be one.
pub(super) fn task_id(text: &str) -> Result<Uuid, AppError> {
    Some(text)
        .filter(|text| text.len() == 36)
        .and_then(|text| Uuid::try_parse(text).ok())
        .ok_or_else(no_such_task)
}

/// List tasks
///
/// Newest first, by keyset: a page costs the same at the beginning and at the end. Everything given must hold. Further
/// conditions on the payload are written `payload.<path>=<text>`, such as `payload.customer.id=42`: at most 5 of them,
/// each path of 1 to 8 names of letters, digits, `_` and `-`; numbers and truth values compare as their JSON text.
#[utoipa::path(
    get, operation_id = "list_tasks", path = "/tasks", tag = "Reading", security(("token" = ["read"])),
    params(
        ("state" = Option<Vec<String>>, Query, style = Form, explode, description = "Any of these states; repeated, or one list with commas.", example = json!(["failed"])),
        ("kind" = Option<String>, Query, description = "The whole kind."),
        ("queue" = Option<String>, Query, description = "The whole queue name."),
        ("owner" = Option<String>, Query, description = "The whole owner."),
        ("verdict" = Option<String>, Query, description = "Tasks with an open stall of this verdict."),
        ("q" = Option<String>, Query, description = "Search: an id or its start, the start of a title, a whole kind, queue or owner.", max_length = 200),
        ("created_after" = Option<String>, Query, format = DateTime, description = "Created then or later."),
        ("created_before" = Option<String>, Query, format = DateTime, description = "Created earlier."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "How many at most; 50 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before.")
    ),
    responses((status = 200, description = "A page.", body = TaskPage),
        BadRequest, Unauthenticated, Forbidden, Invalid, Unavailable)
)]
pub(super) async fn list(
    _: Caller<Read>,
    State(site): State<Arc<Site>>,
    mut query: Query,
) -> Result<Json<TaskPage>, AppError> {
    let filter = filter(&mut query);
    let (limit, before) = (query.limit(), query.cursor::<Uuid>(List::Tasks));
    query.finish()?;
    let page = site.store.list_tasks(&filter, before, limit).await?;
    let next = page.next.map(|id| List::Tasks.cursor(id));
    let items = show_all(&site, page.items).await?;
    Ok(Json(TaskPage { items, next }))
}

fn filter(query: &mut Query) -> TaskFilter {
    TaskFilter {
        states: states(query),
        kind: query.text("kind"),
        queue: query.text("queue"),
        owner: query.text("owner"),
        verdict: query
            .parsed::<Verdict>("verdict")
            .map(|verdict| verdict.to_string()),
        q: query.text("q"),
        created_after: query.time("created_after"),
        created_before: query.time("created_before"),
        payload: payload(query),
    }
}

fn states(query: &mut Query) -> Vec<TaskState> {
    let mut states = Vec::new();
    for (_, list) in query.all(|name| name == "state") {
        for word in list.split(',') {
            match word.trim().parse::<TaskState>() {
                Ok(state) if states.contains(&state) => {}
                Ok(state) => states.push(state),
                Err(error) => query.wrong("state", &error.to_string()),
            }
        }
    }
    states
}

fn payload(query: &mut Query) -> Vec<(Vec<String>, String)> {
    let given = query.all(|name| name.starts_with("payload."));
    if given.len() > PAYLOAD_FILTERS_MAX {
        query.wrong(
            "payload",
            &format!("a list takes at most {PAYLOAD_FILTERS_MAX} conditions on the payload"),
        );
        return Vec::new();
    }
    let mut conditions = Vec::new();
    for (name, value) in given {
        let path: Vec<String> = name.split('.').skip(1).map(str::to_owned).collect();
        if path.len() <= PAYLOAD_DEPTH_MAX && path.iter().all(|segment| is_segment(segment)) {
            conditions.push((path, value));
        } else {
            query.wrong(
                &name.chars().take(60).collect::<String>(),
                &format!("a path has 1 to {PAYLOAD_DEPTH_MAX} names of 1 to 64 of A-Z a-z 0-9 _ -"),
            );
        }
    }
    conditions
}

fn is_segment(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Get a task
///
/// The task with its open stalls. A token that may only produce can follow its tasks here.
#[utoipa::path(
    get, operation_id = "get_task", path = "/tasks/{id}", tag = "Reading", security(("token" = ["read"]), ("token" = ["produce"])),
    params(("id" = Uuid, Path, description = "The task's id.")),
    responses((status = 200, description = "The task.", body = TaskJson),
        BadRequest, Unauthenticated, Forbidden, NotFound, Unavailable)
)]
pub(super) async fn get(
    _: Caller<Follow>,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<TaskJson>, AppError> {
    query.finish()?;
    let view = find(&site, &id).await?;
    Ok(Json(show(&site, view).await?))
}

/// Read a task's timeline
///
/// Every change of the task, oldest first.
#[utoipa::path(
    get, operation_id = "get_task_history", path = "/tasks/{id}/history", tag = "Reading", security(("token" = ["read"])),
    params(
        ("id" = Uuid, Path, description = "The task's id."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "How many at most; 50 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before.")
    ),
    responses((status = 200, description = "A page.", body = HistoryPage),
        BadRequest, Unauthenticated, Forbidden, NotFound, Invalid, Unavailable)
)]
pub(super) async fn history(
    _: Caller<Read>,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    mut query: Query,
) -> Result<Json<HistoryPage>, AppError> {
    let (limit, after) = (query.limit(), query.cursor::<i64>(List::History));
    query.finish()?;
    let id = find(&site, &id).await?.task.id;
    let mut entries = site
        .store
        .history(id, after.unwrap_or(0), one_more(limit))
        .await?;
    let more = cut(&mut entries, limit);
    let next = entries
        .last()
        .filter(|_| more)
        .map(|entry| List::History.cursor(entry.id));
    let items = entries.into_iter().map(Into::into).collect();
    Ok(Json(HistoryPage { items, next }))
}

/// Read a task's attempts
///
/// Every run of the task, oldest first.
#[utoipa::path(
    get, operation_id = "get_task_attempts", path = "/tasks/{id}/attempts", tag = "Reading", security(("token" = ["read"])),
    params(
        ("id" = Uuid, Path, description = "The task's id."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "How many at most; 50 when absent."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before.")
    ),
    responses((status = 200, description = "A page.", body = AttemptPage),
        BadRequest, Unauthenticated, Forbidden, NotFound, Invalid, Unavailable)
)]
pub(super) async fn attempts(
    _: Caller<Read>,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    mut query: Query,
) -> Result<Json<AttemptPage>, AppError> {
    let (limit, after) = (query.limit(), query.cursor::<i64>(List::Attempts));
    query.finish()?;
    let task = find(&site, &id).await?.task;
    let mut attempts = site
        .store
        .attempts(task.id, after.unwrap_or(0), one_more(limit))
        .await?;
    let more = cut(&mut attempts, limit);
    let next = attempts
        .last()
        .filter(|_| more)
        .map(|attempt| List::Attempts.cursor(attempt.number));
    let running = attempts.iter().position(|attempt| attempt.number == task.attempt);
    let mut items: Vec<AttemptJson> = attempts.into_iter().map(Into::into).collect();
    if let Some(item) = running.and_then(|at| items.get_mut(at))
        && let Some(held) = site.store.held(&task).await?
    {
        let (read_at, queue) = site.store.broker_queue(&task.queue).await?.unzip();
        item.delivery = Some(DeliveryJson::new(Delivery::of(held, queue.as_ref()), read_at));
    }
    Ok(Json(AttemptPage { items, next }))
}

async fn find(site: &Site, id: &str) -> Result<TaskView, AppError> {
    site.store.task(task_id(id)?).await?.ok_or_else(no_such_task)
}

/// One more than the page holds, so that its end is known.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts the list to the page's size; whether there was more.
pub(super) fn cut<T>(items: &mut Vec<T>, limit: usize) -> bool {
    let more = items.len() > limit;
    items.truncate(limit);
    more
}

/// The task as JSON, with its open stalls.
pub(super) async fn show(site: &Site, view: TaskView) -> Result<TaskJson, AppError> {
    let stalls = site.store.stalls_of_tasks(&[view.task.id]).await?;
    Ok(TaskJson::new(view, tell_stalls(site, stalls).await?))
}

/// The same for a page of tasks, in a few statements.
pub(super) async fn show_all(site: &Site, views: Vec<TaskView>) -> Result<Vec<TaskJson>, AppError> {
    let ids: Vec<Uuid> = views.iter().map(|view| view.task.id).collect();
    let mut by_task: HashMap<Uuid, Vec<StallJson>> = HashMap::new();
    if !ids.is_empty() {
        let stalls = site.store.stalls_of_tasks(&ids).await?;
        for stall in tell_stalls(site, stalls).await? {
            by_task.entry(stall.task_id()).or_default().push(stall);
        }
    }
    let with_stalls = |view: TaskView| {
        let stalls = by_task.remove(&view.task.id).unwrap_or_default();
        TaskJson::new(view, stalls)
    };
    Ok(views.into_iter().map(with_stalls).collect())
}
