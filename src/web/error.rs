//! One error for every page and call. A handler returns `AppError`; `render` turns it into a page in the reader's
//! language, or into problem+json (RFC 9457) under `/api`, when the language and the request id are known.

use std::{borrow::Cow, time::Duration};

use askama::Template;
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use serde_json::{Map, Value, json};
use tracing::{error, warn};

use super::{
    extract::{RequestId, local_path},
    html,
    i18n::Lang,
    layout::{Chrome, Nav},
};
use crate::{domain::words::words, store::StoreError};

words! {
    /// What went wrong, as far as the visitor does something different about it. The word ends the problem's type URI
    /// and names its texts: `error-title-…`, `error-text-…`, `error-next-…`.
    pub enum Problem {
        BadRequest = "bad-request",
        /// A form or body with wrong fields; `errors` names them.
        Invalid = "invalid",
        Unauthenticated = "unauthenticated",
        Forbidden = "forbidden",
        CrossSite = "cross-site",
        NotFound = "not-found",
        MethodNotAllowed = "method-not-allowed",
        /// The guard refused: the thing is not in a state that allows it.
        Conflict = "conflict",
        TooLarge = "too-large",
        MediaType = "media-type",
        WrongHost = "wrong-host",
        TooMany = "too-many",
        Internal = "internal",
        Unavailable = "unavailable",
    }
}

impl Problem {
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The problem that a bare status stands for, such as the router's own 405.
    fn of_status(status: StatusCode) -> Self {
        let exact = Self::ALL
            .iter()
            .copied()
            .filter(|one| !matches!(one, Self::CrossSite));
        match exact.into_iter().find(|one| one.status() == status) {
            Some(problem) => problem,
            None if status.is_client_error() => Self::BadRequest,
            None => Self::Internal,
        }
    }
}

/// When to try again what the database, or something else that is away for a moment, did not answer.
pub const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// One wrong field of a form or body.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct FieldError {
    /// Its name as sent; a path such as `tasks[3].kind` in a body.
    pub field: String,
    pub detail: String,
}

/// What a visitor is told when a request can't be answered as asked. Never a cause, a path or SQL.
#[derive(Clone, Debug)]
pub struct AppError {
    pub problem: Problem,
    told: Box<Told>,
}

#[derive(Clone, Debug, Default)]
struct Told {
    /// What exactly is wrong with this request, when more than the problem's own text is known. Plain English.
    detail: Option<Cow<'static, str>>,
    /// The same for the page, as a key of the catalogue.
    key: Option<&'static str>,
    fields: Vec<FieldError>,
    /// Further members of the problem document.
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl AppError {
    pub fn new(problem: Problem) -> Self {
        Self {
            problem,
            told: Box::default(),
        }
    }

    /// What is needed is away for a moment.
    pub fn unavailable() -> Self {
        Self::new(Problem::Unavailable).retry_after(TRY_AGAIN_AFTER)
    }

    /// Says what exactly is wrong, in English: the message of the domain's or service's error.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.told.detail = Some(detail.into());
        self
    }

    /// Says it on the page in the reader's language, as the text of `key`, which takes no variables.
    pub fn explain(mut self, key: &'static str) -> Self {
        self.told.key = Some(key);
        self
    }

    pub fn fields(mut self, fields: Vec<FieldError>) -> Self {
        self.told.fields = fields;
        self
    }

    /// Adds a member to the problem document, such as `state` beside a refused action.
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.told.members.insert(name.to_owned(), value.into());
        self
    }

    /// When trying again may help; sent as `Retry-After` in whole seconds, rounded up.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.told.retry_after = Some(wait);
        self
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.told.headers.push((name, value));
        self
    }

    fn document(&self, path: &str, request_id: &str) -> Value {
        let l = Lang::En;
        let detail = match &self.told.detail {
            Some(detail) => detail.to_string(),
            None => l.of("error-text", self.problem).to_string(),
        };
        let mut document = json!({
            "type": format!("urn:unstuck:problem:{}", self.problem),
            "title": l.of("error-title", self.problem).to_string(),
            "status": self.problem.status().as_u16(),
            "detail": detail,
            "instance": path,
            "request_id": request_id,
        });
        if let Value::Object(members) = &mut document {
            if !self.told.fields.is_empty() {
                members.insert("errors".into(), json!(self.told.fields));
            }
            for (name, value) in &self.told.members {
                members.entry(name.as_str()).or_insert_with(|| value.clone());
            }
        }
        document
    }
}

