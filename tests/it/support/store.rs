//! Stores to test on: one per database, each fresh and of the test's own.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use unstuck::store::{Clock, Store};

/// A store, its address, and a clock that the test sets.
pub struct TestStore {
    pub store: Store,
    pub url: String,
    pub clock: TestClock,
    _folder: Option<TempDir>,
    database: Option<String>,
}

#[derive(Clone)]
pub struct TestClock(pub Arc<AtomicI64>);

impl TestClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }
}

/// Where PostgreSQL is; `make test` starts one.
pub fn postgres_url() -> String {
    std::env::var("UNSTUCK_TEST_POSTGRES_URL")
        .expect("UNSTUCK_TEST_POSTGRES_URL is not set: run `make test`, or scripts/postgres.sh")
}

/// A time to start from: 2026-01-01.
const START_MS: i64 = 1_767_225_600_000;

impl TestStore {
    pub async fn sqlite() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let url = format!("sqlite://{}/test.db", folder.path().display());
        Self::open(url, Some(folder), None).await
    }

    pub async fn postgres() -> Self {
        let name = format!("t_{}", uuid::Uuid::new_v4().simple());
        let base = postgres_url();
        let mut admin = PgConnection::connect(&base).await.expect("PostgreSQL answers");
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut admin)
            .await
            .expect("a fresh database");
        admin.close().await.expect("closed");
        let (server, _) = base.rsplit_once('/').expect("a database in the URL");
        Self::open(format!("{server}/{name}"), None, Some(name)).await
    }

    async fn open(url: String, folder: Option<TempDir>, database: Option<String>) -> Self {
        let clock = TestClock(Arc::new(AtomicI64::new(START_MS)));
        let store = Store::open(&url)
            .await
            .expect("the store opens")
            .with_clock(Clock::Set(clock.0.clone()));
        Self {
            store,
            url,
            clock,
            _folder: folder,
            database,
        }
    }

    pub async fn close(self) {
        self.store.close().await;
        if let Some(name) = &self.database {
            let mut admin = PgConnection::connect(&postgres_url())
                .await
                .expect("PostgreSQL answers");
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            sqlx::query(AssertSqlSafe(drop))
                .execute(&mut admin)
                .await
                .expect("the database goes");
        }
    }
}

/// Runs one case on SQLite, then on PostgreSQL.
pub async fn each_store<Case, Done>(case: Case)
where
    Case: Fn(Store, TestClock) -> Done,
    Done: Future<Output = ()>,
{
    for test in [TestStore::sqlite().await, TestStore::postgres().await] {
        eprintln!("on {}", test.store.engine());
        case(test.store.clone(), test.clock.clone()).await;
        test.close().await;
    }
}
