//! What the webhook is to be told: a row per delivery, written with the change it tells of.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use super::{
    Lane, Store, StoreError,
    audit::insert_audit,
    db::{Sql, Tx, execute, fetch_all, sql},
    types::{At, Id, Word},
};
use crate::domain::{audit::AuditEntry, time::Time, words::words};

words! {
    /// What a delivery tells.
    pub enum WebhookEvent {
        Opened = "incident.opened",
        /// It was put off, that is over, and it is still open.
        Returned = "incident.returned",
        Closed = "incident.closed",
        /// Nothing happened: somebody looks whether deliveries arrive.
        Test = "test",
    }
}

impl WebhookEvent {
    /// Its word in the catalogue's family `webhook-event`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Returned => "returned",
            Self::Closed => "closed",
            Self::Test => "test",
        }
    }
}

/// One delivery and how it went so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub id: Uuid,
    /// Nil for a test.
    pub incident_id: Uuid,
    pub event: WebhookEvent,
    /// What the receiver is told about the incident.
    pub body: Value,
    pub created_at: Time,
    /// `None` once it was delivered or given up.
    pub next_try_at: Option<Time>,
    pub tries: i64,
    /// The status of the newest answer; `None` when there was none.
    pub last_status: Option<i64>,
    pub last_error: Option<String>,
    pub delivered_at: Option<Time>,
}

/// How a try went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryFailure {
    pub status: Option<i64>,
    pub error: String,
}

macro_rules! delivery_columns {
    () => {
        "id, incident_id, event, body, created_at, next_try_at, tries, last_status, last_error, delivered_at"
    };
}

const ENQUEUE: Sql = sql!(
    "INSERT INTO webhook_deliveries (id, incident_id, event, body, created_at, next_try_at)
     VALUES ($1, $2, $3, $4, $5, $5)"
);

/// What is due, but for what is about an incident that is put off: that waits until it is back or closed.
macro_rules! due {
    () => {
        "webhook_deliveries d WHERE d.next_try_at <= $1 AND NOT EXISTS
         (SELECT 1 FROM snoozes z WHERE z.finding_id = d.incident_id AND z.ended_at IS NULL AND z.ends_at > $1)"
    };
}

/// Taken under a lease, oldest first: a sender that dies leaves the row to the next one when the lease is over.
const TAKE: Sql = sql!("UPDATE webhook_deliveries SET next_try_at = $2, tries = tries + 1
      WHERE id IN (SELECT d.id FROM " due!() " ORDER BY d.next_try_at, d.id LIMIT $3"
      pg(" FOR UPDATE OF d SKIP LOCKED") ")
      RETURNING " delivery_columns!());

const DUE: Sql = sql!("SELECT d.id FROM " due!() " LIMIT 1");

/// Only the try that holds the row says how it went.
const DELIVERED: Sql = sql!(
    "UPDATE webhook_deliveries SET delivered_at = $3, next_try_at = NULL, last_status = $4, last_error = NULL
      WHERE id = $1 AND tries = $2 AND delivered_at IS NULL"
);

const FAILED: Sql = sql!(
    "UPDATE webhook_deliveries SET next_try_at = $3, last_status = $4, last_error = $5
      WHERE id = $1 AND tries = $2 AND delivered_at IS NULL"
);

const AGAIN: Sql = sql!("UPDATE webhook_deliveries SET next_try_at = $2, delivered_at = NULL WHERE id = $1");

const PAGE: Sql = sql!("SELECT " delivery_columns!() " FROM webhook_deliveries
      WHERE (" sqlite("$1") pg("$1::uuid") " IS NULL OR id < $1) ORDER BY id DESC LIMIT $2");

#[derive(FromRow)]
struct DeliveryRow {
    id: Id,
    incident_id: Id,
    event: Word<WebhookEvent>,
    body: Json<Value>,
    created_at: At,
    next_try_at: Option<At>,
    tries: i64,
    last_status: Option<i64>,
    last_error: Option<String>,
    delivered_at: Option<At>,
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Self {
        Delivery {
            id: row.id.0,
            incident_id: row.incident_id.0,
            event: row.event.0,
            body: row.body.0,
            created_at: row.created_at.0,
            next_try_at: row.next_try_at.map(|at| at.0),
            tries: row.tries,
            last_status: row.last_status,
            last_error: row.last_error,
            delivered_at: row.delivered_at.map(|at| at.0),
        }
    }
}

/// Puts one delivery on its way, in the transaction that opens or closes the incident: told exactly when it happened.
///
/// Call it only when a webhook is configured; otherwise nobody would ever take the row.
pub(crate) async fn enqueue(
    tx: &mut Tx,
    now: Time,
    incident_id: Uuid,
    event: WebhookEvent,
    body: &Value,
) -> Result<(), StoreError> {
    execute!(
        tx,
        ENQUEUE,
        Id(Uuid::now_v7()),
        Id(incident_id),
        Word(event),
        Json(body),
        At(now)
    )?;
    Ok(())
}

impl Store {
    /// Up to `limit` deliveries that are due, the longest due first, kept from other senders for `lease`.
    ///
    /// Costs one read when nothing is due. Each taking counts as a try.
    pub async fn take_deliveries(&self, lease: Duration, limit: i64) -> Result<Vec<Delivery>, StoreError> {
        let now = self.now().await?;
        let due = fetch_all!(&mut self.read().await?, (Id,), DUE, At(now))?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin(Lane::Shared).await?;
        let rows = fetch_all!(&mut tx, DeliveryRow, TAKE, At(now), At(now + lease), limit)?;
        tx.commit().await?;
        let mut deliveries: Vec<Delivery> = rows.into_iter().map(Delivery::from).collect();
        deliveries.sort_by_key(|delivery| delivery.id);
        Ok(deliveries)
    }

    /// Notes that the receiver took the delivery. A try that lost its row to another one changes nothing.
    pub async fn delivery_done(&self, taken: &Delivery, status: i64) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        execute!(&mut tx, DELIVERED, Id(taken.id), taken.tries, At(now), status)?;
        tx.commit().await
    }

    /// Notes that the receiver did not take it; `next_try_at` is `None` to give up.
    pub async fn delivery_failed(
        &self,
        taken: &Delivery,
        failure: &TryFailure,
        next_try_at: Option<Time>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        execute!(
            &mut tx,
            FAILED,
            Id(taken.id),
            taken.tries,
            next_try_at.map(At),
            failure.status,
            &failure.error
        )?;
        tx.commit().await
    }

    /// Puts a delivery on its way that tells of nothing, for somebody who looks whether they arrive.
    pub async fn enqueue_test(&self, audit: &AuditEntry) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let body = json!({ "by": audit.actor });
        enqueue(&mut tx, now, Uuid::nil(), WebhookEvent::Test, &body).await?;
        insert_audit(&mut tx, now, std::slice::from_ref(audit)).await?;
        tx.commit().await
    }

    /// Makes a delivery due at once, whether it was delivered, given up or waits. `false` when there is none.
    pub async fn send_again(&self, id: Uuid, audit: &AuditEntry) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        if execute!(&mut tx, AGAIN, Id(id), At(now))? == 0 {
            return Ok(false);
        }
        insert_audit(&mut tx, now, std::slice::from_ref(audit)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Up to `limit` deliveries, newest first, older than the id `before`.
    pub async fn deliveries(&self, before: Option<Uuid>, limit: i64) -> Result<Vec<Delivery>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, DeliveryRow, PAGE, before.map(Id), limit)?;
        Ok(rows.into_iter().map(Delivery::from).collect())
    }
}
