//! A broker that dies, hangs, runs out of memory, forgets everything, or is out of reach.

use std::time::Duration;

use lapin::types::AMQPValue;
use nix::sys::signal::Signal;
use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
        stage::Stage,
    },
    support::{
        client::PATIENCE,
        veil::{Mode, Veil},
        wait::eventually,
    },
};

/// The grace, and 20 s.
const UNPUBLISHED_S: u64 = 15 + 20;

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
        id: "F13",
        name: "the broker's password is changed under the server",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(change_password(stage)),
        truths: &[
            Truth::new(Unknown, On::Broker, 6 + 20),
            Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(restore_password(stage)),
    },
    Scenario {
        id: "F39",
        name: "the broker's consumer timeout takes a message back from a worker that works on",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(time_out_consumers(stage)),
        // Before RabbitMQ 3.12 nobody can know that timeout; and nothing comes of it.
        truths: &[],
        may: &[],
        quiet_s: 40,
        remedy: |stage| Box::pin(forgive_consumers(stage)),
    },
    Scenario {
        id: "F39b",
        name: "a task runs into a consumer timeout that the broker tells, and is taken back",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(near_the_timeout(stage)),
        truths: &[Truth::new(AckDeadline, On::Tasks("held"), 12)],
        // The copy that the broker hands out is thrown away when its worker has a hand free.
        may: &[May::new(LedgerOver, On::Queue("main"))],
        quiet_s: 25,
        remedy: |stage| Box::pin(forgive_consumers(stage)),
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
        id: "F13b",
        name: "the broker takes the server's permissions away",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(forbid(stage)),
        truths: &[Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S)],
        // Who may not use a virtual host is not told about its queues.
        may: &[
            May::new(Unknown, On::Broker),
            May::new(Unknown, On::Queue("main")),
        ],
        quiet_s: 5,
        remedy: |stage| Box::pin(permit(stage)),
    },
    Scenario {
        id: "F14",
        name: "the broker's virtual host is deleted with all that is in it",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(delete_host(stage)),
        truths: &[
            Truth::new(Unknown, On::Broker, 6 + 20),
            Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S),
        ],
        may: &[
            May::new(Unknown, On::Queue("main")),
            // What it held is gone: found once the host is there again.
            May::new(MessageLost, On::Tasks("behind")).afterwards(),
            May::new(LedgerShort, On::Queue("main")).afterwards(),
            May::new(QueueMissing, On::Queue("main")).afterwards(),
        ],
        quiet_s: 5,
        remedy: |stage| Box::pin(make_host(stage)),
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
    Scenario {
        id: "F65",
        name: "the broker's statistics stand still while hundreds of messages come and go",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(stand_still(stage)),
        truths: &[],
        // It is no lie that some numbers are missing.
        may: &[May::new(Unknown, On::Queue("main"))],
        quiet_s: 20,
        remedy: |stage| Box::pin(move_on(stage)),
    },
];

async fn set_node(stage: &Stage, settings: &[(&str, &str)]) {
    for (name, value) in settings {
        let set = format!("application:set_env(rabbit, {name}, {value}).");
        stage.node().ctl(&["eval", &set]).await;
    }
}

async fn time_out_consumers(stage: &mut Stage) {
    // Only channels that are opened from now on know it.
    let short = [("consumer_timeout", "15000"), ("channel_tick_interval", "1000")];
    set_node(stage, &short).await;
    busy(stage).await;
    stage.mark();
}

async fn forgive_consumers(stage: &mut Stage) {
    let usual = [
        ("consumer_timeout", "1800000"),
        ("channel_tick_interval", "60000"),
    ];
    set_node(stage, &usual).await;
    stage.plant.open("held");
}

/// How long the broker lets a consumer hold a message.
const TIMEOUT_MS: u32 = 40_000;

