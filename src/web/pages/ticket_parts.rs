//! What the pages of reporters and of staff have in common: faults on a form, a conversation, a download.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use tokio_util::io::ReaderStream;
use url::form_urlencoded;

use crate::{
    domain::{attachment::Attachment, report::FieldFault, ticket::TicketMessage},
    services::attachments::Attachments,
    web::{
        error::{AppError, FieldError, Problem},
        i18n::Lang,
        layout::Chrome,
    },
};

/// What is wrong with a form.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(pub(super) Vec<FieldFault>);

impl Faults {
    /// The texts about one field, in the reader's language.
    pub(super) fn of(&self, c: &Chrome, field: &str) -> Option<String> {
        let texts: Vec<String> = self
            .0
            .iter()
            .filter(|fault| fault.field.as_str() == field)
            .map(|fault| text(c.l, fault))
            .collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    }

    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

fn text(l: Lang, fault: &FieldFault) -> String {
    let number = fault.limit.unwrap_or_default();
    let said = l.of("fault", fault.fault).a("limit", number);
    match &fault.file {
        Some(name) => format!("{name}: {said}"),
        None => said.to_string(),
    }
}

/// The same for a problem document, in English.
pub(crate) fn told(faults: &[FieldFault]) -> Vec<FieldError> {
    faults
        .iter()
        .map(|fault| FieldError {
            field: fault.field.to_string(),
            detail: text(Lang::En, fault),
        })
        .collect()
}

/// A message with its files.
pub(super) struct Said {
    pub(super) message: TicketMessage,
    pub(super) files: Vec<Attachment>,
}

/// Puts every file under its message.
pub(super) fn conversation(messages: Vec<TicketMessage>, files: Vec<Attachment>) -> Vec<Said> {
    let mut said: Vec<Said> = messages
        .into_iter()
        .map(|message| Said {
            message,
            files: Vec::new(),
        })
        .collect();
    for file in files {
        if let Some(one) = said.iter_mut().find(|one| one.message.id == file.message_id) {
            one.files.push(file);
        }
    }
    said
}

/// The page where a report is followed.
pub(crate) fn follow_address(reference: &str, key: &str) -> String {
    let key: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
    format!("/r/{reference}?key={key}")
}

/// The file as a download that no browser shows or runs, whatever is in it.
pub(super) async fn download(
    attachments: &Attachments,
    attachment: Option<Attachment>,
) -> Result<Response, AppError> {
    let attachment = attachment.ok_or(AppError::new(Problem::NotFound))?;
    let Some(file) = attachments.read(&attachment).await? else {
        tracing::error!(attachment.id = %attachment.id, "the file of an attachment is missing");
        return Err(AppError::new(Problem::NotFound).explain("attachment-missing"));
    };
    let mut response = Body::from_stream(ReaderStream::new(file)).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'; frame-ancestors 'none'",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_LENGTH, attachment.size_bytes.into());
    let name = disposition(&attachment.name);
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::try_from(name).unwrap_or(ATTACHMENT),
    );
    Ok(response)
}

const ATTACHMENT: HeaderValue = HeaderValue::from_static("attachment");

/// `attachment` with the name as RFC 8187 writes it: nothing of it reaches the header as it is.
fn disposition(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_s_name_reaches_no_header_as_it_is() {
        for (name, is) in [
            ("a b.png", "attachment; filename*=UTF-8''a%20b.png"),
            (
                "\"; x=\r\n.txt",
                "attachment; filename*=UTF-8''%22%3B%20x%3D%0D%0A.txt",
            ),
            ("报告.csv", "attachment; filename*=UTF-8''%E6%8A%A5%E5%91%8A.csv"),
        ] {
            assert_eq!(disposition(name), is);
            assert!(HeaderValue::try_from(disposition(name)).is_ok());
        }
    }

    #[test]
    fn a_key_travels_whole_in_an_address() {
        assert_eq!(
            follow_address("OPS-7Q4M-2K", "a-_b&c"),
            "/r/OPS-7Q4M-2K?key=a-_b%26c"
        );
    }
}
