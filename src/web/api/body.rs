//! The body of a call: JSON of a bounded size, read strictly.

use axum::{
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequest, Request,
        rejection::{BytesRejection, FailedToBufferBody},
    },
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::strict;
use crate::{
    domain::submission::Wrong,
    web::error::{AppError, FieldError, Problem},
};

/// The largest body, but for batches.
pub(super) const BODY_BYTES: usize = 1024 * 1024;
/// The largest body of a batch.
pub(super) const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// A body of at most `LIMIT` bytes: a JSON object, or nothing at all.
pub(super) struct Body<const LIMIT: usize = BODY_BYTES>(Option<Value>);

impl<const LIMIT: usize> Body<LIMIT> {
    /// The body as a `T`. Errors: 400 when there is none, or it has a field that `T` has not.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, AppError> {
        match self.0 {
            Some(object) => read(object, "the body"),
            None => {
                Err(AppError::new(Problem::BadRequest).detail("this call needs a JSON object as its body"))
            }
        }
    }

    /// The same, where an absent body stands for `{}`.
    pub(super) fn read_or_empty<T: DeserializeOwned>(self) -> Result<T, AppError> {
        read(self.0.unwrap_or(Value::Object(Map::new())), "the body")
    }

    /// SHA-256 of what the body says under `call`, whatever the order of its keys and its white space.
    pub(super) fn digest(&self, call: &str) -> String {
        let said = self.0.as_ref().map(Value::to_string).unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(call.as_bytes());
        hash.update([0]);
        hash.update(said.as_bytes());
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The object as a `T`; `name` is what it is called in the error. Errors: 400 for a field that `T` has not.
pub(super) fn read<T: DeserializeOwned>(object: Value, name: &str) -> Result<T, AppError> {
    serde_json::from_value(object).map_err(|error| malformed(name, &error))
}

fn malformed(name: &str, error: &serde_json::Error) -> AppError {
    // The text names what the caller wrote, which may be long.
    let said: String = error.to_string().chars().take(300).collect();
    AppError::new(Problem::BadRequest).detail(format!("{name} is malformed: {said}"))
}

/// 422 with every wrong field.
pub(super) fn invalid(wrongs: Vec<Wrong>) -> AppError {
    AppError::new(Problem::Invalid).fields(wrongs.into_iter().map(FieldError::from).collect())
}

impl From<Wrong> for FieldError {
    fn from(wrong: Wrong) -> Self {
        Self {
            field: wrong.field,
            detail: wrong.detail,
        }
    }
}

impl<S: Sync, const LIMIT: usize> FromRequest<S> for Body<LIMIT> {
    type Rejection = AppError;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, AppError> {
        refuse_encoded(request.headers())?;
        let json = is_json(request.headers());
        DefaultBodyLimit::max(LIMIT).apply(&mut request);
        let bytes = Bytes::from_request(request, &())
            .await
            .map_err(|rejection| unread::<LIMIT>(&rejection))?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        if !json {
            return Err(AppError::new(Problem::MediaType)
                .detail("the body must be JSON in UTF-8, sent as Content-Type: application/json"));
        }
        match strict::parse(&bytes).map_err(|error| malformed("the body", &error))? {
            object @ Value::Object(_) => Ok(Self(Some(object))),
            _ => Err(AppError::new(Problem::BadRequest).detail("the body must be a JSON object")),
        }
    }
}

fn unread<const LIMIT: usize>(rejection: &BytesRejection) -> AppError {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            AppError::new(Problem::TooLarge).detail(format!("a body of this call has at most {LIMIT} bytes"))
        }
        _ => AppError::new(Problem::BadRequest).detail("the body did not arrive whole"),
    }
}

/// Nothing is unpacked here: a small body must not become a large one.
fn refuse_encoded(headers: &HeaderMap) -> Result<(), AppError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(AppError::new(Problem::MediaType).detail("the body must be sent without a Content-Encoding"))
        }
        _ => Ok(()),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(text)), None) = (types.next().map(|value| value.to_str()), types.next()) else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_digest_is_of_what_the_body_says() {
        let body = |text: &str| Body::<BODY_BYTES>(strict::parse(text.as_bytes()).ok());
        let one = body(r#"{"a":1,"b":{"c":[1,2]}}"#).digest("create");
        assert_eq!(one, body(r#"{ "b": {"c": [1, 2]}, "a": 1 }"#).digest("create"));
        assert_ne!(one, body(r#"{"a":1,"b":{"c":[2,1]}}"#).digest("create"));
        assert_ne!(one, body(r#"{"a":1,"b":{"c":[1,2]}}"#).digest("batch"));
        assert_eq!(one.len(), 64);
    }

    #[test]
    fn only_json_in_utf_8_is_json() {
        let is = |text: &'static str| {
            is_json(&HeaderMap::from_iter([(
                header::CONTENT_TYPE,
                HeaderValue::from_static(text),
            )]))
        };
        for text in [
            "application/json",
            "Application/JSON; charset=\"UTF-8\"",
            "application/json;",
        ] {
            assert!(is(text), "{text}");
        }
        for text in [
            "text/plain",
            "application/json; charset=latin1",
            "application/xml",
            "",
            "application/jsonp",
        ] {
            assert!(!is(text), "{text}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn a_field_that_is_not_known_is_named() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Small {
            #[serde(rename = "a")]
            _a: Option<i64>,
        }
        assert!(read::<Small>(json!({ "a": 1 }), "it").is_ok());
        let error = read::<Small>(json!({ "é": 1 }), "it").expect_err("refused");
        assert!(
            format!("{error:?}").contains("it is malformed: unknown field `é`"),
            "{error:?}"
        );
    }
}
