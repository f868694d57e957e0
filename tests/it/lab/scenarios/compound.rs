//! Several faults at once: each is told, and none for another.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
        stage::Stage,
    },
    support::lock::Lock,
};

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "C1",
        name: "within seconds: a purge, a dead worker, a deleted queue and a hung program, beside healthy work",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(everything_at_once(stage)),
        truths: &[
            Truth::new(MessageLost, On::Tasks("purged"), 30),
            Truth::new(LedgerShort, On::Queue("purged"), 30),
            Truth::new(WorkerLost, On::Tasks("orphan"), 5 + 15),
            Truth::new(MessageLost, On::Tasks("deleted"), 30),
            Truth::new(QueueMissing, On::Queue("deleted"), 20),
            Truth::new(Overdue, On::Tasks("hung"), 3 + 15),
        ],
        may: &[],
        quiet_s: 10,
        remedy: |stage| Box::pin(mend_everything(stage)),
    },
    Scenario {
        id: "C2",
        name: "a worker dies while the database restarts, and what it left is purged",
        ground: Ground::Cluster,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(die_purge_restart(stage)),
        truths: &[
            Truth::new(WorkerLost, On::Tasks("orphan"), 5 + 30),
            // The copies of the orphan's message stand in for the lost ones until somebody takes them.
            Truth::new(MessageLost, On::Tasks("purged"), 75),
        ],
        may: &[May::new(LedgerShort, On::Queue("main"))],
        quiet_s: 5,
        remedy: |stage| Box::pin(mend(stage)),
    },
    Scenario {
        id: "C3",
        name: "a worker freezes, another queue's messages are refused, and the database is locked for a moment",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(freeze_refuse_lock(stage)),
        truths: &[
            Truth::new(WorkerSilent, On::Tasks("frozen"), 5 + 25),
            Truth::new(WorkerLost, On::Tasks("frozen"), 60),
            Truth::new(DeadLettered, On::Tasks("refused"), 60).in_form("rejected"),
        ],
        // Until its letter is seen.
        may: &[
            May::new(MessageLost, On::Tasks("refused")),
            May::new(LedgerShort, On::Queue("refused")),
        ],
        quiet_s: 5,
        remedy: |stage| Box::pin(thaw_and_redrive(stage)),
    },
    Scenario {
        id: "C4",
        name: "the broker goes out of reach, and the only worker dies meanwhile",
        ground: Ground::Proxied,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(cut_off_and_die(stage)),
        truths: &[Truth::new(Unpublished, On::Tasks("waiting"), 15 + 20)],
        // Workers are not judged while no queue can be seen, nor for 10 s afterwards.
        // On a busy machine the worker may have handed its tasks back before it died; then they wait, too.
        may: &[
            May::new(WorkerLost, On::Tasks("orphan")),
            May::new(Unpublished, On::Tasks("orphan")),
        ],
        quiet_s: 10,
        remedy: |stage| Box::pin(reach_and_work(stage)),
    },
];

async fn everything_at_once(stage: &mut Stage) {
    stage.serve().await;
    let queue = stage.queue("healthy");
    stage.worker("healthy", "healthy", 2).await;
    stage.load(
        700,
        move |_| json!({"kind": "lab", "queue": queue, "payload": "steps=2"}),
    );
    stage.worker("busy", "purged", 1).await;
    stage.start_held("held", "purged", 1).await;
    stage.until_running("held").await;
    stage.start("purged", "purged", 3, json!({})).await;
    stage.until_published("purged").await;
    stage.until_ready("purged", 3).await;
    stage.worker("victim", "orphan", 2).await;
    let waiting = json!({"payload": "before=held"});
    stage.start("orphan", "orphan", 2, waiting).await;
    stage.until_running("orphan").await;
    stage.until_listed("orphan", 1).await;
    stage.start("deleted", "deleted", 2, json!({})).await;
    stage.until_published("deleted").await;
    stage.until_counted("deleted", 2).await;
    stage.mark();

    // In another order and with other pauses for each seed.
    let first = stage.dice.roll(0, 3);
    for step in 0..4 {
        let pause = Duration::from_millis(stage.dice.roll(0, 2_500));
        tokio::time::sleep(pause).await;
        match (first + step) % 4 {
            0 => {
                let queue = stage.queue("purged");
                stage.outside().await.purge(&queue).await;
                stage.mark_of("purged");
            }
            1 => {
                stage.kill("victim");
                stage.mark_of("orphan");
            }
            2 => {
                let queue = stage.queue("deleted");
                stage.outside().await.delete_only(&queue).await;
                stage.mark_of("deleted");
            }
            _ => {
                stage.worker("hung", "hung", 1).await;
                let hung = json!({"payload": "before=held", "timeout_s": 3});
                stage.start("hung", "hung", 1, hung).await;
                stage.until_running("hung").await;
                stage.mark_of("hung");
            }
        }
    }
}

