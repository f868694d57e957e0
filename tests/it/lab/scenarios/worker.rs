//! Workers that die, freeze, and lose a link.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
        stage::Stage,
    },
    support::{
        chaos::Chaos,
        veil::{Mode, Veil},
    },
};

/// The lease, and 15 s.
const LAPSED_S: u64 = 5 + 15;

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "F25",
        name: "the only worker is killed before, during and after the work",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(kill_the_only_one(stage)),
        truths: &[
            Truth::new(WorkerLost, On::Tasks("before"), LAPSED_S),
            Truth::new(WorkerLost, On::Tasks("during"), LAPSED_S),
            Truth::new(WorkerLost, On::Tasks("after"), LAPSED_S),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(another(stage)),
    },
    Scenario {
        id: "F25b",
        name: "one of two workers is killed",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(kill_one_of_two(stage)),
        truths: &[],
        // The other one takes over as soon as the message is there again: on a busy machine somewhat later.
        may: &[May::new(WorkerLost, On::Tasks("held"))],
        quiet_s: 25,
        remedy: |stage| Box::pin(open(stage)),
    },
    Scenario {
        id: "F29",
        name: "the only worker is frozen: silent first, and lost once the broker gives it up",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(freeze(stage)),
        truths: &[
            Truth::new(WorkerSilent, On::Tasks("held"), LAPSED_S),
            Truth::new(WorkerLost, On::Tasks("held"), 60),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(thaw(stage)),
    },
    Scenario {
        id: "F42",
        name: "the worker alone is cut from the database",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Postgres,
        inject: |stage| Box::pin(cut_from_database(stage)),
        // It gives up its program and its consumer before the lease ends: nobody works on the task.
        truths: &[Truth::new(WorkerLost, On::Tasks("held"), LAPSED_S)],
        may: &[May::new(WorkerSilent, On::Tasks("held"))],
        quiet_s: 5,
        remedy: |stage| Box::pin(join_database(stage)),
    },
    Scenario {
        id: "F21",
        name: "the worker alone is cut from the broker, and works on",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(cut_from_broker(stage)),
        truths: &[],
        may: &[],
        quiet_s: 40,
        remedy: |stage| Box::pin(join_broker(stage)),
    },
    Scenario {
        id: "F37",
        name: "a task kills its worker three times",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(crash_loop(stage)),
        truths: &[Truth::new(CrashLoop, On::Tasks("poison"), 30)],
        may: &[May::new(WorkerLost, On::Tasks("poison"))],
        quiet_s: 5,
        remedy: |stage| Box::pin(retry(stage)),
    },
    Scenario {
        id: "F44",
        name: "workers are told to stop and started again with work in their hands",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(rolling(stage)),
        truths: &[],
        may: &[],
        quiet_s: 15,
        remedy: |stage| Box::pin(nothing(stage)),
    },
    Scenario {
        id: "F30",
        name: "a worker that hardly gets to run beats late, and in time",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(starve(stage)),
        truths: &[],
        may: &[],
        quiet_s: 15,
        remedy: |stage| Box::pin(open(stage)),
    },
    Scenario {
        id: "F31",
        name: "programs fail, abort and are killed as a machine out of memory kills them",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(fail(stage)),
        truths: &[],
        may: &[],
        quiet_s: 20,
        remedy: |stage| Box::pin(open(stage)),
    },
];

async fn kill_the_only_one(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 3).await;
    for (label, payload) in [
        ("before", "before=go"),
        ("during", "hold=go"),
        ("after", "after=go"),
    ] {
        stage.start(label, "main", 1, json!({"payload": payload})).await;
    }
    for label in ["before", "during", "after"] {
        stage.until_running(label).await;
    }
    let (during, after) = (stage.ids("during").remove(0), stage.ids("after").remove(0));
    stage.plant.until_noted("STEP", &during, 1).await;
    stage.plant.until_noted("END", &after, 1).await;
    stage.until_listed("main", 1).await;
    stage.kill("one");
    stage.mark();
}

async fn another(stage: &mut Stage) {
    stage.plant.open("go");
    stage.worker("two", "main", 3).await;
}

async fn kill_one_of_two(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    stage.worker("two", "main", 1).await;
    stage.until_listed("main", 2).await;
    stage.kill("one");
    stage.mark();
}

async fn open(stage: &mut Stage) {
    stage.plant.open("held");
}

