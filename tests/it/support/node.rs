//! A RabbitMQ node of the test's own: to be killed, starved and misconfigured.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tokio::sync::Mutex;
use unstuck::broker::BrokerConfig;

/// A node needs a core to start: one at a time.
static STARTING: Mutex<()> = Mutex::const_new(());

/// How much of its log a failed test shows.
const LAST_LINES: usize = 30;

/// Destroyed when dropped.
pub struct Node {
    folder: TempDir,
    options: Vec<(&'static str, &'static str)>,
}

impl Node {
    /// A fresh node. `options` are those of `scripts/node.sh`, such as `RMQ_FAST`.
    pub async fn start(options: &[(&'static str, &'static str)]) -> Self {
        let _turn = STARTING.lock().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = Self {
            folder,
            options: options.to_vec(),
        };
        node.run(&["start"]).await;
        node
    }

    /// `scripts/node.sh` with these arguments; returns what it printed.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("it ran");
        let output = output.expect("scripts/node.sh runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "scripts/node.sh {arguments:?} failed: {told}"
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `rabbitmqctl` with these arguments. About a second.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        self.run(&[&["ctl"], arguments].concat()).await
    }

    pub async fn amqp_url(&self) -> String {
        self.url("AMQP_URL=").await
    }

    pub async fn management_url(&self) -> String {
        self.url("MANAGEMENT_URL=").await
    }

    pub async fn config(&self) -> BrokerConfig {
        let (amqp, management) = (self.amqp_url().await, self.management_url().await);
        BrokerConfig::parse(&amqp, Some(&management)).expect("the node's URLs are right")
    }

    async fn url(&self, key: &str) -> String {
        let told = self.run(&["env"]).await;
        let url = told.lines().find_map(|line| line.strip_prefix(key));
        url.expect("scripts/node.sh env prints it").to_owned()
    }

    /// Shows the end of each of its logs.
    fn tell_log(&self) {
        let logs = std::fs::read_dir(self.folder.path().join("node/log"));
        for log in logs.into_iter().flatten().flatten() {
            let text = std::fs::read(log.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            eprintln!("— the node's {} said last:\n{last}", log.path().display());
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/node.sh");
        let mut command = Command::new(script);
        command
            .args(arguments)
            .env("RMQ_BASE", self.folder.path().join("node"))
            .envs(self.options.iter().copied());
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_log();
        }
        let ended = self.command(&["destroy"]).status();
        if !ended.is_ok_and(|status| status.success()) {
            eprintln!(
                "the test's RabbitMQ node in {} could not be destroyed",
                self.folder.path().display()
            );
        }
    }
}