async fn near_the_timeout(stage: &mut Stage) {
    let timeout = TIMEOUT_MS.to_string();
    set_node(
        stage,
        &[
            ("consumer_timeout", timeout.as_str()),
            ("channel_tick_interval", "1000"),
        ],
    )
    .await;
    // RabbitMQ before 3.12 has the node's timeout alone, and takes a queue's argument without heeding it. So the argument
    // says what the node does, and the version is one that would heed it.
    let version = stage.node().ctl(&["eval", "rabbit_misc:version()."]).await;
    let version = version.trim().trim_matches('"').to_owned();
    let heeding = format!("3.12.{:0>1$}", 0, version.len() - "3.12.".len());
    let veil = Veil::before(stage.plant.management_url()).await;
    veil.set(Mode::Retold(version, heeding));
    stage.plant.watch_through(&veil);
    stage.veil = Some(veil);
    let queue = stage.queue("main");
    let text = |text: &str| AMQPValue::LongString(text.into());
    let dead = format!("{queue}.dead");
    let mut arguments = vec![
        ("x-queue-type", text(stage.queue_type)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(&dead)),
        ("x-consumer-timeout", AMQPValue::LongUInt(TIMEOUT_MS)),
    ];
    if stage.queue_type == "quorum" {
        arguments.push(("x-delivery-limit", AMQPValue::LongUInt(10_000)));
    }
    stage.outside().await.declare(&queue, &arguments).await;
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    // The fault itself is that time goes by, until a fifth of it is left.
    tokio::time::sleep(Duration::from_millis((TIMEOUT_MS / 10 * 8).into())).await;
    stage.mark();
}

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

async fn forbid(stage: &mut Stage) {
    busy(stage).await;
    stage.node().ctl(&["clear_permissions", "guest"]).await;
    let why = "its permissions were taken away";
    stage.node().ctl(&["close_all_connections", why]).await;
    stage.mark();
    start_waiting(stage).await;
}

const EVERYTHING: [&str; 5] = ["set_permissions", "guest", ".*", ".*", ".*"];

async fn permit(stage: &mut Stage) {
    stage.node().ctl(&EVERYTHING).await;
    stage.plant.open("held");
}

async fn delete_host(stage: &mut Stage) {
    busy(stage).await;
    stage.node().ctl(&["delete_vhost", "/"]).await;
    stage.mark();
    start_waiting(stage).await;
}

async fn make_host(stage: &mut Stage) {
    stage.node().ctl(&["add_vhost", "/"]).await;
    stage.node().ctl(&EVERYTHING).await;
    stage.plant.open("held");
    stage.until_said(MessageLost, On::Tasks("behind")).await;
    stage.requeue("behind").await;
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

async fn stand_still(stage: &mut Stage) {
    // A queue reads it when it begins.
    set_node(stage, &[("collect_statistics_interval", "60000")]).await;
    busy(stage).await;
    stage.worker("two", "main", 4).await;
    stage.mark();
    for _ in 0..5 {
        let burst = stage.dice.roll(10, 40);
        stage.start("burst", "main", burst, json!({})).await;
        stage
            .until("burst", "done", |task| task["state"] == "succeeded")
            .await;
    }
}

async fn move_on(stage: &mut Stage) {
    set_node(stage, &[("collect_statistics_interval", "1000")]).await;
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
async fn busy(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    stage.start("behind", "main", 1, json!({})).await;
    stage.until_published("behind").await;
    stage.node().run(&["sync"]).await;
}

async fn start_waiting(stage: &mut Stage) {
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

async fn change_password(stage: &mut Stage) {
    busy(stage).await;
    stage.node().ctl(&["change_password", "guest", "another"]).await;
    stage
        .node()
        .ctl(&["close_all_connections", "the password was changed"])
        .await;
    stage.mark();
    start_waiting(stage).await;
}

async fn restore_password(stage: &mut Stage) {
    stage.node().ctl(&["change_password", "guest", "guest"]).await;
    stage.plant.open("held");
}
