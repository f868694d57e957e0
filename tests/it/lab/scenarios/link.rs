//! Connections that lose something: it comes again, and nothing is wrong.

use std::time::Duration;

use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
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
    Scenario {
        id: "F20",
        name: "every word to the broker and back is half a second late",
        ground: Ground::Proxied,
        pace: Pace::Quick,
        only: Only::Any,
        inject: |stage| Box::pin(slow_down(stage)),
        truths: &[],
        may: &[],
        quiet_s: 20,
        remedy: |stage| Box::pin(speed_up(stage)),
    },
    Scenario {
        id: "F22",
        name: "the broker hears us and is not heard: messages go out, and no confirm comes",
        ground: Ground::Proxied,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(mute(stage)),
        truths: &[Truth::new(Unpublished, On::Tasks("unconfirmed"), 15 + 20)],
        // The copies of each try wait for a worker that discards them.
        may: &[May::new(LedgerOver, On::Queue("main")).afterwards()],
        quiet_s: 10,
        remedy: |stage| Box::pin(unmute(stage)),
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

async fn slow_down(stage: &mut Stage) {
    work(stage).await;
    stage.until_more_promised(5).await;
    stage.chaos().delay(Duration::from_millis(500));
    stage.until_more_promised(20).await;
    stage.mark();
}

async fn speed_up(stage: &mut Stage) {
    stage.chaos().delay(Duration::ZERO);
    end(stage).await;
}

async fn mute(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    stage.chaos().mute(true);
    let count = stage.dice.roll(1, 4);
    stage.start("unconfirmed", "main", count, json!({})).await;
    stage.mark();
}

async fn unmute(stage: &mut Stage) {
    stage.chaos().mute(false);
    stage.plant.open("held");
}
