//! What users report, filed by programs: JSON, or a form with files.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequest, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    auth::{self, Report},
    body::Body,
    create::idempotency_key,
    errors::*,
};
use crate::{
    domain::{
        report::ReportForm,
        ticket::{Reopen, TicketStatus},
    },
    services::{
        attachments::Staged,
        report_limits::Caller,
        ticketing::{Incoming, Sending, TicketError},
    },
    web::{Site, error::AppError, pages::ticket_parts::follow_address, upload},
};

/// A report without files.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileReport {
    /// One line.
    #[schema(required = true, value_type = String, min_length = 1, max_length = 200, example = "The March import stands still")]
    subject: Option<String>,
    /// Plain text.
    #[schema(required = true, value_type = String, min_length = 1, max_length = 20000)]
    description: Option<String>,
    /// Where the reporter may be written to.
    #[schema(max_length = 254)]
    email: Option<String>,
    /// The task that it is about. Whether there is such a task is not told.
    #[schema(format = Uuid)]
    task_id: Option<String>,
}

/// The same with files.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the form is read as a stream")]
pub(super) struct FileReportForm {
    #[schema(min_length = 1, max_length = 200)]
    subject: String,
    #[schema(min_length = 1, max_length = 20000)]
    description: String,
    email: Option<String>,
    task_id: Option<String>,
    /// At most 5 files of 10 MB each.
    #[schema(format = Binary)]
    attachments: Option<Vec<String>>,
}

/// What the reporter keeps. The key is told once, here.
#[derive(Serialize, ToSchema)]
pub(super) struct ReportReceipt {
    #[schema(example = "OPS-7Q4M-2K")]
    r#ref: String,
    /// Opens the report, together with its reference.
    #[schema(example = "wJ3m0fQm1x8bq2Zt7cYd4A")]
    key: String,
    /// The page where the reporter reads the answer: a secret, because it holds the key.
    url: String,
}

/// A reporter's message.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddMessage {
    /// The report's key.
    #[schema(required = true, value_type = String)]
    key: Option<String>,
    /// Plain text.
    #[schema(required = true, value_type = String, min_length = 1, max_length = 20000)]
    body: Option<String>,
    /// Whether it also opens a report that was resolved or closed.
    #[serde(default)]
    reopen: bool,
}

/// The same with files.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the form is read as a stream")]
pub(super) struct AddMessageForm {
    key: String,
    #[schema(min_length = 1, max_length = 20000)]
    body: String,
    reopen: Option<bool>,
    /// At most 5 files of 10 MB each.
    #[schema(format = Binary)]
    attachments: Option<Vec<String>>,
}

/// Where the report stands after a message.
#[derive(Serialize, ToSchema)]
pub(super) struct ReportState {
    #[schema(example = "OPS-7Q4M-2K")]
    r#ref: String,
    /// `new`, `open`, `waiting`, `resolved` or `closed`.
    #[schema(value_type = String, example = "open")]
    status: TicketStatus,
}

/// File a report
///
/// Files what a user reports. The answer's `url` is for that user: the report is read and answered there.
#[utoipa::path(
    post, path = "/reports", tag = "Reporting", security(("token" = ["report"])), operation_id = "file_report",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters. The same key and report again give the same answer and file nothing; another report is refused with 409.")),
    request_body(content((FileReport = "application/json"), (FileReportForm = "multipart/form-data"))),
    responses(
        (status = 201, description = "Filed.", body = ReportReceipt),
        BadRequest, Unauthenticated, Forbidden, Conflict, TooLarge, MediaType, Invalid, TooMany, Unavailable
    )
)]
pub(super) async fn file(
    caller: auth::Caller<Report>,
    State(site): State<Arc<Site>>,
    request: Request,
) -> Result<(StatusCode, Json<ReportReceipt>), AppError> {
    let sender = Caller::Token(caller.actor().to_owned());
    site.desk.limits.admit(&sender)?;
    let sending = match idempotency_key(request.headers())? {
        Some(key) => Sending::Key {
            principal: caller.actor().to_owned(),
            key,
        },
        None => Sending::Unnamed,
    };
    let (form, files) = if is_form(request.headers()) {
        let fields = &["subject", "description", "email", "task_id"];
        let mut given = upload::read(request, fields, &site.desk, &sender).await?;
        let form = ReportForm {
            subject: given.take("subject"),
            description: given.take("description"),
            email: given.take("email"),
            task_id: given.take("task_id"),
        };
        (form, whole(given)?)
    } else {
        let given: FileReport = <Body>::from_request(request, &()).await?.read()?;
        let form = ReportForm {
            subject: given.subject.unwrap_or_default(),
            description: given.description.unwrap_or_default(),
            email: given.email.unwrap_or_default(),
            task_id: given.task_id.unwrap_or_default(),
        };
        (form, Vec::new())
    };
    let incoming = Incoming {
        form,
        files,
        sending,
        lang: None,
        user_agent: None,
    };
    let receipt = site.desk.file(incoming).await?;
    let address = follow_address(receipt.reference.as_str(), &receipt.key);
    let receipt = ReportReceipt {
        r#ref: receipt.reference.to_string(),
        key: receipt.key,
        url: format!("{}{address}", site.origin.base()),
    };
    Ok((StatusCode::CREATED, Json(receipt)))
}

/// Add a message to a report
///
/// Adds what its reporter writes later. The report's key is the permission; no token is asked for. A wrong reference and
/// a wrong key are the same 404.
#[utoipa::path(
    post, path = "/reports/{ref}/messages", tag = "Reporting", security(()), operation_id = "add_report_message",
    params(("ref" = String, Path, description = "The report's reference.")),
    request_body(content((AddMessage = "application/json"), (AddMessageForm = "multipart/form-data"))),
    responses(
        (status = 201, description = "Added. The same message again within a minute is added once.", body = ReportState),
        BadRequest, NotFound, TooLarge, MediaType, Invalid, TooMany, Unavailable
    )
)]
pub(super) async fn answer(
    State(site): State<Arc<Site>>,
    Path(reference): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<ReportState>), AppError> {
    let sender = Caller::Address(
        site.origin
            .client_addr(request.headers(), request.extensions())
            .bucket(),
    );
    site.desk.limits.admit(&sender)?;
    let (given, files) = if is_form(request.headers()) {
        let mut form = upload::read(request, &["key", "body", "reopen"], &site.desk, &sender).await?;
        let given = AddMessage {
            key: Some(form.take("key")),
            body: Some(form.take("body")),
            reopen: form.take("reopen") == "true",
        };
        (given, whole(form)?)
    } else {
        (<Body>::from_request(request, &()).await?.read()?, Vec::new())
    };
    let ticket = site
        .desk
        .follow(&reference, given.key.as_deref().unwrap_or_default())
        .await?;
    let reopen = if given.reopen { Reopen::Yes } else { Reopen::No };
    let body = given.body.unwrap_or_default();
    site.desk.answer(ticket.id, &body, reopen, files).await?;
    let status = site
        .store
        .ticket(ticket.id)
        .await?
        .map_or(ticket.status, |ticket| ticket.status);
    Ok((
        StatusCode::CREATED,
        Json(ReportState {
            r#ref: ticket.reference.to_string(),
            status,
        }),
    ))
}

/// The form's files, when none of them was refused.
fn whole(form: upload::Form) -> Result<Vec<Staged>, AppError> {
    if form.faults.is_empty() {
        Ok(form.files)
    } else {
        Err(TicketError::Invalid(form.faults).into())
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map(|kind| kind.as_bytes().to_ascii_lowercase());
    kind.is_some_and(|kind| kind.starts_with(b"multipart/"))
}
