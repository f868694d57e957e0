//! What follows from how the broker has set up a queue: arguments that lose messages, and deliveries it takes back.

use std::time::Duration;

use unstuck::domain::{
    finding::{CloseReason, Confidence, Scope, Verdict},
    ledger::Health,
    observation::QueueSettings,
    queue_setup::AckTimeout,
    rules::{Ruling, settings::ack_deadline},
    transition::Event,
};

use super::{
    stage::Stage,
    support::{THRESHOLDS, at, holding, judge_settings, mismatch},
};
use crate::support::store::each_store;

#[test]
fn only_arguments_that_can_lose_messages_are_told_and_only_when_they_stay() {
    let harmful = [mismatch(true), mismatch(false)];
    assert_eq!(judge_settings(Some(&harmful), 9_999), Ruling::Undecided);
    let Ruling::Found(incident) = judge_settings(Some(&harmful), 10_000) else {
        panic!("found");
    };
    assert_eq!(
        incident.evidence.facts.detail.as_deref(),
        Some("x-message-ttl = 1000 (≠ none); x-message-ttl = 1000 (≠ none)"),
        "beside what harms, everything that differs"
    );
    assert_eq!(judge_settings(Some(&[mismatch(false)]), 60_000), Ruling::Clear);
    assert_eq!(judge_settings(Some(&[]), 60_000), Ruling::Clear);
    assert_eq!(
        judge_settings(None, 60_000),
        Ruling::Undecided,
        "not told is not the same"
    );
}

#[test]
fn a_deadline_is_told_with_a_fifth_of_the_timeout_left_unless_the_attempt_says_when_it_ends() {
    let judge = |change: fn(&mut _)| {
        let mut task = holding();
        change(&mut task);
        ack_deadline(task, 600_000, at(0), &THRESHOLDS)
    };
    let stall = judge(|_| {}).expect("close");
    assert_eq!(
        (stall.confidence, stall.evidence.facts.ack_left_ms),
        (Confidence::Likely, Some(60_000))
    );
    assert!(judge(|task| task.started_at = at(-480_000)).is_some());
    assert!(
        judge(|task| task.started_at = at(-479_999)).is_none(),
        "more is left"
    );
    assert!(
        judge(|task| task.lease_expires_at = at(0)).is_none(),
        "a lease that is over"
    );
    assert!(
        judge(|task| task.timeout_s = Some(599)).is_none(),
        "it ends before"
    );
    assert!(judge(|task| task.timeout_s = Some(600)).is_some());
    assert!(
        judge(|task| task.progress = Some(95.0)).is_none(),
        "at its pace done in 28 s"
    );
    assert!(judge(|task| task.progress = Some(80.0)).is_some());
    assert!(judge(|task| task.progress = Some(0.0)).is_some());
    let overdue = |ms: i64| {
        let mut task = holding();
        task.started_at = at(-ms);
        task.timeout_s = Some(60);
        ack_deadline(task, 600_000, at(0), &THRESHOLDS).is_some()
    };
    assert!(
        overdue(660_000),
        "it was to end long ago, and the broker looks once a minute"
    );
    assert!(
        !overdue(720_001),
        "a broker that has not taken it back by now will not"
    );
}

#[tokio::test]
async fn a_mismatch_is_one_card_that_goes_when_the_queue_is_mended() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let settings = |mismatches| {
            Some(QueueSettings {
                obstacle: None,
                mismatches,
                ack_timeout: AckTimeout::Unknown,
            })
        };
        stage.queue(|queue| queue.settings = settings(vec![mismatch(true)]));
        stage.passes(2).await;
        assert_eq!(stage.incident_verdicts().await, [], "somebody may be at it");
        stage.passes(2).await;
        assert_eq!(stage.incident_verdicts().await, [Verdict::QueueMismatch]);
        let sample = stage.store.latest_sample("q").await.expect("read");
        assert_eq!(sample.expect("sampled").health, Health::Warning);
        stage.queue(|queue| queue.settings = None);
        stage.passes(3).await;
        assert_eq!(
            stage.incident_verdicts().await,
            [Verdict::QueueMismatch],
            "numbers that are not there close nothing"
        );
        stage.queue(|queue| queue.settings = settings(Vec::new()));
        stage.pass().await;
        assert_eq!(stage.incident_verdicts().await, []);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_about_to_be_taken_back_is_told_until_the_timeout_is_raised_or_a_copy_came() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = stage.queued(2).await;
        stage.broker(0, 2);
        let timeout = |ack_timeout| {
            Some(QueueSettings {
                obstacle: None,
                mismatches: Vec::new(),
                ack_timeout,
            })
        };
        stage.queue(|queue| queue.settings = timeout(AckTimeout::Unknown));
        stage.passes(2).await;
        for id in &ids {
            stage.claim(*id, "w").await;
        }
        let beat = async |stage: &Stage| {
            for id in &ids {
                let beat = Event::Heartbeat {
                    attempt: 1,
                    progress: None,
                    message: None,
                };
                stage.act(*id, beat).await;
            }
        };
        for _ in 0..20 {
            stage.clock.advance(Duration::from_secs(20));
            beat(&stage).await;
            stage.pass().await;
            assert_eq!(stage.stall_verdicts().await, [], "the timeout is not known");
        }
        stage.queue(|queue| queue.settings = timeout(AckTimeout::AfterMs(600_000)));
        stage.pass().await;
        assert_eq!(stage.stall_verdicts().await, [Verdict::AckDeadline; 2]);
        let cards = stage.incidents().await;
        assert_eq!(
            (cards.len(), cards[0].subject.scope, cards[0].tasks),
            (1, Scope::Queue, 2)
        );
        // A second copy of one came and was acknowledged: its attempt holds nothing any more.
        stage
            .refused(
                ids[0],
                Event::Claim(unstuck::domain::transition::Claim {
                    claim_id: "copy".into(),
                    dispatch: None,
                    worker: "v".into(),
                }),
            )
            .await;
        stage.pass().await;
        assert_eq!(stage.stalls().await.len(), 1);
        stage.queue(|queue| queue.settings = timeout(AckTimeout::AfterMs(6_000_000)));
        stage.pass().await;
        assert_eq!(
            stage.closed(Verdict::AckDeadline).await,
            [Some(CloseReason::Cleared); 2]
        );
        assert_eq!(stage.incidents().await, []);
    })
    .await;
}
