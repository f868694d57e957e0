//! What is done to one task: retry, requeue, cancel, rerun.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use axum_extra::extract::Form;
use serde::Deserialize;

use crate::{
    domain::transition::{Answer, LeasePolicy, RefusalCode},
    services::lifecycle::{Act, ActError},
    web::{
        Site,
        error::{AppError, Problem},
        layout::Flash,
        pages::tasks::{
            REASON_CHARS,
            action::{Action, refused, task_id},
        },
        see_other,
        session::Operator,
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    reason: String,
    /// Take the task from a live attempt.
    #[serde(default)]
    force: bool,
    /// The dispatch that the page showed: what was decided for another one is not done.
    dispatch: i64,
}

/// Does it, or says why not: the guard decides on what is so now, not on what the page showed.
pub(super) async fn act(
    operator: Operator,
    State(site): State<Arc<Site>>,
    Path((id, action)): Path<(String, String)>,
    Form(asked): Form<Asked>,
) -> Result<Response, AppError> {
    let task_id = task_id(&id)?;
    let action: Action = action.parse().map_err(|_| AppError::new(Problem::NotFound))?;
    let page = format!("/admin/tasks/{task_id}");
    let back = |flash: Flash| Ok(see_other(&page, Some(flash)));
    let reason = asked.reason.trim();
    let grave = asked.force || matches!(action, Action::Cancel | Action::Rerun);
    if (grave && reason.is_empty()) || reason.chars().count() > REASON_CHARS {
        return back(Flash::refused("flash-reason-needed"));
    }
    let lease = if asked.force {
        LeasePolicy::Override
    } else {
        LeasePolicy::Respect
    };
    let mut audit = operator.audit(action.as_str(), "task", task_id.to_string());
    audit.reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
    let done = site
        .submit
        .act(Act {
            task_id,
            event: action.event_on(asked.dispatch, lease),
            actor: operator.actor(),
            audit: Some(audit),
        })
        .await;
    let l = operator.lang;
    back(match done {
        Ok(acted) => {
            let key = match (action, acted.answer) {
                (Action::Cancel, Answer::Repeated) => "flash-cancel-asked-before",
                (Action::Cancel, _) if !acted.task.state.is_end() => "flash-cancel-asked",
                (Action::Cancel, _) => "flash-cancelled",
                (Action::Requeue, _) => "flash-requeued",
                (Action::Retry | Action::Rerun, _) => "flash-retried",
            };
            Flash::done(key).a("dispatch", acted.task.dispatch)
        }
        Err(ActError::Refused(refusal)) if refusal.code == RefusalCode::MovedOn => {
            Flash::refused("flash-moved-on").a("dispatch", refusal.dispatch)
        }
        Err(ActError::Refused(refusal)) => Flash::refused("flash-refused").a("why", refused(l, &refusal)),
        Err(error) => return Err(error.into()),
    })
}
