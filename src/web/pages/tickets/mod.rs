//! `/admin/tickets`: what people reported, and the work on it.

mod list;
mod work;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::web::Site;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/admin/tickets", get(list::show))
        .route("/admin/tickets/{id}", get(work::show).post(work::change))
        .route("/admin/tickets/{id}/messages", post(work::write))
        .route("/admin/tickets/{id}/files/{file_id}", get(work::file))
}
