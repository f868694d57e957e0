//! The installation that a scenario is played on, and what its fault and its remedy are made of.

use std::{
    any::Any,
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use unstuck::domain::finding::Verdict;

use super::{
    acts::Acts,
    dice::Dice,
    said::{Said, Subject, now_ms, said},
    scenario::{Ground, On, Scenario, Variant},
};
use crate::support::{
    broker::{Outside, amqp_url},
    chaos::Chaos,
    client::{Client, PATIENCE, Reply, id},
    cluster::Cluster,
    load::{Load, promised_at_last},
    node::Node,
    plant::{Engine, Plant, Serve},
    process::Process,
    veil::Veil,
    wait::eventually,
};

mod broker;

pub struct Stage {
    pub client: Client,
    pub dice: Dice,
    pub queue_type: &'static str,
    /// On `Ground::Proxied`.
    pub chaos: Option<Chaos>,
    /// On `Ground::Veiled`.
    pub veil: Option<Veil>,
    /// On `Ground::Node`.
    pub node: Option<Node>,
    /// On `Ground::Cluster`.
    pub cluster: Option<Cluster>,
    pub serves: Vec<Serve>,
    pub workers: BTreeMap<&'static str, Process>,
    tasks: BTreeMap<&'static str, Vec<String>>,
    queues: BTreeMap<&'static str, String>,
    loads: Vec<Load>,
    pub acts: Acts,
    /// When each finding was first seen, by its id.
    seen_ms: RefCell<HashMap<String, i64>>,
    /// Connections and programs that live as long as the scenario, or until they are let go by their label.
    held: BTreeMap<&'static str, Box<dyn Any>>,
    /// When the harm was done, in Unix milliseconds; for some labels at another time.
    marked_ms: i64,
    marked_of: BTreeMap<&'static str, i64>,
    /// When its remedy began, in Unix milliseconds.
    pub mended_ms: i64,
    /// Its folder goes with it: the last of all.
    pub plant: Plant,
}

impl Stage {
    pub async fn new(scenario: &Scenario, variant: Variant, dice: Dice, node: Option<Node>) -> Self {
        let (lease_s, detect_every_s) = scenario.pace.settings();
        let engine = match scenario.ground {
            Ground::Cluster => Engine::Sqlite, // it gets another database below
            _ => variant.engine,
        };
        let mut plant = Plant::at_defaults(engine)
            .await
            .set("LEASE_S", lease_s)
            .set("DETECT_EVERY_S", detect_every_s)
            .set("QUEUE_TYPE", variant.queue_type);
        let (mut chaos, mut veil, mut cluster) = (None, None, None);
        match scenario.ground {
            Ground::Shared => {}
            Ground::Proxied => {
                let proxy = Chaos::before(&amqp_url()).await;
                plant = plant.through(&proxy);
                chaos = Some(proxy);
            }
            Ground::Veiled => {
                let before = Veil::before(plant.management_url()).await;
                plant = plant.managed_through(&before);
                veil = Some(before);
            }
            Ground::Node => {
                let node = node.as_ref().expect("the runner hands a node over");
                plant = plant.on_broker(&node.amqp_url().await, &node.management_url().await);
            }
            Ground::Cluster => {
                let server = Cluster::start().await;
                plant = plant.on_database(&server.database_url().await);
                cluster = Some(server);
            }
        }
        Self {
            client: plant.client(),
            plant,
            dice,
            queue_type: variant.queue_type,
            chaos,
            veil,
            node,
            cluster,
            serves: Vec::new(),
            workers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            queues: BTreeMap::new(),
            loads: Vec::new(),
            acts: Acts::default(),
            seen_ms: RefCell::default(),
            held: BTreeMap::new(),
            marked_ms: 0,
            marked_of: BTreeMap::new(),
            mended_ms: i64::MAX,
        }
    }

    // --- processes

    pub async fn serve(&mut self) {
        let serve = self.plant.serve().await;
        self.client = serve.client.clone();
        self.serves.push(serve);
    }

    /// One more `serve`, which is asked from now on.
    pub async fn serve_beside(&mut self) {
        let serve = self.plant.serve_beside().await;
        self.client = serve.client.clone();
        self.serves.push(serve);
    }

    pub async fn worker(&mut self, label: &'static str, queue: &'static str, concurrency: u16) {
        let queue = self.queue(queue);
        let worker = self.plant.worker(&queue, concurrency);
        self.workers.insert(label, worker);
    }

    /// Ends the worker in good order.
    pub async fn end(&mut self, worker: &str) {
        let worker = self.workers.remove(worker).expect("a worker");
        assert!(worker.terminate().await.success());
    }

    /// `kill -9`.
    pub fn kill(&mut self, worker: &str) {
        self.workers.remove(worker).expect("a worker").kill9();
    }

    pub fn signal(&self, worker: &str, signal: Signal) {
        self.workers[worker].signal(signal);
    }

    /// Signals the broker of the lab's own.
    pub async fn signal_node(&self, signal: Signal) {
        let status = self.node().run(&["status"]).await;
        let pid = status.trim().strip_prefix("up ").expect("it is up");
        let pid = Pid::from_raw(pid.parse().expect("a process id"));
        kill(pid, signal).expect("it is there to be told");
    }

    pub fn node(&self) -> &Node {
        self.node.as_ref().expect("a broker of the lab's own")
    }

    pub fn chaos(&self) -> &Chaos {
        self.chaos.as_ref().expect("a proxy")
    }

    pub fn veil(&self) -> &Veil {
        self.veil.as_ref().expect("a veil")
    }

    pub async fn outside(&self) -> Outside {
        self.plant.outside().await
    }

    pub fn hold(&mut self, label: &'static str, held: impl Any) {
        self.held.insert(label, Box::new(held));
    }

    pub fn let_go(&mut self, label: &str) {
        self.held.remove(label).expect("held");
    }

    // --- tasks

    pub fn queue(&mut self, label: &'static str) -> String {
        let plant = &self.plant;
        self.queues
            .entry(label)
            .or_insert_with(|| plant.queue(label))
            .clone()
    }

    /// Starts that many tasks, with these fields over the usual ones.
    pub async fn start(&mut self, label: &'static str, queue: &'static str, count: u64, fields: Value) {
        let mut task = json!({"kind": "lab", "queue": self.queue(queue)});
        for (key, value) in fields.as_object().expect("fields") {
            task[key] = value.clone();
        }
        task["start"] = json!(true);
        for _ in 0..count {
            let key = uuid::Uuid::new_v4().to_string();
            let started = self.at_last("/api/v1/tasks", Some(&key), &task).await;
            self.tasks.entry(label).or_default().push(id(&started.done()));
        }
    }

    /// Asks again until the site can answer: a fault, or a busy machine, may cost it a moment.
    async fn at_last(&self, path: &str, key: Option<&str>, body: &Value) -> Reply {
        eventually(PATIENCE, path, async || {
            let reply = self
                .client
                .call(reqwest::Method::POST, path, key, Some(body))
                .await;
            self.acts.note(path, reply.as_ref().ok());
            reply.ok().filter(|reply| reply.status < 500)
        })
        .await
    }

    /// Acts on the first task of that label.
    pub async fn act(&self, label: &str, action: &str, body: Value) -> Reply {
        let task = &self.ids(label)[0];
        self.at_last(&format!("/api/v1/tasks/{task}/{action}"), None, &body)
            .await
    }

    /// A task that runs until `stage.plant.open(label)`.
    pub async fn start_held(&mut self, label: &'static str, queue: &'static str, count: u64) {
        let payload = format!("before={label}");
        self.start(label, queue, count, json!({"payload": payload})).await;
    }

    pub fn ids(&self, label: &str) -> Vec<String> {
        self.tasks.get(label).cloned().unwrap_or_default()
    }

    /// Gives a task one more label.
    pub fn label(&mut self, label: &'static str, task: String) {
        self.tasks.entry(label).or_default().push(task);
    }

    /// Takes it out of the tasks of that label.
    pub fn unlabel(&mut self, label: &str, task: &str) {
        let labelled = self.tasks.get_mut(label).expect("a label");
        labelled.retain(|other| other != task);
    }

    pub async fn until(&self, label: &str, what: &str, is: impl Fn(&Value) -> bool) {
        for task in self.ids(label) {
            let what = format!("{label} {task}: {what}");
            self.client.until_task(&task, &what, &is).await;
        }
    }

    pub async fn until_published(&self, label: &str) {
        self.until(label, "published", |task| task["published_at"].is_string())
            .await;
    }

    pub async fn until_running(&self, label: &str) {
        self.until(label, "running", |task| task["state"] == "running")
            .await;
    }

    pub async fn until_done(&self, label: &str) {
        self.until(label, "done", |task| task["state"] == "succeeded")
            .await;
    }

    /// A task is done, and the worker that did it has ended.
    pub async fn one_is_done(&mut self, label: &'static str, queue: &'static str) {
        self.worker(label, queue, 1).await;
        self.start(label, queue, 1, json!({})).await;
        self.until_done(label).await;
        self.end(label).await;
    }

    /// Waits until the site knows the workers of the queue: a worker that it never saw is another story.
    pub async fn until_listed(&mut self, queue: &'static str, workers: u64) {
        let path = format!("/api/v1/queues/{}", self.queue(queue));
        eventually(PATIENCE, "its workers are listed", async || {
            (self.asked(&path).await?["consumers"] == workers).then_some(())
        })
        .await;
    }

    /// What the site shows there; None when it can't answer just now.
    pub async fn asked(&self, path: &str) -> Option<Value> {
        let reply = self
            .client
            .call(reqwest::Method::GET, path, None, None)
            .await
            .ok()?;
        (reply.status == 200).then_some(reply.body)
    }

    /// Waits until the site counts so many waiting messages.
    pub async fn until_counted(&mut self, queue: &'static str, count: u64) {
        let path = format!("/api/v1/queues/{}", self.queue(queue));
        eventually(PATIENCE, "its messages are counted", async || {
            (self.asked(&path).await?["messages_ready"] == count).then_some(())
        })
        .await;
    }

    /// Does what the remedy of a lost message says.
    pub async fn requeue(&self, label: &str) {
        for task in self.ids(label) {
            let reason = json!({"reason": "its message was lost"});
            let path = format!("/api/v1/tasks/{task}/requeue");
            self.at_last(&path, None, &reason).await.done();
        }
    }

    /// Programs that start tasks, one every `pace_ms`.
    pub fn load(&mut self, pace_ms: u64, make: impl Fn(usize) -> Value + Send + Sync + 'static) {
        let pace = Duration::from_millis(pace_ms);
        self.loads
            .push(Load::start(vec![self.client.clone()], pace, make));
    }

    /// Waits until the programs have started so many more.
    pub async fn until_more_promised(&self, more: usize) {
        for load in &self.loads {
            load.until_more(more).await;
        }
    }

    /// Ends the programs; everything that they started is labelled `load`.
    pub async fn stop_load(&mut self) {
        for load in std::mem::take(&mut self.loads) {
            let ids = promised_at_last(&self.client, load.stop().await).await;
            self.tasks.entry("load").or_default().extend(ids);
        }
    }

    // --- what was said

    /// From now on it is true.
    pub fn mark(&mut self) {
        self.marked_ms = now_ms();
    }

    /// From now on it is true of what has this label.
    pub fn mark_of(&mut self, label: &'static str) {
        self.marked_of.insert(label, now_ms());
    }

    /// Since when it is true; 0 before `mark`.
    pub fn marked_ms(&self, on: On) -> i64 {
        match on {
            On::Tasks(label) | On::Queue(label) => *self.marked_of.get(label).unwrap_or(&self.marked_ms),
            On::Broker => self.marked_ms,
        }
    }

    pub fn subjects(&self, on: On) -> Vec<Subject> {
        match on {
            On::Tasks(label) => self.ids(label).into_iter().map(Subject::Task).collect(),
            On::Queue(label) => self
                .queues
                .get(label)
                .map(|queue| Subject::Queue(queue.clone()))
                .into_iter()
                .collect(),
            On::Broker => vec![Subject::Broker],
        }
    }

    /// Every task, and every queue.
    pub fn everything(&self) -> Vec<Subject> {
        let tasks = self.acknowledged().into_iter().map(Subject::Task);
        let queues = self.queues.values().cloned().map(Subject::Queue);
        tasks.chain(queues).chain([Subject::Broker]).collect()
    }

    /// Every task that was promised.
    pub fn acknowledged(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.tasks.values().flatten().cloned().collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Everything said so far; None while the site can't be asked. An id can't tell a later time than when it was seen.
    pub async fn said(&self) -> Option<Vec<Said>> {
        let mut all = said(&self.client).await?;
        let mut seen = self.seen_ms.borrow_mut();
        for one in &mut all {
            let first = *seen.entry(one.id.clone()).or_insert_with(now_ms);
            one.opened_ms = one.opened_ms.min(first);
        }
        Some(all)
    }

    /// Whether it has been said of each of them.
    pub async fn is_said(&self, verdict: Verdict, on: On) -> bool {
        let said = self.said().await.unwrap_or_default();
        let is = |subject| {
            said.iter()
                .any(|one| one.verdict == verdict.as_str() && one.about == subject)
        };
        self.subjects(on).into_iter().all(is)
    }

    pub async fn until_said(&self, verdict: Verdict, on: On) {
        let what = format!("{verdict} is said of {on:?}");
        eventually(PATIENCE, &what, async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.is_said(verdict, on).await.then_some(())
        })
        .await;
    }

    /// Ends a task as the foreign worker that holds its first attempt.
    pub async fn report(&self, label: &str, end: &str, body: Value) -> u16 {
        self.act(label, &format!("attempts/1/{end}"), body).await.status
    }

    /// Reaps everything, gives the broker of the lab's own back.
    pub async fn close(mut self) -> Option<Node> {
        self.held.clear();
        self.workers.clear();
        self.serves.clear();
        let node = self.node.take();
        self.plant.close().await;
        node
    }
}