/// A visitor is told less than the log: the cause is logged here, once.
impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        if error.is_unavailable() {
            warn!(error = %error, source, "the database is not available");
            Self::unavailable()
        } else {
            error!(error = %error, source, "the database answered with an error");
            Self::new(Problem::Internal)
        }
    }
}

/// A template that can't be written to memory: a defect.
impl From<askama::Error> for AppError {
    fn from(error: askama::Error) -> Self {
        error!(error = %error, "a page could not be rendered");
        Self::new(Problem::Internal)
    }
}

/// The error travels in the response's extensions until `render` gives it a body.
impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let mut response = self.problem.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    c: Chrome,
    problem: Problem,
    request_id: String,
    explained: Option<String>,
    fields: Vec<FieldError>,
    retry_path: Option<String>,
}

/// Gives every error its body. An error without one of ours (the router's 404 and 405, a layer's 408 or 413, an
/// extractor's text) gets the text of its status; an answer that a handler wrote itself as JSON or a page stays.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let request_id = request
        .extensions()
        .get::<RequestId>()
        .cloned()
        .unwrap_or_default();
    let c = Chrome::bare(request.headers(), request.uri(), Nav::None);
    let mut response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let error = match response.extensions_mut().remove::<AppError>() {
        Some(error) => error,
        None if is_bare(&response) => AppError::new(Problem::of_status(status)),
        None => return response,
    };
    let mut answer = if is_for_programs(&path) {
        let document = error.document(&path, &request_id.0);
        let json = HeaderValue::from_static("application/problem+json");
        ([(header::CONTENT_TYPE, json)], document.to_string()).into_response()
    } else {
        page(c, &error, &method, &path, request_id.0)
    };
    *answer.status_mut() = error.problem.status();
    for (name, value) in response.headers() {
        let described = [header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name);
        if !described {
            answer.headers_mut().append(name, value.clone());
        }
    }
    for (name, value) in error.told.headers {
        answer.headers_mut().append(name, value);
    }
    if let Some(wait) = error.told.retry_after {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
            answer.headers_mut().insert(header::RETRY_AFTER, value);
        }
    }
    if method == Method::HEAD {
        *answer.body_mut() = Body::empty();
    }
    answer
}

/// Whether `path` is asked by programs, which can't read a page.
fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || ["/api", "/metrics", "/healthz", "/readyz", "/admin/live"].contains(&path)
}

fn page(c: Chrome, error: &AppError, method: &Method, path: &str, request_id: String) -> Response {
    let l = c.l;
    let page = ErrorPage {
        problem: error.problem,
        request_id,
        explained: match error.told.key {
            Some(key) => Some(l.t(key).to_string()),
            None => error.told.detail.as_ref().map(ToString::to_string),
        },
        fields: error.told.fields.clone(),
        // What was only looked at can be asked for again; what was sent cannot without its body.
        retry_path: (method == Method::GET && error.problem.status().is_server_error())
            .then(|| path.to_owned()),
        c,
    };
    match html(&page) {
        Ok(response) => response,
        Err(_) => error.problem.to_string().into_response(),
    }
}

/// Whether nobody has written this error's body for a reader.
fn is_bare(response: &Response) -> bool {
    match response.headers().get(header::CONTENT_TYPE) {
        None => true,
        Some(kind) => kind.as_bytes().starts_with(b"text/plain"),
    }
}

/// The router's fallback. A page's address typed with a slash at its end leads to the page; programs are told.
pub(crate) async fn not_found(method: Method, uri: Uri) -> Response {
    let trimmed = uri.path().trim_end_matches('/');
    let page = method.is_safe() && !uri.path().starts_with("/api/");
    if page && trimmed.len() < uri.path().len() && !trimmed.is_empty() {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        return Redirect::permanent(&local_path(Some(&format!("{trimmed}{query}")), "/")).into_response();
    }
    AppError::new(Problem::NotFound).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_answered_in_json_and_readers_with_a_page() {
        for path in ["/api/v1/tasks", "/api", "/metrics", "/readyz", "/admin/live"] {
            assert!(is_for_programs(path), "{path}");
        }
        for path in ["/", "/admin/tasks", "/report", "/apiary", "/r/metrics"] {
            assert!(!is_for_programs(path), "{path}");
        }
    }
}
