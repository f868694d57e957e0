//! `/admin/tickets/{id}`: one ticket, its conversation, its task, and what staff do with it.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domain::{
        attachment,
        report::{BODY_MAX, message_body},
        ticket::{Author, Ticket, TicketStatus, Visibility},
    },
    services::{
        report_limits::Caller,
        ticketing::{StaffMessage, TicketError},
    },
    store::tickets::{TicketChange, TicketTask},
    web::{
        Site,
        error::{AppError, Problem},
        html,
        layout::{Chrome, Flash, Nav},
        pages::ticket_parts::{Faults, Said, conversation, download},
        see_other,
        session::{Operator, Session, Viewer},
        upload,
    },
};

#[derive(Template)]
#[template(path = "tickets/show.html")]
struct TicketPage {
    c: Chrome,
    ticket: Ticket,
    said: Vec<Said>,
    task: Option<TicketTask>,
    /// Whom it may be given to; whoever has it is among them.
    assignees: Vec<String>,
    files_before: String,
    body: String,
    faults: Faults,
    files_lost: bool,
    accept: String,
    body_max: usize,
}

impl TicketPage {
    async fn new(site: &Site, session: &Session, id: Uuid) -> Result<Self, AppError> {
        let ticket = site
            .store
            .ticket(id)
            .await?
            .ok_or(AppError::new(Problem::NotFound))?;
        let messages = site.store.ticket_messages(id, Visibility::Internal).await?;
        let files = site.store.ticket_attachments(id, Visibility::Internal).await?;
        let task = match ticket.task_id {
            Some(task_id) => site.store.ticket_task(task_id).await?,
            None => None,
        };
        let mut assignees = site.store.ticket_assignees().await?;
        if let Some(email) = &ticket.assignee
            && !assignees.contains(email)
        {
            assignees.push(email.clone());
        }
        let accept: Vec<String> = attachment::extensions()
            .map(|extension| format!(".{extension}"))
            .collect();
        Ok(Self {
            c: session.chrome(Nav::Tickets),
            said: conversation(messages, files),
            task,
            assignees,
            files_before: format!("/admin/tickets/{id}/files/"),
            body: String::new(),
            faults: Faults::default(),
            files_lost: false,
            accept: accept.join(","),
            body_max: BODY_MAX,
            ticket,
        })
    }

    /// What staff may set: the status as it is, too.
    fn statuses(&self) -> Vec<TicketStatus> {
        let new = (self.ticket.status == TicketStatus::New).then_some(TicketStatus::New);
        new.into_iter().chain(TicketStatus::SETTABLE).collect()
    }

    /// The person behind an actor such as `user:a@b.example`.
    fn person<'a>(&self, author: &'a Author) -> &'a str {
        let text = author.as_str();
        text.strip_prefix("user:").unwrap_or(text)
    }

    /// A text out of what was noted when the report came in.
    fn noted(&self, path: &str) -> Option<&str> {
        self.ticket.context.pointer(path)?.as_str()
    }

    /// The findings that were open when the report came in.
    fn noted_stalls(&self) -> Vec<&str> {
        let stalls = self
            .ticket
            .context
            .pointer("/task/stalls")
            .and_then(|stalls| stalls.as_array());
        stalls
            .into_iter()
            .flatten()
            .filter_map(|verdict| verdict.as_str())
            .collect()
    }
}

pub(super) async fn show(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Path(id): Path<Uuid>,
) -> Result<Response, AppError> {
    html(&TicketPage::new(&site, &viewer, id).await?)
}

/// The side form: each pair is what it showed and what is wanted. An empty assignee is nobody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    status_was: TicketStatus,
    status: TicketStatus,
    assignee_was: String,
    assignee: String,
}

pub(super) async fn change(
    operator: Operator,
    State(site): State<Arc<Site>>,
    Path(id): Path<Uuid>,
    Form(wanted): Form<Wanted>,
) -> Result<Response, AppError> {
    let person = |email: String| (!email.is_empty()).then_some(email);
    let change = TicketChange {
        ticket_id: id,
        status: (wanted.status_was, wanted.status),
        assignee: (person(wanted.assignee_was), person(wanted.assignee)),
        audit: operator.audit("update", "ticket", id.to_string()),
    };
    site.desk.change(change).await?;
    Ok(see_other(
        &format!("/admin/tickets/{id}"),
        Some(Flash::done("flash-ticket-changed")),
    ))
}

/// Adds an answer, which the reporter reads, or a note, which stays inside: as the button says that was pressed.
pub(super) async fn write(
    operator: Operator,
    State(site): State<Arc<Site>>,
    Path(id): Path<Uuid>,
    request: Request,
) -> Result<Response, AppError> {
    let caller = Caller::Address(operator.addr.bucket());
    let fields = &["body", "visibility", "then"];
    let mut form = upload::read(request, fields, &site.desk, &caller).await?;
    let wrong = |detail: &'static str| AppError::new(Problem::BadRequest).detail(detail);
    let visibility: Visibility = form
        .take("visibility")
        .parse()
        .map_err(|_| wrong("visibility is public or internal"))?;
    let then = match form.take("then") {
        none if none.is_empty() => None,
        word => Some(word.parse().map_err(|_| wrong("then is no status"))?),
    };
    if then == Some(TicketStatus::New) {
        return Err(wrong("a ticket that was answered is not new"));
    }
    let body = form.take("body");
    let had_files = form.had_files();
    let (action, done) = match visibility {
        Visibility::Public => ("reply", Flash::done("flash-ticket-answered")),
        Visibility::Internal => ("note", Flash::done("flash-ticket-noted")),
    };
    let message = StaffMessage {
        ticket_id: id,
        actor: operator.actor(),
        visibility,
        body: body.clone(),
        then,
        files: form.files,
        audit: operator.audit(action, "ticket", id.to_string()),
    };
    let result = if form.faults.is_empty() {
        site.desk.write(message).await
    } else {
        form.faults.extend(message_body(&body).err());
        Err(TicketError::Invalid(form.faults))
    };
    match result {
        Ok(()) => Ok(see_other(&format!("/admin/tickets/{id}"), Some(done))),
        Err(TicketError::Invalid(faults)) => {
            let mut page = TicketPage::new(&site, &operator, id).await?;
            page.body = body;
            page.faults = Faults(faults);
            page.files_lost = had_files;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// A file of any message of this ticket.
pub(super) async fn file(
    _viewer: Viewer,
    State(site): State<Arc<Site>>,
    Path((id, file_id)): Path<(Uuid, Uuid)>,
) -> Result<Response, AppError> {
    let attachment = site
        .store
        .ticket_attachment(id, file_id, Visibility::Internal)
        .await?;
    download(&site.desk.attachments, attachment).await
}
