//! `/login` and `/logout`.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::{StatusCode, header, request::Parts},
    response::Response,
};
use serde::Deserialize;

use crate::{
    services::accounts::LoginRefused,
    web::{
        Site,
        error::AppError,
        extract::local_path,
        html,
        layout::{Chrome, Flash, Nav},
        see_other, session,
    },
};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    c: Chrome,
    /// Where to go after it.
    next: String,
    email: String,
    refused: Option<String>,
    /// The address to use instead, when the session's cookie can't be kept at this one.
    https: Option<String>,
    cookie_lost: bool,
}

impl LoginPage {
    fn new(site: &Site, parts: &Parts, next: Option<&str>) -> Self {
        Self {
            c: Chrome::bare(&parts.headers, &parts.uri, Nav::None),
            next: local_path(next, "/admin"),
            email: String::new(),
            refused: None,
            https: site.origin.is_https().then(|| site.origin.base()),
            cookie_lost: false,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    next: Option<String>,
}

/// The form; somebody who is signed in goes straight on.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Query(asked): Query<Asked>,
    parts: Parts,
) -> Result<Response, AppError> {
    let mut page = LoginPage::new(&site, &parts, asked.next.as_deref());
    if session::find(&parts, &site).await?.is_some() {
        return Ok(see_other(&page.next, None));
    }
    page.cookie_lost = session::just_entered(&parts.headers);
    html(&page)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    email: String,
    password: String,
    next: Option<String>,
}

/// Signs in and goes on to where the visitor wanted to be. A refusal is the same for every reason but a flood.
pub(crate) async fn enter(
    State(site): State<Arc<Site>>,
    parts: Parts,
    Form(given): Form<Credentials>,
) -> Result<Response, AppError> {
    let mut page = LoginPage::new(&site, &parts, given.next.as_deref());
    page.c.path = "/login".into();
    let visitor = session::visitor(&site.origin, &parts);
    let l = page.c.l;
    let (status, text, wait) = match site
        .accounts
        .log_in(&given.email, &given.password, &visitor)
        .await
    {
        Ok(opened) => {
            let mut response = see_other(&page.next, None);
            session::remember(
                &site.origin,
                response.headers_mut(),
                &opened.token,
                &opened.device,
            );
            return Ok(response);
        }
        Err(LoginRefused::Wrong) => (StatusCode::UNPROCESSABLE_ENTITY, l.t("login-wrong"), None),
        Err(LoginRefused::TooMany { wait }) => {
            let seconds = wait.as_millis().div_ceil(1000) as u64;
            (
                StatusCode::TOO_MANY_REQUESTS,
                l.t("login-too-many").a("n", seconds),
                Some(seconds),
            )
        }
        Err(LoginRefused::Busy(_)) => (StatusCode::SERVICE_UNAVAILABLE, l.t("login-busy"), Some(2)),
        Err(LoginRefused::Store(error)) => return Err(error.into()),
    };
    page.refused = Some(text.to_string());
    page.email = given.email.chars().take(254).collect();
    let mut response = html(&page)?;
    *response.status_mut() = status;
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// Ends the session. Twice is fine.
pub(crate) async fn leave(State(site): State<Arc<Site>>, parts: Parts) -> Result<Response, AppError> {
    if let Some(session) = session::find(&parts, &site).await? {
        let audit = session.audit("logout", "user", &session.user.email);
        site.accounts.log_out(&session.token, audit).await?;
    }
    let mut response = see_other("/login", Some(Flash::done("flash-signed-out")));
    session::forget(&site.origin, response.headers_mut());
    Ok(response)
}
