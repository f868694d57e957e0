//! Brings the tables up to date, one process at a time.

use std::{fs::File, path::Path};

use nix::fcntl::{Flock, FlockArg};
use sqlx::migrate::MigrateError;

use super::{StoreError, db::Db};

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
            let done = sqlx::migrate!("migrations/sqlite").run(writer).await;
            drop(held);
            done
        }
        Db::Postgres { shared, .. } => sqlx::migrate!("migrations/postgres").run(shared).await,
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
