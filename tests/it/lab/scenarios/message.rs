//! Messages that somebody takes away, and messages too many.

use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
        stage::Stage,
    },
    support::policy,
};

/// A settled task's loss shows at most so late.
const LOST_S: u64 = 30;

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "F18",
        name: "a queue that nobody works on is purged",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(purge_idle(stage)),
        truths: &[
            Truth::new(MessageLost, On::Tasks("lost"), LOST_S),
            Truth::new(LedgerShort, On::Queue("main"), LOST_S),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(requeue_lost(stage)),
    },
    Scenario {
        id: "F18b",
        name: "what waits behind a running task is purged",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(purge_busy(stage)),
        truths: &[
            Truth::new(MessageLost, On::Tasks("lost"), LOST_S),
            Truth::new(LedgerShort, On::Queue("main"), LOST_S),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(requeue_lost(stage)),
    },
    Scenario {
        id: "F18c",
        name: "some of the waiting messages are taken away, then the others are worked off",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(steal_some(stage)),
        truths: &[
            Truth::new(LedgerShort, On::Queue("main"), LOST_S),
            Truth::new(MessageLost, On::Tasks("lost"), 90),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(requeue_lost(stage)),
    },
    Scenario {
        id: "F18d",
        name: "one message of a busy queue is taken away, and the work goes on until that is said",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(steal_one_of_many(stage)),
        // Ten seconds are the rule's margin.
        truths: &[Truth::new(MessageLost, On::Tasks("lost"), 60)],
        may: &[May::new(LedgerShort, On::Queue("main"))],
        quiet_s: 5,
        remedy: |stage| Box::pin(requeue_lost(stage)),
    },
    Scenario {
        id: "F18e",
        name: "a queue is purged and the server killed at once: the next one has to find out by itself",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(purge_and_kill(stage)),
        truths: &[
            Truth::new(MessageLost, On::Tasks("lost"), 13 + LOST_S),
            Truth::new(LedgerShort, On::Queue("main"), 13 + LOST_S),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(requeue_lost(stage)),
    },
    Scenario {
        id: "F38",
        name: "messages that are no tasks come between the tasks",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(junk(stage)),
        truths: &[],
        may: &[],
        quiet_s: 20,
        remedy: |stage| Box::pin(open_gates(stage)),
    },
    Scenario {
        id: "F11",
        name: "a queue that nobody works on is deleted",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(delete_idle(stage)),
        truths: &[
            Truth::new(QueueMissing, On::Queue("main"), 20),
            Truth::new(MessageLost, On::Tasks("lost"), LOST_S),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(requeue_lost(stage)),
    },
    Scenario {
        id: "F11b",
        name: "a queue is deleted under its worker, which declares it again",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(delete_busy(stage)),
        truths: &[Truth::new(MessageLost, On::Tasks("lost"), 60)],
        may: &[
            May::new(QueueMissing, On::Queue("main")),
            May::new(LedgerShort, On::Queue("main")),
        ],
        quiet_s: 5,
        remedy: |stage| Box::pin(requeue_lost(stage)),
    },
    Scenario {
        id: "F35",
        name: "copies of a finished task's message lie in a queue that rests",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(copies_at_rest(stage)),
        truths: &[Truth::new(LedgerOver, On::Queue("main"), 40)],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(discard(stage)),
    },
    Scenario {
        id: "F35b",
        name: "copies of a running task's message wait beside it",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(copies(stage)),
        truths: &[],
        // Its worker discards them once it has a hand free.
        may: &[May::new(LedgerOver, On::Queue("main"))],
        quiet_s: 30,
        remedy: |stage| Box::pin(open_gates(stage)),
    },
    Scenario {
        id: "F12",
        name: "somebody declared the queue so that it drops messages",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(mismatch(stage)),
        // It works, and its arguments would drop messages.
        truths: &[Truth::new(QueueMismatch, On::Queue("main"), 30)],
        may: &[],
        quiet_s: 10,
        remedy: |stage| Box::pin(delete_mismatched(stage)),
    },
    Scenario {
        id: "F10",
        name: "a full queue refuses messages",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Classic,
        inject: |stage| Box::pin(fill(stage)),
        truths: &[Truth::new(Unpublished, On::Tasks("held up"), 35)],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(make_room(stage)),
    },
];

async fn waiting(stage: &mut Stage, label: &'static str, count: u64) {
    stage.start(label, "main", count, json!({})).await;
    stage.until_published(label).await;
}

/// A task that runs, and as many behind it.
async fn behind_a_held_one(stage: &mut Stage, label: &'static str, count: u64) {
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    waiting(stage, label, count).await;
    stage.until_ready("main", count).await;
}

async fn purge_idle(stage: &mut Stage) {
    stage.serve().await;
    let count = stage.dice.roll(2, 12);
    waiting(stage, "lost", count).await;
    stage.until_ready("main", count).await;
    let queue = stage.queue("main");
    stage.outside().await.purge(&queue).await;
    stage.mark();
}

async fn purge_busy(stage: &mut Stage) {
    stage.serve().await;
    let count = stage.dice.roll(2, 8);
    behind_a_held_one(stage, "lost", count).await;
    let queue = stage.queue("main");
    stage.outside().await.purge(&queue).await;
    stage.mark();
}

async fn purge_and_kill(stage: &mut Stage) {
    purge_busy(stage).await;
    stage.serves.remove(0).process.kill9();
    stage.serve().await;
}

async fn junk(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 2).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    let (queue, outside) = (stage.queue("main"), stage.outside().await);
    stage.mark();
    let unknown = uuid::Uuid::now_v7().to_string();
    for body in [
        &b""[..],
        b"{\"id\": 1}",
        b"\xff\xfe\x00 no text",
        unknown.as_bytes(),
    ] {
        outside
            .publish(&queue, lapin::BasicProperties::default(), body)
            .await;
        stage.start("between", "main", 2, json!({})).await;
    }
}

async fn steal_some(stage: &mut Stage) {
    stage.serve().await;
    let (count, stolen) = (stage.dice.roll(5, 9), stage.dice.roll(1, 4));
    behind_a_held_one(stage, "waiting", count).await;
    for _ in 0..stolen {
        let task = stage.steal("main").await;
        stage.unlabel("waiting", &task);
        stage.label("lost", task);
    }
    stage.mark();
    stage.until_said(LedgerShort, On::Queue("main")).await;
    stage.plant.open("held");
}

async fn steal_one_of_many(stage: &mut Stage) {
    stage.serve().await;
    behind_a_held_one(stage, "waiting", 3).await;
    let task = stage.steal("main").await;
    stage.unlabel("waiting", &task);
    stage.label("lost", task);
    stage.mark();
    let queue = stage.queue("main");
    stage.load(
        400,
        move |_| json!({"kind": "lab", "queue": queue, "payload": "steps=4"}),
    );
    stage.plant.open("held");
    stage.until_said(MessageLost, On::Tasks("lost")).await;
    stage.stop_load().await;
}

async fn delete_idle(stage: &mut Stage) {
    stage.serve().await;
    let count = stage.dice.roll(1, 6);
    waiting(stage, "lost", count).await;
    stage.until_counted("main", count).await;
    let queue = stage.queue("main");
    stage.outside().await.delete_only(&queue).await;
    stage.mark();
}

async fn delete_busy(stage: &mut Stage) {
    stage.serve().await;
    behind_a_held_one(stage, "lost", 3).await;
    let queue = stage.queue("main");
    stage.outside().await.delete_only(&queue).await;
    stage.mark();
}

/// Follows the remedy, with a worker to do the work.
async fn requeue_lost(stage: &mut Stage) {
    stage.stop_load().await;
    stage.plant.open("held");
    stage.requeue("lost").await;
    stage.worker("helper", "main", 4).await;
}

async fn copies(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    let (task, count) = (stage.ids("held").remove(0), stage.dice.roll(1, 20));
    stage.copy(&task, "main", count).await;
    stage.mark();
}

async fn copies_at_rest(stage: &mut Stage) {
    stage.serve().await;
    stage.one_is_done("done", "main").await;
    let (task, count) = (stage.ids("done").remove(0), stage.dice.roll(1, 20));
    stage.copy(&task, "main", count).await;
    stage.mark();
}

async fn discard(stage: &mut Stage) {
    stage.worker("helper", "main", 1).await;
}

async fn open_gates(stage: &mut Stage) {
    stage.plant.open("held");
}

async fn mismatch(stage: &mut Stage) {
    let queue = stage.queue("main");
    let outside = stage.outside().await;
    outside
        .declare(&queue, &[("x-max-length", lapin::types::AMQPValue::LongInt(7))])
        .await;
    stage.serve().await;
    stage.start("held", "main", 3, json!({})).await;
    stage.mark();
}

/// Works it off first, then makes it anew: what waited in it would be lost.
async fn delete_mismatched(stage: &mut Stage) {
    stage.worker("one", "main", 4).await;
    stage.until_done("held").await;
    stage.until_ready("main", 0).await;
    let queue = stage.queue("main");
    stage.outside().await.delete_only(&queue).await;
}

async fn fill(stage: &mut Stage) {
    stage.serve().await;
    waiting(stage, "first", 1).await;
    stage.until_ready("main", 1).await;
    stage
        .set_policy("main", json!({"max-length": 1, "overflow": "reject-publish"}))
        .await;
    // A message that the queue still accepts would push none of ours out.
    let queue = stage.queue("main");
    policy::until_it_holds(stage.plant.management_url(), &queue).await;
    stage.start("held up", "main", 3, json!({})).await;
    stage.mark();
}

async fn make_room(stage: &mut Stage) {
    stage.delete_policy("main").await;
    stage.worker("one", "main", 4).await;
}
