//! What an attempt does wrong although it lives.

use std::time::Duration;

use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
        stage::Stage,
    },
    support::wait::eventually,
};

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "A1",
        name: "a worker in another language ignores a cancel",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(ignore_cancel(stage)),
        truths: &[Truth::new(CancelIgnored, On::Tasks("deaf"), 120 + 40)],
        may: &[],
        quiet_s: 0,
        remedy: |stage| Box::pin(obey(stage)),
    },
    Scenario {
        id: "F32",
        name: "a program hangs while its worker beats on",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(hang(stage)),
        truths: &[Truth::new(Overdue, On::Tasks("held"), 3 + 15)],
        may: &[],
        quiet_s: 10,
        remedy: |stage| Box::pin(finish(stage)),
    },
    Scenario {
        id: "A2",
        name: "a running task is requeued by force, and both workers do it",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(run_twice(stage)),
        truths: &[Truth::new(DoubleRun, On::Tasks("twice"), 20).stays()],
        // The first worker keeps a message that the task does not need any more.
        may: &[May::new(LedgerOver, On::Queue("main"))],
        quiet_s: 5,
        remedy: |stage| Box::pin(part(stage)),
    },
    Scenario {
        id: "F68",
        name: "tasks run for many leases, one without a word, one with slow progress",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(run_long(stage)),
        truths: &[],
        may: &[],
        quiet_s: 60,
        remedy: |stage| Box::pin(finish(stage)),
    },
];

async fn ignore_cancel(stage: &mut Stage) {
    stage.serve().await;
    stage.start("deaf", "main", 1, json!({})).await;
    stage.foreign_worker("deaf", "main").await;
    let reason = json!({"reason": "not needed any more"});
    stage.act("deaf", "cancel", reason).await.done();
    stage.mark();
}

async fn obey(stage: &mut Stage) {
    let end = json!({"error": "cancelled", "retryable": false});
    assert_eq!(stage.report("deaf", "fail", end).await, 200);
    stage.let_go("deaf");
    // Its message comes back, and somebody has to take it.
    stage.worker("helper", "main", 1).await;
}

async fn hang(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 3).await;
    let count = stage.dice.roll(1, 3);
    let hanging = json!({"payload": "before=held", "timeout_s": 3});
    stage.start("held", "main", count, hanging).await;
    stage.until_running("held").await;
    stage.mark();
}

async fn finish(stage: &mut Stage) {
    stage.plant.open("held");
}

async fn run_twice(stage: &mut Stage) {
    stage.serve().await;
    stage
        .start("twice", "main", 1, json!({"payload": "before=go"}))
        .await;
    stage.foreign_worker("twice", "main").await;
    stage.worker("second", "main", 1).await;
    let task = stage.ids("twice").remove(0);
    let force = json!({"reason": "it looks hung", "force": true});
    stage.act("twice", "requeue", force).await.done();
    eventually(Duration::from_secs(30), "the second attempt runs", async || {
        let task = stage.asked(&format!("/api/v1/tasks/{task}")).await?;
        (task["attempt"] == 2 && task["state"] == "running").then_some(())
    })
    .await;
    let late = stage
        .report("twice", "succeed", json!({"result": "done before"}))
        .await;
    assert_eq!(late, 409, "it is not the current attempt any more");
    stage.mark();
}

async fn part(stage: &mut Stage) {
    stage.plant.open("go");
    stage.let_go("twice");
}

async fn run_long(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 2).await;
    stage.start_held("held", "main", 1).await;
    let slow = json!({"payload": "progress=1 hold=held"});
    stage.start("slow", "main", 1, slow).await;
    stage.until_running("held").await;
    stage.until_running("slow").await;
    stage.mark();
}
