//! Programs that create and start tasks without pause, and know of each whether it was promised.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    client::{Client, PATIENCE, id},
    wait::eventually,
};

/// A task that was asked for.
#[derive(Clone, Debug)]
pub struct Sent {
    key: String,
    task: Value,
    /// None: no answer, or one that promised nothing.
    pub id: Option<String>,
}

impl Sent {
    /// Asks once for the start of the task.
    pub async fn once(client: &Client, mut task: Value) -> Self {
        task["start"] = json!(true);
        let key = uuid::Uuid::new_v4().to_string();
        let id = send(client, &key, &task).await;
        Self { key, task, id }
    }
}

pub struct Load {
    stop: CancellationToken,
    programs: JoinSet<Vec<Sent>>,
    promised: Arc<AtomicUsize>,
    not_promised: Arc<AtomicUsize>,
}

impl Load {
    /// One program for each of `clients`, each with a start every `pace`. `make` gives the n-th task.
    pub fn start(
        clients: Vec<Client>,
        pace: Duration,
        make: impl Fn(usize) -> Value + Send + Sync + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let (promised, not_promised) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (make, next) = (Arc::new(make), Arc::new(AtomicUsize::new(0)));
        let mut programs = JoinSet::new();
        for client in clients {
            let (stop, promised, not_promised) = (stop.clone(), promised.clone(), not_promised.clone());
            let (make, next) = (make.clone(), next.clone());
            programs.spawn(async move {
                let mut sent = Vec::new();
                let mut ticks = tokio::time::interval(pace);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                while !stop.is_cancelled() {
                    ticks.tick().await;
                    let one = Sent::once(&client, make(next.fetch_add(1, Ordering::SeqCst))).await;
                    let count = if one.id.is_some() {
                        &promised
                    } else {
                        &not_promised
                    };
                    count.fetch_add(1, Ordering::SeqCst);
                    sent.push(one);
                }
                sent
            });
        }
        Self {
            stop,
            programs,
            promised,
            not_promised,
        }
    }

    /// How many starts were promised so far.
    pub fn promised(&self) -> usize {
        self.promised.load(Ordering::SeqCst)
    }

    /// Waits until `more` further starts were promised.
    pub async fn until_more(&self, more: usize) {
        let goal = self.promised() + more;
        eventually(
            PATIENCE,
            &format!("{more} more starts are promised"),
            async || (self.promised() >= goal).then_some(()),
        )
        .await;
    }

    /// Waits until a start got no answer, or one that promised nothing.
    pub async fn until_one_is_not_promised(&self) {
        eventually(PATIENCE, "a start is not promised", async || {
            (self.not_promised.load(Ordering::SeqCst) > 0).then_some(())
        })
        .await;
    }

    pub async fn stop(self) -> Vec<Sent> {
        self.stop.cancel();
        self.programs.join_all().await.into_iter().flatten().collect()
    }
}

/// The task's id when it was promised. Panics when it was refused: every task of the load is right.
async fn send(client: &Client, key: &str, task: &Value) -> Option<String> {
    let reply = client
        .call(Method::POST, "/api/v1/tasks", Some(key), Some(task))
        .await
        .ok()?;
    match reply.status {
        201 => Some(id(&reply.body)),
        status if status >= 500 => None,
        status => panic!("refused with {status}: {}", reply.body),
    }
}

/// Asks once more for everything that was not promised, with the same keys, until it is. Gives the ids of all.
///
/// Panics when a key gives another task than it gave before.
pub async fn promised_at_last(client: &Client, sent: Vec<Sent>) -> Vec<String> {
    let mut ids = Vec::with_capacity(sent.len());
    for (number, Sent { key, task, id }) in sent.into_iter().enumerate() {
        // Asking again for each of the promised ones would only take long.
        if let Some(id) = id.clone().filter(|_| number % 10 != 0) {
            ids.push(id);
            continue;
        }
        let again = eventually(PATIENCE, "a start is promised", async || {
            send(client, &key, &task).await
        })
        .await;
        assert!(id.is_none_or(|id| id == again), "one key, two tasks");
        ids.push(again);
    }
    let unique: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "two keys, one task");
    ids
}
