//! What is done by itself about a queue's findings: shown on its page, set and let go on from there.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use axum_extra::extract::Form;
use serde::Deserialize;

use crate::{
    domain::{
        finding::Verdict,
        policy::{BREAKER_PERCENT, BREAKER_TASKS, CURABLE, PER_MINUTE, Policy, PolicyAction},
    },
    services::policies::{self, PolicyError, Wanted},
    store::{PolicyRow, Tripped},
    web::{
        Site,
        error::{AppError, Problem},
        layout::{Chrome, Flash},
        pages::{address, tasks::REASON_CHARS},
        see_other,
        session::Admin,
    },
};

/// Stopped policies that a page names.
const STOPPED_SHOWN: i64 = 10;

/// The policy of one verdict, as the queue's page shows it.
pub(super) struct PolicyCard {
    pub(super) row: PolicyRow,
    pub(super) href: String,
    /// In the hour of the page.
    pub(super) done_this_hour: i64,
}

impl PolicyCard {
    pub(super) const ACTIONS: &'static [PolicyAction] = PolicyAction::ALL;

    /// The numbers of the form: name, what is set, least and most.
    pub(super) fn numbers(&self) -> [(&'static str, i64, i64, i64); 3] {
        let policy = self.row.policy;
        [
            ("per_minute", policy.per_minute, PER_MINUTE),
            ("breaker_percent", policy.breaker_percent, BREAKER_PERCENT),
            ("breaker_tasks", policy.breaker_tasks, BREAKER_TASKS),
        ]
        .map(|(name, value, bounds)| (name, value, *bounds.start(), *bounds.end()))
    }
}

/// A policy that its breaker stopped, and where it can be let go on.
pub(crate) struct Stopped {
    pub(crate) queue: String,
    pub(crate) href: String,
    pub(crate) tripped: Tripped,
}

/// Some of the policies that their breakers stopped.
pub(crate) async fn stopped(site: &Site) -> Result<Vec<Stopped>, AppError> {
    let rows = site.store.tripped_policies(STOPPED_SHOWN).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Stopped {
                href: format!("{}#policies", address::queue(&row.queue)),
                tripped: row.tripped?,
                queue: row.queue,
            })
        })
        .collect())
}

/// One card for each verdict that may have a policy.
pub(super) async fn cards(site: &Site, c: &Chrome, queue: &str) -> Result<Vec<PolicyCard>, AppError> {
    let set = site.store.policies_of(&[queue]).await?;
    Ok(CURABLE
        .into_iter()
        .map(|verdict| {
            let row = set.iter().find(|row| row.verdict == verdict).cloned();
            let row = row.unwrap_or_else(|| PolicyRow::unset(queue, verdict));
            PolicyCard {
                href: format!("{}/policies/{verdict}", address::queue(queue)),
                done_this_hour: row.done_this_hour(c.now),
                row,
            }
        })
        .collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    action: PolicyAction,
    per_minute: i64,
    breaker_percent: i64,
    breaker_tasks: i64,
    /// As the page showed it.
    version: i64,
    #[serde(default)]
    reason: String,
}

/// Sets a policy.
pub(super) async fn set(
    admin: Admin,
    State(site): State<Arc<Site>>,
    Path((queue, verdict)): Path<(String, String)>,
    Form(asked): Form<Set>,
) -> Result<Response, AppError> {
    let verdict = parse(&verdict)?;
    let back = format!("{}#policies", address::queue(&queue));
    let Some(reason) = reason(&asked.reason) else {
        return Ok(see_other(&back, Some(Flash::refused("flash-reason-needed"))));
    };
    let mut audit = admin.audit("policy_set", "queue", queue.as_str());
    audit.reason = Some(reason);
    let wanted = Wanted {
        version: Some(asked.version),
        policy: Policy {
            action: asked.action,
            per_minute: asked.per_minute,
            breaker_percent: asked.breaker_percent,
            breaker_tasks: asked.breaker_tasks,
        },
    };
    answer(
        policies::set(&site.store, &queue, verdict, wanted, &audit).await,
        &back,
        "flash-policy-set",
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GoOn {
    #[serde(default)]
    reason: String,
}

/// Lets a policy go on that its breaker stopped.
pub(super) async fn let_go_on(
    admin: Admin,
    State(site): State<Arc<Site>>,
    Path((queue, verdict)): Path<(String, String)>,
    Form(asked): Form<GoOn>,
) -> Result<Response, AppError> {
    let verdict = parse(&verdict)?;
    let back = format!("{}#policies", address::queue(&queue));
    let Some(reason) = reason(&asked.reason) else {
        return Ok(see_other(&back, Some(Flash::refused("flash-reason-needed"))));
    };
    let mut audit = admin.audit("policy_reset", "queue", queue.as_str());
    audit.reason = Some(reason);
    answer(
        policies::let_go_on(&site.store, &queue, verdict, &audit).await,
        &back,
        "flash-policy-goes-on",
    )
}

fn parse(verdict: &str) -> Result<Verdict, AppError> {
    verdict.parse().map_err(|_| AppError::new(Problem::NotFound))
}

fn reason(given: &str) -> Option<String> {
    let reason = given.trim();
    (1..=REASON_CHARS)
        .contains(&reason.chars().count())
        .then(|| reason.to_owned())
}

fn answer(
    done: Result<PolicyRow, PolicyError>,
    back: &str,
    said: &'static str,
) -> Result<Response, AppError> {
    let flash = match done {
        Ok(_) => Flash::done(said),
        Err(PolicyError::MovedOn) => Flash::refused("flash-policy-moved-on"),
        Err(PolicyError::NotStopped) => Flash::refused("flash-policy-not-stopped"),
        Err(PolicyError::OutOfBounds { .. }) => Flash::refused("flash-policy-bounds"),
        Err(error @ (PolicyError::NoQueue | PolicyError::NotCurable { .. } | PolicyError::Store(_))) => {
            return Err(error.into());
        }
    };
    Ok(see_other(back, Some(flash)))
}
