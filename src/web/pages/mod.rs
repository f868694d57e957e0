//! The pages, one file each: from an address you can type the file's name.

mod address;
mod home;
mod language;
mod login;
mod task;
mod tasks;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use super::{Site, live};

pub(crate) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(home::show))
        .route("/admin/live", get(live::follow))
        .route("/lang", post(language::choose))
        .route("/login", get(login::show).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/r", get(home::follow))
        .merge(task::routes())
        .merge(tasks::routes())
}
