//! What changes a ticket: each one transaction, with its attachments' rows and, for staff, its audit row.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{
    domain::{
        attachment::FILES_PER_TICKET,
        audit::AuditEntry,
        report::Report,
        ticket::{Author, Reference, Reopen, TicketStatus, Visibility},
        time::Time,
        words::words,
    },
    store::{
        Lane, Store, StoreError,
        audit::insert_audit,
        db::{Sql, Tx, execute, fetch_all, fetch_optional, fetch_scalar, sql},
        types::{At, Batch, Id, Word},
    },
};

/// A file that lies in its place already; its row makes it part of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    pub id: Uuid,
    pub name: String,
    pub content_type: String,
    pub size_bytes: u64,
    pub sha256: String,
}

/// What makes a program's report the same one when it is sent again.
#[derive(Clone, Debug)]
pub struct ReportKey {
    /// Whose key it is: another principal's same key is another one.
    pub principal: String,
    pub key: String,
    /// Of everything that was sent with it.
    pub body_hash: String,
}

/// A report to file.
#[derive(Clone, Debug)]
pub struct NewTicket {
    pub reference: Reference,
    pub key_hash: String,
    pub report: Report,
    pub lang: Option<String>,
    /// What else the sender told, such as its browser.
    pub context: serde_json::Map<String, Value>,
    pub files: Vec<NewFile>,
    pub idempotency: Option<ReportKey>,
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filed {
    Now(Uuid),
    /// The same report was filed before, under this reference; nothing was written.
    Before(Reference),
    /// Another ticket has this reference; nothing was written.
    ReferenceTaken,
    /// The same idempotency key came before with something else; nothing was written.
    KeyReused,
}

/// A message to add.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub ticket_id: Uuid,
    pub author: Author,
    pub visibility: Visibility,
    pub body: String,
    pub files: Vec<NewFile>,
    /// For the reporter: whether it opens a ticket that has ended.
    pub reopen: Reopen,
    /// For an answer of staff: the status it sets; `None` for the usual one.
    pub then: Option<TicketStatus>,
    /// For staff: the row of the audit log.
    pub audit: Option<AuditEntry>,
}

words! {
    /// What became of a message.
    pub enum Posted {
        Added = "added",
        /// The same author wrote the same within a minute; nothing was written.
        Repeated = "repeated",
        /// The ticket holds as many files as one may; nothing was written.
        Full = "full",
        NoTicket = "no_ticket",
    }
}

/// A change of staff's own fields. Each pair is what the form showed and what is wanted.
#[derive(Clone, Debug)]
pub struct TicketChange {
    pub ticket_id: Uuid,
    pub status: (TicketStatus, TicketStatus),
    pub assignee: (Option<String>, Option<String>),
    pub audit: AuditEntry,
}

words! {
    /// What became of a change.
    pub enum Updated {
        Done = "done",
        /// It is so already; nothing was written.
        Same = "same",
        /// Somebody changed it since it was shown; nothing was written.
        Moved = "moved",
        /// The assignee is no person who may work on it; nothing was written.
        NoAssignee = "no_assignee",
        NoTicket = "no_ticket",
    }
}

const INSERT: Sql = sql!(
    "INSERT INTO tickets (id, ref, key_hash, subject, email, task_id, status, context, lang, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, 'new', $7, $8, $9, $9) ON CONFLICT DO NOTHING"
);

const TAKE_KEY: Sql = sql!(
    "INSERT INTO idempotency_keys (principal, key, body_hash, task_ids, created_at)
     VALUES ($1, $2, $3, '[]', $4) ON CONFLICT (principal, key) DO NOTHING"
);

const READ_KEY: Sql = sql!("SELECT body_hash FROM idempotency_keys WHERE principal = $1 AND key = $2");

const FILED_BEFORE: Sql = sql!("SELECT ref FROM tickets WHERE key_hash = $1");

const TASK: Sql = sql!("SELECT kind, queue, state, dispatch, attempt FROM tasks WHERE id = $1");

const VERDICTS: Sql =
    sql!("SELECT verdict FROM stalls WHERE task_id = $1 AND closed_at IS NULL ORDER BY verdict LIMIT 20");

const INSERT_MESSAGE: Sql = sql!(
    "INSERT INTO ticket_messages (id, ticket_id, at, author, visibility, body) VALUES ($1, $2, $3, $4, $5, $6)"
);

const INSERT_FILES: Sql = sql!("INSERT INTO attachments (id, ticket_id, message_id, name, content_type, size_bytes, sha256, created_at)
      SELECT r.id, $2, $3, r.name, r.content_type, r.size_bytes, r.sha256, $4 FROM "
      rows(1; id uuid, name text, content_type text, size_bytes bigint, sha256 text) " r");

const LOCK: Sql = sql!("SELECT status, assignee FROM tickets WHERE id = $1" pg(" FOR UPDATE"));

