//! `/r/{ref}?key=…`: where a reporter reads the answer, adds to the report and opens it again.
//!
//! The reference alone opens nothing; a wrong one and a wrong key get the same answer. The page's address is the secret:
//! it is not cached, not indexed, and never sent to another site.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use uuid::Uuid;

use super::ticket_parts::{Faults, Said, conversation, download, follow_address};
use crate::{
    domain::{
        attachment,
        report::{BODY_MAX, message_body},
        ticket::{Author, Reopen, Ticket, Visibility},
    },
    services::{report_limits::Caller, ticketing::TicketError},
    web::{
        Site,
        error::{AppError, Problem},
        html,
        layout::{Chrome, Flash, Nav},
        see_other, upload,
    },
};

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/r/{ref}", get(show).post(answer))
        .route("/r/{ref}/files/{id}", get(file))
}

#[derive(Deserialize)]
struct Key {
    key: Option<String>,
}

#[derive(Template)]
#[template(path = "report/follow.html")]
struct FollowPage {
    c: Chrome,
    ticket: Ticket,
    said: Vec<Said>,
    /// This page's own path and query, for its form.
    address: String,
    /// The same for writing down, with the site's name.
    link: String,
    key: String,
    /// What stands before and after a file's id in its address.
    files_before: String,
    files_after: String,
    body: String,
    faults: Faults,
    files_lost: bool,
    accept: String,
    body_max: usize,
}

impl FollowPage {
    async fn new(site: &Site, parts: &Parts, ticket: Ticket, key: String) -> Result<Self, AppError> {
        let messages = site.store.ticket_messages(ticket.id, Visibility::Public).await?;
        let files = site
            .store
            .ticket_attachments(ticket.id, Visibility::Public)
            .await?;
        let address = follow_address(ticket.reference.as_str(), &key);
        let accept: Vec<String> = attachment::extensions()
            .map(|extension| format!(".{extension}"))
            .collect();
        Ok(Self {
            c: Chrome {
                path: address.clone(),
                ..Chrome::bare(&parts.headers, &parts.uri, Nav::None)
            },
            said: conversation(messages, files),
            link: format!("{}{address}", site.origin.base()),
            files_before: format!("/r/{}/files/", ticket.reference),
            files_after: address
                .split_once('?')
                .map(|(_, query)| format!("?{query}"))
                .unwrap_or_default(),
            address,
            ticket,
            key,
            body: String::new(),
            faults: Faults::default(),
            files_lost: false,
            accept: accept.join(","),
            body_max: BODY_MAX,
        })
    }
}

/// The ticket that the address opens. Everything that is wrong with an address is the same 404.
async fn find(site: &Site, reference: &str, key: Option<String>) -> Result<(Ticket, String), AppError> {
    let key = key.unwrap_or_default();
    match site.desk.follow(reference, &key).await {
        Ok(ticket) => Ok((ticket, key)),
        Err(TicketError::NotFound) => Err(AppError::new(Problem::NotFound).explain("follow-not-found")),
        Err(error) => Err(error.into()),
    }
}

/// Keeps the page out of search engines, whoever links to it.
fn unlisted(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex, nofollow"),
    );
    response
}

async fn show(
    State(site): State<Arc<Site>>,
    Path(reference): Path<String>,
    Query(given): Query<Key>,
    parts: Parts,
) -> Result<Response, AppError> {
    let (ticket, key) = find(&site, &reference, given.key).await?;
    Ok(unlisted(html(
        &FollowPage::new(&site, &parts, ticket, key).await?,
    )?))
}

/// Adds the reporter's message; the button that was pressed says whether it also opens the report again.
async fn answer(
    State(site): State<Arc<Site>>,
    Path(reference): Path<String>,
    Query(given): Query<Key>,
    request: Request,
) -> Result<Response, AppError> {
    let (parts, body) = request.into_parts();
    let caller = Caller::Address(
        site.origin
            .client_addr(&parts.headers, &parts.extensions)
            .bucket(),
    );
    site.desk.limits.admit(&caller)?;
    let (ticket, key) = find(&site, &reference, given.key).await?;
    let request = Request::from_parts(parts.clone(), body);
    let mut form = upload::read(request, &["body", "reopen"], &site.desk, &caller).await?;
    let text = form.take("body");
    let reopen = if form.take("reopen").is_empty() {
        Reopen::No
    } else {
        Reopen::Yes
    };
    let had_files = form.had_files();
    let done = if form.faults.is_empty() {
        site.desk.answer(ticket.id, &text, reopen, form.files).await
    } else {
        let mut faults = form.faults;
        faults.extend(message_body(&text).err());
        Err(TicketError::Invalid(faults))
    };
    match done {
        Ok(()) => {
            let flash = match reopen {
                Reopen::Yes => Flash::done("flash-reopened"),
                Reopen::No => Flash::done("flash-message-sent"),
            };
            let address = follow_address(ticket.reference.as_str(), &key);
            Ok(unlisted(see_other(&address, Some(flash))))
        }
        Err(TicketError::Invalid(faults)) => {
            let mut page = FollowPage::new(&site, &parts, ticket, key).await?;
            page.body = text;
            page.faults = Faults(faults);
            page.files_lost = had_files;
            Ok(unlisted(
                (StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response(),
            ))
        }
        Err(error) => Err(error.into()),
    }
}

/// A file of a message that the reporter may see.
async fn file(
    State(site): State<Arc<Site>>,
    Path((reference, id)): Path<(String, Uuid)>,
    Query(given): Query<Key>,
) -> Result<Response, AppError> {
    let (ticket, _) = find(&site, &reference, given.key).await?;
    let attachment = site
        .store
        .ticket_attachment(ticket.id, id, Visibility::Public)
        .await?;
    Ok(unlisted(download(&site.desk.attachments, attachment).await?))
}
