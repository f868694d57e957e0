//! `unstuck serve` as a process of its own, on a database and the test broker.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{databases::Database, raw::amqp_url};

pub const TOKEN: &str = "bench-token-0123456789";
pub const EMAIL: &str = "bench@example.com";
pub const PASSWORD: &str = "a bench of four words";

pub struct Server {
    child: Child,
    pub base: String,
}

impl Server {
    /// Starts it and waits until it answers.
    pub async fn start(database: &Database) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .expect("a port")
            .port();
        let child = Command::new(env!("CARGO_BIN_EXE_unstuck"))
            .arg("serve")
            .env("UNSTUCK_DATABASE_URL", &database.url)
            .env("UNSTUCK_AMQP_URL", amqp_url())
            .env(
                "UNSTUCK_MANAGEMENT_URL",
                std::env::var("UNSTUCK_TEST_MANAGEMENT_URL").unwrap_or_default(),
            )
            .env("UNSTUCK_LISTEN", format!("127.0.0.1:{port}"))
            .env("UNSTUCK_API_TOKEN", TOKEN)
            .env("UNSTUCK_ADMIN_EMAIL", EMAIL)
            .env("UNSTUCK_ADMIN_PASSWORD", PASSWORD)
            .env("UNSTUCK_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        let server = Self {
            child,
            base: format!("http://127.0.0.1:{port}"),
        };
        let client = reqwest::Client::new();
        for _ in 0..300 {
            if client
                .get(format!("{}/healthz", server.base))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the server did not answer within 30 s");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("the server was running");
        self.child.wait().expect("the server ended");
    }
}
