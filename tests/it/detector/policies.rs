//! What policies do about findings: when they act, what that leaves behind, and when they stop. On both databases.

use std::time::Duration;

use serde_json::{Value, json};
use unstuck::{
    domain::{
        audit::AuditEntry,
        finding::{CloseReason, Confidence, Verdict},
        observation::Publishing,
        policy::{Policy, PolicyAction},
        task::State,
    },
    store::{AuditFilter, PolicyRow},
};
use uuid::Uuid;

use super::stage::{Stage, judge};
use crate::support::store::each_store;

const WHEN_PROVEN: Policy = Policy {
    action: PolicyAction::WhenProven,
    per_minute: 300,
    breaker_percent: 20,
    breaker_tasks: 10,
};

async fn policy(stage: &Stage) -> PolicyRow {
    stage.store.policy("q", Verdict::MessageLost).await.expect("read")
}

async fn set(stage: &Stage, policy: Policy) {
    let version = self::policy(stage).await.version;
    let mut audit = AuditEntry::new("user:a", "policy_set", "queue", "q");
    audit.reason = Some("to be tested".into());
    let set = stage
        .store
        .set_policy("q", Verdict::MessageLost, version, &policy, &audit)
        .await;
    assert!(set.expect("written"));
}

/// Tasks whose messages were there for three looks and are gone from now on.
async fn purged(stage: &mut Stage, count: usize) -> Vec<Uuid> {
    let ids = stage.queued(count).await;
    stage.broker(count as i64, 0);
    stage.passes(4).await;
    stage.broker(0, 0);
    ids
}

/// The rows of the audit log with this action, the newest first.
async fn audited(stage: &Stage, action: &str) -> Vec<AuditEntry> {
    let filter = AuditFilter {
        action: Some(action.into()),
        ..AuditFilter::default()
    };
    let page = stage.store.audit_page(&filter, None, 1_000).await.expect("read");
    page.items.into_iter().map(|row| row.entry).collect()
}

async fn events(stage: &Stage, id: Uuid) -> Vec<(String, String, Value)> {
    let history = stage.store.history_back(id, None, 100).await.expect("read");
    let entries = history.into_iter();
    entries
        .map(|entry| (entry.event, entry.actor, entry.detail))
        .collect()
}

#[tokio::test]
async fn a_policy_puts_what_is_proven_lost_out_again_under_the_same_dispatch_and_writes_it_down() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        set(&stage, WHEN_PROVEN).await;
        let ids = purged(&mut stage, 4).await;
        assert_eq!(stage.pass().await.resent, 0, "one reading proves nothing");
        let tally = stage.pass().await;
        assert_eq!((tally.stalls_opened, tally.resent), (4, 0), "more may come in");
        assert_eq!(stage.pass().await.resent, 0);
        assert_eq!(stage.pass().await.resent, 4, "10 s later it is whole");
        for id in &ids {
            let task = stage.store.task(*id).await.expect("read").expect("there").task;
            assert_eq!((task.state, task.dispatch), (State::Queued, 1));
            assert_eq!(task.published_at, None);
            assert!(task.resent_at.is_some());
            let (event, actor, detail) = events(&stage, *id).await.remove(0);
            assert_eq!((event.as_str(), actor.as_str()), ("republished", "system"));
            assert_eq!(detail["finding"]["verdict"], "message_lost");
        }
        assert_eq!(stage.stalls().await, []);
        assert_eq!(
            stage.closed(Verdict::MessageLost).await,
            [Some(CloseReason::Resent); 4]
        );
        let rows = audited(&stage, "resend").await;
        assert_eq!(rows.len(), 4, "a row for each");
        for row in &rows {
            assert_eq!((row.actor.as_str(), row.target.as_str()), ("system", "task"));
            assert_eq!(row.reason.as_deref(), Some("policy: message_lost, when_proven"));
            let finding = &row.after.as_ref().expect("a picture")["finding"];
            assert_eq!(
                (&finding["confidence"], &finding["verdict"]),
                (&json!("proven"), &json!("message_lost"))
            );
            assert_eq!(finding["evidence"]["variant"], "empty");
            assert_eq!(finding["evidence"]["messages_ready"]["value"], 0, "{finding}");
            assert!(finding["id"].is_string());
        }
        // What was put out is a message like any other.
        assert_eq!(
            stage
                .store
                .take_due(100, Duration::from_secs(5))
                .await
                .expect("taken")
                .len(),
            4
        );
    })
    .await;
}

