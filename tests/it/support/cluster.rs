//! A PostgreSQL server of the test's own, to be killed.

use std::{path::Path, process::Command};

use tempfile::TempDir;

/// Destroyed when dropped.
pub struct Cluster {
    folder: TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cluster = Self { folder };
        cluster.run("start").await;
        cluster
    }

    /// `scripts/postgres.sh` with this action; returns what it printed.
    pub async fn run(&self, action: &'static str) -> String {
        let mut command = self.command(action);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("it ran");
        let output = output.expect("scripts/postgres.sh runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "scripts/postgres.sh {action} failed: {told}"
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub async fn database_url(&self) -> String {
        let told = self.run("env").await;
        let url = told.lines().find_map(|line| line.strip_prefix("DATABASE_URL="));
        url.expect("scripts/postgres.sh env prints it").to_owned()
    }

    fn command(&self, action: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres.sh");
        let mut command = Command::new(script);
        command
            .arg(action)
            .env("PG_BASE", self.folder.path().join("cluster"));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let ended = self.command("destroy").status();
        if !ended.is_ok_and(|status| status.success()) {
            let place = self.folder.path().display();
            eprintln!("the test's PostgreSQL server in {place} could not be destroyed");
        }
    }
}
