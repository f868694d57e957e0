//! Which tasks of a queue that is not empty have lost their message: those older than its oldest one.

use unstuck::domain::{
    finding::{Confidence, Variant, Verdict},
    observation::{Presence, Snapshot},
};

use super::{
    stage::Stage,
    support::{judge_head, sample, short, window, with},
};
use crate::support::store::each_store;

#[test]
fn what_is_older_than_the_head_is_likely_lost_when_no_more_than_are_missing() {
    let stalls = judge_head(&short(5, 3), 2).expect("two are missing");
    assert_eq!(stalls.len(), 2);
    assert_eq!(
        (stalls[0].verdict, stalls[0].confidence),
        (Verdict::MessageLost, Confidence::Likely)
    );
    assert_eq!(stalls[0].evidence.facts.missing, Some(2));
    assert_eq!(judge_head(&short(5, 3), 1).expect("one").len(), 1);
    assert_eq!(
        judge_head(&short(5, 3), 3),
        Some(Vec::new()),
        "more than are missing: the head is no sign"
    );
}

#[test]
fn the_head_says_nothing_without_a_proven_shortage() {
    assert_eq!(judge_head(&short(5, 5), 1), None, "a message for each");
    assert_eq!(judge_head(&short(5, 0), 5), None, "all are proven lost already");
    let one = window([with(sample(0, false, 3, 0), |sample| sample.facts.settled = 5)]);
    assert_eq!(judge_head(&one, 2), None, "one reading");
    let absent = window([0, 5_000].map(|ms| {
        with(sample(ms, false, 3, 0), |sample| {
            sample.facts.settled = 5;
            sample.numbers.snapshot = None;
        })
    }));
    assert_eq!(judge_head(&absent, 2), None, "numbers missing");
    // Consumers may hold what is missing from the ready ones.
    let buffered =
        window([0, 5_000].map(|ms| with(sample(ms, false, 3, 2), |sample| sample.facts.settled = 5)));
    assert_eq!(judge_head(&buffered, 2), None, "a buffer");
}

impl Stage {
    /// From now on `q` is a classic queue with so many messages, the oldest published so many seconds ago.
    async fn head(&mut self, ready: i64, seconds: i64) {
        let now = self.store.now().await.expect("a time");
        self.broker(ready, 0);
        self.queue(|queue| {
            assert_eq!(queue.numbers.presence, Presence::Here);
            queue.numbers.snapshot = Some(Snapshot {
                ready,
                unacknowledged: 0,
                lag_ms: 1_000,
            });
            queue.head_at = Some(unstuck::domain::time::Time::from_ms(now.ms() - seconds * 1_000));
        });
    }
}

#[tokio::test]
async fn tasks_of_a_lower_priority_are_not_named_by_the_head() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let old = stage.queued(2).await;
        stage.clock.advance(std::time::Duration::from_secs(120));
        let urgent = stage.queued_at(3, 5).await;
        stage.clock.advance(std::time::Duration::from_secs(10));
        // Two messages of the five tasks are gone.
        stage.head(3, 10).await;
        stage.passes(3).await;
        assert_eq!(stage.incident_verdicts().await, [Verdict::LedgerShort]);
        assert_eq!(stage.stall_verdicts().await, [], "the head is an urgent one");

        // The urgent ones run: nothing of a higher priority waits or is held.
        for id in &urgent {
            stage.claim(*id, "w").await;
            stage
                .act(
                    *id,
                    unstuck::domain::transition::Event::Succeed {
                        attempt: 1,
                        result: serde_json::json!(null),
                        log: None,
                    },
                )
                .await;
        }
        stage.clock.advance(std::time::Duration::from_secs(120));
        let young = stage.queued(2).await;
        stage.clock.advance(std::time::Duration::from_secs(10));
        stage.head(2, 10).await;
        stage.passes(3).await;
        let stalls = stage.stalls().await;
        let mut named: Vec<_> = stalls.iter().map(|stall| stall.task_id).collect();
        named.sort();
        assert_eq!(named, old, "and not {young:?}");
        assert!(
            stalls
                .iter()
                .all(|stall| stall.evidence.variant == Variant::BehindHead)
        );
        let cards = stage.incidents().await;
        assert_eq!((cards.len(), cards[0].verdict), (1, Verdict::LedgerShort));
        assert!(stalls.iter().all(|stall| stall.incident_id == Some(cards[0].id)));
    })
    .await;
}
