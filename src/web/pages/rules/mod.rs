//! `/admin/rules`: how often each rule spoke, how its findings ended, how often people said that it was wrong, and the
//! thresholds that the rules hold the numbers against.

mod backtest;
mod thresholds;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};

use crate::{
    domain::{
        finding::{CloseReason, FORMS, Variant},
        scorecard::{Rule, Score},
        time::Time,
    },
    web::{
        Site,
        error::AppError,
        html,
        layout::{Chrome, Nav},
        session::Viewer,
    },
};

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/admin/rules", get(show))
        .route("/admin/rules/backtest", get(backtest::show))
        .route("/admin/rules/thresholds", post(backtest::save))
}

#[derive(Template)]
#[template(path = "rules/show.html")]
struct RulesPage {
    c: Chrome,
    lines: Vec<Line>,
    /// How many rules had nothing to say.
    silent: usize,
    /// The first day that is counted.
    since: Option<Time>,
    thresholds: Vec<thresholds::Row>,
    /// A value that was given is none.
    wrong: bool,
}

/// One rule's scorecard.
struct Line {
    rule: Rule,
    week: Score,
    month: Score,
}

impl Line {
    /// Why its findings of the month closed, the most frequent reason first.
    fn ends(&self) -> Vec<(CloseReason, i64)> {
        let mut ends: Vec<_> = self
            .month
            .closed
            .iter()
            .map(|(reason, n)| (*reason, *n))
            .collect();
        ends.sort_by_key(|(_, n)| -n);
        ends
    }
}

async fn show(viewer: Viewer, State(site): State<Arc<Site>>) -> Result<Response, AppError> {
    page(&site, viewer.chrome(Nav::Rules), &HashMap::new()).await
}

/// How often the detector looks, in milliseconds.
fn every_ms(site: &Site) -> i64 {
    i64::try_from(site.numbers_fresh_for.as_millis() / 3).unwrap_or(i64::MAX / 8)
}

/// The page, with the values that somebody gave, when they won't do.
async fn page(site: &Site, c: Chrome, given: &HashMap<String, String>) -> Result<Response, AppError> {
    let set = site.store.thresholds().await?;
    let thresholds = thresholds::rows(every_ms(site), set, given);
    let mut week = site.store.scores(c.now - 7 * DAY).await?;
    let month = site.store.scores(c.now - 30 * DAY).await?;
    let lines = lines(month, &mut week);
    let forms: usize = FORMS.iter().map(|(.., variants)| variants.len()).sum();
    html(&RulesPage {
        silent: forms.saturating_sub(lines.len()),
        lines,
        since: site.store.scored_since().await?,
        wrong: thresholds.iter().any(|row| row.is_wrong),
        thresholds,
        c,
    })
}

/// Those that were wrong most often come first, then those that spoke most often.
fn lines(month: BTreeMap<Rule, Score>, week: &mut BTreeMap<Rule, Score>) -> Vec<Line> {
    let mut lines: Vec<Line> = month
        .into_iter()
        .map(|(rule, month)| Line {
            rule,
            week: week.remove(&rule).unwrap_or_default(),
            month,
        })
        .collect();
    lines.sort_by_key(|line| (-line.month.false_alarms, -line.month.opened, line.rule));
    lines
}
