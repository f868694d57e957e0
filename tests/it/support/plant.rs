//! A whole installation of a test's own: a database, the processes of the built binary, and a program that writes
//! down what it does. The broker is the shared one, or a node of the test's own.

use std::{
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::{
    broker::{self, Outside},
    chaos::Chaos,
    client::{Client, PATIENCE},
    death::Death,
    journal::{Journal, Sink},
    process::{Process, kill_marked},
    store::postgres_url,
    veil::Veil,
    wait::eventually,
    wall_clock::WallClock,
};

/// A secret: the logs must not show it.
pub const TOKEN: &str = "tk-4a1fb3c05d2e4c1d9e8f";
pub const ADMIN_PASSWORD: &str = "pw-9d2c77e1b0a84f";

/// The variable that marks every process of an installation, the tasks' programs included.
const JOURNAL: &str = "JOURNAL";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

pub const BOTH: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

pub struct Plant {
    sink: Sink,
    folder: TempDir,
    pub database_url: String,
    /// Made for this plant, to be dropped with it.
    database: Option<String>,
    amqp_url: String,
    management_url: String,
    settings: Vec<(&'static str, String)>,
    port: u16,
    spawned: AtomicUsize,
    queues: Mutex<Vec<String>>,
    wall_clock: Option<WallClock>,
}

/// A running `unstuck serve`, and a client of it.
pub struct Serve {
    pub process: Process,
    pub client: Client,
}

impl Plant {
    /// On the shared broker, with a lease of 5 s and a look of the detector each second.
    pub async fn new(engine: Engine) -> Self {
        Self::at_defaults(engine)
            .await
            .set("LEASE_S", 5)
            .set("DETECT_EVERY_S", 1)
    }

    /// On the shared broker, with nothing set but addresses and secrets.
    pub async fn at_defaults(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (database_url, database) = match engine {
            Engine::Sqlite => (format!("sqlite://{}/unstuck.db", folder.path().display()), None),
            Engine::Postgres => {
                let (url, name) = fresh_database(&postgres_url()).await;
                (url, Some(name))
            }
        };
        Self {
            sink: Sink::spawn(folder.path().join("journal")),
            folder,
            database_url,
            database,
            amqp_url: broker::amqp_url(),
            management_url: broker::management_url(),
            settings: Vec::new(),
            port: free_port(),
            spawned: AtomicUsize::new(0),
            queues: Mutex::default(),
            wall_clock: None,
        }
    }

    /// Every process started from now on runs by this clock.
    pub fn keep_time_by(&mut self, clock: &WallClock) {
        self.wall_clock = Some(clock.clone());
    }

    /// Sets `UNSTUCK_<key>` for every process started from now on.
    pub fn set(mut self, key: &'static str, value: impl ToString) -> Self {
        self.settings.retain(|(set, _)| *set != key);
        self.settings.push((key, value.to_string()));
        self
    }

    /// Uses this broker instead of the shared one.
    pub fn on_broker(mut self, amqp_url: &str, management_url: &str) -> Self {
        self.amqp_url = amqp_url.to_owned();
        self.management_url = management_url.to_owned();
        self
    }

    /// Reaches the broker by way of this proxy.
    pub fn through(self, chaos: &Chaos) -> Self {
        let (amqp, management) = (chaos.url(&self.amqp_url), self.management_url.clone());
        self.on_broker(&amqp, &management)
    }

    /// Looks at the management API by way of this.
    pub fn managed_through(mut self, veil: &Veil) -> Self {
        self.watch_through(veil);
        self
    }

    /// The same, for what is started from now on.
    pub fn watch_through(&mut self, veil: &Veil) {
        self.management_url = veil.url(&self.management_url);
    }

    pub fn amqp_url(&self) -> &str {
        &self.amqp_url
    }

    pub fn management_url(&self) -> &str {
        &self.management_url
    }

    /// Uses this PostgreSQL database instead of one of the shared server.
    pub fn on_database(mut self, url: &str) -> Self {
        self.database_url = url.to_owned();
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A queue name of this plant's; the queue goes when the plant is closed.
    pub fn queue(&self, name: &str) -> String {
        let queue = broker::unique(name);
        self.queues.lock().expect("not poisoned").push(queue.clone());
        queue
    }

    pub async fn outside(&self) -> Outside {
        Outside::connect_to(&self.amqp_url).await
    }

    /// Sets the wait that the queue's users put up with.
    pub async fn set_backlog_target(&self, queue: &str, seconds: u64) {
        let statement = format!("UPDATE queues SET backlog_target_s = {seconds} WHERE name = '{queue}'");
        assert_eq!(self.execute(statement).await, 1, "{queue} is known");
    }

    /// Runs a statement past Unstuck's code; how many rows it changed.
    pub async fn execute(&self, statement: String) -> u64 {
        execute(&self.database_url, statement).await
    }

    /// Sends tracers to the queue from now on.
    pub async fn trace(&self, queue: &str) {
        let statement = format!("UPDATE queues SET traced = true WHERE name = '{queue}'");
        let changed = execute(&self.database_url, statement).await;
        assert_eq!(changed, 1, "{queue} is known");
    }

    /// The binary with a subcommand and this plant's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_under(&[], arguments)
    }

    /// The same, run by another program that becomes it.
    fn command_under(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let program = program();
        let line = [wrapper, &[program.as_str()], arguments].concat();
        let mut command = Command::new(line[0]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("UNSTUCK_") {
                command.env_remove(name);
            }
        }
        command
            .args(&line[1..])
            .current_dir(self.folder())
            .env(JOURNAL, self.sink.journal())
            .env("UNSTUCK_DATABASE_URL", &self.database_url)
            .env("UNSTUCK_AMQP_URL", &self.amqp_url)
            .env("UNSTUCK_MANAGEMENT_URL", &self.management_url)
            .env("UNSTUCK_API_TOKEN", TOKEN)
            .env("UNSTUCK_ADMIN_EMAIL", "admin@example.com")
            .env("UNSTUCK_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .env("UNSTUCK_LOG", "info");
        for (key, value) in &self.settings {
            command.env(format!("UNSTUCK_{key}"), value);
        }
        if let Some(clock) = &self.wall_clock {
            clock.rule(&mut command);
        }
        command
    }

    fn spawn(&self, name: &str, command: Command) -> Process {
        let number = self.spawned.fetch_add(1, Ordering::SeqCst);
        Process::spawn(&format!("{number:02}-{name}"), command, self.folder())
    }

    /// Starts `unstuck serve` on this plant's address, and waits until it answers.
    pub async fn serve(&self) -> Serve {
        self.serve_on(self.port, &[]).await
    }

    /// The same, run by a program that becomes it.
    pub async fn serve_under(&self, wrapper: &[&str]) -> Serve {
        self.serve_on(self.port, wrapper).await
    }

    /// The same under `death`, without waiting.
    pub fn doomed_serve(&self, death: &Death) -> Process {
        let mut command = self.command(&["serve"]);
        command.env("UNSTUCK_LISTEN", format!("127.0.0.1:{}", self.port));
        self.spawn("serve", death.of(&command))
    }

    /// Starts one more `unstuck serve`.
    pub async fn serve_beside(&self) -> Serve {
        self.serve_on(free_port(), &[]).await
    }

    async fn serve_on(&self, port: u16, wrapper: &[&str]) -> Serve {
        let mut command = self.command_under(wrapper, &["serve"]);
        command.env("UNSTUCK_LISTEN", format!("127.0.0.1:{port}"));
        let mut process = self.spawn("serve", command);
        let client = Client::new(format!("http://127.0.0.1:{port}"), TOKEN);
        eventually(PATIENCE, "serve answers", async || {
            assert!(process.is_running(), "serve ended: {}", process.log());
            let alive = client.call(reqwest::Method::GET, "/healthz", None, None).await;
            alive.is_ok_and(|reply| reply.status == 200).then_some(())
        })
        .await;
        Serve { process, client }
    }

    /// A client of this plant's `serve`, whether it runs or not.
    pub fn client(&self) -> Client {
        Client::new(format!("http://127.0.0.1:{}", self.port), TOKEN)
    }

    /// Starts a worker that runs the program, this many tasks at once.
    pub fn worker(&self, queue: &str, concurrency: u16) -> Process {
        self.worker_with(queue, &["--concurrency", &concurrency.to_string()])
    }

    /// The same with these flags.
    pub fn worker_with(&self, queue: &str, flags: &[&str]) -> Process {
        self.worker_at(queue, flags, &[])
    }

    /// The same with these variables set over the plant's.
    pub fn worker_at(&self, queue: &str, flags: &[&str], settings: &[(&str, &str)]) -> Process {
        let mut command = self.working(queue, flags);
        command.envs(settings.iter().copied());
        self.spawn("worker", command)
    }

    /// A worker under `death`.
    pub fn doomed_worker(&self, queue: &str, death: &Death) -> Process {
        self.spawn("worker", death.of(&self.working(queue, &["--concurrency", "2"])))
    }

    fn working(&self, queue: &str, flags: &[&str]) -> Command {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/program.sh");
        let arguments = [&["worker", "--queue", queue][..], flags, &["--exec", program]].concat();
        self.command(&arguments)
    }

    /// What the tasks' programs have done so far.
    pub fn journal(&self) -> Journal {
        self.sink.read()
    }

    /// Waits until the program of this attempt wrote this word.
    pub async fn until_noted(&self, word: &str, task: &str, attempt: i64) {
        eventually(
            PATIENCE,
            &format!("{word} of task {task}, attempt {attempt}"),
            async || self.journal().noted(word, task, attempt).then_some(()),
        )
        .await;
    }

    /// Lets every program go on that waits for this name.
    pub fn open(&self, name: &str) {
        std::fs::write(self.folder().join(format!("journal.{name}")), "").expect("the gate opens");
    }

    /// The process ids of the tasks' programs that run now.
    pub fn programs(&self) -> Vec<i32> {
        let is_program = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.windows(10).any(|part| part == b"program.sh") && line.starts_with(b"/bin/sh")
        };
        super::process::marked(JOURNAL, self.sink.journal())
            .into_iter()
            .filter(is_program)
            .collect()
    }

    /// The logs of all its processes, by name.
    pub fn logs(&self) -> Vec<(String, String)> {
        let files = std::fs::read_dir(self.folder()).expect("its folder");
        let logs = files.filter_map(|file| {
            let path = file.ok()?.path();
            let is_log = path.extension().is_some_and(|end| end == "log");
            is_log.then(|| {
                (
                    path.display().to_string(),
                    std::fs::read_to_string(&path).expect("a log"),
                )
            })
        });
        logs.collect()
    }

    /// Deletes its queues and its database. What runs must have ended.
    pub async fn close(self) {
        let queues = std::mem::take(&mut *self.queues.lock().expect("not poisoned"));
        if !queues.is_empty() {
            let outside = self.outside().await;
            for queue in queues {
                outside.delete(&queue).await;
            }
        }
        if let Some(name) = &self.database {
            let mut admin = PgConnection::connect(&postgres_url())
                .await
                .expect("PostgreSQL answers");
            sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
                .execute(&mut admin)
                .await
                .expect("the database goes");
        }
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        kill_marked(JOURNAL, self.sink.journal());
    }
}

/// `UNSTUCK_BIN`, such as the program that is shipped; else the one that was built with these tests.
fn program() -> String {
    std::env::var("UNSTUCK_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_unstuck").to_owned())
}

/// Runs one statement on the database at `url`, past the product; how many rows it changed.
pub async fn execute(url: &str, statement: String) -> u64 {
    let statement = AssertSqlSafe(statement);
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.expect("the file opens");
        let done = sqlx::query(statement)
            .execute(&mut connection)
            .await
            .expect("done");
        connection.close().await.expect("closed");
        done.rows_affected()
    } else {
        let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
        let done = sqlx::query(statement)
            .execute(&mut connection)
            .await
            .expect("done");
        connection.close().await.expect("closed");
        done.rows_affected()
    }
}

/// Makes a database on that server; its address and name.
async fn fresh_database(server: &str) -> (String, String) {
    let name = format!("t_{}", uuid::Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(server).await.expect("PostgreSQL answers");
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut admin)
        .await
        .expect("a fresh database");
    let (base, _) = server.rsplit_once('/').expect("a database in the URL");
    (format!("{base}/{name}"), name)
}

/// A port nobody listens on, below the range that the system gives to outgoing connections: a process that is killed
/// must get it back.
pub fn free_port() -> u16 {
    loop {
        let port = 12_000 + rand::random::<u16>() % 8_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
