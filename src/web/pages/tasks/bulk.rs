//! What is done to several tasks at once, and the page that says what became of each.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use axum_extra::extract::{Form, Query};
use serde::Deserialize;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use super::{
    action::{Action, refused_then},
    row,
};
use crate::{
    domain::{audit::AuditOutcome, time::Time, transition::LeasePolicy},
    services::lifecycle::{Act, ActError},
    store::{AuditFilter, AuditRow},
    web::{
        Site,
        error::{AppError, Problem},
        extract::local_path,
        html,
        layout::{Chrome, Flash, Nav},
        see_other,
        session::{Operator, Viewer},
    },
};

/// The most tasks that one form may name: more than any page shows.
const MOST: usize = 200;
/// The longest reason.
pub(crate) const REASON_CHARS: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ticked {
    action: Action,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    task: Vec<Uuid>,
    /// The dispatches that the page showed. A task that is at another one by now is left alone; one without an entry is
    /// decided on as it is.
    #[serde(default)]
    seen: Vec<Seen>,
    /// Where the ticks were made.
    back: Option<String>,
}

/// A task and the dispatch that the page showed of it, written `<id>:<dispatch>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Seen {
    task_id: Uuid,
    dispatch: i64,
}

impl TryFrom<String> for Seen {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = |text: &str| {
            let (id, dispatch) = text.split_once(':')?;
            Some(Self {
                task_id: id.parse().ok()?,
                dispatch: dispatch.parse().ok()?,
            })
        };
        read(&text).ok_or("a task's id, a colon and its dispatch")
    }
}

/// Acts on every ticked task that allows it at this moment, then says what became of each.
pub(super) async fn act(
    operator: Operator,
    State(site): State<Arc<Site>>,
    Form(mut ticked): Form<Ticked>,
) -> Result<Response, AppError> {
    let back = local_path(ticked.back.as_deref(), "/admin/tasks");
    let refuse = |key: &str| Ok(see_other(&back, Some(Flash::refused(key))));
    let reason = ticked.reason.trim();
    ticked.task.sort_unstable();
    ticked.task.dedup();
    match ticked.task.len() {
        0 => return refuse("flash-nothing-ticked"),
        1..=MOST => {}
        _ => return Err(AppError::new(Problem::TooLarge)),
    }
    if reason.is_empty() || reason.chars().count() > REASON_CHARS {
        return refuse("flash-reason-needed");
    }
    let seen: HashMap<Uuid, i64> = ticked
        .seen
        .iter()
        .map(|seen| (seen.task_id, seen.dispatch))
        .collect();
    let event = |task_id: Uuid| match seen.get(&task_id) {
        Some(dispatch) => ticked.action.event_on(*dispatch, LeasePolicy::Respect),
        None => ticked.action.event(LeasePolicy::Respect),
    };
    let answers = site
        .submit
        .act_on_all(&ticked.task, |task_id| {
            let mut audit = operator.audit(ticked.action.as_str(), "task", task_id.to_string());
            audit.reason = Some(reason.to_owned());
            Act {
                task_id,
                event: event(task_id),
                actor: operator.actor(),
                audit: Some(audit),
            }
        })
        .await;
    let asked = answers.len();
    let mut unclear = answers.into_iter().filter_map(|answer| match answer {
        Err(ActError::Store(error)) => Some(error),
        Ok(_) | Err(ActError::NotFound | ActError::Refused(_)) => None,
    });
    let first = unclear.next();
    let unclear = unclear.count() + usize::from(first.is_some());
    if let Some(error) = first
        && unclear == asked
    {
        return Err(error.into());
    }
    let query = Serializer::new(String::new())
        .append_pair("asked", &asked.to_string())
        .append_pair("unclear", &unclear.to_string())
        .append_pair("back", &back)
        .finish();
    let address = format!("/admin/tasks/outcome/{}?{query}", operator.request_id);
    Ok(see_other(&address, None))
}

