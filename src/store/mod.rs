//! Keeps: the only module that names `sqlx`.
//!
//! `Store` is a struct over one of two databases; its statements are written once (`db::sql!`). A change of a task,
//! its history row, its outbox row and its audit row are always one transaction.

pub(crate) mod audit;
mod broker_queues;
mod clock;
mod consumer_tags;
pub(crate) mod db;
mod durations;
mod error;
pub mod evidence;
pub mod findings;
mod leaders;
mod meta;
mod migrate;
mod outbox;
mod policies;
mod pulse;
mod queues;
mod retention;
mod rule_counts;
mod samples;
mod sessions;
pub mod tasks;
mod thresholds;
pub(crate) mod throughput;
pub mod tickets;
mod tokens;
mod tracers;
pub(crate) mod types;
mod users;
pub mod webhooks;

use std::sync::Arc;

pub use audit::{AuditFilter, AuditPage, AuditRow};
pub use clock::{Change, Clock, Drift};
pub use db::Lane;
use db::{Db, Reader, Sql, Tx, fetch_scalar, sql};
pub use error::{StoreError, Unavailable};
pub use leaders::Leadership;
pub use migrate::Inspection;
pub use outbox::{Failure, OutboxRow, PublishCause};
pub use policies::{Curable, Done, PolicyRow, Tripped};
pub use pulse::Pulse;
pub use queues::QueueRow;
pub use retention::Aged;
pub use samples::{Depth, KeptFor, LedgerSample};
pub use sessions::{NewSession, Session, Sight};
pub use thresholds::{SetThreshold, ThresholdChange};
pub use throughput::Counts;
pub use tokens::{NewToken, Token};
pub use tracers::TracerDelivery;
pub use users::{Joining, NewUser, User};

/// The open database and its clock. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
    /// Which start of the machine this is: what a SQLite file's clock counts from.
    boot: Option<Arc<str>>,
    /// Tells this process's kept counters from others'.
    source: Arc<str>,
}

impl Store {
    /// Opens the database at `url`, creating a missing SQLite file, and brings its tables up to date.
    ///
    /// Safe in several processes at once: one migrates, the others wait. Errors: `Configuration` for a wrong URL or a
    /// database of a newer version; `Unavailable` when it can't be reached.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let store = Self::over(Db::open(url, true).await?);
        migrate::migrate(&store.db).await?;
        store.start_clock().await?;
        Ok(store)
    }

    fn over(db: Db) -> Self {
        Self {
            db,
            clock: Clock::Database,
            boot: clock::boot(),
            source: uuid::Uuid::new_v4().simple().to_string().into(),
        }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) async fn read(&self) -> Result<Reader, StoreError> {
        self.db.read().await
    }

    pub(crate) async fn begin(&self, lane: Lane) -> Result<Tx, StoreError> {
        self.db.begin(lane).await
    }

    /// Whether the database answers. Errors say why not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        const PING: Sql = sql!("SELECT " sqlite("1") pg("1::bigint"));
        let mut conn = self.db.read().await?;
        fetch_scalar!(&mut conn, i64, PING).map(|_| ())
    }

    /// `sqlite` or `postgresql`.
    pub fn engine(&self) -> &'static str {
        match self.db {
            Db::Sqlite { .. } => "sqlite",
            Db::Postgres { .. } => "postgresql",
        }
    }

    /// Closes every connection; later calls fail with `Unavailable`.
    pub async fn close(&self) {
        self.db.close().await;
    }
}
