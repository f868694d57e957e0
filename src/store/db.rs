//! The two databases behind one text: connections, transactions, and the `sql!` statement.
//!
//! A statement is written once, with `$N` binds; the few words that only one database reads are marked in place
//! with `pg("…")` and `sqlite("…")`. A batch travels as one JSON bind, a `types::Batch`: `rows(N; id uuid, at time, …)`
//! stands for the row set in either database. In its rows a time is milliseconds and a document (`jsonb`) is its JSON
//! text (`types::document`), so that JSON null and SQL NULL stay apart.

use std::{
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

use sqlx::{
    Connection, PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::timeout;

use super::error::{StoreError, Unavailable};

/// One statement in both dialects. Made by `sql!`; `arity` is the highest `$N` in it.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
    pub(crate) arity: usize,
}

impl Sql {
    pub(crate) const fn new(sqlite: &'static str, postgres: &'static str) -> Self {
        let (here, there) = (arity(sqlite), arity(postgres));
        assert!(here == there, "both dialects of a statement take the same binds");
        Self {
            sqlite,
            postgres,
            arity: here,
        }
    }
}

/// The highest `$N` in `text`: a bind that SQLite was not given would silently be NULL.
const fn arity(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut highest, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] == b'$' {
            let mut number = 0;
            while at + 1 < bytes.len() && bytes[at + 1].is_ascii_digit() {
                at += 1;
                number = number * 10 + (bytes[at] - b'0') as usize;
            }
            if number > highest {
                highest = number;
            }
        }
        at += 1;
    }
    highest
}

/// Writes one statement for both databases; see the module's head.
macro_rules! sql {
    (@go [$($lite:tt)*] [$($pg:tt)*]) => {
        $crate::store::db::Sql::new(concat!($($lite)*), concat!($($pg)*))
    };
    (@go [$($lite:tt)*] [$($pg:tt)*] pg($text:literal) $($rest:tt)*) => {
        $crate::store::db::sql!(@go [$($lite)*] [$($pg)* $text,] $($rest)*)
    };
    (@go [$($lite:tt)*] [$($pg:tt)*] sqlite($text:literal) $($rest:tt)*) => {
        $crate::store::db::sql!(@go [$($lite)* $text,] [$($pg)*] $($rest)*)
    };
    (@go [$($lite:tt)*] [$($pg:tt)*] rows($n:literal; $($column:ident $type:ident),+ $(,)?) $($rest:tt)*) => {
        $crate::store::db::sql!(@go
            [$($lite)* "(SELECT key AS nr", $(", ", $crate::store::db::sqlite_column!($column $type),)+
                " FROM json_each($", $n, "))",]
            [$($pg)* "(SELECT nr", $(", ", $crate::store::db::postgres_column!($column $type),)+
                " FROM ROWS FROM (jsonb_to_recordset($", $n, ") AS (",
                $crate::store::db::postgres_columns!($($column $type),+),
                ")) WITH ORDINALITY AS given(", $(stringify!($column), ", ",)+ "nr))",]
            $($rest)*)
    };
    (@go [$($lite:tt)*] [$($pg:tt)*] $columns:ident!() $($rest:tt)*) => {
        $crate::store::db::sql!(@go [$($lite)* $columns!(),] [$($pg)* $columns!(),] $($rest)*)
    };
    (@go [$($lite:tt)*] [$($pg:tt)*] $text:literal $($rest:tt)*) => {
        $crate::store::db::sql!(@go [$($lite)* $text,] [$($pg)* $text,] $($rest)*)
    };
    ($($part:tt)+) => { $crate::store::db::sql!(@go [] [] $($part)+) };
}
pub(crate) use sql;

/// A column of a JSON row in SQLite.
macro_rules! sqlite_column {
    ($column:ident $type:ident) => {
        concat!("value ->> '$.", stringify!($column), "' AS ", stringify!($column))
    };
}
pub(crate) use sqlite_column;

/// The same column in PostgreSQL: times travel as milliseconds, documents as their JSON text.
macro_rules! postgres_column {
    ($column:ident jsonb) => {
        concat!(stringify!($column), "::jsonb AS ", stringify!($column))
    };
    ($column:ident time) => {
        concat!("ts(", stringify!($column), ") AS ", stringify!($column))
    };
    ($column:ident $type:ident) => {
        stringify!($column)
    };
}
pub(crate) use postgres_column;

/// The column list of `jsonb_to_recordset`.
macro_rules! postgres_columns {
    ($first:ident $first_type:ident $(, $column:ident $type:ident)*) => {
        concat!(
            stringify!($first), " ", $crate::store::db::postgres_type!($first_type)
            $(, ", ", stringify!($column), " ", $crate::store::db::postgres_type!($type))*
        )
    };
}
pub(crate) use postgres_columns;

macro_rules! postgres_type {
    (time) => {
        "bigint"
    };
    (real) => {
        "double precision"
    };
    (jsonb) => {
        "text"
    };
    ($type:ident) => {
        stringify!($type)
    };
}
pub(crate) use postgres_type;

