//! Creating, moving and listing tasks; the outbox.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use unstuck::{
    domain::{
        task::{AttemptOutcome, NewTask, State},
        transition::{Answer, Claim, Disposal, Event, RefusalCode},
    },
    store::{
        Lane, Store,
        tasks::{Act, Created, Creation, CreationRefused, Idempotency, Outcome, TaskFilter},
    },
};
use uuid::Uuid;

use crate::support::store::each_store;

pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) fn new_task(queue: &str, start: bool) -> NewTask {
    NewTask {
        id: Uuid::now_v7(),
        kind: queue.into(),
        queue: queue.into(),
        title: Some("Report for March".into()),
        owner: None,
        priority: 0,
        payload: json!({ "n": 1, "deep": { "flag": true, "text": "ä\u{1F600}" } }),
        timeout_s: None,
        max_attempts: 3,
        available_at: None,
        start,
        traceparent: None,
    }
}

pub(super) fn creation(task: NewTask) -> Creation {
    Creation {
        tasks: vec![task],
        principal: "token:t".into(),
        idempotency: None,
    }
}

pub(super) async fn created(store: &Store, start: bool) -> Uuid {
    let task = new_task("reports", start);
    let id = task.id;
    store.create(&[creation(task)]).await.expect("stored")[0]
        .clone()
        .expect("not refused");
    id
}

pub(super) async fn act(store: &Store, task_id: Uuid, event: Event) -> Outcome {
    let act = Act {
        task_id,
        event,
        actor: "worker:w".into(),
        audit: None,
    };
    store
        .apply(&[act], Lane::Shared, LEASE)
        .await
        .expect("applied")
        .remove(0)
}

pub(super) fn claim(claim_id: &str, dispatch: i64) -> Event {
    Event::Claim(Claim {
        claim_id: claim_id.into(),
        dispatch: Some(dispatch),
        worker: "w".into(),
    })
}

pub(super) fn code(outcome: Outcome) -> RefusalCode {
    outcome.expect_err("refused").expect("a known task").code
}

pub(super) async fn events(store: &Store, id: Uuid) -> Vec<String> {
    store
        .history(id, 0, 100)
        .await
        .expect("read")
        .into_iter()
        .map(|entry| entry.event)
        .collect()
}