async fn freeze(stage: &mut Stage) {
    stage.serve().await;
    let count = stage.dice.roll(1, 3);
    stage.worker("one", "main", 3).await;
    stage.start_held("held", "main", count).await;
    stage.until_running("held").await;
    stage.until_listed("main", 1).await;
    stage.signal("one", Signal::SIGSTOP);
    stage.mark();
}

async fn thaw(stage: &mut Stage) {
    stage.plant.open("held");
    stage.worker("two", "main", 3).await;
    stage.until_done("held").await;
    stage.signal("one", Signal::SIGCONT);
}

async fn cut_from_database(stage: &mut Stage) {
    stage.serve().await;
    let veil = Veil::before(&stage.plant.database_url).await;
    let (queue, url) = (stage.queue("main"), veil.url(&stage.plant.database_url));
    let worker = stage
        .plant
        .worker_at(&queue, &["--concurrency", "2"], &[("UNSTUCK_DATABASE_URL", &url)]);
    stage.workers.insert("one", worker);
    stage.start_held("held", "main", 2).await;
    stage.until_running("held").await;
    stage.until_listed("main", 1).await;
    veil.set(Mode::Refuse);
    stage.mark();
    stage.veil = Some(veil);
}

async fn join_database(stage: &mut Stage) {
    stage.plant.open("held");
    stage.veil().set(Mode::Through);
}

async fn cut_from_broker(stage: &mut Stage) {
    stage.serve().await;
    let chaos = Chaos::before(stage.plant.amqp_url()).await;
    let (queue, url) = (stage.queue("main"), chaos.url(stage.plant.amqp_url()));
    let worker = stage
        .plant
        .worker_at(&queue, &["--concurrency", "2"], &[("UNSTUCK_AMQP_URL", &url)]);
    stage.workers.insert("one", worker);
    stage.start_held("held", "main", 2).await;
    stage.until_running("held").await;
    stage.until_listed("main", 1).await;
    chaos.swallow(true);
    stage.mark();
    stage.chaos = Some(chaos);
}

async fn join_broker(stage: &mut Stage) {
    stage.chaos().swallow(false);
    stage.plant.open("held");
}

async fn crash_loop(stage: &mut Stage) {
    stage.serve().await;
    stage
        .start("poison", "main", 1, json!({"payload": "hold=cured"}))
        .await;
    let task = stage.ids("poison").remove(0);
    for attempt in [1, 2, 3] {
        stage.worker("victim", "main", 1).await;
        stage.plant.until_noted("BEGIN", &task, attempt).await;
        stage.kill("victim");
    }
    stage.mark();
    stage.worker("last", "main", 1).await;
}

async fn retry(stage: &mut Stage) {
    stage.plant.open("cured");
    stage
        .until("poison", "failed", |task| task["state"] == "failed")
        .await;
    let reason = json!({"reason": "its input was mended"});
    stage.act("poison", "retry", reason).await.done();
}

async fn rolling(stage: &mut Stage) {
    stage.serve().await;
    let queue = stage.queue("main");
    stage.load(
        500,
        move |_| json!({"kind": "lab", "queue": queue, "payload": "steps=20"}),
    );
    stage.worker("one", "main", 3).await;
    stage.mark();
    for round in 0..5 {
        let (old, new) = if round % 2 == 0 {
            ("one", "two")
        } else {
            ("two", "one")
        };
        stage.until_more_promised(6).await;
        stage.worker(new, "main", 3).await;
        stage.end(old).await;
    }
}

async fn nothing(stage: &mut Stage) {
    stage.stop_load().await;
}

async fn starve(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 2).await;
    stage.start_held("held", "main", 2).await;
    stage.until_running("held").await;
    stage.until_listed("main", 1).await;
    stage.mark();
    for _ in 0..4 {
        stage.signal("one", Signal::SIGSTOP);
        // The fault itself: less than a lease, and than the broker's patience with a silent client.
        let frozen = stage.dice.roll(5_000, 8_000);
        tokio::time::sleep(Duration::from_millis(frozen)).await;
        stage.signal("one", Signal::SIGCONT);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn fail(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 3).await;
    stage.start_held("held", "main", 1).await;
    for (label, payload) in [
        ("exited", "exit=1"),
        ("aborted", "die=ABRT"),
        ("killed", "steps=3 die=KILL"),
    ] {
        stage.start(label, "main", 2, json!({"payload": payload})).await;
        stage
            .until(label, "failed", |task| task["state"] == "failed")
            .await;
    }
    stage.mark();
}