async fn mend_everything(stage: &mut Stage) {
    stage.stop_load().await;
    stage.plant.open("held");
    stage.requeue("purged").await;
    stage.requeue("deleted").await;
    stage.worker("orphan helper", "orphan", 2).await;
    stage.worker("deleted helper", "deleted", 2).await;
}

async fn die_purge_restart(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("victim", "main", 1).await;
    stage
        .start("orphan", "main", 1, json!({"payload": "before=held"}))
        .await;
    stage.until_running("orphan").await;
    stage.until_listed("main", 1).await;
    stage.start("purged", "main", 3, json!({})).await;
    stage.until_published("purged").await;
    stage.until_ready("main", 3).await;
    stage.kill("victim");
    let queue = stage.queue("main");
    // What the dead worker held goes with the rest.
    stage.until_ready("main", 4).await;
    stage.outside().await.purge(&queue).await;
    let cluster = stage.cluster.as_ref().expect("a server of its own");
    cluster.run("restart").await;
    stage.mark();
    stage.until_said(WorkerLost, On::Tasks("orphan")).await;
    stage.worker("helper", "main", 2).await;
    // Two copies may be out after the restart: beside the attempt, the second could be a lost one's message.
    stage.plant.open("held");
}

async fn mend(stage: &mut Stage) {
    stage.plant.open("held");
    stage.requeue("purged").await;
}

async fn freeze_refuse_lock(stage: &mut Stage) {
    stage.serve().await;
    let queue = stage.queue("healthy");
    stage.worker("healthy", "healthy", 2).await;
    stage.load(
        700,
        move |_| json!({"kind": "lab", "queue": queue, "payload": "steps=2"}),
    );
    stage.worker("sleeper", "frozen", 2).await;
    stage
        .start("frozen", "frozen", 2, json!({"payload": "before=held"}))
        .await;
    stage.until_running("frozen").await;
    stage.until_listed("frozen", 1).await;
    let count = stage.dice.roll(1, 4);
    stage.start("refused", "refused", count, json!({})).await;
    stage.until_published("refused").await;
    stage.until_ready("refused", count).await;
    stage.signal("sleeper", Signal::SIGSTOP);
    stage.mark();
    let (outside, queue) = (stage.outside().await, stage.queue("refused"));
    while outside.reject(&queue).await.is_some() {}
    let lock = Lock::take(&stage.plant.database_url).await;
    let span = Duration::from_millis(stage.dice.roll(1_000, 3_000));
    tokio::time::sleep(span).await;
    lock.release().await;
}

async fn thaw_and_redrive(stage: &mut Stage) {
    stage.stop_load().await;
    stage.plant.open("held");
    stage.worker("of the frozen", "frozen", 2).await;
    stage
        .until("frozen", "done", |task| task["state"] == "succeeded")
        .await;
    stage.signal("sleeper", Signal::SIGCONT);
    stage.requeue("refused").await;
    stage.worker("of the refused", "refused", 2).await;
}

async fn cut_off_and_die(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("victim", "main", 2).await;
    stage
        .start("orphan", "main", 2, json!({"payload": "before=held"}))
        .await;
    stage.until_running("orphan").await;
    stage.until_listed("main", 1).await;
    stage.chaos().go_away();
    let count = stage.dice.roll(1, 4);
    stage.start("waiting", "main", count, json!({})).await;
    stage.kill("victim");
    stage.mark();
}

async fn reach_and_work(stage: &mut Stage) {
    stage.chaos().come_back();
    stage.plant.open("held");
    stage.worker("another", "main", 4).await;
}
