//! Plays one scenario from its first task to its last closed finding.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use super::{
    acts::Acts,
    dice::Dice,
    judge::{Outcome, is_complete, judge, left_open},
    said::{Said, now_ms},
    scenario::{Ground, On, Scenario, Variant},
    stage::Stage,
};
use crate::support::{
    node::Node,
    truth::{check, count},
    wait::eventually,
};

/// How long after the remedy the last finding may close, beyond what its rule waits for.
const CLOSED_WITHIN: Duration = Duration::from_secs(120);
/// How long the site is waited for beyond a verdict's limit: to tell a late word from none.
const BEYOND: Duration = Duration::from_secs(20);

/// Plays it on this variant. What panics is a problem of the outcome; the broker of the lab's own is then destroyed.
pub fn play(scenario: &Scenario, variant: Variant, seed: u64, node: &mut Option<Node>) -> Outcome {
    let (lease_s, detect_every_s) = scenario.pace.settings();
    let mut outcome = Outcome {
        scenario: scenario.id.to_owned(),
        name: scenario.name.to_owned(),
        variant: variant.name(),
        lease_s,
        detect_every_s,
        ..Outcome::default()
    };
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let own = match scenario.ground {
                Ground::Node => Some(match node.take() {
                    Some(node) => node,
                    None => Node::start(&[("RMQ_FAST", "1")]).await,
                }),
                _ => None,
            };
            let mut stage = Stage::new(scenario, variant, Dice::new(seed, scenario.id), own).await;
            let told = tell(scenario, &mut stage).await;
            let node = stage.close().await;
            (told, node)
        })
    }));
    outcome.seconds = began.elapsed().as_secs();
    match played {
        Ok(((cells, problems), back)) => {
            (outcome.cells, outcome.problems) = (cells, problems);
            if back.is_some() {
                *node = back;
            }
        }
        Err(panic) => {
            let why = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            outcome.problems = vec![format!("could not be played: {}", why.unwrap_or_default())];
        }
    }
    outcome
}

async fn tell(scenario: &Scenario, stage: &mut Stage) -> (Vec<super::judge::Cell>, Vec<String>) {
    (scenario.inject)(stage).await;
    assert!(
        stage.marked_ms(On::Broker) > 0,
        "the scenario marks when it is true"
    );
    let limit = scenario.truths.iter().map(|truth| truth.within_s).max();
    if let Some(limit) = limit {
        let deadline = Instant::now() + Duration::from_secs(limit) + BEYOND;
        while Instant::now() < deadline {
            let so_far = stage.said().await;
            if so_far.is_some_and(|said| is_complete(scenario, stage, &said)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    // Nothing is waited for here: for so long nothing else may be said.
    tokio::time::sleep(Duration::from_secs(scenario.quiet_s)).await;
    stage.mended_ms = now_ms();
    (scenario.remedy)(stage).await;
    stage.stop_load().await;
    check(&stage.plant, &stage.acknowledged()).await;
    everything_is_audited(stage).await;
    let all = closed(scenario, stage).await;
    let (cells, mut problems) = judge(scenario, stage, &all);
    for open in left_open(scenario, stage, &all) {
        problems.push(format!(
            "{} of {:?} is still open {} s after everything ended: {}",
            open.verdict,
            open.about,
            CLOSED_WITHIN.as_secs(),
            open.sentence
        ));
    }
    (cells, problems)
}

/// Each action has its line in the audit log, and nothing else has.
async fn everything_is_audited(stage: &Stage) {
    let words = Acts::WORDS.map(|word| format!("'{word}'")).join(", ");
    let lines = format!(
        "SELECT count(*) FROM audit WHERE outcome = 'done' AND actor <> 'system' AND action IN ({words})"
    );
    let lines = count(&stage.plant, &lines).await;
    let (done, unsure) = (stage.acts.done.get(), stage.acts.unsure.get());
    assert!(
        (done..=done + unsure).contains(&lines),
        "{lines} lines in the audit log of {done} actions, and {unsure} without an answer"
    );
}

/// Waits until nothing is open any more that must close, and gives everything that was said.
async fn closed(scenario: &Scenario, stage: &Stage) -> Vec<Said> {
    let deadline = Instant::now() + CLOSED_WITHIN;
    eventually(CLOSED_WITHIN * 2, "everything said is read", async || {
        let all = stage.said().await?;
        let open = !left_open(scenario, stage, &all).is_empty();
        if open && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(300)).await;
            return None;
        }
        Some(all)
    })
    .await
}
