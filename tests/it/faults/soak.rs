//! Nothing fails, for a while: then nothing may be said to be wrong.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::all_succeed;
use crate::support::{
    client::PATIENCE,
    load::{Load, promised_at_last},
    node::Node,
    plant::{Plant, Serve},
    truth::findings,
    wait::eventually,
};

/// How long it lasts: `UNSTUCK_TEST_SOAK_S`, else 75 s.
fn span() -> Duration {
    let asked = std::env::var("UNSTUCK_TEST_SOAK_S").ok();
    Duration::from_secs(asked.map_or(75, |text| {
        text.parse().expect("UNSTUCK_TEST_SOAK_S is a number of seconds")
    }))
}

/// Longer than two leases.
const LONG: &str = "steps=1200";

#[tokio::test]
async fn a_healthy_busy_installation_never_has_a_finding() {
    // A broker as anybody has it: its statistics lag by up to ten seconds.
    let node = Node::start(&[]).await;
    let (amqp, management) = (node.amqp_url().await, node.management_url().await);
    let began = Instant::now();
    let (mut busy, mut loads, mut longs) = (Vec::<(Plant, Serve)>::new(), Vec::new(), Vec::new());
    let mut workers = Vec::new();
    for (engine, queue_type) in super::PAIRS {
        let plant = Plant::at_defaults(engine)
            .await
            .set("QUEUE_TYPE", queue_type)
            .on_broker(&amqp, &management);
        let serve = plant.serve().await;
        let (short, mixed) = (plant.queue("short"), plant.queue("mixed"));
        workers.extend([plant.worker(&short, 4), plant.worker(&mixed, 3)]);
        let long = json!({"kind": "long", "queue": mixed, "payload": LONG});
        longs.push(serve.client.start(long).await);
        let client = serve.client.clone();
        loads.push(Load::start(
            vec![client.clone(), client],
            Duration::from_millis(400),
            move |n| task(n, &short, &mixed),
        ));
        busy.push((plant, serve));
    }
    eventually(span() + PATIENCE, "it has lasted long enough", async || {
        for (plant, _) in &busy {
            assert_eq!(findings(plant).await, [], "after {:?}", began.elapsed());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        (began.elapsed() >= span()).then_some(())
    })
    .await;
    for (((plant, serve), load), long) in busy.into_iter().zip(loads).zip(longs) {
        let mut ids = promised_at_last(&serve.client, load.stop().await).await;
        eprintln!("{} tasks", ids.len());
        ids.push(long.clone());
        all_succeed(&plant, &ids).await;
        assert_eq!(serve.client.outcomes(&long).await, ["succeeded"]);
        assert_eq!(findings(&plant).await, []);
    }
    drop(workers);
}

/// Short ones, some that fail at first, some that are scheduled, some that take seconds.
fn task(n: usize, short: &str, mixed: &str) -> Value {
    match n % 12 {
        0 => json!({"kind": "seconds", "queue": mixed, "payload": "steps=60"}),
        1 | 6 => json!({"kind": "retry", "queue": short, "payload": "good=2"}),
        3 => {
            let due = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5);
            json!({"kind": "scheduled", "queue": short, "available_at": due.to_string()})
        }
        n => json!({"kind": "short", "queue": short, "payload": "steps=2", "priority": n % 10}),
    }
}
