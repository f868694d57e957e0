//! `/report`: somebody who has no account says what is wrong.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Query, Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use super::ticket_parts::{Faults, follow_address};
use crate::{
    domain::{
        attachment,
        report::{BODY_MAX, EMAIL_MAX, FieldFault, ReportForm, SUBJECT_MAX},
    },
    services::{
        form_seal::SealFault,
        report_limits::{Caller, TooMany},
        ticketing::{Incoming, Sending, TicketError},
    },
    web::{
        Site,
        error::{AppError, Problem},
        html,
        layout::{Chrome, Flash, Nav},
        see_other, upload,
    },
};

/// The form's text fields. `website` is for programs alone: a person never sees it.
const FIELDS: &[&str] = &["subject", "description", "email", "task_id", "seal", "website"];

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/report", get(show).post(file))
}

#[derive(Template)]
#[template(path = "report/form.html")]
struct ReportPage {
    c: Chrome,
    form: ReportForm,
    seal: String,
    faults: Faults,
    /// What else is to be done, about the form as a whole.
    note: Option<String>,
    /// Files were chosen; a browser forgets them when a form comes back.
    files_lost: bool,
    /// What the file chooser offers.
    accept: String,
    subject_max: usize,
    description_max: usize,
    email_max: usize,
}

impl ReportPage {
    fn new(c: Chrome, form: ReportForm, seal: String) -> Self {
        let accept: Vec<String> = attachment::extensions()
            .map(|extension| format!(".{extension}"))
            .collect();
        Self {
            c,
            form,
            seal,
            faults: Faults::default(),
            note: None,
            files_lost: false,
            accept: accept.join(","),
            subject_max: SUBJECT_MAX,
            description_max: BODY_MAX,
            email_max: EMAIL_MAX,
        }
    }
}

#[derive(Deserialize)]
struct Prefill {
    task: Option<String>,
}

/// The empty form; from a task's page, with the task's id in it.
async fn show(
    State(site): State<Arc<Site>>,
    Query(given): Query<Prefill>,
    parts: Parts,
) -> Result<Response, AppError> {
    let c = Chrome::bare(&parts.headers, &parts.uri, Nav::None);
    let task_id = given.task.unwrap_or_default().chars().take(64).collect();
    let form = ReportForm {
        task_id,
        ..ReportForm::default()
    };
    let seal = site.desk.seal.issue(site.store.now().await?);
    html(&ReportPage::new(c, form, seal))
}

/// Files the report and goes on to the page where its answer will be. What is wrong is said on the form itself.
async fn file(State(site): State<Arc<Site>>, request: Request) -> Result<Response, AppError> {
    let (parts, body) = request.into_parts();
    let c = Chrome {
        path: "/report".into(),
        ..Chrome::bare(&parts.headers, &parts.uri, Nav::None)
    };
    let caller = Caller::Address(
        site.origin
            .client_addr(&parts.headers, &parts.extensions)
            .bucket(),
    );
    site.desk.limits.admit(&caller)?;
    let user_agent = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let user_agent = user_agent.map(str::to_owned);
    let mut given = upload::read(Request::from_parts(parts, body), FIELDS, &site.desk, &caller).await?;
    let form = ReportForm {
        subject: given.take("subject"),
        description: given.take("description"),
        email: given.take("email"),
        task_id: given.take("task_id"),
    };
    let seal = given.take("seal");
    let now = site.store.now().await?;
    let mut page = ReportPage::new(c, form, seal);
    page.files_lost = given.had_files();
    let l = page.c.l;
    let opened = site.desk.seal.open(&page.seal, now);
    let note = match (given.take("website").is_empty(), &opened) {
        (false, _) => Some(l.t("report-trapped")),
        (true, Err(SealFault::TooFast)) => Some(l.t("report-too-fast")),
        (true, Err(SealFault::Stale)) => Some(l.t("report-stale")),
        (true, Ok(_)) => None,
    };
    if opened == Err(SealFault::Stale) {
        page.seal = site.desk.seal.issue(now);
    }
    page.note = note.map(|text| text.to_string());
    let (Ok(sealed), None) = (opened, &page.note) else {
        return page.refuse(Vec::new());
    };
    if !given.faults.is_empty() {
        return page.refuse(given.faults);
    }
    let incoming = Incoming {
        form: page.form.clone(),
        files: given.files,
        sending: Sending::Form(sealed.nonce),
        lang: Some(l.tag().to_owned()),
        user_agent,
    };
    match site.desk.file(incoming).await {
        Ok(receipt) => {
            let address = follow_address(receipt.reference.as_str(), &receipt.key);
            let flash = Flash::done("flash-reported").a("ref", receipt.reference.as_str());
            Ok(see_other(&address, Some(flash)))
        }
        Err(TicketError::Invalid(faults)) => page.refuse(faults),
        Err(error) => Err(error.into()),
    }
}

impl ReportPage {
    /// The form with its texts and what is wrong with them.
    fn refuse(mut self, mut faults: Vec<FieldFault>) -> Result<Response, AppError> {
        // A refused file is said together with what is wrong in the texts.
        if let Err(others) = crate::domain::report::Report::parse(&self.form) {
            let known: Vec<_> = faults.iter().map(|fault| fault.field).collect();
            faults.extend(others.into_iter().filter(|fault| !known.contains(&fault.field)));
        }
        self.faults = Faults(faults);
        Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&self)?).into_response())
    }
}

impl From<TooMany> for AppError {
    fn from(error: TooMany) -> Self {
        Self::new(Problem::TooMany)
            .explain("report-too-many")
            .retry_after(error.retry_after)
    }
}

impl From<TicketError> for AppError {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::Invalid(faults) => {
                Self::new(Problem::Invalid).fields(super::ticket_parts::told(&faults))
            }
            TicketError::TooMany(error) => error.into(),
            TicketError::NotFound => Self::new(Problem::NotFound),
            TicketError::Moved => Self::new(Problem::Conflict).explain("ticket-moved"),
            TicketError::NoAssignee => Self::new(Problem::Conflict).explain("ticket-no-assignee"),
            TicketError::KeyReused => Self::new(Problem::Conflict).detail(error.to_string()),
            TicketError::NoReference => Self::new(Problem::Internal),
            TicketError::Attachment(error) => error.into(),
            TicketError::Store(error) => error.into(),
        }
    }
}
