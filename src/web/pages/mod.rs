//! The pages, one file each: from an address you can type the file's name.

mod account;
mod address;
mod audit;
mod follow;
mod home;
mod language;
mod login;
mod overview;
mod queues;
mod report;
mod rules;
mod runbook;
mod stalls;
mod task;
mod tasks;
pub(crate) mod ticket_parts;
mod tickets;
mod webhook;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use super::{Site, live};

pub(crate) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(home::show))
        .route("/admin/account", get(account::show))
        .route("/admin/account/password", post(account::change_password))
        .route("/admin/account/sessions/end", post(account::log_out_elsewhere))
        .route("/admin", get(overview::show))
        .route("/admin/audit", get(audit::list))
        .route("/admin/runbook", get(runbook::show))
        .route("/admin/live", get(live::follow))
        .route("/lang", post(language::choose))
        .route("/login", get(login::show).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/r", get(home::follow))
        .merge(follow::routes())
        .merge(queues::routes())
        .merge(report::routes())
        .merge(rules::routes())
        .merge(stalls::routes())
        .merge(task::routes())
        .merge(tasks::routes())
        .merge(tickets::routes())
        .merge(webhook::routes())
}
