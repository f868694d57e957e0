//! The page about the API: the OpenAPI document, for people. It works without a script.

use std::sync::LazyLock;

use askama::Template;
use axum::{
    http::{HeaderMap, Uri},
    response::Response,
};

use super::reference::{Piece, Reference};
use crate::web::{
    error::AppError,
    html,
    layout::{Chrome, Nav},
};

#[derive(Template)]
#[template(path = "api/docs.html")]
struct DocsPage<'a> {
    c: Chrome,
    reference: &'a Reference,
}

/// Answers everybody: it says nothing about this installation.
pub(super) async fn page(headers: HeaderMap, uri: Uri) -> Result<Response, AppError> {
    static REFERENCE: LazyLock<Reference> = LazyLock::new(Reference::of_this_version);
    html(&DocsPage {
        c: Chrome::bare(&headers, &uri, Nav::None),
        reference: &REFERENCE,
    })
}
