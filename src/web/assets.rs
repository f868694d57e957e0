//! Styles, scripts and icons, from inside the binary. Their addresses carry a hash of their content, so a browser
//! keeps them for ever and still gets the new ones after an upgrade.

use axum::{
    body::Body,
    extract::{Path, RawQuery},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::error::{AppError, Problem};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// The address of `static/<path>`, with its content's hash. A file that is not there has the bare address.
pub fn address(path: &str) -> String {
    match Static::get(path) {
        Some(file) => format!("/static/{path}?v={}", hash(&file)),
        None => format!("/static/{path}"),
    }
}

/// Answers `GET /static/<path>`. Only an address with the right hash is cached for ever.
pub async fn serve(
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, AppError> {
    let file = Static::get(&path).ok_or(AppError::new(Problem::NotFound))?;
    let hash = hash(&file);
    // Weak, because the same file also travels compressed.
    let etag = format!("W/\"{hash}\"");
    let cached = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|given| given.to_str().ok())
        .is_some_and(|given| given.split(',').any(|one| one.trim() == etag));
    let mut response = if cached {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(file.data.into_owned()).into_response()
    };
    let keep = if query.as_deref() == Some(&format!("v={hash}")) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(&path)),
    );
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    Ok(response)
}

/// The first 64 bits of the content's SHA-256: enough to tell versions of a file apart.
fn hash(file: &EmbeddedFile) -> String {
    let mut text = String::with_capacity(16);
    for byte in file.metadata.sha256_hash().iter().take(8) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml; charset=utf-8",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_s_address_carries_its_hash() {
        let address = address("css/tokens.css");
        let (path, version) = address.split_once("?v=").expect("a version");
        assert_eq!(path, "/static/css/tokens.css");
        assert_eq!(version.len(), 16);
    }
}
