//! Messages that end on the dead-letter queue: each is told with what sent it there.

use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::lab::{
    scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
    stage::Stage,
};

/// Depths are counted every 9 s, a queue is looked at every 30 s at most, three in one look. Until a letter is seen, its task
/// counts as one without a message, which it is: that may be said before.
const DEAD_S: u64 = 9 + 30 + 36;

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "D1",
        name: "messages outlive their time, are pushed out of a full queue, or are refused by a stranger",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(die(stage)),
        truths: &[
            Truth::new(DeadLettered, On::Tasks("expired"), DEAD_S).in_form("expired"),
            Truth::new(DeadLettered, On::Tasks("overflowed"), DEAD_S).in_form("overflowed"),
            Truth::new(DeadLettered, On::Tasks("rejected"), DEAD_S).in_form("rejected"),
        ],
        // As long as it has the policy that did it.
        may: &[
            May::new(QueueMismatch, On::Queue("expired")),
            May::new(QueueMismatch, On::Queue("overflowed")),
            // What was not pushed out waits there, for nobody.
            May::new(NoConsumers, On::Queue("overflowed")),
            May::new(MessageLost, On::Tasks("expired")),
            May::new(MessageLost, On::Tasks("overflowed")),
            May::new(MessageLost, On::Tasks("rejected")),
            May::new(LedgerShort, On::Queue("expired")),
            May::new(LedgerShort, On::Queue("overflowed")),
            May::new(LedgerShort, On::Queue("rejected")),
        ],
        quiet_s: 10,
        remedy: |stage| Box::pin(redrive(stage)),
    },
    Scenario {
        id: "D2",
        name: "a stranger gives messages back until the broker gives them up",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Quorum,
        inject: |stage| Box::pin(give_back(stage)),
        truths: &[Truth::new(DeadLettered, On::Tasks("given up"), DEAD_S).in_form("delivery_limit")],
        may: &[
            May::new(QueueMismatch, On::Queue("main")),
            May::new(MessageLost, On::Tasks("given up")),
            May::new(LedgerShort, On::Queue("main")),
        ],
        quiet_s: 5,
        remedy: |stage| Box::pin(take_them(stage)),
    },
    Scenario {
        id: "D3",
        name: "a worker that serves another kind gives messages away",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(give_away(stage)),
        truths: &[Truth::new(DeadLettered, On::Tasks("foreign"), DEAD_S).in_form("by_worker")],
        may: &[
            May::new(MessageLost, On::Tasks("foreign")),
            May::new(LedgerShort, On::Queue("main")),
        ],
        quiet_s: 5,
        remedy: |stage| Box::pin(replace_worker(stage)),
    },
];

async fn die(stage: &mut Stage) {
    stage.serve().await;
    stage.set_policy("expired", json!({"message-ttl": 500})).await;
    stage
        .set_policy("overflowed", json!({"max-length": 2, "overflow": "drop-head"}))
        .await;
    // They are found one after the other, the first while others still die.
    let expired = stage.dice.roll(1, 5);
    stage.mark_of("expired");
    stage.start("expired", "expired", expired, json!({})).await;
    // What is pushed out is what came first.
    let overflowed = stage.dice.roll(1, 4);
    stage.mark_of("overflowed");
    stage
        .start("overflowed", "overflowed", overflowed, json!({}))
        .await;
    stage.until_published("overflowed").await;
    stage.start("kept", "overflowed", 2, json!({})).await;
    let rejected = stage.dice.roll(1, 5);
    stage.start("rejected", "rejected", rejected, json!({})).await;
    stage.until_published("rejected").await;
    stage.until_ready("rejected", rejected).await;
    stage.mark_of("rejected");
    let (outside, queue) = (stage.outside().await, stage.queue("rejected"));
    while outside.reject(&queue).await.is_some() {}
    for (queue, dead) in [
        ("expired", expired),
        ("overflowed", overflowed),
        ("rejected", rejected),
    ] {
        stage.until_dead(queue, u32::try_from(dead).expect("few")).await;
    }
    stage.delete_policy("expired").await;
    stage.delete_policy("overflowed").await;
    stage.mark();
}

async fn redrive(stage: &mut Stage) {
    for label in ["expired", "overflowed", "rejected"] {
        stage.requeue(label).await;
    }
    stage.worker("of the expired", "expired", 2).await;
    stage.worker("of the overflowed", "overflowed", 2).await;
    stage.worker("of the rejected", "rejected", 2).await;
}

async fn give_back(stage: &mut Stage) {
    stage.serve().await;
    stage.set_policy("main", json!({"delivery-limit": 2})).await;
    let count = stage.dice.roll(1, 4);
    stage.start("given up", "main", count, json!({})).await;
    stage.until_published("given up").await;
    stage.until_ready("main", count).await;
    let (outside, queue) = (stage.outside().await, stage.queue("main"));
    while outside.give_back(&queue).await.is_some() {}
    stage.until_dead("main", u32::try_from(count).expect("few")).await;
    stage.delete_policy("main").await;
    stage.mark();
}

async fn take_them(stage: &mut Stage) {
    stage.requeue("given up").await;
    stage.worker("one", "main", 2).await;
}

async fn give_away(stage: &mut Stage) {
    stage.serve().await;
    let queue = stage.queue("main");
    let worker = stage.plant.worker_with(&queue, &["--kind", "another"]);
    stage.workers.insert("of another kind", worker);
    let count = stage.dice.roll(1, 5);
    stage.start("foreign", "main", count, json!({})).await;
    stage.until_dead("main", u32::try_from(count).expect("few")).await;
    stage.mark();
}

async fn replace_worker(stage: &mut Stage) {
    stage.end("of another kind").await;
    stage.requeue("foreign").await;
    stage.worker("of their kind", "main", 2).await;
}
