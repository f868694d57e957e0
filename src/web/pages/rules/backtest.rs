//! `/admin/rules/backtest`: what other thresholds would have said, before they are saved; and saving them.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use axum_extra::extract::Form;

use super::{
    every_ms, page,
    thresholds::{read, shown, told},
};
use crate::{
    domain::rules::{
        Thresholds,
        thresholds::{Changed, Setting},
    },
    services::{
        backtest::{self, Backtest, Compared, DAYS, Differs, FINDINGS_MOST, READINGS_MOST},
        findings::REASON_CHARS,
        thresholds::{self, ThresholdError},
    },
    web::{
        Site,
        error::AppError,
        html,
        layout::{Chrome, Flash, Nav},
        pages::address,
        see_other,
        session::Admin,
    },
};

const RULES: &str = "/admin/rules";

#[derive(Template)]
#[template(path = "rules/backtest.html")]
struct BacktestPage {
    c: Chrome,
    changes: Vec<Change>,
    backtest: Backtest,
    days: i64,
    findings_most: usize,
    readings_most: usize,
    reason_max: usize,
}

/// One threshold that would change.
struct Change {
    setting: Setting,
    was: i64,
    becomes: i64,
}

impl Change {
    fn told(&self, c: &Chrome, value: &i64) -> String {
        told(c, self.setting, *value)
    }

    fn shown(&self, value: &i64) -> i64 {
        shown(self.setting, *value)
    }
}

impl BacktestPage {
    /// The page of what differs.
    fn href(&self, differs: &Differs) -> String {
        match (differs.finding_id, differs.task_id) {
            (Some(id), _) => address::finding(id),
            (None, Some(task_id)) => format!("/admin/tasks/{task_id}"),
            (None, None) => address::queue(&differs.name),
        }
    }
}

/// Replays the thresholds that the address asks for. Changes nothing.
pub(super) async fn show(
    admin: Admin,
    State(site): State<Arc<Site>>,
    Query(form): Query<HashMap<String, String>>,
) -> Result<Response, AppError> {
    let c = admin.chrome(Nav::Rules);
    let every_ms = every_ms(&site);
    let present = site.store.changed_thresholds().await?;
    let Ok(wanted) = read(&form, every_ms) else {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&site, c, &form).await?).into_response());
    };
    let becomes: Changed = present
        .iter()
        .map(|(setting, value)| (*setting, *value))
        .chain(wanted.values)
        .collect();
    let (present, wanted) = (
        Thresholds::with(every_ms, &present),
        Thresholds::with(every_ms, &becomes),
    );
    let differs = |setting: &&Setting| present.get(**setting) != wanted.get(**setting);
    let changes: Vec<Change> = Setting::ALL
        .iter()
        .filter(differs)
        .map(|setting| Change {
            setting: *setting,
            was: present.get(*setting),
            becomes: wanted.get(*setting),
        })
        .collect();
    if changes.is_empty() {
        return Ok(see_other(RULES, Some(Flash::refused("flash-thresholds-same"))));
    }
    let compared = Compared {
        present: &present,
        wanted: &wanted,
        every_ms,
    };
    html(&BacktestPage {
        backtest: backtest::run(&site.store, compared, site.store.now().await?).await?,
        changes,
        days: DAYS,
        findings_most: FINDINGS_MOST,
        readings_most: READINGS_MOST,
        reason_max: REASON_CHARS,
        c,
    })
}

/// Saves them. What somebody else changed meanwhile is left alone, all of it.
pub(super) async fn save(
    admin: Admin,
    State(site): State<Arc<Site>>,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, AppError> {
    let every_ms = every_ms(&site);
    let back = |flash| Ok(see_other(RULES, Some(flash)));
    let Ok(wanted) = read(&form, every_ms) else {
        return back(Flash::refused("flash-thresholds-wrong"));
    };
    let reason = form.get("reason").map(String::as_str).unwrap_or_default();
    let audit = admin.audit("thresholds_set", "thresholds", "");
    let saved = thresholds::change(&site.store, every_ms, &wanted, reason, audit).await;
    back(match saved {
        Ok(count) => Flash::done("flash-thresholds-saved").a("n", count),
        Err(ThresholdError::Reason) => Flash::refused("flash-reason-needed"),
        Err(ThresholdError::Nothing) => Flash::refused("flash-thresholds-same"),
        Err(ThresholdError::Bounds(_)) => Flash::refused("flash-thresholds-wrong"),
        Err(ThresholdError::Moved) => Flash::refused("flash-thresholds-moved"),
        Err(ThresholdError::Store(error)) => return Err(error.into()),
    })
}
