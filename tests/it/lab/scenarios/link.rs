//! Connections that lose something: it comes again, and nothing is wrong.

use std::time::Duration;

use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario},
        stage::Stage,
    },
    support::{chaos::Chaos, wait::eventually},
};

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "F05",
        name: "confirms are cut off or swallowed: messages go out twice",
        ground: Ground::Proxied,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(lose_confirms(stage)),
        truths: &[],
        // A confirm is waited for up to 10 s before the next try.
        may: &[May::new(Unpublished, On::Tasks("load"))],
        quiet_s: 20,
        remedy: |stage| Box::pin(end(stage)),
    },
    Scenario {
        id: "F28",
        name: "acknowledgements are lost: messages of finished tasks come back",
        ground: Ground::Proxied,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(lose_acks(stage)),
        truths: &[],
        may: &[],
        quiet_s: 20,
        remedy: |stage| Box::pin(end(stage)),
    },
    Scenario {
        id: "F23",
        name: "connections are reset every few seconds",
        ground: Ground::Proxied,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(reset_again_and_again(stage)),
        truths: &[],
        may: &[],
        quiet_s: 20,
        remedy: |stage| Box::pin(end(stage)),
    },
];

async fn work(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 3).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    let queue = stage.queue("main");
    stage.load(
        400,
        move |_| json!({"kind": "lab", "queue": queue, "payload": "steps=2"}),
    );
    stage.mark();
}

async fn spent(chaos: &Chaos) {
    eventually(Duration::from_secs(30), "it was lost on the way", async || {
        chaos.is_spent().then_some(())
    })
    .await;
}

async fn lose_confirms(stage: &mut Stage) {
    work(stage).await;
    for _ in 0..2 {
        stage.chaos().cut_on_confirm();
        spent(stage.chaos()).await;
        stage.until_more_promised(4).await;
    }
    stage.chaos().drop_confirms(2);
    spent(stage.chaos()).await;
    stage.until_more_promised(4).await;
}

async fn lose_acks(stage: &mut Stage) {
    work(stage).await;
    for _ in 0..3 {
        stage.chaos().cut_on_client_ack();
        spent(stage.chaos()).await;
        stage.until_more_promised(4).await;
    }
}

async fn reset_again_and_again(stage: &mut Stage) {
    work(stage).await;
    for _ in 0..8 {
        stage.chaos().cut();
        let more = stage.dice.roll(1, 8);
        stage
            .until_more_promised(usize::try_from(more).expect("few"))
            .await;
    }
}

async fn end(stage: &mut Stage) {
    stage.stop_load().await;
    stage.plant.open("held");
}
