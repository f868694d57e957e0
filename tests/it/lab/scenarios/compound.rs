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
    support::{lock::Lock, veil::Mode, wall_clock::WallClock},
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
    Scenario {
        id: "C5",
        name: "the clock is wrong, and is set right as a worker dies and another queue is purged",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(set_clock_die_purge(stage)),
        truths: &[
            Truth::new(MessageLost, On::Tasks("purged"), 30),
            Truth::new(LedgerShort, On::Queue("purged"), 30),
            Truth::new(WorkerLost, On::Tasks("orphan"), 5 + 15),
        ],
        may: &[],
        quiet_s: 15,
        remedy: |stage| Box::pin(mend_both(stage)),
    },
    Scenario {
        id: "C6",
        name: "messages are taken away over a slow link, and the server is killed before it has seen that",
        ground: Ground::Proxied,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(steal_slowly_and_kill(stage)),
        truths: &[
            Truth::new(LedgerShort, On::Queue("main"), 13 + 30),
            Truth::new(MessageLost, On::Tasks("lost"), 13 + 90),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(requeue_lost(stage)),
    },
    Scenario {
        id: "C7",
        name: "a queue is deleted and a worker dies while the management API refuses us; then it is back",
        ground: Ground::Veiled,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(lose_unseen(stage)),
        truths: &[
            Truth::new(QueueMissing, On::Queue("deleted"), 20),
            Truth::new(MessageLost, On::Tasks("deleted"), 40),
            Truth::new(WorkerLost, On::Tasks("orphan"), 40),
        ],
        may: &[
            // Until it is back.
            May::new(Unknown, On::Broker),
            May::new(Unknown, On::Tasks("orphan")),
            // Nobody else works on it, which is true after a minute.
            May::new(NoConsumers, On::Queue("orphan")),
        ],
        quiet_s: 10,
        remedy: |stage| Box::pin(mend_unseen(stage)),
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
    stage.until_done("frozen").await;
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

/// Two tasks that a worker holds, and tasks that wait on a queue where nobody works.
pub(super) async fn hold_and_wait(stage: &mut Stage, waiting: &'static str) {
    stage.worker("victim", "orphan", 2).await;
    let held = json!({"payload": "before=held"});
    stage.start("orphan", "orphan", 2, held).await;
    stage.until_running("orphan").await;
    stage.until_listed("orphan", 1).await;
    let count = stage.dice.roll(1, 4);
    stage.start(waiting, waiting, count, json!({})).await;
    stage.until_published(waiting).await;
    stage.until_counted(waiting, count).await;
}

async fn set_clock_die_purge(stage: &mut Stage) {
    let clock = WallClock::right(stage.plant.folder());
    stage.plant.keep_time_by(&clock);
    stage.serve().await;
    let queue = stage.queue("healthy");
    stage.worker("healthy", "healthy", 2).await;
    stage.load(
        700,
        move |_| json!({"kind": "lab", "queue": queue, "payload": "steps=2"}),
    );
    let offset = stage.dice.roll(60, 7_200);
    let sign = ["+", "-"][usize::try_from(stage.dice.roll(0, 1)).expect("0 or 1")];
    clock.set(&format!("{sign}{offset}s"));
    hold_and_wait(stage, "purged").await;
    clock.set("+0");
    stage.kill("victim");
    let queue = stage.queue("purged");
    stage.outside().await.purge(&queue).await;
    stage.mark();
}

async fn mend_both(stage: &mut Stage) {
    stage.stop_load().await;
    stage.plant.open("held");
    stage.requeue("purged").await;
    stage.worker("of the orphans", "orphan", 2).await;
    stage.worker("of the purged", "purged", 2).await;
}

async fn steal_slowly_and_kill(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    let (count, stolen) = (stage.dice.roll(4, 8), stage.dice.roll(1, 3));
    stage.start("waiting", "main", count, json!({})).await;
    stage.until_published("waiting").await;
    stage.until_ready("main", count).await;
    stage.chaos().delay(Duration::from_millis(200));
    for _ in 0..stolen {
        let task = stage.steal("main").await;
        stage.unlabel("waiting", &task);
        stage.label("lost", task);
    }
    stage.serves.remove(0).process.kill9();
    stage.serve().await;
    stage.mark();
    stage.until_said(LedgerShort, On::Queue("main")).await;
    stage.plant.open("held");
}

async fn requeue_lost(stage: &mut Stage) {
    stage.chaos().delay(Duration::ZERO);
    stage.requeue("lost").await;
}

async fn lose_unseen(stage: &mut Stage) {
    stage.serve().await;
    hold_and_wait(stage, "deleted").await;
    stage.veil().set(Mode::Refuse);
    stage.until_said(Unknown, On::Broker).await;
    let queue = stage.queue("deleted");
    stage.outside().await.delete_only(&queue).await;
    // That it is gone is seen over AMQP.
    stage.mark_of("deleted");
    stage.kill("victim");
    stage.until_said(Unknown, On::Tasks("orphan")).await;
    stage.veil().set(Mode::Through);
    stage.mark();
}

async fn mend_unseen(stage: &mut Stage) {
    stage.plant.open("held");
    stage.requeue("deleted").await;
    stage.worker("of the orphans", "orphan", 2).await;
    stage.worker("of the deleted", "deleted", 2).await;
}
