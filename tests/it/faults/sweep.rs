//! A sweep in the manner of SQLite's own tests: `serve` and the worker are killed at the N-th call of each kind that
//! writes anything, N = 1, 2, … until nothing is killed any more; what is started again goes on from there.
//!
//! `serve` is server and relay in one: its writes to the database, to the broker and to its clients are all swept over.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    client::{Client, PATIENCE},
    death::{Death, kill9_traced},
    load::{Sent, promised_at_last},
    plant::{Engine, Plant},
    process::Process,
    truth::{Truth, check, sound},
    wait::eventually,
};

/// The calls by which anything leaves a process.
const CALLS: &[&str] = &["fsync", "pwrite64", "write", "sendto", "writev"];
/// On PostgreSQL nothing is written to files.
const SENDING: &[&str] = &["write", "sendto", "writev"];
/// Tasks of one try.
const TASKS: u32 = 3;
/// No thread makes so many calls in one try.
const LAST: u32 = 4_000;

/// Which calls are tried: all of them, or, in the short form, one of each span that is twice as long as the one before.
struct Places {
    next: u32,
    all: bool,
}

impl Places {
    fn new() -> Self {
        Self {
            next: 1,
            all: is_full(),
        }
    }
}

/// The full form goes over every place, on both databases; the short one has one database for each role.
fn is_full() -> bool {
    std::env::var("UNSTUCK_TEST_SWEEP").is_ok_and(|asked| asked == "full")
}

impl Iterator for Places {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let first = self.next;
        self.next += if self.all { 1 } else { first };
        (first < LAST).then(|| first + rand::random::<u32>() % (self.next - first))
    }
}

/// One call of one role on one database.
struct Sweep<'a> {
    plant: &'a Plant,
    client: Client,
    queue: String,
    call: &'static str,
    sent: Vec<Sent>,
    deaths: u32,
}

impl<'a> Sweep<'a> {
    fn new(plant: &'a Plant, call: &'static str) -> Self {
        Self {
            plant,
            client: plant.client(),
            queue: plant.queue(call),
            call,
            sent: Vec::new(),
            deaths: 0,
        }
    }

    /// Lets `start` bring up a process that dies at each place in turn, with work before it. Ends when it had its work
    /// done and nothing was killed.
    async fn over(&mut self, start: impl Fn(&Death) -> Process) {
        for nth in Places::new() {
            let death = Death::at(self.call, nth, self.plant.folder());
            let mut doomed = start(&death);
            self.try_once(&mut doomed).await;
            // What is killed now would count as well.
            let came = death.came();
            kill9_traced(doomed).await;
            sound(self.plant).await;
            if !came {
                return;
            }
            self.deaths += 1;
        }
        panic!("{} calls of {} in one try", LAST, self.call);
    }

    async fn try_once(&mut self, doomed: &mut Process) {
        eventually(PATIENCE, "it answers, or is dead", async || {
            (self.answers().await || !doomed.is_running()).then_some(())
        })
        .await;
        let mut open = BTreeSet::new();
        for nr in 0..TASKS {
            let payload = if nr == 0 { "good=2" } else { "steps=1" };
            let task = json!({"kind": "sweep", "queue": self.queue, "payload": payload, "max_attempts": 100});
            let one = Sent::once(&self.client, task).await;
            open.extend(one.id.clone());
            self.sent.push(one);
        }
        eventually(PATIENCE, "its work is done, or it is dead", async || {
            for id in open.clone() {
                if self.has_ended(&id).await {
                    open.remove(&id);
                }
            }
            (open.is_empty() || !doomed.is_running()).then_some(())
        })
        .await;
    }

    async fn answers(&self) -> bool {
        self.asked("/healthz").await.is_some()
    }

    async fn has_ended(&self, id: &str) -> bool {
        let task = self.asked(&format!("/api/v1/tasks/{id}")).await;
        task.is_some_and(|task| task["finished_at"].is_string())
    }

    async fn asked(&self, path: &str) -> Option<Value> {
        let reply = self.client.call(reqwest::Method::GET, path, None, None).await;
        reply
            .ok()
            .filter(|reply| reply.status == 200)
            .map(|reply| reply.body)
    }
}

/// Everything that was ever asked for is stored once and ends, and nothing else is there.
async fn all_is_well(plant: &Plant, sweeps: Vec<Sweep<'_>>, role: &str) {
    let mut ids = Vec::new();
    for sweep in sweeps {
        eprintln!("{role}: {} deaths at {}", sweep.deaths, sweep.call);
        assert!(sweep.deaths > 0, "{} kills nothing", sweep.call);
        ids.extend(promised_at_last(&sweep.client, sweep.sent).await);
    }
    check(plant, &ids).await;
    let asked: BTreeSet<&String> = ids.iter().collect();
    let truth = Truth::read(plant).await;
    let stored: BTreeSet<&String> = truth.tasks.keys().collect();
    assert_eq!(stored, asked, "what nobody asked for is there");
}

async fn sweep_serve(engine: Engine, call: &'static str) {
    let plant = Plant::new(engine).await;
    let mut sweep = Sweep::new(&plant, call);
    let worker = plant.worker(&sweep.queue, 2);
    sweep.over(|death| plant.doomed_serve(death)).await;
    let serve = plant.serve().await;
    all_is_well(&plant, vec![sweep], "serve").await;
    drop((worker, serve));
    plant.close().await;
}

async fn sweep_worker(engine: Engine, calls: &[&'static str]) {
    let plant = Plant::new(engine).await;
    let serve = plant.serve().await;
    let sweeps = calls.iter().map(async |call| {
        let mut sweep = Sweep::new(&plant, call);
        let queue = sweep.queue.clone();
        sweep.over(|death| plant.doomed_worker(&queue, death)).await;
        sweep
    });
    let sweeps = join_all(sweeps).await;
    let workers: Vec<Process> = sweeps.iter().map(|sweep| plant.worker(&sweep.queue, 2)).collect();
    all_is_well(&plant, sweeps, "worker").await;
    drop((workers, serve));
    plant.close().await;
}

#[tokio::test]
async fn serve_killed_at_any_call_that_writes_loses_and_invents_nothing() {
    join_all(CALLS.iter().map(|call| sweep_serve(Engine::Sqlite, call))).await;
    if is_full() {
        join_all(SENDING.iter().map(|call| sweep_serve(Engine::Postgres, call))).await;
    }
}

#[tokio::test]
async fn a_worker_killed_at_any_call_that_writes_loses_and_invents_nothing() {
    if is_full() {
        sweep_worker(Engine::Sqlite, &["fsync", "pwrite64", "write", "sendto"]).await;
    }
    sweep_worker(Engine::Postgres, &["write", "sendto"]).await;
}