#[tokio::test]
async fn a_task_goes_from_new_to_succeeded_with_a_line_for_each_step() {
    each_store(async |store, _| {
        let id = created(&store, false).await;
        act(&store, id, Event::Start { available_at: None })
            .await
            .expect("started");
        let rows = store.take_due(10, LEASE).await.expect("taken");
        assert_eq!((rows.len(), rows[0].task_id, rows[0].dispatch), (1, id, 1));
        store.settle(&rows, &[]).await.expect("settled");
        let claimed = act(&store, id, claim("c1", 1)).await.expect("claimed");
        assert_eq!(
            claimed.claimed.expect("documents").payload["deep"]["text"],
            "ä\u{1F600}"
        );
        act(
            &store,
            id,
            Event::Heartbeat {
                attempt: 1,
                progress: Some(40.0),
                message: Some("half".into()),
            },
        )
        .await
        .expect("alive");
        act(
            &store,
            id,
            Event::Succeed {
                attempt: 1,
                result: json!(null),
                log: Some("a\0b".into()),
            },
        )
        .await
        .expect("succeeded");
        let view = store.task(id).await.expect("read").expect("there");
        assert_eq!(
            (view.task.state, view.task.attempt, view.task.progress),
            (State::Succeeded, 1, Some(100.0))
        );
        assert!(view.task.published_at.is_some() && view.task.finished_at.is_some());
        assert_eq!(view.payload, new_task("reports", false).payload);
        assert_eq!(
            events(&store, id).await,
            ["created", "started", "claimed", "succeeded"]
        );
        let attempts = store.attempts(id, 0, 10).await.expect("read");
        assert_eq!(
            (attempts.len(), attempts[0].outcome, attempts[0].log.as_deref()),
            (1, Some(AttemptOutcome::Succeeded), Some("ab"))
        );
        assert!(store.take_due(10, LEASE).await.expect("taken").is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_outbox_row_is_taken_once_until_its_lease_ends() {
    each_store(async |store, clock| {
        let id = created(&store, true).await;
        assert_eq!(store.take_due(10, LEASE).await.expect("taken").len(), 1);
        assert!(store.take_due(10, LEASE).await.expect("taken").is_empty());
        clock.advance(LEASE);
        let again = store.take_due(10, LEASE).await.expect("taken");
        assert_eq!((again.len(), again[0].task_id, again[0].tries), (1, id, 2));
    })
    .await;
}

#[tokio::test]
async fn settling_a_window_takes_no_longer_when_many_tasks_wait() {
    each_store(async |store: Store, _| {
        let start = async |count: usize| {
            let tasks = (0..count).map(|_| new_task("reports", true)).collect();
            let creation = Creation {
                tasks,
                ..creation(new_task("reports", true))
            };
            store.create(&[creation]).await.expect("stored")[0]
                .clone()
                .expect("not refused");
        };
        // The best of three: a busy machine is slow at times.
        let settle = async || {
            let mut best = Duration::MAX;
            for _ in 0..3 {
                let rows = store.take_due(200, LEASE).await.expect("taken");
                assert_eq!(rows.len(), 200);
                let began = Instant::now();
                store.settle(&rows, &[]).await.expect("settled");
                best = best.min(began.elapsed());
            }
            best
        };
        start(600).await;
        let few = settle().await;
        for _ in 0..12 {
            start(1000).await;
        }
        let many = settle().await;
        // Going through all of them for each row would be twenty times as long, and seconds.
        assert!(
            many < few * 8 + Duration::from_millis(300),
            "{few:?}, then {many:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_claim_is_answered_again_for_its_own_id_and_refused_to_others() {
    each_store(async |store, _| {
        let id = created(&store, true).await;
        let first = act(&store, id, claim("c1", 1)).await.expect("claimed");
        let again = act(&store, id, claim("c1", 1)).await.expect("the same answer");
        assert_eq!(first.answer, again.answer);
        let other = act(&store, id, claim("c2", 1))
            .await
            .expect_err("refused")
            .expect("known");
        assert_eq!(
            (other.code, other.disposal()),
            (RefusalCode::OwnedElsewhere, Disposal::Ack)
        );
        assert!(
            store
                .task(id)
                .await
                .expect("read")
                .expect("there")
                .task
                .message_gone
        );
        assert_eq!(
            code(act(&store, id, claim("c3", 0)).await),
            RefusalCode::OldDispatch
        );
        let ahead = act(&store, id, claim("c4", 2))
            .await
            .expect_err("refused")
            .expect("known");
        assert_eq!(
            (ahead.code, ahead.disposal()),
            (RefusalCode::AheadOfDatabase, Disposal::DeadLetter)
        );
        assert!(
            act(&store, Uuid::now_v7(), claim("c5", 1))
                .await
                .expect_err("refused")
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn a_retryable_failure_is_tried_again_until_no_attempt_is_left() {
    each_store(async |store, clock| {
        let id = created(&store, true).await;
        for attempt in 1..=3 {
            act(&store, id, claim(&format!("c{attempt}"), attempt))
                .await
                .expect("claimed");
            let failed = Event::Fail {
                attempt,
                error: "no\0disk".into(),
                retryable: true,
                log: None,
            };
            act(&store, id, failed.clone()).await.expect("failed");
            assert_eq!(
                act(&store, id, failed).await.expect("the same answer").answer,
                Answer::Repeated
            );
            clock.advance(Duration::from_secs(60));
        }
        let view = store.task(id).await.expect("read").expect("there");
        assert_eq!(
            (view.task.state, view.task.error.as_deref(), view.task.dispatch),
            (State::Failed, Some("nodisk"), 3)
        );
        act(
            &store,
            id,
            Event::Retry {
                payload: Some(json!({ "n": 2 })),
            },
        )
        .await
        .expect("retried");
        let view = store.task(id).await.expect("read").expect("there");
        assert_eq!(
            (view.task.state, view.task.dispatch, view.payload),
            (State::Queued, 4, json!({ "n": 2 }))
        );
        let due = store.take_due(10, LEASE).await.expect("taken");
        assert_eq!(
            due.iter().map(|row| row.dispatch).collect::<Vec<_>>(),
            [4],
            "rows of old dispatches are gone"
        );
    })
    .await;
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_task_and_refuses_another_body() {
    each_store(async |store, _| {
        let with_key = |body: &str| Creation {
            idempotency: Some(Idempotency {
                key: "k".into(),
                body_hash: body.into(),
            }),
            ..creation(new_task("reports", true))
        };
        let first = with_key("a");
        let ids = vec![first.tasks[0].id];
        let answers = store
            .create(&[first, with_key("a"), with_key("b")])
            .await
            .expect("stored");
        let at = store.now().await.expect("the set clock");
        assert_eq!(
            answers[0],
            Ok(Created {
                ids: ids.clone(),
                repeated: false,
                at
            })
        );
        assert_eq!(
            answers[1],
            Ok(Created {
                ids: ids.clone(),
                repeated: true,
                at
            })
        );
        assert_eq!(answers[2], Err(CreationRefused::OtherBody));
        let later = store.create(&[with_key("a")]).await.expect("stored");
        assert_eq!(
            later[0],
            Ok(Created {
                ids,
                repeated: true,
                at
            })
        );
        assert_eq!(store.take_due(10, LEASE).await.expect("taken").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_list_is_narrowed_by_every_filter_and_paged_without_gap_or_repetition() {
    each_store(async |store, _| {
        let mut ids = Vec::new();
        for n in 0..5 {
            let mut task = new_task(if n == 2 { "mail" } else { "reports" }, n % 2 == 0);
            task.payload = json!({ "customer": { "id": n }, "flag": n == 1 });
            task.owner = (n == 4).then(|| "ann".to_owned());
            ids.push(task.id);
            store.create(&[creation(task)]).await.expect("stored");
        }
        ids.reverse();
        let listed = async |filter: TaskFilter| {
            let page = store.list_tasks(&filter, None, 50).await.expect("listed");
            page.items.iter().map(|view| view.task.id).collect::<Vec<_>>()
        };
        let all = TaskFilter::default();
        assert_eq!(listed(all.clone()).await, ids);
        let heads = store.list_heads(&all, None, 3).await.expect("listed");
        let found: Vec<_> = heads.items.iter().map(|head| head.task.id).collect();
        assert_eq!(
            (found.as_slice(), heads.next),
            (&ids[..3], Some(ids[2])),
            "without documents"
        );
        let first = store.list_tasks(&all, None, 2).await.expect("listed");
        let second = store.list_tasks(&all, first.next, 3).await.expect("listed");
        assert_eq!(
            (second.items[0].task.id, second.items.len(), second.next),
            (ids[2], 3, None)
        );
        assert_eq!(
            listed(TaskFilter {
                states: vec![State::New],
                ..all.clone()
            })
            .await,
            [ids[1], ids[3]]
        );
        assert_eq!(
            listed(TaskFilter {
                queue: Some("mail".into()),
                ..all.clone()
            })
            .await,
            [ids[2]]
        );
        assert_eq!(
            listed(TaskFilter {
                owner: Some("ann".into()),
                ..all.clone()
            })
            .await,
            [ids[0]]
        );
        let by_payload = |path: &[&str], value: &str| TaskFilter {
            payload: vec![(
                path.iter().map(|part| part.to_string()).collect(),
                value.to_owned(),
            )],
            ..TaskFilter::default()
        };
        assert_eq!(listed(by_payload(&["customer", "id"], "3")).await, [ids[1]]);
        assert_eq!(listed(by_payload(&["flag"], "true")).await, [ids[3]]);
        let search = |q: &str| TaskFilter {
            q: Some(q.into()),
            ..TaskFilter::default()
        };
        assert_eq!(listed(search("report for")).await, ids);
        assert_eq!(listed(search("mail")).await, [ids[2]]);
        assert_eq!(listed(search(&ids[3].to_string())).await, [ids[3]]);
        assert_eq!(listed(search("%' OR 1=1 --")).await, Vec::<Uuid>::new());
    })
    .await;
}

#[tokio::test]
async fn acts_on_one_task_in_one_batch_see_each_other() {
    each_store(async |store, _| {
        let id = created(&store, false).await;
        let acts: Vec<Act> = [
            Event::Start { available_at: None },
            claim("c1", 1),
            Event::Succeed {
                attempt: 1,
                result: Value::Null,
                log: None,
            },
            Event::Succeed {
                attempt: 1,
                result: Value::Null,
                log: None,
            },
            Event::Cancel,
        ]
        .into_iter()
        .map(|event| Act {
            task_id: id,
            event,
            actor: "system".into(),
            audit: None,
        })
        .collect();
        let outcomes = store.apply(&acts, Lane::Reserved, LEASE).await.expect("applied");
        assert!(outcomes[..3].iter().all(Result::is_ok));
        assert_eq!(
            outcomes[3].as_ref().expect("the same answer").answer,
            Answer::Repeated
        );
        assert_eq!(code(outcomes[4].clone()), RefusalCode::AlreadyEnded);
        assert_eq!(
            events(&store, id).await,
            ["created", "started", "claimed", "succeeded"]
        );
        assert!(
            store.take_due(10, LEASE).await.expect("taken").is_empty(),
            "its row went with its end"
        );
    })
    .await;
}