const FILES: Sql = sql!("SELECT count(*) FROM attachments WHERE ticket_id = $1");

const LAST: Sql = sql!(
    "SELECT id, at, author, visibility, body FROM ticket_messages WHERE ticket_id = $1 ORDER BY id DESC LIMIT 1"
);

const LAST_FILES: Sql = sql!("SELECT sha256 FROM attachments WHERE message_id = $1 ORDER BY sha256");

const SET: Sql = sql!(
    "UPDATE tickets SET status = $2, assignee = $3, updated_at = $4,
        closed_at = CASE WHEN $2 IN ('resolved', 'closed') THEN COALESCE(closed_at, $4) END
      WHERE id = $1"
);

const IS_STAFF: Sql = sql!("SELECT count(*) FROM users WHERE email = $1 AND disabled_at IS NULL");

/// Within how long the same message twice is one message pressed twice.
const REPEATED_WITHIN: Duration = Duration::from_secs(60);

#[derive(FromRow)]
struct TaskGlance {
    kind: String,
    queue: String,
    state: String,
    dispatch: i64,
    attempt: i64,
}

#[derive(FromRow)]
struct Locked {
    status: Word<TicketStatus>,
    assignee: Option<String>,
}

#[derive(FromRow)]
struct LastRow {
    id: Id,
    at: At,
    author: String,
    visibility: Word<Visibility>,
    body: String,
}

impl Store {
    /// Files a report: the ticket, its first message and its files' rows, with the task's state of this moment.
    ///
    /// The same key again writes nothing and gives the first one's reference. Errors: after one of the commit itself
    /// nobody knows whether it was filed; filing the same again tells.
    pub async fn file_ticket(&self, new: &NewTicket) -> Result<Filed, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        if let Some(key) = &new.idempotency
            && !take_key(&mut tx, now, key).await?
        {
            return Ok(Filed::KeyReused);
        }
        let id = Uuid::now_v7();
        let report = &new.report;
        let mut context = new.context.clone();
        if let Some(task) = task_at(&mut tx, report.task_id).await? {
            context.insert("task".into(), task);
        }
        let written = execute!(
            &mut tx,
            INSERT,
            Id(id),
            new.reference.as_str(),
            &new.key_hash,
            &report.subject,
            report.email.as_deref(),
            report.task_id.map(Id),
            Json(Value::Object(context.clone())),
            new.lang.as_deref(),
            At(now)
        )?;
        if written == 0 {
            let before = fetch_optional!(&mut tx, (Word<Reference>,), FILED_BEFORE, &new.key_hash)?;
            return Ok(match before {
                Some((reference,)) => Filed::Before(reference.0),
                None => Filed::ReferenceTaken,
            });
        }
        let message_id = Uuid::now_v7();
        insert_message(
            &mut tx,
            now,
            message_id,
            id,
            &Author::Reporter,
            Visibility::Public,
            &report.description,
        )
        .await?;
        insert_files(&mut tx, now, id, message_id, &new.files).await?;
        tx.commit().await?;
        Ok(Filed::Now(id))
    }

    /// Adds a message and moves the ticket's status as the message does.
    pub async fn add_ticket_message(&self, new: &NewMessage) -> Result<Posted, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let Some(ticket) = fetch_optional!(&mut tx, Locked, LOCK, Id(new.ticket_id))? else {
            return Ok(Posted::NoTicket);
        };
        if is_repeated(&mut tx, now, new).await? {
            return Ok(Posted::Repeated);
        }
        let held = fetch_scalar!(&mut tx, i64, FILES, Id(new.ticket_id))?;
        if !new.files.is_empty()
            && usize::try_from(held)
                .unwrap_or(usize::MAX)
                .saturating_add(new.files.len())
                > FILES_PER_TICKET
        {
            return Ok(Posted::Full);
        }
        let message_id = Uuid::now_v7();
        insert_message(
            &mut tx,
            now,
            message_id,
            new.ticket_id,
            &new.author,
            new.visibility,
            &new.body,
        )
        .await?;
        insert_files(&mut tx, now, new.ticket_id, message_id, &new.files).await?;
        let before = ticket.status.0;
        let after = match (&new.author, new.visibility) {
            (Author::Reporter, _) => before.after_reporter(new.reopen),
            (Author::Staff(_), Visibility::Public) => new.then.unwrap_or(before.after_answer()),
            (Author::Staff(_), Visibility::Internal) => new.then.unwrap_or(before),
        };
        set(&mut tx, now, new.ticket_id, after, ticket.assignee.as_deref()).await?;
        if let Some(entry) = &new.audit {
            let mut entry = entry.clone();
            entry.before = Some(json!({ "status": before }));
            entry.after =
                Some(json!({ "status": after, "message_id": message_id, "files": new.files.len() }));
            insert_audit(&mut tx, now, &[entry]).await?;
        }
        tx.commit().await?;
        Ok(Posted::Added)
    }

    /// Sets status and assignee, when both still are what the form showed.
    pub async fn change_ticket(&self, change: &TicketChange) -> Result<Updated, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let Some(ticket) = fetch_optional!(&mut tx, Locked, LOCK, Id(change.ticket_id))? else {
            return Ok(Updated::NoTicket);
        };
        let (status, assignee) = (change.status.1, change.assignee.1.as_deref());
        if ticket.status.0 == status && ticket.assignee.as_deref() == assignee {
            return Ok(Updated::Same);
        }
        if (ticket.status.0, &ticket.assignee) != (change.status.0, &change.assignee.0) {
            return Ok(Updated::Moved);
        }
        if let Some(email) = assignee
            && ticket.assignee.as_deref() != Some(email)
            && fetch_scalar!(&mut tx, i64, IS_STAFF, email)? == 0
        {
            return Ok(Updated::NoAssignee);
        }
        set(&mut tx, now, change.ticket_id, status, assignee).await?;
        let mut entry = change.audit.clone();
        entry.before = Some(json!({ "status": ticket.status.0, "assignee": ticket.assignee }));
        entry.after = Some(json!({ "status": status, "assignee": assignee }));
        insert_audit(&mut tx, now, &[entry]).await?;
        tx.commit().await?;
        Ok(Updated::Done)
    }
}

