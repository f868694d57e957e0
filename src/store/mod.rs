//! Keeps: the only module that names `sqlx`.
//!
//! `Store` is a struct over one of two databases; its statements are written once (`db::sql!`). A change of a task,
//! its history row, its outbox row and its audit row are always one transaction.

pub(crate) mod audit;
mod broker_queues;
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

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

pub use audit::{AuditFilter, AuditPage, AuditRow};
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
use types::At;
pub use users::{Joining, NewUser, User};

use crate::domain::time::Time;

/// The open database and its clock. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
    /// Tells this process's kept counters from others'.
    source: Arc<str>,
}

/// Whose time counts. Lease times are the database's clock, so that workers on several machines agree.
#[derive(Clone)]
pub enum Clock {
    /// PostgreSQL's own clock; for SQLite, that of the machine that holds the file.
    Database,
    /// A time that a test sets.
    Set(Arc<AtomicI64>),
}

impl Store {
    /// Opens the database at `url`, creating a missing SQLite file, and brings its tables up to date.
    ///
    /// Safe in several processes at once: one migrates, the others wait. Errors: `Configuration` for a wrong URL or a
    /// database of a newer version; `Unavailable` when it can't be reached.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let store = Self::over(Db::open(url, true).await?);
        migrate::migrate(&store.db).await?;
        Ok(store)
    }

    fn over(db: Db) -> Self {
        Self {
            db,
            clock: Clock::Database,
            source: uuid::Uuid::new_v4().simple().to_string().into(),
        }
    }

    /// The same store with its clock set by hand. For tests.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The time that leases and schedules are measured by.
    pub async fn now(&self) -> Result<Time, StoreError> {
        if let Some(now) = self.local_now() {
            return Ok(now);
        }
        let mut conn = self.db.read().await?;
        database_now(&mut conn).await
    }

    /// The time as of a transaction's start, read inside it.
    pub(crate) async fn now_in(&self, tx: &mut Tx) -> Result<Time, StoreError> {
        if let Some(now) = self.local_now() {
            return Ok(now);
        }
        Ok(fetch_scalar!(tx, At, NOW)?.0)
    }

    fn local_now(&self) -> Option<Time> {
        match (&self.clock, &self.db) {
            (Clock::Set(ms), _) => Some(Time::from_ms(ms.load(Ordering::SeqCst))),
            (Clock::Database, Db::Sqlite { .. }) => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                Some(Time::from_ms(match since {
                    Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
                    Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
                }))
            }
            (Clock::Database, Db::Postgres { .. }) => None,
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

const NOW: Sql = sql!(sqlite("SELECT 0") pg("SELECT clock_timestamp()"));

async fn database_now(conn: &mut Reader) -> Result<Time, StoreError> {
    Ok(fetch_scalar!(conn, At, NOW)?.0)
}
