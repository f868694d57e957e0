//! A management API that is away, refuses, or talks nonsense: nothing but that may be said, whatever happens meanwhile.

use serde_json::json;
use unstuck::domain::finding::Verdict::*;

use crate::{
    lab::{
        scenario::{Ground, May, On, Only, Pace, Scenario, Truth},
        stage::Stage,
    },
    support::{stub_http::Answer, veil::Mode},
};

/// Three looks, and 20 s.
const BLIND_S: u64 = 6 + 20;
const TRUTH: &[Truth] = &[Truth::new(Unknown, On::Broker, BLIND_S)];
/// Purged before the numbers were there again: found afterwards, never before.
const FOUND_LATER: &[May] = &[
    May::new(MessageLost, On::Tasks("lost")).afterwards(),
    May::new(LedgerShort, On::Queue("main")).afterwards(),
];

pub const ALL: &[Scenario] = &[
    Scenario {
        id: "F60",
        name: "the management API is away, and a purge meanwhile is found once it is back",
        ground: Ground::Veiled,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(refuse(stage)),
        truths: TRUTH,
        may: FOUND_LATER,
        quiet_s: 15,
        remedy: |stage| Box::pin(see_again(stage)),
    },
    Scenario {
        id: "F63",
        name: "the management API refuses our password while a worker dies",
        ground: Ground::Veiled,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(unauthorized(stage)),
        truths: &[
            Truth::new(Unknown, On::Broker, BLIND_S),
            // Whether the worker lives can't be told.
            Truth::new(Unknown, On::Tasks("held"), 30 + 25),
        ],
        may: &[May::new(WorkerLost, On::Tasks("held")).afterwards()],
        quiet_s: 10,
        remedy: |stage| Box::pin(see_again_and_work(stage)),
    },
    Scenario {
        id: "F60b",
        name: "something else answers in the management API's place",
        ground: Ground::Veiled,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(garbage(stage)),
        truths: TRUTH,
        may: FOUND_LATER,
        quiet_s: 15,
        remedy: |stage| Box::pin(see_again(stage)),
    },
    Scenario {
        id: "F60c",
        name: "the management API answers every question with an empty list",
        ground: Ground::Veiled,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(empty(stage)),
        truths: TRUTH,
        may: FOUND_LATER,
        quiet_s: 15,
        remedy: |stage| Box::pin(see_again(stage)),
    },
    Scenario {
        id: "F61",
        name: "the management API takes questions and never answers",
        ground: Ground::Veiled,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(silence(stage)),
        truths: &[Truth::new(Unknown, On::Broker, BLIND_S + 15)],
        may: FOUND_LATER,
        quiet_s: 15,
        remedy: |stage| Box::pin(see_again(stage)),
    },
    Scenario {
        id: "F64",
        name: "the broker's statistics are switched off",
        ground: Ground::Node,
        pace: Pace::Patient,
        only: Only::Any,
        inject: |stage| Box::pin(statistics_off(stage)),
        truths: TRUTH,
        may: &[],
        quiet_s: 15,
        remedy: |stage| Box::pin(statistics_on(stage)),
    },
];

/// One task runs, some wait behind it; then the API answers like this, and what waits is purged.
async fn veil_and_purge(stage: &mut Stage, mode: Mode) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    let count = stage.dice.roll(2, 5);
    stage.start("lost", "main", count, json!({})).await;
    stage.until_published("lost").await;
    stage.until_ready("main", count).await;
    stage.until_listed("main", 1).await;
    stage.veil().set(mode);
    stage.mark();
    stage.until_said(Unknown, On::Broker).await;
    let queue = stage.queue("main");
    stage.outside().await.purge(&queue).await;
}

async fn refuse(stage: &mut Stage) {
    veil_and_purge(stage, Mode::Refuse).await;
}

async fn garbage(stage: &mut Stage) {
    let page = "<html><title>Welcome</title><p>It works!</html>";
    let answer = Answer::http("200 OK", "content-type: text/html\r\n", page);
    veil_and_purge(stage, Mode::Answer(answer)).await;
}

async fn empty(stage: &mut Stage) {
    let answer = Answer::http("200 OK", "content-type: application/json\r\n", "[]");
    veil_and_purge(stage, Mode::Answer(answer)).await;
}

async fn silence(stage: &mut Stage) {
    veil_and_purge(stage, Mode::Answer(Answer::Silence)).await;
}

async fn see_again(stage: &mut Stage) {
    stage.veil().set(Mode::Through);
    stage.until_said(MessageLost, On::Tasks("lost")).await;
    stage.plant.open("held");
    stage.requeue("lost").await;
    stage.worker("helper", "main", 4).await;
}

async fn unauthorized(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 2).await;
    stage.start_held("held", "main", 2).await;
    stage.until_running("held").await;
    stage.until_listed("main", 1).await;
    let answer = Answer::http(
        "401 Unauthorized",
        "content-type: application/json\r\n",
        r#"{"error":"not_authorised","reason":"Login failed"}"#,
    );
    stage.veil().set(Mode::Answer(answer));
    stage.kill("one");
    stage.mark();
}

async fn see_again_and_work(stage: &mut Stage) {
    stage.veil().set(Mode::Through);
    stage.plant.open("held");
    stage.worker("two", "main", 2).await;
}

const SWITCH: &str = "application:set_env(rabbitmq_management_agent, disable_metrics_collector, ";

async fn statistics_off(stage: &mut Stage) {
    stage.serve().await;
    stage.worker("one", "main", 1).await;
    stage.start_held("held", "main", 1).await;
    stage.until_running("held").await;
    stage.start("waiting", "main", 3, json!({})).await;
    stage.until_published("waiting").await;
    let off = format!("{SWITCH}true).");
    stage.node().ctl(&["eval", &off]).await;
    stage.mark();
}

async fn statistics_on(stage: &mut Stage) {
    let on = format!("{SWITCH}false).");
    stage.node().ctl(&["eval", &on]).await;
    stage.plant.open("held");
}