#[tokio::test]
async fn without_a_policy_nothing_is_done_and_nothing_twice_with_one() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        purged(&mut stage, 3).await;
        stage.passes(3).await;
        assert_eq!(stage.stalls().await.len(), 3);
        assert_eq!(audited(&stage, "resend").await, []);

        // What was found before the policy was set counts, too.
        set(&stage, WHEN_PROVEN).await;
        stage.passes(3).await;
        assert_eq!(audited(&stage, "resend").await.len(), 3);
        stage.confirm().await;
        // Gone again at once: somebody has to look.
        stage.passes(4).await;
        assert_eq!(stage.stalls().await.len(), 3);
        assert_eq!(audited(&stage, "resend").await.len(), 3);
        stage.clock.advance(Duration::from_secs(600));
        stage.passes(8).await;
        assert_eq!(audited(&stage, "resend").await.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_done_while_the_broker_is_blind_or_has_an_alarm() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        purged(&mut stage, 3).await;
        stage.passes(2).await;
        assert_eq!(stage.stalls().await.len(), 3);
        set(&stage, WHEN_PROVEN).await;
        let clear = stage.sight.clone();
        stage.sight.alarms = Some(vec!["memory (rabbit@a)".into()]);
        assert_eq!(stage.pass().await.resent, 0, "an alarm");
        stage.sight.alarms = None;
        assert_eq!(stage.pass().await.resent, 0, "alarms unknown");
        stage.sight = clear.clone();
        stage.sight.publishing = Publishing::Blocked("low on memory".into());
        assert_eq!(stage.pass().await.resent, 0, "nothing can be put out");
        stage.sight = clear.clone();
        stage.blind();
        assert_eq!(stage.pass().await.resent, 0, "blind");
        stage.sight = clear.clone();
        stage.sight.restarted = true;
        assert_eq!(stage.pass().await.resent, 0, "a restart");
        stage.sight = clear;
        assert_eq!(stage.pass().await.resent, 0, "after a restart numbers settle");
        stage.passes(8).await;
        assert_eq!(audited(&stage, "resend").await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn too_many_at_once_stop_the_policy_until_a_person_lets_it_go_on() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        set(&stage, WHEN_PROVEN).await;
        purged(&mut stage, 12).await;
        stage.passes(4).await;
        assert_eq!(stage.stalls().await.len(), 12);
        assert_eq!(audited(&stage, "resend").await, [], "nothing was put out");
        let tripped = policy(&stage).await.tripped.expect("stopped");
        assert_eq!((tripped.would, tripped.open), (12, 12));
        let stopped = stage.store.tripped_policies(10).await.expect("read");
        assert_eq!(stopped.len(), 1);
        let rows = audited(&stage, "policy_trip").await;
        assert_eq!(rows.len(), 1, "told once");
        assert_eq!(
            (rows[0].actor.as_str(), rows[0].target_id.as_str()),
            ("system", "q")
        );
        assert_eq!(rows[0].after.as_ref().expect("numbers")["would"], 12);

        let audit = AuditEntry::new("user:a", "policy_reset", "queue", "q");
        let reset = stage.store.reset_policy("q", Verdict::MessageLost, &audit);
        assert!(reset.await.expect("written"));
        stage.passes(1).await;
        assert!(
            policy(&stage).await.tripped.is_some(),
            "as much is lost as before"
        );

        let reset = stage.store.reset_policy("q", Verdict::MessageLost, &audit);
        assert!(reset.await.expect("written"));
        set(
            &stage,
            Policy {
                breaker_percent: 100,
                ..WHEN_PROVEN
            },
        )
        .await;
        assert_eq!(stage.pass().await.resent, 12, "a person allowed it");
        let again = stage.store.reset_policy("q", Verdict::MessageLost, &audit);
        assert!(!again.await.expect("read"), "it was not stopped");
        assert_eq!(audited(&stage, "policy_reset").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_large_loss_stops_the_policy_before_the_first_task_and_the_rate_is_kept() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let slow = Policy {
            per_minute: 3,
            ..WHEN_PROVEN
        };
        set(&stage, slow).await;
        purged(&mut stage, 7).await;
        stage.passes(4).await;
        assert_eq!(audited(&stage, "resend").await.len(), 3, "three in this minute");
        let row = policy(&stage).await;
        let now = stage.store.now().await.expect("a time");
        assert_eq!((row.done_this_minute(now), row.done_this_hour(now)), (3, 3));
        stage.passes(13).await;
        assert_eq!(audited(&stage, "resend").await.len(), 6, "and three in the next");
        assert_eq!(policy(&stage).await.tripped, None);
    })
    .await;
}

