//! What is done by itself about a queue's findings.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    auth::{Caller, Operate},
    body::{Body, invalid},
    errors::*,
};
use crate::{
    domain::{
        finding::Verdict,
        policy::{BREAKER_PERCENT, BREAKER_TASKS, PER_MINUTE, Policy, PolicyAction},
        submission::{Given, Wrongs},
        time::Time,
    },
    services::policies::{self, PolicyError, Wanted},
    store::{PolicyRow, Tripped},
    web::{
        Site,
        error::{AppError, Problem},
    },
};

/// What is done by itself about one verdict of a queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Policy)]
pub(super) struct PolicyJson {
    #[schema(value_type = String, example = "message_lost")]
    verdict: Verdict,
    /// `show_only`, `when_proven`, or `when_likely`, which includes what is proven.
    #[schema(value_type = String, example = "when_proven")]
    action: PolicyAction,
    /// Tasks a minute at most.
    per_minute: i64,
    /// It stops when more than this share of the queue's open tasks, in percent, would be put out again …
    breaker_percent: i64,
    /// … and more than so many.
    breaker_tasks: i64,
    /// Grows with each change.
    version: i64,
    /// Tasks put out again in the present hour.
    done_this_hour: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    acted_at: Option<Time>,
    /// Set while it is stopped.
    tripped: Option<TrippedJson>,
}

/// Why a policy stopped.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrippedPolicy)]
pub(super) struct TrippedJson {
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// So many tasks would have been put out again, those of the hour before included.
    would: i64,
    /// So many open tasks the queue had.
    open: i64,
}

impl PolicyJson {
    pub(super) fn new(row: PolicyRow, now: Time) -> Self {
        Self {
            verdict: row.verdict,
            action: row.policy.action,
            per_minute: row.policy.per_minute,
            breaker_percent: row.policy.breaker_percent,
            breaker_tasks: row.policy.breaker_tasks,
            version: row.version,
            done_this_hour: row.done_this_hour(now),
            acted_at: row.acted_at,
            tripped: row
                .tripped
                .map(|Tripped { at, would, open }| TrippedJson { at, would, open }),
        }
    }
}

/// What a policy shall be. A number that is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPolicy {
    /// `show_only`, `when_proven` or `when_likely`.
    #[serde(default)]
    #[schema(required = true, value_type = String, example = "when_proven")]
    action: Given<String>,
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 60000)]
    per_minute: Given<i64>,
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 100)]
    breaker_percent: Given<i64>,
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 100000)]
    breaker_tasks: Given<i64>,
    /// The version that was looked at: at another one nothing is changed.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0)]
    version: Given<i64>,
    /// Kept in the audit log.
    #[serde(default)]
    #[schema(required = true, value_type = String, min_length = 1, max_length = 500, example = "a purge must not wake anybody")]
    reason: Given<String>,
}

/// Why a policy shall go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetPolicy {
    /// Kept in the audit log.
    #[serde(default)]
    #[schema(required = true, value_type = String, min_length = 1, max_length = 500, example = "the purge was a mistake; requeued")]
    reason: Given<String>,
}

const REASON_NEEDED: &str = "is required: it is kept in the audit log";

