//! Reports and tickets: files them, lets reporters follow and answer with a secret, lets staff work on them.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    attachments::{AttachmentError, Attachments, Staged},
    form_seal::FormSeal,
    report_limits::{ReportLimits, TooMany},
};
use crate::{
    domain::{
        attachment::FILES_PER_MESSAGE,
        audit::AuditEntry,
        report::{Fault, FieldFault, Report, ReportField, ReportForm, message_body},
        ticket::{Author, Reference, Reopen, Ticket, TicketStatus, Visibility},
    },
    store::{
        Store, StoreError,
        tickets::{Filed, NewMessage, NewTicket, Posted, ReportKey, TicketChange, Updated},
    },
};

/// How often a new reference is drawn when another ticket has it: of a thousand million, never twice in practice.
const DRAWS: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// Fields to mend; all of them.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<FieldFault>),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error("there is no such ticket")]
    NotFound,
    /// Somebody changed the ticket since it was shown.
    #[error("the ticket was changed since it was shown")]
    Moved,
    /// The person it is to be given to has no account, or a disabled one.
    #[error("the assignee is no active user")]
    NoAssignee,
    /// The idempotency key came before with another report.
    #[error("this Idempotency-Key was used before with another body")]
    KeyReused,
    #[error("no free reference was found")]
    NoReference,
    #[error(transparent)]
    Attachment(AttachmentError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AttachmentError> for TicketError {
    fn from(error: AttachmentError) -> Self {
        match error {
            AttachmentError::Refused(fault) => Self::Invalid(vec![fault]),
            other => Self::Attachment(other),
        }
    }
}

/// Which sending this is: the same sending of the same report twice is one report.
#[derive(Clone, Debug)]
pub enum Sending {
    /// The nonce of a sealed form.
    Form([u8; 16]),
    /// A program's idempotency key, with the principal that it belongs to. With something else it is refused.
    Key { principal: String, key: String },
    /// One that was not named: always a new report.
    Unnamed,
}

/// A report that came in.
#[derive(Debug)]
pub struct Incoming {
    pub form: ReportForm,
    pub files: Vec<Staged>,
    pub sending: Sending,
    /// The language that the reporter reads.
    pub lang: Option<String>,
    pub user_agent: Option<String>,
}

/// What the reporter keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub reference: Reference,
    /// Opens the ticket together with its reference: 128 bits. Kept nowhere, only its hash.
    pub key: String,
}

/// What staff do with a message.
#[derive(Debug)]
pub struct StaffMessage {
    pub ticket_id: Uuid,
    pub actor: String,
    pub visibility: Visibility,
    pub body: String,
    /// The status to set with it; `None` for the usual one.
    pub then: Option<TicketStatus>,
    pub files: Vec<Staged>,
    pub audit: AuditEntry,
}

/// The desk where reports come in and tickets are worked on. Cheap to clone.
#[derive(Clone)]
pub struct Ticketing {
    store: Store,
    pub attachments: Attachments,
    pub seal: FormSeal,
    pub limits: Arc<ReportLimits>,
    secret: Arc<str>,
}

impl Ticketing {
    /// Opens the desk. Errors: the database can't be read.
    pub async fn open(
        store: Store,
        attachments: Attachments,
        limits: ReportLimits,
    ) -> Result<Self, StoreError> {
        let secret: Arc<str> = store.secret("report_form").await?.into();
        Ok(Self {
            store,
            attachments,
            seal: FormSeal::new(&secret),
            limits: Arc::new(limits),
            secret,
        })
    }

    /// Files a report. The same sending of the same report again gives the same receipt and files nothing.
    ///
    /// Errors: `Invalid` with every wrong field; then nothing was filed and its files are deleted.
    pub async fn file(&self, incoming: Incoming) -> Result<Receipt, TicketError> {
        let report = Report::parse(&incoming.form);
        let report = checked(report, &incoming.files)?;
        let key = self.key(&incoming.sending, &report, &incoming.files);
        let key_hash = hash(&key);
        let idempotency = match incoming.sending {
            // The report's own key stands for all of its content, files included.
            Sending::Key { principal, key } => Some(ReportKey {
                principal,
                key,
                body_hash: key_hash.clone(),
            }),
            Sending::Form(_) | Sending::Unnamed => None,
        };
        let mut context = Map::new();
        if let Some(agent) = incoming.user_agent {
            context.insert(
                "user_agent".into(),
                Value::String(agent.chars().take(300).collect()),
            );
        }
        let mut new = NewTicket {
            reference: Reference::from_random(rand::random()),
            key_hash,
            idempotency,
            report,
            lang: incoming.lang,
            context,
            files: incoming.files.iter().map(|staged| staged.file.clone()).collect(),
        };
        for _ in 0..DRAWS {
            match self.store.file_ticket(&new).await {
                Ok(Filed::Now(id)) => {
                    incoming.files.into_iter().for_each(Staged::keep);
                    tracing::info!(ticket.id = %id, task.id = ?new.report.task_id, "report filed");
                    return Ok(Receipt {
                        reference: new.reference,
                        key,
                    });
                }
                Ok(Filed::Before(reference)) => return Ok(Receipt { reference, key }),
                Ok(Filed::KeyReused) => return Err(TicketError::KeyReused),
                Ok(Filed::ReferenceTaken) => new.reference = Reference::from_random(rand::random()),
                Err(error) => {
                    // The commit may have happened all the same: the sweep knows later.
                    incoming.files.into_iter().for_each(Staged::keep);
                    return Err(error.into());
                }
            }
        }
        Err(TicketError::NoReference)
    }

