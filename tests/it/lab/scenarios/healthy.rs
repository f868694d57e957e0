//! Days on which nothing is wrong, and much looks as if it were: nothing may be said.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    lab::{
        scenario::{Ground, Only, Pace, Scenario},
        stage::Stage,
    },
    support::lock::Lock,
};

/// How long the database keeps everybody waiting who writes.
const SLOW: Duration = Duration::from_secs(2);

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "H1",
        name: "healthy: short and long tasks, failures, schedules and bursts",
        ground: Ground::Shared,
        pace: Pace::Defaults,
        only: Only::Any,
        inject: |stage| Box::pin(busy(stage)),
        truths: &[],
        may: &[],
        quiet_s: 0,
        remedy: |stage| Box::pin(end(stage)),
    },
    Scenario {
        id: "H2",
        name: "healthy: workers come and go, links break, messages are given back, the database is slow",
        ground: Ground::Proxied,
        pace: Pace::Defaults,
        only: Only::Any,
        inject: |stage| Box::pin(restless(stage)),
        truths: &[],
        may: &[],
        quiet_s: 0,
        remedy: |stage| Box::pin(end(stage)),
    },
    Scenario {
        id: "H3",
        name: "healthy: important tasks overtake others",
        ground: Ground::Shared,
        pace: Pace::Defaults,
        only: Only::Classic,
        inject: |stage| Box::pin(priorities(stage)),
        truths: &[],
        may: &[],
        quiet_s: 0,
        remedy: |stage| Box::pin(end(stage)),
    },
];

/// How long it lasts: `LAB_HEALTHY_S`, else 75 s.
fn span() -> Duration {
    let asked = std::env::var("LAB_HEALTHY_S").ok();
    Duration::from_secs(asked.map_or(75, |text| {
        text.parse().expect("LAB_HEALTHY_S is a number of seconds")
    }))
}

async fn busy(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 3).await;
    // Longer than two leases, and a queue that is empty.
    stage
        .start("long", "main", 1, json!({"payload": "before=long"}))
        .await;
    stage.start("quick", "seldom", 1, json!({})).await;
    stage.worker("seldom", "seldom", 1).await;
    let queue = stage.queue("main");
    stage.plant.trace(&queue).await;
    let task = move |n: usize| -> Value {
        match n % 12 {
            0 => json!({"kind": "seconds", "queue": queue, "payload": "steps=40"}),
            1 | 6 => json!({"kind": "retry", "queue": queue, "payload": "good=2"}),
            8 => json!({"kind": "failing", "queue": queue, "payload": "exit=1"}),
            3 => {
                let due = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5);
                json!({"kind": "scheduled", "queue": queue, "available_at": due.to_string()})
            }
            _ => json!({"kind": "short", "queue": queue, "payload": "steps=1"}),
        }
    };
    stage.load(500, task);
    stage.mark();
    let began = Instant::now();
    while began.elapsed() < span() {
        let burst = stage.dice.roll(3, 12);
        stage
            .start("burst", "main", burst, json!({"payload": "steps=2"}))
            .await;
        stage.until_more_promised(20).await;
    }
}

async fn restless(stage: &mut Stage) {
    stage.serve().await;
    let queue = stage.queue("main");
    stage.load(
        500,
        move |n| json!({"kind": "lab", "queue": queue, "payload": format!("steps={}", n % 40)}),
    );
    stage.worker("one", "main", 3).await;
    stage.until_more_promised(1).await;
    let queue = stage.queue("main");
    stage.plant.trace(&queue).await;
    stage.mark();
    let began = Instant::now();
    let mut round = 0;
    while began.elapsed() < span() {
        let (old, new) = if round % 2 == 0 {
            ("one", "two")
        } else {
            ("two", "one")
        };
        stage.until_more_promised(8).await;
        match stage.dice.roll(0, 3) {
            0 => stage.chaos().cut(),
            1 => {
                // Somebody takes messages and gives them back.
                let visitor = stage.consume("main", "visitor", 3).await;
                stage.hold("visitor", visitor);
                stage.until_more_promised(3).await;
                stage.let_go("visitor");
            }
            2 => {
                let lock = Lock::take(&stage.plant.database_url).await;
                tokio::time::sleep(SLOW).await;
                lock.release().await;
            }
            _ => {
                stage.worker(new, "main", 3).await;
                stage.end(old).await;
                round += 1;
            }
        }
    }
}

async fn priorities(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    let queue = stage.queue("main");
    stage.load(400, move |n| {
        let priority = if n % 5 == 0 { 0 } else { 5 + n % 5 };
        json!({"kind": "lab", "queue": queue, "payload": "steps=5", "priority": priority})
    });
    stage.mark();
    let began = Instant::now();
    while began.elapsed() < span() {
        stage.until_more_promised(10).await;
    }
}

async fn end(stage: &mut Stage) {
    stage.stop_load().await;
    stage.plant.open("long");
    stage.worker("helper", "main", 4).await;
}
