//! `/admin/account`: one's own password and sessions.

use std::sync::Arc;

use askama::Template;
use axum::{Form, extract::State, http::StatusCode, response::Response};
use serde::Deserialize;

use crate::{
    services::accounts::{AccountError, PasswordFlaw, fingerprint},
    store,
    web::{
        Site,
        error::{AppError, Problem},
        html,
        layout::{Chrome, Flash, Nav},
        see_other,
        session::{Session, Viewer},
    },
};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    c: Chrome,
    sessions: Vec<store::Session>,
    /// Of the session that shows the page.
    this: String,
    wrong_present: Option<String>,
    wrong_new: Option<String>,
}

impl AccountPage {
    async fn new(site: &Site, session: &Session) -> Result<Self, AppError> {
        Ok(Self {
            c: session.chrome(Nav::None),
            sessions: site.accounts.sessions_of(&session.user).await?,
            this: fingerprint(&session.token),
            wrong_present: None,
            wrong_new: None,
        })
    }
}

pub(crate) async fn show(viewer: Viewer, State(site): State<Arc<Site>>) -> Result<Response, AppError> {
    html(&AccountPage::new(&site, &viewer).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Passwords {
    present: String,
    new: String,
}

/// Changes the password; every session ends, this one too.
pub(crate) async fn change_password(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Form(given): Form<Passwords>,
) -> Result<Response, AppError> {
    let audit = viewer.audit("user_change_password", "user", &viewer.user.email);
    let l = viewer.lang;
    let changed = site
        .accounts
        .change_password(&viewer.user, &given.present, &given.new, audit)
        .await;
    let mut page = AccountPage::new(&site, &viewer).await?;
    page.c.path = "/admin/account".into();
    match changed {
        Ok(()) => return Ok(see_other("/login", Some(Flash::done("flash-password-changed")))),
        Err(AccountError::WrongPassword) => page.wrong_present = Some(l.t("account-wrong").to_string()),
        Err(AccountError::Password(flaw)) => {
            let text = match flaw {
                PasswordFlaw::Short { at_least } => l.t("password-short").a("n", at_least),
                PasswordFlaw::Long => l.t("password-long"),
                PasswordFlaw::Guessable => l.t("password-guessable"),
            };
            page.wrong_new = Some(text.to_string());
        }
        Err(AccountError::TooMany { wait }) => {
            return Err(AppError::new(Problem::TooMany).retry_after(wait));
        }
        Err(AccountError::Busy(_)) => return Err(AppError::new(Problem::Unavailable)),
        Err(AccountError::Store(error)) => return Err(error.into()),
        // What remains is about other people and tokens.
        Err(other) => return Err(AppError::new(Problem::BadRequest).detail(other.to_string())),
    }
    let mut response = html(&page)?;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

/// Ends one's other sessions.
pub(crate) async fn log_out_elsewhere(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
) -> Result<Response, AppError> {
    let audit = viewer.audit("logout_elsewhere", "user", &viewer.user.email);
    let ended = site
        .accounts
        .log_out_elsewhere(&viewer.user, &viewer.token, audit)
        .await?;
    Ok(see_other(
        "/admin/account",
        Some(Flash::done("flash-logged-out-elsewhere").a("n", ended)),
    ))
}
