//! `POST /lang`: the reader chooses a language.

use axum::{
    Form,
    http::{HeaderValue, header},
    response::Response,
};
use serde::Deserialize;

use crate::web::{
    error::{AppError, Problem},
    extract::{LANG_COOKIE, local_path},
    i18n::Lang,
    see_other,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    lang: String,
    next: Option<String>,
}

/// Keeps the choice in a cookie for a year and goes back to where it was made.
pub(crate) async fn choose(Form(choice): Form<Choice>) -> Result<Response, AppError> {
    let lang = Lang::ALL
        .into_iter()
        .find(|lang| lang.tag() == choice.lang)
        .ok_or(AppError::new(Problem::BadRequest))?;
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
