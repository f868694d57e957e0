//! A log that nobody takes.

use std::{
    io::Read,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use super::all_succeed;
use crate::support::{
    client::{Client, PATIENCE},
    plant::{Engine, Plant, TOKEN, free_port},
    wait::eventually,
};

/// A server that says everything to a pipe of the test's own.
struct Loud {
    child: std::process::Child,
    client: Client,
}

impl Drop for Loud {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Loud {
    async fn start(plant: &Plant, log: OwnedFd) -> Self {
        let port = free_port();
        let mut command: Command = plant.command(&["serve"]);
        let child = command
            .env("UNSTUCK_LISTEN", format!("127.0.0.1:{port}"))
            .env("UNSTUCK_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        let client = Client::new(format!("http://127.0.0.1:{port}"), TOKEN);
        let loud = Self { child, client };
        eventually(PATIENCE, "serve answers", async || {
            let alive = loud
                .client
                .call(reqwest::Method::GET, "/healthz", None, None)
                .await;
            alive.is_ok_and(|reply| reply.status == 200).then_some(())
        })
        .await;
        loud
    }

    /// Starts tasks, each answered in time, until far more was logged than a pipe and a queue of lines hold.
    async fn say_much(&self, queue: &str) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..200 {
            let asked = Instant::now();
            ids.push(self.client.start(json!({"kind": "one", "queue": queue})).await);
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        }
        ids
    }
}

#[tokio::test]
async fn a_log_that_is_not_read_or_closed_stops_nothing_and_says_how_much_of_it_was_dropped() {
    let plant = Plant::new(Engine::Sqlite).await;
    let queue = plant.queue("loud");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let loud = Loud::start(&plant, writer.into()).await;
    let mut ids = loud.say_much(&queue).await;

    // Read again: the log goes on, and tells of the gap.
    let reading = std::thread::spawn(move || {
        let (mut log, mut bytes) = (Vec::new(), [0; 65_536]);
        let gap = b"so many were dropped so far";
        while !log.windows(gap.len()).any(|part| part == gap) {
            match reader.read(&mut bytes).expect("the log") {
                0 => panic!("it ended without a word about the gap"),
                read => log.extend_from_slice(&bytes[..read]),
            }
        }
        // Nobody reads it any more: the pipe closes here.
    });
    eventually(PATIENCE, "the log tells of the gap", async || {
        ids.push(loud.client.start(json!({"kind": "one", "queue": queue})).await);
        reading.is_finished().then_some(())
    })
    .await;
    reading.join().expect("it was told");
    ids.push(loud.client.start(json!({"kind": "one", "queue": queue})).await);
    assert_eq!(loud.client.get("/healthz").await.status, 200, "it lives on");
    let _worker = plant.worker(&queue, 8);
    all_succeed(&plant, &ids).await;
    drop(loud);
    plant.close().await;
}
