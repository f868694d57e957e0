//! A broker that dies, hangs, runs out of memory, forgets everything, or is out of reach.

use nix::sys::signal::Signal;
use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
        stage::Stage,
    },
    support::{client::PATIENCE, wait::eventually},
};

/// The grace, and 20 s.
pub(super) const UNPUBLISHED_S: u64 = 15 + 20;

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "F01",
        name: "the broker is out of reach when the server starts",
        ground: Ground::Proxied,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(away_at_start(stage)),
        truths: &[Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S)],
        // It does not exist yet: only the broker could be told to make it.
        may: &[
            May::new(QueueMissing, On::Queue("main")),
            May::new(Unknown, On::Queue("main")),
        ],
        quiet_s: 5,
        remedy: |stage| Box::pin(come_back(stage)),
    },
    Scenario {
        id: "F02",
        name: "the broker goes out of the server's reach while it publishes",
        ground: Ground::Proxied,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(away_while_publishing(stage)),
        truths: &[Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S)],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(come_back(stage)),
    },
    Scenario {
        id: "F08",
        name: "the broker raises its memory alarm",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(alarm(stage)),
        truths: &[
            Truth::new(BrokerAlarm, On::Broker, 20),
            Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(clear_alarm(stage)),
    },
    Scenario {
        id: "F03",
        name: "the broker is killed",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(kill_broker(stage)),
        truths: &[
            Truth::new(Unknown, On::Broker, 6 + 20),
            Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S),
        ],
        may: &[
            // For a moment after its start it has no numbers.
            May::new(Unknown, On::Queue("main")),
            // Killed within seconds of a declaration, RabbitMQ may forget what it confirmed.
            May::new(MessageLost, On::Tasks("behind")).afterwards(),
            May::new(LedgerShort, On::Queue("main")).afterwards(),
        ],
        quiet_s: 5,
        remedy: |stage| Box::pin(start_broker(stage)),
    },
    Scenario {
        id: "F03b",
        name: "the broker hangs: it takes connections and never answers",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(freeze_broker(stage)),
        truths: &[
            Truth::new(Unknown, On::Broker, 6 + 30),
            Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S + 10),
        ],
        may: &[May::new(Unknown, On::Queue("main"))],
        quiet_s: 5,
        remedy: |stage| Box::pin(thaw_broker(stage)),
    },
    Scenario {
        id: "F17",
        name: "the broker loses everything it had",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(forget(stage)),
        truths: &[
            Truth::new(QueueMissing, On::Queue("main"), 45),
            Truth::new(MessageLost, On::Tasks("lost"), 60),
        ],
        may: &[
            May::new(Unknown, On::Broker),
            May::new(Unknown, On::Queue("main")),
        ],
        quiet_s: 5,
        remedy: |stage| Box::pin(requeue(stage)),
    },
    Scenario {
        id: "F09",
        name: "the broker raises its disk alarm",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(disk_alarm(stage)),
        truths: &[
            Truth::new(BrokerAlarm, On::Broker, 20),
            Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S).in_form("blocked"),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(clear_disk_alarm(stage)),
    },
    Scenario {
        id: "F16",
        name: "the broker restarts again and again",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(flap(stage)),
        truths: &[],
        // It is away for seconds each time.
        may: &[
            May::new(Unknown, On::Broker),
            May::new(Unknown, On::Queue("main")),
            May::new(Unpublished, On::Broker),
            May::new(Unpublished, On::Tasks("load")),
        ],
        quiet_s: 15,
        remedy: |stage| Box::pin(count_connections(stage)),
    },
];

async fn disk_alarm(stage: &mut Stage) {
    busy(stage).await;
    stage
        .node()
        .ctl(&["set_disk_free_limit", "900000000000000"])
        .await;
    stage.mark();
    start_waiting(stage).await;
}

async fn clear_disk_alarm(stage: &mut Stage) {
    stage.node().ctl(&["set_disk_free_limit", "50MB"]).await;
    stage.plant.open("held");
}

