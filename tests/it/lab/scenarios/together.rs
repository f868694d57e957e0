//! Faults of different parts at once: the broker, its queues, and the workers.

use lapin::types::AMQPValue;
use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use super::{
    broker::{UNPUBLISHED_S, start_waiting},
    compound::hold_and_wait,
};
use crate::lab::{
    scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
    stage::Stage,
};

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "C8",
        name: "under a memory alarm a worker dies, and another queue is purged",
        ground: Ground::Node,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(alarm_die_purge(stage)),
        truths: &[
            Truth::new(BrokerAlarm, On::Broker, 20),
            Truth::new(Unpublished, On::Tasks("waiting"), UNPUBLISHED_S).in_form("blocked"),
            Truth::new(MessageLost, On::Tasks("purged"), 30),
            Truth::new(LedgerShort, On::Queue("purged"), 30),
            Truth::new(WorkerLost, On::Tasks("orphan"), 5 + 15),
        ],
        may: &[],
        quiet_s: 10,
        remedy: |stage| Box::pin(clear_and_mend(stage)),
    },
    Scenario {
        id: "C9",
        name: "a queue is declared anew so that it drops messages, copies lie on another, and a worker dies",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(redeclare_copy_die(stage)),
        truths: &[
            Truth::new(QueueMismatch, On::Queue("remade"), 30),
            Truth::new(MessageLost, On::Tasks("remade"), 30),
            Truth::new(LedgerOver, On::Queue("copied"), 40),
            Truth::new(WorkerLost, On::Tasks("orphan"), 5 + 15),
        ],
        // It is gone for a moment; then it holds too little.
        may: &[
            May::new(QueueMissing, On::Queue("remade")),
            May::new(LedgerShort, On::Queue("remade")),
        ],
        quiet_s: 10,
        remedy: |stage| Box::pin(remake_and_mend(stage)),
    },
];

async fn alarm_die_purge(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 2).await;
    stage.start("first", "main", 1, json!({})).await;
    stage.until_done("first").await;
    hold_and_wait(stage, "purged").await;
    stage.node().run(&["sync"]).await;
    stage
        .node()
        .ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"])
        .await;
    stage.mark();
    start_waiting(stage).await;
    stage.kill("victim");
    stage.mark_of("orphan");
    let queue = stage.queue("purged");
    stage.outside().await.purge(&queue).await;
    stage.mark_of("purged");
}

async fn clear_and_mend(stage: &mut Stage) {
    stage.node().ctl(&["set_vm_memory_high_watermark", "0.4"]).await;
    stage.plant.open("held");
    stage.requeue("purged").await;
    stage.worker("of the orphans", "orphan", 2).await;
    stage.worker("of the purged", "purged", 2).await;
}

async fn redeclare_copy_die(stage: &mut Stage) {
    stage.serve().await;
    stage.one_is_done("done", "copied").await;
    hold_and_wait(stage, "remade").await;
    stage.mark();
    let (outside, queue) = (stage.outside().await, stage.queue("remade"));
    outside.delete_only(&queue).await;
    let limit = AMQPValue::LongInt(7);
    outside.declare(&queue, &[("x-max-length", limit)]).await;
    stage.mark_of("remade");
    let (task, copies) = (stage.ids("done").remove(0), stage.dice.roll(1, 5));
    stage.copy(&task, "copied", copies).await;
    stage.mark_of("copied");
    stage.kill("victim");
    stage.mark_of("orphan");
}

async fn remake_and_mend(stage: &mut Stage) {
    let queue = stage.queue("remade");
    stage.outside().await.delete_only(&queue).await;
    stage.plant.open("held");
    stage.requeue("remade").await;
    stage.worker("of the orphans", "orphan", 2).await;
    stage.worker("of the copied", "copied", 1).await;
    stage.worker("of the remade", "remade", 2).await;
}
