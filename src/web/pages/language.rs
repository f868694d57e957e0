//! `POST /lang`: the reader chooses a language.

use std::sync::Arc;

use axum::{
    Form,
    extract::State,
    http::{HeaderValue, header, request::Parts},
    response::Response,
};
use serde::Deserialize;

use crate::web::{
    Site,
    error::{AppError, Problem},
    extract::{LANG_COOKIE, local_path},
    i18n::Lang,
    see_other, session,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    lang: String,
    next: Option<String>,
}

/// Keeps the choice in a cookie for a year, and with the account of whoever is signed in, and goes back to where it
/// was made.
pub(crate) async fn choose(
    State(site): State<Arc<Site>>,
    parts: Parts,
    Form(choice): Form<Choice>,
) -> Result<Response, AppError> {
    let lang = Lang::ALL
        .into_iter()
        .find(|lang| lang.tag() == choice.lang)
        .ok_or(AppError::new(Problem::BadRequest))?;
    if let Some(session) = session::find(&parts, &site).await? {
        site.store.set_lang(session.user.id, Some(lang.tag())).await?;
    }
    let mut response = see_other(&local_path(choice.next.as_deref(), "/"), None);
    let cookie = format!(
        "{LANG_COOKIE}={}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax",
        lang.tag()
    );
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}
