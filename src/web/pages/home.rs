//! `/`: the public page. Report a problem, follow a report.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::request::Parts,
    response::Response,
};
use serde::Deserialize;
use url::Url;

use crate::web::{
    Site,
    error::{AppError, Problem},
    html,
    layout::{Chrome, Nav},
    see_other, session,
};

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    c: Chrome,
    signed_in: bool,
}

pub(crate) async fn show(State(site): State<Arc<Site>>, parts: Parts) -> Result<Response, AppError> {
    let session = session::find(&parts, &site).await?;
    html(&HomePage {
        signed_in: session.is_some(),
        c: match session {
            Some(session) => session.chrome(Nav::None),
            None => Chrome::bare(&parts.headers, &parts.uri, Nav::None),
        },
    })
}

#[derive(Deserialize)]
pub(crate) struct Reference {
    #[serde(rename = "ref")]
    reference: String,
    key: String,
}

/// The "follow a report" form: a form can't put a field into a path, so its page is one redirect away.
pub(crate) async fn follow(Query(given): Query<Reference>) -> Result<Response, AppError> {
    let mut url = Url::parse("http://local.invalid/r").map_err(|_| AppError::new(Problem::Internal))?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.push(given.reference.trim());
    }
    url.query_pairs_mut().append_pair("key", given.key.trim());
    Ok(see_other(
        &format!("{}?{}", url.path(), url.query().unwrap_or_default()),
        None,
    ))
}
