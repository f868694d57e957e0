//! `/admin/runbook`: what each verdict means and what to do about it.

use askama::Template;
use axum::response::Response;

use crate::web::{
    error::AppError,
    html,
    layout::{Chrome, Nav},
    runbook::{Block, Inline, Section, sections},
    session::Viewer,
};

#[derive(Template)]
#[template(path = "runbook.html")]
struct RunbookPage {
    c: Chrome,
    intro: &'static [Section],
    entries: &'static [Section],
}

pub(super) async fn show(viewer: Viewer) -> Result<Response, AppError> {
    let c = viewer.chrome(Nav::Stalls);
    let (intro, entries) = sections(c.l).split_at(1);
    html(&RunbookPage { c, intro, entries })
}
