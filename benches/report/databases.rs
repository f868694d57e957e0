//! A fresh database for one engine's measurements.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

pub struct Database {
    pub engine: &'static str,
    pub url: String,
    folder: Option<TempDir>,
    name: Option<String>,
}

fn server() -> String {
    std::env::var("UNSTUCK_TEST_POSTGRES_URL").expect("UNSTUCK_TEST_POSTGRES_URL is set by `make bench`")
}

impl Database {
    pub async fn fresh(engine: &'static str) -> Self {
        if engine == "sqlite" {
            let folder =
                TempDir::new_in(std::env::current_dir().expect("a folder")).expect("a temporary folder");
            let url = format!("sqlite://{}/bench.db", folder.path().display());
            return Self {
                engine,
                url,
                folder: Some(folder),
                name: None,
            };
        }
        let name = format!("bench_{}", uuid::Uuid::new_v4().simple());
        let base = server();
        let mut admin = PgConnection::connect(&base).await.expect("PostgreSQL answers");
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut admin)
            .await
            .expect("created");
        let (host, _) = base.rsplit_once('/').expect("a database in the URL");
        Self {
            engine,
            url: format!("{host}/{name}"),
            folder: None,
            name: Some(name),
        }
    }

    pub async fn drop(self) {
        if let Some(folder) = self.folder {
            folder.close().expect("the folder goes");
        }
        if let Some(name) = self.name {
            let mut admin = PgConnection::connect(&server())
                .await
                .expect("PostgreSQL answers");
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            sqlx::query(AssertSqlSafe(drop))
                .execute(&mut admin)
                .await
                .expect("dropped");
        }
    }
}
