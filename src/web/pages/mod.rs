//! The pages, one file each: from an address you can type the file's name.

mod language;

use std::sync::Arc;

use axum::{Router, routing::post};

use super::Site;

pub(crate) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/lang", post(language::choose))
}
