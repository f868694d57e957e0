//! A database that somebody else locks.

use sqlx::{Connection, PgConnection, SqliteConnection};

use super::{client::PATIENCE, wait::eventually};

/// Held until `release`, or until it is dropped.
pub enum Lock {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Lock {
    /// SQLite's write lock, which nobody else gets meanwhile; on PostgreSQL the tasks, for readers too.
    pub async fn take(database_url: &str) -> Self {
        if database_url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(database_url).await.expect("connected");
            eventually(PATIENCE, "the lock is ours", async || {
                sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.ok()
            })
            .await;
            Self::Sqlite(connection)
        } else {
            let mut connection = PgConnection::connect(database_url).await.expect("connected");
            for statement in ["BEGIN", "LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE"] {
                sqlx::query(statement)
                    .execute(&mut connection)
                    .await
                    .expect("done");
            }
            Self::Postgres(connection)
        }
    }

    pub async fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.expect("let go"),
            Self::Postgres(connection) => connection.close().await.expect("let go"),
        }
    }
}