/// So many connections have `serve` and one worker between them, and the test's own.
const CONNECTIONS: usize = 10;

async fn flap(stage: &mut Stage) {
    busy(stage).await;
    let queue = stage.queue("main");
    stage.load(500, move |_| json!({"kind": "lab", "queue": queue}));
    stage.mark();
    for _ in 0..4 {
        stage.node().ctl(&["stop_app"]).await;
        stage.until_more_promised(2).await;
        stage.node().ctl(&["start_app"]).await;
        stage.until_more_promised(4).await;
    }
}

async fn count_connections(stage: &mut Stage) {
    stage.stop_load().await;
    let open = stage
        .node()
        .ctl(&["list_connections", "-q", "name", "--no-table-headers"])
        .await;
    let open = open.lines().count();
    assert!(open <= CONNECTIONS, "{open} connections");
    stage.plant.open("held");
}

async fn away_at_start(stage: &mut Stage) {
    stage.chaos().go_away();
    stage.serve().await;
    let count = stage.dice.roll(1, 6);
    stage.start("waiting", "main", count, json!({})).await;
    stage.mark();
}

async fn away_while_publishing(stage: &mut Stage) {
    stage.serve().await;
    stage.start("out", "main", 2, json!({})).await;
    stage.until_published("out").await;
    stage.chaos().go_away();
    let count = stage.dice.roll(1, 6);
    stage.start("waiting", "main", count, json!({})).await;
    stage.mark();
}

async fn come_back(stage: &mut Stage) {
    stage.chaos().come_back();
    stage.worker("one", "main", 4).await;
}

/// A task that runs, one that waits behind it.
pub(super) async fn busy(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    stage.start("behind", "main", 1, json!({})).await;
    stage.until_published("behind").await;
    stage.node().run(&["sync"]).await;
}

pub(super) async fn start_waiting(stage: &mut Stage) {
    let count = stage.dice.roll(1, 4);
    stage.start("waiting", "main", count, json!({})).await;
}

async fn alarm(stage: &mut Stage) {
    busy(stage).await;
    stage
        .node()
        .ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"])
        .await;
    stage.mark();
    start_waiting(stage).await;
}

async fn clear_alarm(stage: &mut Stage) {
    stage.node().ctl(&["set_vm_memory_high_watermark", "0.4"]).await;
    stage.plant.open("held");
}

async fn kill_broker(stage: &mut Stage) {
    busy(stage).await;
    stage.node().run(&["kill9"]).await;
    stage.mark();
    start_waiting(stage).await;
}

async fn start_broker(stage: &mut Stage) {
    stage.node().run(&["start"]).await;
    stage.plant.open("held");
    eventually(PATIENCE, "what waited is done, or said to be lost", async || {
        let path = format!("/api/v1/tasks/{}", stage.ids("behind")[0]);
        let done = stage.asked(&path).await?["state"] == "succeeded";
        if !done && stage.is_said(MessageLost, On::Tasks("behind")).await {
            stage.requeue("behind").await;
            return Some(());
        }
        done.then_some(())
    })
    .await;
}

async fn freeze_broker(stage: &mut Stage) {
    busy(stage).await;
    stage.signal_node(Signal::SIGSTOP).await;
    stage.mark();
    start_waiting(stage).await;
}

async fn thaw_broker(stage: &mut Stage) {
    stage.signal_node(Signal::SIGCONT).await;
    stage.node().run(&["wait"]).await;
    stage.plant.open("held");
}

async fn forget(stage: &mut Stage) {
    stage.serve().await;
    let count = stage.dice.roll(2, 6);
    stage.start("lost", "main", count, json!({})).await;
    stage.until_published("lost").await;
    stage.until_ready("main", count).await;
    for step in ["stop_app", "reset", "start_app"] {
        stage.node().ctl(&[step]).await;
    }
    stage.node().run(&["wait"]).await;
    stage.mark();
}

async fn requeue(stage: &mut Stage) {
    stage.requeue("lost").await;
    stage.worker("one", "main", 4).await;
}
