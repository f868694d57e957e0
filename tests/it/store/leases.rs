//! What becomes of attempts whose lease is over, or is taken from them.

use std::time::Duration;

use serde_json::json;
use unstuck::{
    domain::{
        task::{AttemptOutcome, NewTask, State},
        transition::{Answer, Event, LeasePolicy, RefusalCode, RequeueBy},
    },
    services::recovery::Pace,
    store::{
        Lane, Store,
        tasks::{Act, Creation},
    },
};

use super::tasks::{LEASE, act, claim, code, created, events, new_task};
use crate::support::store::each_store;

const PACE: Pace = Pace {
    lease: LEASE,
    fresh_for: Duration::from_secs(15),
};

#[tokio::test]
async fn a_take_over_closes_the_old_attempt_and_its_late_report_is_kept_but_not_applied() {
    each_store(async |store, clock| {
        let id = created(&store, true).await;
        act(&store, id, claim("c1", 1)).await.expect("claimed");
        clock.advance(LEASE);
        let second = act(&store, id, claim("c2", 1)).await.expect("taken over");
        assert!(matches!(second.answer, Answer::Claimed { attempt: 2, .. }));
        let late = Event::Succeed {
            attempt: 1,
            result: json!("too late"),
            log: None,
        };
        assert_eq!(code(act(&store, id, late).await), RefusalCode::NotCurrentAttempt);
        assert_eq!(
            code(
                act(
                    &store,
                    id,
                    Event::Heartbeat {
                        attempt: 1,
                        progress: None,
                        message: None
                    }
                )
                .await
            ),
            RefusalCode::NotCurrentAttempt
        );
        act(
            &store,
            id,
            Event::Succeed {
                attempt: 2,
                result: json!("mine"),
                log: None,
            },
        )
        .await
        .expect("succeeded");
        let repeated = act(
            &store,
            id,
            Event::Succeed {
                attempt: 2,
                result: json!("mine"),
                log: None,
            },
        )
        .await
        .expect("the same answer");
        assert_eq!(repeated.answer, Answer::Repeated);
        let attempts = store.attempts(id, 0, 10).await.expect("read");
        assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Lost));
        assert_eq!(attempts[0].late.as_ref().expect("kept")["result"], "too late");
        assert_eq!(
            store.task(id).await.expect("read").expect("there").result,
            Some(json!("mine"))
        );
        assert!(events(&store, id).await.contains(&"late_report".into()));
    })
    .await;
}

#[tokio::test]
async fn a_requeue_refuses_a_live_lease_and_supersedes_it_when_forced() {
    each_store(async |store, clock| {
        let id = created(&store, true).await;
        act(&store, id, claim("c1", 1)).await.expect("claimed");
        let requeue = |lease| Event::Requeue {
            by: RequeueBy::Person,
            lease,
            payload: None,
        };
        assert_eq!(
            code(act(&store, id, requeue(LeasePolicy::Respect)).await),
            RefusalCode::LeaseAlive
        );
        let forced = act(&store, id, requeue(LeasePolicy::Override))
            .await
            .expect("superseded");
        assert_eq!((forced.task.state, forced.task.dispatch), (State::Queued, 2));
        assert_eq!(
            code(act(&store, id, claim("c2", 2)).await),
            RefusalCode::NotDue,
            "the old lease still runs"
        );
        clock.advance(LEASE);
        act(&store, id, claim("c3", 2)).await.expect("claimed");
        assert_eq!(
            store.attempts(id, 0, 10).await.expect("read")[0].outcome,
            Some(AttemptOutcome::Superseded)
        );
    })
    .await;
}

#[tokio::test]
async fn a_lost_worker_s_task_is_put_out_again_and_ends_when_no_attempt_is_left() {
    each_store(async |store, clock| {
        let id = created(&store, true).await;
        for attempt in 1..=3i64 {
            let rows = store.take_due(10, LEASE).await.expect("taken");
            assert_eq!(rows.len(), 1, "attempt {attempt}");
            store.settle(&rows, &[]).await.expect("settled");
            act(&store, id, claim(&format!("c{attempt}"), 1))
                .await
                .expect("claimed");
            assert_eq!(
                unstuck::services::recovery::tick(&store, PACE)
                    .await
                    .expect("looked"),
                Default::default()
            );
            clock.advance(LEASE + Duration::from_secs(5));
            let tally = unstuck::services::recovery::tick(&store, PACE)
                .await
                .expect("looked");
            let ended = usize::from(attempt == 3);
            assert_eq!(
                (tally.resent, tally.ended),
                (1 - ended, ended),
                "attempt {attempt}"
            );
            assert_eq!(
                unstuck::services::recovery::tick(&store, PACE)
                    .await
                    .expect("looked"),
                Default::default()
            );
        }
        let view = store.task(id).await.expect("read").expect("there");
        assert_eq!(
            (view.task.state, view.task.error.as_deref()),
            (State::Failed, Some("its worker died 3 times"))
        );
    })
    .await;
}

#[tokio::test]
async fn tasks_that_nothing_can_be_done_for_now_keep_no_lost_one_behind_them_waiting() {
    each_store(async |store, clock| {
        // More than a pass takes in one transaction, and first by their ids.
        let hopeless = lose(&store, 1_200).await;
        clock.advance(Duration::from_secs(20));
        let lost = lose(&store, 700).await;
        clock.advance(Duration::from_secs(16));
        let tick = async || {
            unstuck::services::recovery::tick(&store, PACE)
                .await
                .expect("looked")
        };
        assert_eq!(tick().await.resent, hopeless, "the leases of the first are over");
        // Their copies are out: until a lease has passed there is nothing more to do for them.
        clock.advance(Duration::from_secs(20));
        assert_eq!(tick().await.resent, lost, "all of those behind them");
        assert_eq!(tick().await, Default::default());
    })
    .await;
}

/// Tasks whose worker never says a word again; how many.
async fn lose(store: &Store, count: usize) -> usize {
    let tasks: Vec<NewTask> = (0..count).map(|_| new_task("reports", true)).collect();
    let claims: Vec<Act> = tasks
        .iter()
        .map(|task| Act {
            task_id: task.id,
            event: claim(&format!("c{}", task.id), 1),
            actor: "worker:w".into(),
            audit: None,
        })
        .collect();
    let creation = Creation {
        tasks,
        principal: "token:t".into(),
        idempotency: None,
    };
    store.create(&[creation]).await.expect("stored");
    let claimed = store.apply(&claims, Lane::Shared, LEASE).await.expect("applied");
    assert!(claimed.iter().all(Result::is_ok));
    count
}
