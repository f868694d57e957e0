//! A task's payload and result: laid out for reading, and whole as a file.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use crate::{
    domain::task::TaskView,
    web::{
        Site,
        error::{AppError, Problem},
        pages::tasks::action::task_id,
        session::Viewer,
    },
};

/// More of a document than this is not shown on the page.
const SHOWN_BYTES: usize = 32 * 1024;

/// A document laid out for reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) text: String,
    /// Its size as compact JSON.
    pub(super) size_bytes: i64,
    /// Only its beginning is shown.
    pub(super) cut: bool,
}

impl Document {
    pub(super) fn of(value: &Value) -> Self {
        let mut text = match value {
            // A program's plain output reads better as the text it is.
            Value::String(text) => text.clone(),
            value => format!("{value:#}"),
        };
        let cut = text.len() > SHOWN_BYTES;
        if cut {
            let fits = (0..=SHOWN_BYTES).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(fits.unwrap_or(0));
        }
        Self {
            text,
            size_bytes: i64::try_from(value.to_string().len()).unwrap_or(i64::MAX),
            cut,
        }
    }
}

/// The whole payload as a file.
pub(super) async fn payload(
    _viewer: Viewer,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<Response, AppError> {
    let view = find(&site, &id).await?;
    Ok(file(&format!("payload-{}.json", view.task.id), &view.payload))
}

/// The whole result as a file; 404 while there is none.
pub(super) async fn result(
    _viewer: Viewer,
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<Response, AppError> {
    let view = find(&site, &id).await?;
    let result = view.result.ok_or(AppError::new(Problem::NotFound))?;
    Ok(file(&format!("result-{}.json", view.task.id), &result))
}

/// The task that an address names.
pub(super) async fn find(site: &Site, id: &str) -> Result<TaskView, AppError> {
    site.store
        .task(task_id(id)?)
        .await?
        .ok_or(AppError::new(Problem::NotFound))
}

/// `name` is made of our own words and an id.
fn file(name: &str, value: &Value) -> Response {
    let mut response = format!("{value:#}\n").into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_document_is_cut_between_characters() {
        let document = Document::of(&json!("ä".repeat(SHOWN_BYTES)));
        assert!(document.cut && document.text.len() <= SHOWN_BYTES);
        let short = Document::of(&json!({ "n": 1 }));
        assert_eq!((short.cut, short.text.as_str()), (false, "{\n  \"n\": 1\n}"));
    }
}