#[tokio::test]
async fn a_task_that_moved_on_is_left_alone_and_a_replaced_leader_does_nothing() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store, clock).await;
        let ids = purged(&mut stage, 3).await;
        stage.passes(2).await;
        set(&stage, WHEN_PROVEN).await;
        let row = policy(&stage).await;
        let now = stage.store.now().await.expect("a time");
        let found = stage.store.curable(&row, now, 10).await.expect("read");
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|one| one.confidence == Confidence::Proven));
        assert_eq!(stage.store.count_curable(&row, now, 10).await.expect("read"), 3);

        // Its message was there after all.
        stage.claim(ids[0], "w").await;
        stage.judge.resign().await.expect("resigned");
        let mut other = judge(&stage.store);
        assert!(other.lead().await.expect("elected"));
        let lease = Duration::from_secs(10);
        let taken = |holder: &str| {
            let (store, holder) = (stage.store.clone(), holder.to_owned());
            async move { store.lead("detector", &holder, lease).await.expect("read") }
        };
        assert_eq!(taken("a").await, None, "another one leads");
        other.resign().await.expect("resigned");
        let first = taken("a").await.expect("elected");
        stage.clock.advance(lease);
        let second = taken("b").await.expect("elected");
        let acted = stage.store.carry_out(&first, &row, &found).await.expect("asked");
        assert_eq!(acted, None, "the leader was replaced");
        assert_eq!(audited(&stage, "resend").await, []);
        assert!(!stage.store.trip_policy(&first, &row, 3, 3).await.expect("asked"));

        let acted = stage.store.carry_out(&second, &row, &found).await.expect("asked");
        let acted = acted.expect("the leader acts");
        assert_eq!((acted.resent, acted.refused), (2, 1));
        let task = stage.store.task(ids[0]).await.expect("read").expect("there").task;
        assert_eq!((task.state, task.resent_at), (State::Running, None));
        let again = stage.store.carry_out(&second, &row, &found).await.expect("asked");
        let again = again.expect("the leader acts");
        assert_eq!((again.resent, again.refused), (0, 3), "nothing is done twice");

        // Changed meanwhile: what was decided by the old policy is not done.
        set(&stage, Policy::default()).await;
        let acted = stage.store.carry_out(&second, &row, &found).await.expect("asked");
        assert_eq!(acted, None);
    })
    .await;
}

#[tokio::test]
async fn a_policy_is_set_by_whoever_saw_it_last_and_written_down_with_before_and_after() {
    each_store(async |store, clock| {
        let stage = Stage::new(store, clock).await;
        assert_eq!(policy(&stage).await, PolicyRow::unset("q", Verdict::MessageLost));
        set(&stage, WHEN_PROVEN).await;
        let audit = AuditEntry::new("user:b", "policy_set", "queue", "q");
        let late = stage
            .store
            .set_policy("q", Verdict::MessageLost, 0, &Policy::default(), &audit)
            .await;
        assert!(!late.expect("asked"), "somebody was quicker");
        let row = policy(&stage).await;
        assert_eq!((row.policy, row.version), (WHEN_PROVEN, 1));
        let rows = audited(&stage, "policy_set").await;
        assert_eq!(rows.len(), 1);
        let word = |picture: &Option<Value>| picture.as_ref().expect("a picture")["action"].clone();
        assert_eq!(
            (word(&rows[0].before), word(&rows[0].after)),
            (json!("show_only"), json!("when_proven"))
        );
        assert_eq!(rows[0].reason.as_deref(), Some("to be tested"));
        assert_eq!(stage.store.active_policies(10).await.expect("read"), [row]);
        assert_eq!(stage.store.policies_of(&["q", "r"]).await.expect("read").len(), 1);
    })
    .await;
}