#[derive(Deserialize)]
pub(super) struct Asked {
    /// How many tasks were ticked.
    asked: Option<usize>,
    /// Of how many nobody knows what became of them: the database did not answer.
    unclear: Option<usize>,
    back: Option<String>,
}

/// What became of one task.
struct Line {
    task_id: String,
    /// The task's title or kind; the word for what it is when it has been deleted since.
    name: String,
    done: bool,
    /// Why not.
    refused: Option<String>,
    state: Option<String>,
}

#[derive(Template)]
#[template(path = "tasks/outcome.html")]
struct OutcomePage {
    c: Chrome,
    action: Action,
    reason: Option<String>,
    actor: String,
    at: Time,
    done: usize,
    refused: usize,
    /// Ticked, and by then deleted.
    gone: usize,
    unclear: usize,
    lines: Vec<Line>,
    back: String,
}

/// The outcome of one bulk action, read from the audit log: it can be reloaded and shown to others.
pub(super) async fn outcome(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Path(request_id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, AppError> {
    let filter = AuditFilter {
        target: Some("task".into()),
        request_id: Some(request_id),
        ..AuditFilter::default()
    };
    let rows = site.store.audit_page(&filter, None, MOST).await?.items;
    let Some((first, action)) = rows
        .last()
        .and_then(|row| Some((row.clone(), row.entry.action.parse::<Action>().ok()?)))
    else {
        return Err(AppError::new(Problem::NotFound));
    };
    let ids: Vec<Uuid> = rows
        .iter()
        .filter_map(|row| row.entry.target_id.parse().ok())
        .collect();
    let names: HashMap<String, String> = site
        .store
        .heads_by_id(&ids)
        .await?
        .into_iter()
        .map(|head| {
            let name = row::name(head.title.as_deref(), &head.task.kind);
            (head.task.id.to_string(), name)
        })
        .collect();
    let c = viewer.chrome(Nav::Tasks);
    // Refused ones first: they are what is left to do.
    let mut lines: Vec<Line> = rows.iter().rev().map(|row| line(&c, row, &names)).collect();
    lines.sort_by_key(|line| line.done);
    let done = lines.iter().filter(|line| line.done).count();
    let unclear = asked.unclear.unwrap_or(0);
    html(&OutcomePage {
        c,
        action,
        reason: first.entry.reason,
        // A person's name; who else acts is named with what they are.
        actor: match first.entry.actor.strip_prefix("user:") {
            Some(name) => name.to_owned(),
            None => first.entry.actor,
        },
        at: first.at,
        done,
        refused: lines.len() - done,
        gone: asked.asked.unwrap_or(0).saturating_sub(lines.len() + unclear),
        unclear,
        lines,
        back: local_path(asked.back.as_deref(), "/admin/tasks"),
    })
}

fn line(c: &Chrome, row: &AuditRow, names: &HashMap<String, String>) -> Line {
    let entry = &row.entry;
    let attempt = |picture: &serde_json::Value| picture.get("attempt")?.as_i64();
    let attempt = entry.before.as_ref().and_then(attempt).unwrap_or_default();
    let after = entry.after.as_ref();
    let name = names.get(&entry.target_id).cloned();
    Line {
        task_id: entry.target_id.clone(),
        name: name.unwrap_or_else(|| c.t("outcome-deleted").to_string()),
        done: entry.outcome == AuditOutcome::Done,
        refused: after.and_then(|after| refused_then(c.l, after, attempt)),
        state: after.and_then(|after| Some(after.get("state")?.as_str()?.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_read_as_id_and_dispatch() {
        let id = Uuid::from_u128(7);
        let read = |text: String| Seen::try_from(text).ok();
        let seen = Seen {
            task_id: id,
            dispatch: 12,
        };
        assert_eq!(read(format!("{id}:12")), Some(seen));
        for wrong in [String::new(), id.to_string(), format!("{id}:"), format!("x:{id}")] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