/// Whether the key is new, or came before with the same body.
async fn take_key(tx: &mut Tx, now: Time, key: &ReportKey) -> Result<bool, StoreError> {
    let taken = execute!(
        &mut *tx,
        TAKE_KEY,
        &key.principal,
        &key.key,
        &key.body_hash,
        At(now)
    )?;
    Ok(taken == 1 || fetch_scalar!(&mut *tx, String, READ_KEY, &key.principal, &key.key)? == key.body_hash)
}

/// How the task stands; `None` without a task id, and when there is no such task.
async fn task_at(tx: &mut Tx, id: Option<Uuid>) -> Result<Option<Value>, StoreError> {
    let Some(id) = id else { return Ok(None) };
    let Some(task) = fetch_optional!(&mut *tx, TaskGlance, TASK, Id(id))? else {
        return Ok(None);
    };
    let stalls = fetch_all!(&mut *tx, (String,), VERDICTS, Id(id))?;
    let stalls: Vec<String> = stalls.into_iter().map(|(verdict,)| verdict).collect();
    Ok(Some(
        json!({ "kind": task.kind, "queue": task.queue, "state": task.state, "dispatch": task.dispatch,
        "attempt": task.attempt, "stalls": stalls }),
    ))
}

async fn insert_message(
    tx: &mut Tx,
    now: Time,
    id: Uuid,
    ticket_id: Uuid,
    author: &Author,
    visibility: Visibility,
    body: &str,
) -> Result<(), StoreError> {
    execute!(
        tx,
        INSERT_MESSAGE,
        Id(id),
        Id(ticket_id),
        At(now),
        author.as_str(),
        Word(visibility),
        body
    )?;
    Ok(())
}

async fn insert_files(
    tx: &mut Tx,
    now: Time,
    ticket_id: Uuid,
    message_id: Uuid,
    files: &[NewFile],
) -> Result<(), StoreError> {
    if files.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = files
        .iter()
        .map(|file| {
            json!({ "id": file.id, "name": file.name, "content_type": file.content_type,
                "size_bytes": file.size_bytes, "sha256": file.sha256 })
        })
        .collect();
    execute!(
        tx,
        INSERT_FILES,
        Batch::of(&rows),
        Id(ticket_id),
        Id(message_id),
        At(now)
    )?;
    Ok(())
}

/// Whether the newest message is this very one, written moments ago.
async fn is_repeated(tx: &mut Tx, now: Time, new: &NewMessage) -> Result<bool, StoreError> {
    let Some(last) = fetch_optional!(&mut *tx, LastRow, LAST, Id(new.ticket_id))? else {
        return Ok(false);
    };
    if last.author != new.author.as_str()
        || last.visibility.0 != new.visibility
        || last.body != new.body
        || last.at.0 + REPEATED_WITHIN < now
    {
        return Ok(false);
    }
    let held = fetch_all!(&mut *tx, (String,), LAST_FILES, last.id)?;
    let mut given: Vec<&str> = new.files.iter().map(|file| file.sha256.as_str()).collect();
    given.sort_unstable();
    Ok(held.iter().map(|(hash,)| hash.as_str()).eq(given))
}

async fn set(
    tx: &mut Tx,
    now: Time,
    id: Uuid,
    status: TicketStatus,
    assignee: Option<&str>,
) -> Result<(), StoreError> {
    execute!(tx, SET, Id(id), Word(status), assignee, At(now))?;
    Ok(())
}