/// A connection of either database.
pub(crate) enum Engine<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// A pooled connection for reading.
pub(crate) type Reader = Engine<PoolConnection<Sqlite>, PoolConnection<Postgres>>;
/// A writing transaction. Dropped without `commit`, it is rolled back.
pub(crate) type Tx = Engine<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>;

impl Tx {
    /// Makes everything written in it durable. After an error the outcome is unknown.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Engine::Sqlite(tx) => tx.commit().await?,
            Engine::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// Runs one `sql!` constant on a `Reader` or `Tx` and binds its arguments in order; their count is checked at compile time.
macro_rules! run {
    ($conn:expr, $make:ident $(<$row:ty>)?, $fetch:ident, $sql:expr $(, $arg:expr)*) => {{
        const { assert!($sql.arity == <[&str]>::len(&[$(stringify!($arg)),*]), "a bind is missing or left over") };
        match $conn {
            $crate::store::db::Engine::Sqlite(conn) => {
                sqlx::$make$(::<sqlx::Sqlite, $row>)?($sql.sqlite)$(.bind($arg))*.$fetch(&mut **conn).await
                    .map_err($crate::store::StoreError::from)
            }
            $crate::store::db::Engine::Postgres(conn) => {
                sqlx::$make$(::<sqlx::Postgres, $row>)?($sql.postgres)$(.bind($arg))*.$fetch(&mut **conn).await
                    .map_err($crate::store::StoreError::from)
            }
        }
    }};
}
pub(crate) use run;

/// All rows, as a `FromRow` type.
macro_rules! fetch_all {
    ($conn:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        $crate::store::db::run!($conn, query_as<$row>, fetch_all, $sql $(, $arg)*)
    };
}
pub(crate) use fetch_all;

/// The one row or none, as a `FromRow` type.
macro_rules! fetch_optional {
    ($conn:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        $crate::store::db::run!($conn, query_as<$row>, fetch_optional, $sql $(, $arg)*)
    };
}
pub(crate) use fetch_optional;

/// The first column of the one row.
macro_rules! fetch_scalar {
    ($conn:expr, $value:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        match $conn {
            conn => {
                let row: Result<($value,), $crate::store::StoreError> =
                    $crate::store::db::run!(conn, query_as<($value,)>, fetch_one, $sql $(, $arg)*);
                row.map(|(value,)| value)
            }
        }
    };
}
pub(crate) use fetch_scalar;

/// How many rows the statement changed.
macro_rules! execute {
    ($conn:expr, $sql:expr $(, $arg:expr)* $(,)?) => {{
        const { assert!($sql.arity == <[&str]>::len(&[$(stringify!($arg)),*]), "a bind is missing or left over") };
        match $conn {
            $crate::store::db::Engine::Sqlite(conn) => sqlx::query::<sqlx::Sqlite>($sql.sqlite)
                $(.bind($arg))*.execute(&mut **conn).await
                .map(|done| done.rows_affected()).map_err($crate::store::StoreError::from),
            $crate::store::db::Engine::Postgres(conn) => sqlx::query::<sqlx::Postgres>($sql.postgres)
                $(.bind($arg))*.execute(&mut **conn).await
                .map(|done| done.rows_affected()).map_err($crate::store::StoreError::from),
        }
    }};
}
pub(crate) use execute;

/// Which connections a caller draws from. Claims and heartbeats have some of their own, so that no page can cost a
/// worker its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Shared,
    Reserved,
}

/// The open database.
#[derive(Clone)]
pub(crate) enum Db {
    /// One writer, several readers: SQLite has a single writer anyway, and waiting for it in our own pool is fair.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
        file: PathBuf,
    },
    Postgres {
        shared: PgPool,
        reserved: PgPool,
    },
}

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long one who writes waits for his turn and for a lock together: with a second behind another batch
/// (services/batch.rs), whoever asked is answered within 5 s.
const PATIENCE: Duration = Duration::from_secs(4);
/// What is left for a lock at least, and how long a wait for a connection is not worth a statement that says so.
const PATIENCE_STEP: Duration = Duration::from_millis(250);

fn sqlite_options(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    SqliteConnectOptions::from_str(url)
        .map_err(|_| StoreError::Configuration("not a SQLite URL such as sqlite://unstuck.db".into()))
}

/// Whether a connection that somebody gave back can be given to the next.
///
/// SQLite rolls back by itself when its disk is full or fails; sqlx's own rollback is then refused, and it takes the
/// connection to be inside that transaction for ever.
fn is_usable(conn: &sqlx::SqliteConnection) -> bool {
    !conn.is_in_transaction()
}

