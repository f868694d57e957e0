//! Servers and databases that go away and come back.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
        stage::Stage,
    },
    support::{lock::Lock, wall_clock::WallClock},
};

/// A lock that nobody notices.
const BRIEF: Duration = Duration::from_secs(3);

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "F04",
        name: "the server is killed between the commit of a start and its publish",
        ground: Ground::Proxied,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(kill_between(stage)),
        truths: &[],
        // Up to 15 s pass between the start and the publish.
        may: &[May::new(Unpublished, On::Tasks("between"))],
        quiet_s: 20,
        remedy: |stage| Box::pin(work(stage)),
    },
    Scenario {
        id: "F46",
        name: "the database is restarted under load",
        ground: Ground::Cluster,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(restart_database(stage)),
        truths: &[],
        may: &[],
        quiet_s: 20,
        remedy: |stage| Box::pin(work(stage)),
    },
    Scenario {
        id: "F46b",
        name: "the database is away for longer than a lease",
        ground: Ground::Cluster,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(database_away(stage)),
        truths: &[],
        // The worker gave its tasks up, and takes them again once the message is back.
        may: &[
            May::new(WorkerSilent, On::Tasks("held")),
            May::new(WorkerLost, On::Tasks("held")),
        ],
        quiet_s: 20,
        remedy: |stage| Box::pin(work(stage)),
    },
    Scenario {
        id: "F51",
        name: "somebody holds the database's lock for three seconds, and for longer",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(lock_briefly(stage)),
        truths: &[],
        may: &[],
        quiet_s: 20,
        remedy: |stage| Box::pin(work(stage)),
    },
    Scenario {
        id: "F47",
        name: "somebody holds the database's lock for longer than a lease",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(lock_past_the_lease(stage)),
        truths: &[],
        // The worker gave its tasks up, and takes them again.
        may: &[
            May::new(WorkerSilent, On::Tasks("held")),
            May::new(WorkerLost, On::Tasks("held")),
        ],
        quiet_s: 20,
        remedy: |stage| Box::pin(work(stage)),
    },
    Scenario {
        id: "F57",
        name: "somebody sets the machine's clock, forward and back, while tasks run",
        ground: Ground::Shared,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(set_the_clock(stage)),
        truths: &[],
        may: &[],
        quiet_s: 20,
        remedy: |stage| Box::pin(work(stage)),
    },
    Scenario {
        id: "F66",
        name: "the elected detector is frozen, and another one finds what was purged meanwhile",
        ground: Ground::Shared,
        pace: Pace::Patient,
        only: Only::Postgres,
        inject: |stage| Box::pin(freeze_leader(stage)),
        // The lease of a leader, and 30 s.
        truths: &[
            Truth::new(MessageLost, On::Tasks("lost"), 13 + 30),
            Truth::new(LedgerShort, On::Queue("main"), 13 + 30),
        ],
        may: &[],
        quiet_s: 5,
        remedy: |stage| Box::pin(thaw_leader(stage)),
    },
];

async fn kill_between(stage: &mut Stage) {
    stage.chaos().go_away();
    stage.serve().await;
    stage.start("between", "main", 3, json!({})).await;
    stage.serves.remove(0).process.kill9();
    stage.chaos().come_back();
    stage.serve().await;
    stage.until_published("between").await;
    stage.mark();
}

/// Tasks that run, and more that come.
async fn busy(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 4).await;
    stage.start_held("held", "main", 2).await;
    stage.until_running("held").await;
    let queue = stage.queue("main");
    stage.load(
        300,
        move |_| json!({"kind": "lab", "queue": queue, "payload": "steps=2"}),
    );
    stage.until_more_promised(5).await;
}

async fn restart_database(stage: &mut Stage) {
    busy(stage).await;
    let cluster = stage.cluster.as_ref().expect("a server of its own");
    cluster.run("restart").await;
    stage.mark();
    stage.until_more_promised(5).await;
}