    /// How many tickets it is staff's turn on.
    pub async fn to_do(&self) -> Result<u64, StoreError> {
        self.store.tickets_to_do().await
    }

    /// The ticket that `reference` and `key` open. A wrong key and a wrong reference are the same: `NotFound`.
    pub async fn follow(&self, reference: &str, key: &str) -> Result<Ticket, TicketError> {
        let reference: Reference = reference.parse().map_err(|_| TicketError::NotFound)?;
        // Looked up by the key's hash: how long a lookup takes tells nothing about the key.
        self.store
            .ticket_by_key(&reference, &hash(key))
            .await?
            .ok_or(TicketError::NotFound)
    }

    /// Adds the reporter's message. Pressed twice, it is added once.
    pub async fn answer(
        &self,
        ticket_id: Uuid,
        body: &str,
        reopen: Reopen,
        files: Vec<Staged>,
    ) -> Result<(), TicketError> {
        let body = checked(message_body(body).map_err(|fault| vec![fault]), &files)?;
        let new = NewMessage {
            ticket_id,
            author: Author::Reporter,
            visibility: Visibility::Public,
            body,
            files: Vec::new(),
            reopen,
            then: None,
            audit: None,
        };
        self.post(new, files).await
    }

    /// Adds an answer or an internal note of staff, and sets the status that goes with it.
    pub async fn write(&self, message: StaffMessage) -> Result<(), TicketError> {
        let body = checked(
            message_body(&message.body).map_err(|fault| vec![fault]),
            &message.files,
        )?;
        let new = NewMessage {
            ticket_id: message.ticket_id,
            author: Author::Staff(message.actor),
            visibility: message.visibility,
            body,
            files: Vec::new(),
            reopen: Reopen::No,
            then: message.then,
            audit: Some(message.audit),
        };
        self.post(new, message.files).await
    }

    /// Sets status and assignee, when both still are what the form showed. Setting what is so already does nothing.
    pub async fn change(&self, change: TicketChange) -> Result<(), TicketError> {
        match self.store.change_ticket(&change).await? {
            Updated::Done | Updated::Same => Ok(()),
            Updated::Moved => Err(TicketError::Moved),
            Updated::NoAssignee => Err(TicketError::NoAssignee),
            Updated::NoTicket => Err(TicketError::NotFound),
        }
    }

    async fn post(&self, mut new: NewMessage, files: Vec<Staged>) -> Result<(), TicketError> {
        new.files = files.iter().map(|staged| staged.file.clone()).collect();
        match self.store.add_ticket_message(&new).await {
            Ok(Posted::Added) => {
                files.into_iter().for_each(Staged::keep);
                Ok(())
            }
            Ok(Posted::Repeated) => Ok(()),
            Ok(Posted::Full) => Err(TicketError::Invalid(vec![FieldFault::new(
                ReportField::Attachments,
                Fault::TicketFull,
            )])),
            Ok(Posted::NoTicket) => Err(TicketError::NotFound),
            Err(error) => {
                files.into_iter().for_each(Staged::keep);
                Err(error.into())
            }
        }
    }

    /// The key of a report: of the same sending and the same content, the same one, so that nothing but the sender's
    /// own form can make it again.
    fn key(&self, sending: &Sending, report: &Report, files: &[Staged]) -> String {
        let name: Vec<u8> = match sending {
            Sending::Form(nonce) => nonce.to_vec(),
            Sending::Key { principal, key } => format!("{principal}\0{key}").into_bytes(),
            Sending::Unnamed => rand::random::<[u8; 32]>().to_vec(),
        };
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes keys of every length");
        let task_id = report.task_id.map(|id| id.to_string()).unwrap_or_default();
        let email = report.email.as_deref().unwrap_or_default();
        let texts = [
            report.subject.as_str(),
            report.description.as_str(),
            email,
            task_id.as_str(),
        ];
        let hashes = files.iter().map(|staged| staged.file.sha256.as_str());
        for part in [b"ticket key".as_slice(), &name]
            .into_iter()
            .chain(texts.into_iter().map(str::as_bytes))
            .chain(hashes.map(str::as_bytes))
        {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        BASE64_URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..16])
    }
}

/// The content, when it and the number of its files are right; else everything that is wrong.
fn checked<T>(content: Result<T, Vec<FieldFault>>, files: &[Staged]) -> Result<T, TicketError> {
    let too_many = files.len() > FILES_PER_MESSAGE;
    let fault =
        FieldFault::new(ReportField::Attachments, Fault::TooManyFiles).limit(FILES_PER_MESSAGE as u64);
    match (content, too_many) {
        (Ok(content), false) => Ok(content),
        (Ok(_), true) => Err(TicketError::Invalid(vec![fault])),
        (Err(mut faults), too_many) => {
            if too_many {
                faults.push(fault);
            }
            Err(TicketError::Invalid(faults))
        }
    }
}

/// What is kept of a key.
fn hash(key: &str) -> String {
    Sha256::digest(key.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
