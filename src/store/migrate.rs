//! Brings the tables up to date, one process at a time.

use std::{fs::File, path::Path};

use nix::fcntl::{Flock, FlockArg};
use sqlx::migrate::{MigrateError, Migrator};

use super::{
    Store, StoreError,
    db::{Db, Sql, fetch_all, fetch_scalar, sql},
};

/// How far a database's tables are, as seen without touching them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// The SQLite file does not exist.
    Absent,
    /// So many migrations are missing.
    Behind {
        engine: &'static str,
        missing: i64,
    },
    /// It has a migration that this program does not know.
    Newer {
        engine: &'static str,
        migration: i64,
    },
    UpToDate {
        engine: &'static str,
    },
}

const HAS_MIGRATIONS: Sql = sql!("SELECT count(*) FROM "
    sqlite("sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'")
    pg("pg_tables WHERE schemaname = current_schema() AND tablename = '_sqlx_migrations'"));

const APPLIED: Sql = sql!("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version");

impl Store {
    /// Looks at the database at `url` without creating or migrating it. The store is there when its tables are usable.
    ///
    /// Errors: as `open`.
    pub async fn inspect(url: &str) -> Result<(Inspection, Option<Self>), StoreError> {
        if let Some(file) = Db::sqlite_file(url)?
            && !file.exists()
        {
            return Ok((Inspection::Absent, None));
        }
        let store = Self::over(Db::open(url, false).await?);
        let engine = store.engine();
        let applied = applied(&store.db).await?;
        let known: Vec<i64> = match &store.db {
            Db::Sqlite { .. } => SQLITE.iter(),
            Db::Postgres { .. } => POSTGRES.iter(),
        }
        .map(|migration| migration.version)
        .collect();
        if let Some(migration) = applied.iter().copied().find(|version| !known.contains(version)) {
            store.close().await;
            return Ok((Inspection::Newer { engine, migration }, None));
        }
        let missing = known.iter().filter(|version| !applied.contains(version)).count();
        if missing > 0 {
            store.close().await;
            let missing = i64::try_from(missing).unwrap_or(i64::MAX);
            return Ok((Inspection::Behind { engine, missing }, None));
        }
        Ok((Inspection::UpToDate { engine }, Some(store)))
    }
}

async fn applied(db: &Db) -> Result<Vec<i64>, StoreError> {
    let mut conn = db.read().await?;
    if fetch_scalar!(&mut conn, i64, HAS_MIGRATIONS)? == 0 {
        return Ok(Vec::new());
    }
    Ok(fetch_all!(&mut conn, (i64,), APPLIED)?
        .into_iter()
        .map(|(version,)| version)
        .collect())
}

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Applies what is missing. PostgreSQL locks by itself; sqlx has no lock for SQLite, so a file beside it is locked.
pub(super) async fn migrate(db: &Db) -> Result<(), StoreError> {
    let done = match db {
        Db::Sqlite { writer, file, .. } => {
            let lock = file.with_extension("lock");
            let held = tokio::task::spawn_blocking(move || lock_file(&lock))
                .await
                .map_err(|error| StoreError::Internal(Box::new(error)))?
                .map_err(|error| {
                    StoreError::Configuration(format!("can't lock the database's folder: {error}"))
                })?;
            let done = SQLITE.run(writer).await;
            drop(held);
            done
        }
        Db::Postgres { shared, .. } => POSTGRES.run(shared).await,
    };
    done.map_err(|error| match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionNotPresent(version) => {
            StoreError::Configuration(format!(
                "the database has migration {version}, which this version does not know: run the newer version, or \
                 restore a backup made before it"
            ))
        }
        MigrateError::VersionMismatch(version) => StoreError::Configuration(format!(
            "migration {version} of the database is not the one this version brought: it was changed by hand"
        )),
        MigrateError::Execute(error) => StoreError::from(error),
        MigrateError::ExecuteMigration(error, _) => StoreError::from(error),
        other => StoreError::Internal(Box::new(other)),
    })
}

/// Waits until this process alone holds `path`.
fn lock_file(path: &Path) -> std::io::Result<Flock<File>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}