/// Set a policy
///
/// What is done by itself about the queue's findings of one verdict, `message_lost`: never anything, or the same message
/// is put out again when its loss is proven, or likely. A policy that its breaker has stopped stays stopped.
#[utoipa::path(
    put, operation_id = "set_policy", path = "/queues/{name}/policies/{verdict}", tag = "Operating", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "The queue's name."), ("verdict" = String, Path, description = "`message_lost`.")),
    request_body = SetPolicy,
    responses((status = 200, description = "The policy as it is now.", body = PolicyJson),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn set(
    caller: Caller<Operate>,
    State(site): State<Arc<Site>>,
    Path((queue, verdict)): Path<(String, String)>,
    body: Body,
) -> Result<Json<PolicyJson>, AppError> {
    let asked: SetPolicy = body.read()?;
    let verdict = parse(&verdict)?;
    let now = policies::find(&site.store, &queue, verdict).await?.policy;
    let mut wrongs = Wrongs::default();
    let right = "must be show_only, when_proven or when_likely";
    let absent = asked.action == Given::Absent;
    let action = wrongs.take("action", asked.action, right, |word| word.parse().ok());
    if absent {
        wrongs.add("action", right);
    }
    let mut number = |name: &str, given: Given<i64>, bounds: std::ops::RangeInclusive<i64>| {
        wrongs.number(name, given, *bounds.start(), *bounds.end())
    };
    let per_minute = number("per_minute", asked.per_minute, PER_MINUTE);
    let breaker_percent = number("breaker_percent", asked.breaker_percent, BREAKER_PERCENT);
    let breaker_tasks = number("breaker_tasks", asked.breaker_tasks, BREAKER_TASKS);
    let version = number("version", asked.version, 0..=i64::MAX);
    let reason = reason(&mut wrongs, asked.reason);
    let wanted = wrongs
        .or(Wanted {
            version,
            policy: Policy {
                action: action.unwrap_or(now.action),
                per_minute: per_minute.unwrap_or(now.per_minute),
                breaker_percent: breaker_percent.unwrap_or(now.breaker_percent),
                breaker_tasks: breaker_tasks.unwrap_or(now.breaker_tasks),
            },
        })
        .map_err(invalid)?;
    let audit = caller.audit_on("policy_set", "queue", &queue, reason);
    let row = policies::set(&site.store, &queue, verdict, wanted, &audit).await?;
    Ok(Json(PolicyJson::new(row, site.store.now().await?)))
}

/// Let a stopped policy go on
///
/// It acts again with the detector's next look. If as many tasks are lost as before, it stops again.
#[utoipa::path(
    post, operation_id = "reset_policy", path = "/queues/{name}/policies/{verdict}/reset", tag = "Operating", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "The queue's name."), ("verdict" = String, Path, description = "`message_lost`.")),
    request_body = ResetPolicy,
    responses((status = 200, description = "The policy as it is now.", body = PolicyJson),
        BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, MediaType, Invalid, Unavailable)
)]
pub(super) async fn reset(
    caller: Caller<Operate>,
    State(site): State<Arc<Site>>,
    Path((queue, verdict)): Path<(String, String)>,
    body: Body,
) -> Result<Json<PolicyJson>, AppError> {
    let asked: ResetPolicy = body.read()?;
    let verdict = parse(&verdict)?;
    let mut wrongs = Wrongs::default();
    let reason = reason(&mut wrongs, asked.reason);
    let reason = wrongs.or(reason).map_err(invalid)?;
    let audit = caller.audit_on("policy_reset", "queue", &queue, reason);
    let row = policies::let_go_on(&site.store, &queue, verdict, &audit).await?;
    Ok(Json(PolicyJson::new(row, site.store.now().await?)))
}

fn parse(verdict: &str) -> Result<Verdict, AppError> {
    verdict
        .parse()
        .map_err(|_| AppError::new(Problem::NotFound).detail("there is no such verdict"))
}

fn reason(wrongs: &mut Wrongs, given: Given<String>) -> Option<String> {
    if given == Given::Absent {
        wrongs.add("reason", REASON_NEEDED);
    }
    wrongs.reason("reason", given)
}

impl From<PolicyError> for AppError {
    fn from(error: PolicyError) -> Self {
        let said = error.to_string();
        match error {
            PolicyError::NoQueue | PolicyError::NotCurable { .. } => {
                AppError::new(Problem::NotFound).detail(said)
            }
            PolicyError::OutOfBounds { .. } => AppError::new(Problem::Invalid).detail(said),
            PolicyError::MovedOn => AppError::new(Problem::Conflict)
                .detail(said)
                .member("code", "moved_on"),
            PolicyError::NotStopped => AppError::new(Problem::Conflict)
                .detail(said)
                .member("code", "not_stopped"),
            PolicyError::Store(error) => error.into(),
        }
    }
}
