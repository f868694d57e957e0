//! From a template, or from something done, to an answer.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::{error::AppError, layout::Flash};

/// The page as an answer. Errors: `Internal` when the template fails, which is a defect and is logged.
pub(crate) fn html(page: &impl Template) -> Result<Response, AppError> {
    Ok(Html(page.render()?).into_response())
}

/// 303 to `path`, a path of this site, whose page then says what was done.
pub(crate) fn see_other(path: &str, flash: Option<Flash>) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::LOCATION,
        HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/")),
    );
    if let Some(flash) = flash {
        let cookie = format!(
            "{}={}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
            Flash::COOKIE,
            flash.cookie_value()
        );
        if let Ok(value) = HeaderValue::try_from(cookie) {
            headers.append(header::SET_COOKIE, value);
        }
    }
    response
}
