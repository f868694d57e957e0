//! `/admin/audit`: who did what, when and why.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use axum_extra::extract::Query;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::{
    domain::audit::AuditOutcome,
    store::{AuditFilter, AuditRow},
    web::{
        Site,
        error::{AppError, Problem},
        html,
        layout::{Chrome, Nav},
        pages::address,
        session::Viewer,
    },
};

/// Rows on one page.
const PAGE: usize = 50;
/// The longest value of a filter.
const VALUE_CHARS: usize = 200;

/// The filters as they stand in the address. An empty text is no filter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filters {
    target: String,
    target_id: String,
    actor: String,
    action: String,
    request_id: String,
    before: Option<i64>,
}

impl Filters {
    fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("actor", self.actor.trim()),
            ("action", self.action.trim()),
            ("target", self.target.trim()),
            ("target_id", self.target_id.trim()),
            ("request_id", self.request_id.trim()),
        ]
    }

    fn read(&self) -> Result<AuditFilter, AppError> {
        let fine = |value: &str| value.chars().count() <= VALUE_CHARS && !value.contains('\0');
        if !self.pairs().iter().all(|(_, value)| fine(value)) {
            return Err(AppError::new(Problem::BadRequest).explain("task-filter-too-long"));
        }
        let text = |given: &str| Some(given.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(AuditFilter {
            target: text(&self.target),
            target_id: text(&self.target_id),
            // Nobody types the prefix of a person.
            actor: text(&self.actor).map(|actor| {
                if actor.contains(':') || actor == "system" {
                    actor
                } else {
                    format!("user:{actor}")
                }
            }),
            action: text(&self.action),
            request_id: text(&self.request_id),
        })
    }

    fn any(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }

    fn address(&self, before: Option<i64>) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.pairs().into_iter().filter(|(_, value)| !value.is_empty()));
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        match query.finish() {
            query if query.is_empty() => "/admin/audit".to_owned(),
            query => format!("/admin/audit?{query}"),
        }
    }
}

/// One row as the page shows it.
struct Line {
    row: AuditRow,
    /// The actor without its kind, and the word of the kind in the family `actor`.
    who: String,
    who_is: &'static str,
    /// The page of what it was done to.
    href: Option<String>,
    /// What it was before and became, laid out for reading.
    before: Option<String>,
    after: Option<String>,
}

impl Line {
    fn of(row: AuditRow) -> Self {
        let entry = &row.entry;
        let (who_is, who) = match entry.actor.split_once(':') {
            Some(("user", name)) => ("user", name),
            Some(("token", name)) => ("token", name),
            Some(("worker", name)) => ("worker", name),
            _ => ("system", entry.actor.as_str()),
        };
        let picture = |value: &Option<serde_json::Value>| value.as_ref().map(|value| format!("{value:#}"));
        Self {
            who: who.to_owned(),
            who_is,
            href: match entry.target.as_str() {
                "task" => Some(format!("/admin/tasks/{}", entry.target_id)),
                "queue" => Some(address::queue(&entry.target_id)),
                "stall" | "incident" => Some(format!("/admin/stalls/{}", entry.target_id)),
                _ => None,
            },
            before: picture(&entry.before),
            after: picture(&entry.after),
            row,
        }
    }
}

/// The actions that can be chosen to look for: the words of the family `audit-action`.
const ACTIONS: &[&str] = &[
    "retry",
    "requeue",
    "cancel",
    "rerun",
    "start",
    "resend",
    "policy_set",
    "policy_reset",
    "policy_trip",
    "login",
    "logout",
    "user_add",
    "user_disable",
    "user_reset_password",
    "token_create",
    "token_revoke",
    "snooze",
    "snooze_end",
    "false_alarm",
    "false_alarm_withdraw",
    "thresholds_set",
    "trace",
];

#[derive(Template)]
#[template(path = "audit/list.html")]
struct AuditPage {
    c: Chrome,
    filters: Filters,
    lines: Vec<Line>,
    newer: Option<String>,
    older: Option<String>,
}

impl Line {
    fn done(&self) -> bool {
        self.row.entry.outcome == AuditOutcome::Done
    }
}

impl AuditPage {
    /// The word of an action, or the action itself when it has none.
    fn action(&self, action: &str) -> String {
        let text = self.c.of("audit-action", action);
        if text.exists() {
            text.to_string()
        } else {
            action.to_owned()
        }
    }

    fn target(&self, target: &str) -> String {
        let text = self.c.of("audit-target", target);
        if text.exists() {
            text.to_string()
        } else {
            target.to_owned()
        }
    }
}

/// The rows that the address asks for, newest first.
pub(super) async fn list(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Query(filters): Query<Filters>,
) -> Result<Response, AppError> {
    let page = site
        .store
        .audit_page(&filters.read()?, filters.before, PAGE)
        .await?;
    html(&AuditPage {
        c: viewer.chrome(Nav::Audit),
        lines: page.items.into_iter().map(Line::of).collect(),
        newer: filters.before.map(|_| filters.address(None)),
        older: page.next.map(|before| filters.address(Some(before))),
        filters,
    })
}
