//! Queues that nobody works on, or not fast enough.

use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::lab::{
    scenario::{Ground, On, Only, Pace, Scenario, Truth},
    stage::Stage,
};

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "Q1",
        name: "tasks wait longer than the queue's target behind a long one",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(backlog(stage)),
        // The target, the minute that it must last, and 20 s.
        truths: &[Truth::new(Backlog, On::Queue("main"), TARGET_S + 60 + 20)],
        may: &[],
        quiet_s: 0,
        remedy: |stage| Box::pin(work(stage)),
    },
    Scenario {
        id: "Q2",
        name: "messages wait and nobody consumes",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(no_consumers(stage)),
        truths: &[Truth::new(NoConsumers, On::Queue("main"), 60 + 20)],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(work(stage)),
    },
    Scenario {
        id: "F41",
        name: "a consumer takes messages and does nothing with them",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(hoard(stage)),
        truths: &[Truth::new(ConsumersStuck, On::Queue("main"), 25 + 25)],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(dispossess(stage)),
    },
];

const TARGET_S: u64 = 10;

async fn backlog(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    let queue = stage.queue("main");
    stage.plant.set_backlog_target(&queue, TARGET_S).await;
    let count = stage.dice.roll(2, 9);
    stage.start("waiting", "main", count, json!({})).await;
    stage.until_published("waiting").await;
    stage.mark();
}

async fn no_consumers(stage: &mut Stage) {
    stage.serve().await;
    let count = stage.dice.roll(1, 9);
    stage.start("waiting", "main", count, json!({})).await;
    stage.until_published("waiting").await;
    stage.mark();
}

async fn hoard(stage: &mut Stage) {
    stage.serve().await;
    stage.start("waiting", "main", 8, json!({})).await;
    stage.until_published("waiting").await;
    let prefetch = u16::try_from(stage.dice.roll(1, 5)).expect("few");
    let hoarder = stage.consume("main", "hoarder", prefetch).await;
    stage.hold("hoarder", hoarder);
    stage.until_ready("main", u64::from(8 - prefetch)).await;
    stage.mark();
}

async fn dispossess(stage: &mut Stage) {
    stage.let_go("hoarder");
    work(stage).await;
}

async fn work(stage: &mut Stage) {
    stage.plant.open("held");
    stage.worker("helper", "main", 4).await;
}