impl Db {
    /// Opens `url` (`sqlite://path` or `postgres://…`); a missing SQLite file is created when `create` is set.
    ///
    /// Errors: `Configuration` for a URL that is neither; `Unavailable` when the database can't be reached.
    pub(crate) async fn open(url: &str, create: bool) -> Result<Self, StoreError> {
        if url.starts_with("sqlite:") {
            Self::open_sqlite(url, create).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url).await
        } else {
            Err(StoreError::Configuration(
                "the database URL must begin with sqlite:// or postgres://".into(),
            ))
        }
    }

    /// The file of a SQLite URL; `None` for a URL of another kind.
    pub(crate) fn sqlite_file(url: &str) -> Result<Option<PathBuf>, StoreError> {
        if !url.starts_with("sqlite:") {
            return Ok(None);
        }
        Ok(Some(sqlite_options(url)?.get_filename().to_path_buf()))
    }

    async fn open_sqlite(url: &str, create: bool) -> Result<Self, StoreError> {
        let options = sqlite_options(url)?
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(256)
            .optimize_on_close(true, None);
        let file = options.get_filename().to_path_buf();
        if file.as_os_str() == ":memory:" {
            return Err(StoreError::Configuration(
                "an in-memory SQLite database would lose every task".into(),
            ));
        }
        let pool = |size: u32| {
            SqlitePoolOptions::new()
                .max_connections(size)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .before_acquire(|conn, _| Box::pin(async move { Ok(is_usable(conn)) }))
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        // A file that is gone later was moved away: an empty one in its place would hide that.
        let existing = options.create_if_missing(false);
        writer.set_connect_options(existing.clone());
        let readers = pool(4).connect_with(existing).await?;
        Ok(Self::Sqlite {
            writer,
            readers,
            file,
        })
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| {
                StoreError::Configuration("not a PostgreSQL URL such as postgres://user@host/name".into())
            })?
            .application_name("unstuck")
            .statement_cache_capacity(256);
        let pool = |size: u32| {
            PgPoolOptions::new()
                .max_connections(size)
                .acquire_timeout(ACQUIRE_TIMEOUT)
        };
        // A statement that runs away must not hold its connection: pages are allowed 5 s, claims and heartbeats 10 s.
        // A process that is frozen in a transaction lets go of its locks, the detector's leadership among them, after 10 s.
        // Compiling costs a statement of ours more than it saves: 100 ms were measured on one of 50.
        let bounded = |limit: &str| {
            options.clone().options([
                ("statement_timeout", limit),
                ("lock_timeout", "4s"),
                ("idle_in_transaction_session_timeout", "10s"),
                ("jit", "off"),
            ])
        };
        let shared = pool(12).connect_with(bounded("5s")).await?;
        let reserved = pool(4).connect_with(bounded("10s")).await?;
        Ok(Self::Postgres { shared, reserved })
    }

    /// A connection for reading.
    pub(crate) async fn read(&self) -> Result<Reader, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Engine::Sqlite(readers.acquire().await?),
            Self::Postgres { shared, .. } => Engine::Postgres(shared.acquire().await?),
        })
    }

    /// A writing transaction; in SQLite it holds the write lock from here on.
    pub(crate) async fn begin(&self, lane: Lane) -> Result<Tx, StoreError> {
        Ok(match (self, lane) {
            (Self::Sqlite { writer, .. }, _) => {
                let begun = timeout(PATIENCE, writer.begin_with("BEGIN IMMEDIATE")).await;
                Engine::Sqlite(begun.map_err(|_| StoreError::Unavailable {
                    cause: Unavailable::Busy,
                    source: None,
                })??)
            }
            (Self::Postgres { shared, .. }, Lane::Shared) => {
                let began = Instant::now();
                let mut tx = shared.begin().await?;
                let waited = began.elapsed();
                if waited > PATIENCE_STEP {
                    let left = PATIENCE.saturating_sub(waited).max(PATIENCE_STEP).as_millis();
                    sqlx::query("SELECT set_config('lock_timeout', $1, true)")
                        .bind(left.to_string())
                        .execute(&mut *tx)
                        .await?;
                }
                Engine::Postgres(tx)
            }
            (Self::Postgres { reserved, .. }, Lane::Reserved) => Engine::Postgres(reserved.begin().await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { shared, reserved } => {
                shared.close().await;
                reserved.close().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_written_once_and_differs_only_where_marked() {
        const DUE: Sql = sql!("SELECT id FROM outbox WHERE at <= $1 LIMIT $2" pg(" FOR UPDATE SKIP LOCKED"));
        assert_eq!(DUE.sqlite, "SELECT id FROM outbox WHERE at <= $1 LIMIT $2");
        assert_eq!(
            DUE.postgres,
            "SELECT id FROM outbox WHERE at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED"
        );
        assert_eq!(DUE.arity, 2);
    }

    #[test]
    fn a_batch_is_one_bind_in_both_databases() {
        const ROWS: Sql = sql!("SELECT id, at FROM " rows(1; id uuid, at time, body jsonb) " r");
        assert!(ROWS.sqlite.contains("value ->> '$.at' AS at"), "{}", ROWS.sqlite);
        assert!(ROWS.postgres.contains("ts(at) AS at"), "{}", ROWS.postgres);
        assert!(
            ROWS.postgres.contains("AS (id uuid, at bigint, body text)"),
            "{}",
            ROWS.postgres
        );
        assert_eq!(ROWS.arity, 1);
    }
}