async fn database_away(stage: &mut Stage) {
    busy(stage).await;
    let cluster = stage.cluster.as_ref().expect("a server of its own");
    cluster.run("kill9").await;
    // The fault itself: two leases.
    tokio::time::sleep(Duration::from_secs(10)).await;
    cluster.run("start").await;
    stage.mark();
    stage.until_more_promised(5).await;
}

async fn work(stage: &mut Stage) {
    stage.stop_load().await;
    stage.plant.open("held");
    if stage.workers.is_empty() {
        stage.worker("one", "main", 4).await;
    }
}

/// Holds the lock so long; meanwhile the site answers everybody, and gives those who write what they asked for as soon as
/// it can, or a refusal in time.
async fn lock_for(stage: &mut Stage, span: Duration) {
    let lock = Lock::take(&stage.plant.database_url).await;
    let held = tokio::spawn(async move {
        tokio::time::sleep(span).await;
        lock.release().await;
    });
    while !held.is_finished() {
        assert_eq!(stage.client.get("/healthz").await.status, 200, "it lives on");
        let queue = stage.queue("main");
        let task = json!({"kind": "lab", "queue": queue});
        let status = stage.client.post("/api/v1/tasks", task).await.status;
        assert!(status == 201 || (status == 503 && span > BRIEF), "{status}");
    }
    held.await.expect("let go");
}

async fn lock_briefly(stage: &mut Stage) {
    busy(stage).await;
    lock_for(stage, BRIEF).await;
    stage.until_more_promised(5).await;
    // Its program ends while nothing can be written.
    stage
        .start("ending", "main", 1, json!({"payload": "steps=60"}))
        .await;
    stage.until_running("ending").await;
    lock_for(stage, Duration::from_secs(9)).await;
    stage.until_done("ending").await;
    stage.mark();
    for task in [stage.ids("held"), stage.ids("ending")].concat() {
        let attempt = stage.client.task(&task).await["attempt"].clone();
        assert_eq!(attempt, 1, "nobody lost a lease, nor a result");
    }
}

async fn lock_past_the_lease(stage: &mut Stage) {
    busy(stage).await;
    lock_for(stage, Duration::from_secs(15)).await;
    stage.mark();
    stage.until_more_promised(5).await;
}

/// By an hour and by ten years, for longer than a lease each time.
async fn set_the_clock(stage: &mut Stage) {
    let clock = WallClock::right(stage.plant.folder());
    stage.plant.keep_time_by(&clock);
    busy(stage).await;
    for offset in ["+3600s", "-3600s", "+10y", "+0"] {
        clock.set(offset);
        // The fault itself: longer than a lease, and until it is a second detection's turn.
        tokio::time::sleep(Duration::from_secs(7)).await;
        stage.until_more_promised(5).await;
    }
    if stage.plant.database_url.starts_with("sqlite") {
        let noticed = |(_, log): (_, String)| log.contains("the machine's clock is not the database's");
        assert!(stage.plant.logs().into_iter().any(noticed), "the clock was set");
    }
    stage.mark();
    for task in stage.ids("held") {
        let attempt = stage.client.task(&task).await["attempt"].clone();
        assert_eq!(attempt, 1, "nobody lost a lease");
    }
}

async fn freeze_leader(stage: &mut Stage) {
    stage.serve().await;
    let count = stage.dice.roll(2, 5);
    stage.start("lost", "main", count, json!({})).await;
    stage.until_published("lost").await;
    stage.until_ready("main", count).await;
    stage.serve_beside().await;
    stage.serves[0].process.signal(Signal::SIGSTOP);
    let queue = stage.queue("main");
    stage.outside().await.purge(&queue).await;
    stage.mark();
}

async fn thaw_leader(stage: &mut Stage) {
    stage.serves[0].process.signal(Signal::SIGCONT);
    stage.requeue("lost").await;
    stage.worker("one", "main", 4).await;
}
