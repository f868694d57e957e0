//! Rows as the database gives them, and the way to the domain's types.

use sqlx::{FromRow, types::Json};

use crate::{
    domain::{
        attachment::Attachment,
        ticket::{Author, Reference, Ticket, TicketMessage, TicketStatus, Visibility},
    },
    store::types::{At, Id, Word},
};

/// The columns of `TicketRow`, of `tickets t`.
macro_rules! ticket_columns {
    () => {
        "t.id, t.ref, t.subject, t.email, t.task_id, t.status, t.assignee, t.context, t.lang, t.created_at, \
         t.updated_at, t.closed_at"
    };
}
pub(super) use ticket_columns;

#[derive(FromRow)]
pub(super) struct TicketRow {
    id: Id,
    #[sqlx(rename = "ref")]
    reference: Word<Reference>,
    subject: String,
    email: Option<String>,
    task_id: Option<Id>,
    status: Word<TicketStatus>,
    assignee: Option<String>,
    context: Json<serde_json::Value>,
    lang: Option<String>,
    created_at: At,
    updated_at: At,
    closed_at: Option<At>,
}

impl From<TicketRow> for Ticket {
    fn from(row: TicketRow) -> Self {
        Ticket {
            id: row.id.0,
            reference: row.reference.0,
            subject: row.subject,
            email: row.email,
            task_id: row.task_id.map(|id| id.0),
            status: row.status.0,
            assignee: row.assignee,
            context: row.context.0,
            lang: row.lang,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            closed_at: row.closed_at.map(|at| at.0),
        }
    }
}

#[derive(FromRow)]
pub(super) struct MessageRow {
    id: Id,
    at: At,
    author: String,
    visibility: Word<Visibility>,
    body: String,
}

impl From<MessageRow> for TicketMessage {
    fn from(row: MessageRow) -> Self {
        TicketMessage {
            id: row.id.0,
            at: row.at.0,
            author: Author::from_kept(row.author),
            visibility: row.visibility.0,
            body: row.body,
        }
    }
}

#[derive(FromRow)]
pub(super) struct AttachmentRow {
    id: Id,
    message_id: Id,
    name: String,
    content_type: String,
    size_bytes: i64,
    created_at: At,
}

impl From<AttachmentRow> for Attachment {
    fn from(row: AttachmentRow) -> Self {
        Attachment {
            id: row.id.0,
            message_id: row.message_id.0,
            name: row.name,
            content_type: row.content_type,
            size_bytes: row.size_bytes,
            created_at: row.created_at.0,
        }
    }
}
