//! A broker whose rights, limits and timeouts somebody changes.

use std::time::Duration;

use lapin::types::AMQPValue;
use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use super::broker::{UNPUBLISHED_S, busy, start_waiting};
use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
        stage::Stage,
    },
    support::veil::{Mode, Veil},
};

pub const ALL: &[Scenario] = &[
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

async fn stand_still(stage: &mut Stage) {
    // A queue reads it when it begins.
    set_node(stage, &[("collect_statistics_interval", "60000")]).await;
    busy(stage).await;
    stage.worker("two", "main", 4).await;
    stage.mark();
    for _ in 0..5 {
        let burst = stage.dice.roll(10, 40);
        stage.start("burst", "main", burst, json!({})).await;
        stage.until_done("burst").await;
    }
}

async fn move_on(stage: &mut Stage) {
    set_node(stage, &[("collect_statistics_interval", "1000")]).await;
    stage.plant.open("held");
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
