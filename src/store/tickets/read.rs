//! Tickets as staff and reporters read them.

use sqlx::FromRow;
use uuid::Uuid;

use super::rows::{AttachmentRow, MessageRow, TicketRow, ticket_columns};
use crate::{
    domain::{
        attachment::Attachment,
        ticket::{Author, Reference, Ticket, TicketMessage, TicketStatus, Visibility},
    },
    store::{
        Store, StoreError,
        db::{Sql, fetch_all, fetch_optional, fetch_scalar, sql},
        types::{Batch, Id},
    },
};

/// What the list of tickets is narrowed to. Everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TicketFilter {
    /// Any of these; empty for all.
    pub statuses: Vec<TicketStatus>,
    /// The e-mail address of its assignee.
    pub assignee: Option<String>,
    pub task_id: Option<Uuid>,
}

/// A ticket in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketLine {
    pub ticket: Ticket,
    /// Who wrote the newest message that the reporter sees.
    pub last_author: Author,
    /// All messages, internal notes too.
    pub messages: i64,
}

/// One page and the place after it.
#[derive(Clone, Debug)]
pub struct TicketPage {
    pub items: Vec<TicketLine>,
    /// Pass it as `before` for the next page; `None` at the end.
    pub next: Option<Uuid>,
}

#[derive(FromRow)]
struct LineRow {
    #[sqlx(flatten)]
    ticket: TicketRow,
    last_author: Option<String>,
    messages: i64,
}

const LIST: Sql = sql!("SELECT " ticket_columns!() ",
        (SELECT m.author FROM ticket_messages m WHERE m.ticket_id = t.id AND m.visibility = 'public'
          ORDER BY m.id DESC LIMIT 1) AS last_author,
        (SELECT count(*) FROM ticket_messages m WHERE m.ticket_id = t.id) AS messages
      FROM tickets t
      WHERE (" sqlite("json_array_length($1)") pg("jsonb_array_length($1)") " = 0
             OR t.status IN (SELECT r.status FROM " rows(1; status text) " r))
        AND (" sqlite("$2") pg("$2::text") " IS NULL OR t.assignee = $2)
        AND (" sqlite("$3") pg("$3::uuid") " IS NULL OR t.task_id = $3)
        AND (" sqlite("$4") pg("$4::uuid") " IS NULL OR t.id < $4)
      ORDER BY t.id DESC LIMIT $5");

const ONE: Sql = sql!("SELECT " ticket_columns!() " FROM tickets t WHERE t.id = $1");

const BY_KEY: Sql = sql!("SELECT " ticket_columns!() " FROM tickets t WHERE t.key_hash = $1 AND t.ref = $2");

const MESSAGES: Sql = sql!(
    "SELECT id, at, author, visibility, body FROM ticket_messages
      WHERE ticket_id = $1 AND (visibility = 'public' OR $2 = 'internal') ORDER BY id LIMIT $3"
);

const ATTACHMENTS: Sql = sql!(
    "SELECT a.id, a.message_id, a.name, a.content_type, a.size_bytes, a.created_at FROM attachments a
       JOIN ticket_messages m ON m.id = a.message_id
      WHERE a.ticket_id = $1 AND (m.visibility = 'public' OR $2 = 'internal') ORDER BY a.id LIMIT $3"
);

const ATTACHMENT: Sql = sql!(
    "SELECT a.id, a.message_id, a.name, a.content_type, a.size_bytes, a.created_at FROM attachments a
       JOIN ticket_messages m ON m.id = a.message_id
      WHERE a.ticket_id = $1 AND a.id = $2 AND (m.visibility = 'public' OR $3 = 'internal')"
);

const KNOWN: Sql =
    sql!("SELECT a.id FROM attachments a WHERE a.id IN (SELECT r.id FROM " rows(1; id uuid) " r)");

const TO_DO: Sql = sql!("SELECT count(*) FROM tickets WHERE status IN ('new', 'open')");

const ASSIGNEES: Sql = sql!("SELECT email FROM users WHERE disabled_at IS NULL ORDER BY email LIMIT $1");

/// More messages than anybody reads on one page.
const MESSAGES_SHOWN: i64 = 1000;
const ATTACHMENTS_SHOWN: i64 = 1000;

impl Store {
    /// Up to `limit` tickets that `filter` lets through, newest first, older than the id `before`.
    pub async fn list_tickets(
        &self,
        filter: &TicketFilter,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<TicketPage, StoreError> {
        let statuses: Vec<_> = filter
            .statuses
            .iter()
            .map(|status| serde_json::json!({ "status": status }))
            .collect();
        let more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut conn = self.read().await?;
        let rows = fetch_all!(
            &mut conn,
            LineRow,
            LIST,
            Batch::of(&statuses),
            filter.assignee.as_deref(),
            filter.task_id.map(Id),
            before.map(Id),
            more
        )?;
        let more = rows.len() > limit;
        let items: Vec<TicketLine> = rows.into_iter().take(limit).map(TicketLine::from).collect();
        let next = if more {
            items.last().map(|line| line.ticket.id)
        } else {
            None
        };
        Ok(TicketPage { items, next })
    }

    /// The ticket; `None` when there is none of this id.
    pub async fn ticket(&self, id: Uuid) -> Result<Option<Ticket>, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_optional!(&mut conn, TicketRow, ONE, Id(id))?.map(Ticket::from))
    }

    /// The ticket that `reference` and the hash of its key open; `None` when they are not of one ticket.
    pub async fn ticket_by_key(
        &self,
        reference: &Reference,
        key_hash: &str,
    ) -> Result<Option<Ticket>, StoreError> {
        let mut conn = self.read().await?;
        let row = fetch_optional!(&mut conn, TicketRow, BY_KEY, key_hash, reference.as_str())?;
        Ok(row.map(Ticket::from))
    }

    /// Its messages, oldest first, at most 1,000: `Public` for what the reporter sees, `Internal` for all.
    pub async fn ticket_messages(
        &self,
        id: Uuid,
        up_to: Visibility,
    ) -> Result<Vec<TicketMessage>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(
            &mut conn,
            MessageRow,
            MESSAGES,
            Id(id),
            up_to.as_str(),
            MESSAGES_SHOWN
        )?;
        Ok(rows.into_iter().map(TicketMessage::from).collect())
    }

    /// The attachments of those messages, oldest first.
    pub async fn ticket_attachments(
        &self,
        id: Uuid,
        up_to: Visibility,
    ) -> Result<Vec<Attachment>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(
            &mut conn,
            AttachmentRow,
            ATTACHMENTS,
            Id(id),
            up_to.as_str(),
            ATTACHMENTS_SHOWN
        )?;
        Ok(rows.into_iter().map(Attachment::from).collect())
    }

    /// One attachment of this very ticket, when its message may be seen; else `None`.
    pub async fn ticket_attachment(
        &self,
        ticket_id: Uuid,
        id: Uuid,
        up_to: Visibility,
    ) -> Result<Option<Attachment>, StoreError> {
        let mut conn = self.read().await?;
        let row = fetch_optional!(
            &mut conn,
            AttachmentRow,
            ATTACHMENT,
            Id(ticket_id),
            Id(id),
            up_to.as_str()
        )?;
        Ok(row.map(Attachment::from))
    }

    /// Those of `ids` that have a row.
    pub async fn known_attachments(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let rows: Vec<_> = ids.iter().map(|id| serde_json::json!({ "id": id })).collect();
        let mut conn = self.read().await?;
        let known = fetch_all!(&mut conn, (Id,), KNOWN, Batch::of(&rows))?;
        Ok(known.into_iter().map(|(id,)| id.0).collect())
    }

    /// How many tickets it is staff's turn on: the new and the open ones.
    pub async fn tickets_to_do(&self) -> Result<u64, StoreError> {
        let mut conn = self.read().await?;
        let count = fetch_scalar!(&mut conn, i64, TO_DO)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The e-mail addresses of the people a ticket may be given to: at most 500, by name.
    pub async fn ticket_assignees(&self) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, (String,), ASSIGNEES, 500i64)?;
        Ok(rows.into_iter().map(|(email,)| email).collect())
    }
}

impl From<LineRow> for TicketLine {
    fn from(row: LineRow) -> Self {
        TicketLine {
            ticket: row.ticket.into(),
            last_author: row.last_author.map_or(Author::Reporter, Author::from_kept),
            messages: row.messages,
        }
    }
}
