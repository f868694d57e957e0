//! How long tasks waited and ran, as it is kept.

use std::time::Duration;

use serde_json::json;
use unstuck::{
    domain::{
        expectation::{KindTimes, Runs},
        task::NewTask,
        time::Time,
        transition::{Claim, Event},
    },
    services::pruner::{self, Pace, Retention},
    store::{
        Clock, Lane, Store,
        tasks::{Act, Creation},
    },
};
use uuid::Uuid;

use crate::support::store::{TestClock, TestStore, each_store};

const LEASE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) async fn started(store: &Store, kind: &str, queue: &str) -> Uuid {
    let task = NewTask {
        id: Uuid::now_v7(),
        kind: kind.into(),
        queue: queue.into(),
        title: None,
        owner: None,
        priority: 0,
        payload: json!({}),
        timeout_s: None,
        max_attempts: 3,
        available_at: None,
        start: true,
        traceparent: None,
    };
    let id = task.id;
    let creation = Creation {
        tasks: vec![task],
        principal: "token:t".into(),
        idempotency: None,
    };
    store.create(&[creation]).await.expect("stored");
    id
}

pub(super) async fn act(store: &Store, task_id: Uuid, event: Event) {
    let act = Act {
        task_id,
        event,
        actor: "worker:w".into(),
        audit: None,
    };
    let outcome = store
        .apply(&[act], Lane::Shared, LEASE)
        .await
        .expect("applied")
        .remove(0);
    outcome.expect("not refused");
}

pub(super) fn claim() -> Event {
    Event::Claim(Claim {
        claim_id: Uuid::new_v4().to_string(),
        dispatch: None,
        worker: "w".into(),
    })
}

pub(super) fn succeed(attempt: i64) -> Event {
    Event::Succeed {
        attempt,
        result: json!(1),
        log: None,
    }
}

/// A task that waits for `wait_s` and runs for `run_s`.
async fn run(store: &Store, clock: &TestClock, kind: &str, queue: &str, (wait_s, run_s): (u64, u64)) -> Uuid {
    let id = started(store, kind, queue).await;
    clock.advance(Duration::from_secs(wait_s));
    act(store, id, claim()).await;
    clock.advance(Duration::from_secs(run_s));
    act(store, id, succeed(1)).await;
    id
}

async fn times(store: &Store, queue: &str) -> Vec<KindTimes> {
    let now = store.now().await.expect("a time");
    store.times_of_kinds(queue, now, 50).await.expect("read")
}

async fn runs(store: &Store, kind: &str) -> Option<Runs> {
    let now = store.now().await.expect("a time");
    store.runs(&[kind], now).await.expect("read").remove(kind)
}

/// To a tenth.
fn near(told: Option<i64>, seconds: i64) {
    let told = told.expect("measured");
    assert!(
        (told - seconds * 1000).abs() <= seconds * 100,
        "{told} ms, not {seconds} s"
    );
}

#[tokio::test]
async fn a_wait_is_counted_at_the_claim_and_a_run_at_its_success() {
    each_store(async |store, clock| {
        run(&store, &clock, "report", "slow", (10, 60)).await;
        run(&store, &clock, "report", "slow", (20, 120)).await;
        let [report] = &times(&store, "slow").await[..] else {
            panic!("one kind");
        };
        assert_eq!(
            (report.kind.as_str(), report.run.count(), report.wait.count()),
            ("report", 2, 2)
        );
        near(report.wait.percentile_ms(50), 10);
        near(report.run.percentile_ms(50), 60);
        near(report.run.percentile_ms(99), 120);
        assert_eq!(times(&store, "other").await, []);

        // The kind's runs are those of all its queues.
        run(&store, &clock, "report", "fast", (1, 3)).await;
        assert_eq!(
            runs(&store, "report").await.map(|runs| runs.sketch.count()),
            Some(3)
        );
        assert_eq!(times(&store, "slow").await[0].run.count(), 2);
        assert_eq!(runs(&store, "mail").await, None);
    })
    .await;
}

#[tokio::test]
async fn only_what_succeeded_has_run_and_only_what_was_due_has_waited() {
    each_store(async |store, clock| {
        let id = started(&store, "report", "q").await;
        act(&store, id, claim()).await;
        clock.advance(LEASE + LEASE);
        act(&store, id, claim()).await;
        let counted = async || {
            let times = times(&store, "q").await;
            (times[0].wait.count(), times[0].run.count())
        };
        assert_eq!(counted().await, (1, 0), "a take-over did not wait for its turn");
        let failed = Event::Fail {
            attempt: 2,
            error: "it broke".into(),
            retryable: true,
            log: None,
        };
        act(&store, id, failed).await;
        assert_eq!(
            counted().await,
            (1, 0),
            "a failure says nothing about how long a run takes"
        );
        clock.advance(HOUR);
        act(&store, id, claim()).await;
        clock.advance(Duration::from_secs(5));
        act(&store, id, succeed(3)).await;
        act(&store, id, succeed(3)).await;
        assert_eq!(counted().await, (2, 1), "a report that is repeated counts once");
        // The wait is from when the next attempt was due, not from the start.
        near(times(&store, "q").await[0].run.percentile_ms(99), 5);
        assert!(times(&store, "q").await[0].wait.longest_ms() <= Some(4_000_000));
    })
    .await;
}

#[tokio::test]
async fn adding_hours_up_to_days_changes_nothing_that_is_told() {
    for test in [TestStore::sqlite().await, TestStore::postgres().await] {
        let clock = test.clock.clone();
        let other = Store::open(&test.url)
            .await
            .expect("opens")
            .with_clock(Clock::Set(clock.0.clone()));
        let began = test.store.now().await.expect("a time");
        for hour in 0..5 {
            for store in [&test.store, &other] {
                run(store, &clock, "report", "q", (1, 10 + hour)).await;
            }
            clock.advance(HOUR);
        }
        let told = async || (times(&test.store, "q").await, runs(&test.store, "report").await);
        let before = told().await;
        let fold = async |limit| {
            let now = test.store.now().await.expect("a time");
            test.store.fold_durations(now, limit).await.expect("folded")
        };
        assert_eq!(fold(3).await, 3, "a page");
        assert_eq!(told().await, before);
        let mut folded = 3;
        while let count @ 1.. = fold(100).await {
            folded += count;
        }
        assert!(
            folded >= 20,
            "two processes, five hours, two measures: {folded} rows"
        );
        assert_eq!(told().await, before);
        assert_eq!(before.1.map(|runs| runs.since), Some(began.hour()), "to the hour");

        // What is written late, or in this hour, is counted and added up in its turn.
        run(&other, &clock, "report", "q", (1, 10)).await;
        assert_eq!(fold(100).await, 0, "the hour is not over");
        assert_eq!(
            runs(&test.store, "report").await.map(|runs| runs.sketch.count()),
            Some(11)
        );
        clock.advance(HOUR);
        assert!(fold(100).await > 0);
        assert_eq!(
            runs(&test.store, "report").await.map(|runs| runs.sketch.count()),
            Some(11)
        );
        other.close().await;
        test.close().await;
    }
}

#[tokio::test]
async fn what_was_measured_counts_for_seven_days_and_is_kept_for_eight() {
    each_store(async |store, clock| {
        let counted = async || runs(&store, "report").await.map_or(0, |runs| runs.sketch.count());
        let prune = async || {
            let now = store.now().await.expect("a time");
            let tally = pruner::tick(&store, Retention::days(90), Pace::default(), now).await;
            tally.expect("pruned").durations
        };
        run(&store, &clock, "report", "q", (1, 10)).await;
        clock.advance(DAY * 6);
        assert_eq!(counted().await, 1, "today and the six days before");
        clock.advance(DAY);
        assert_eq!((counted().await, prune().await), (0, 0));
        clock.advance(DAY + HOUR);
        assert_eq!(prune().await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_page_has_the_first_kinds_by_name_however_many_there_are() {
    each_store(async |store, clock| {
        for nr in 0..7 {
            run(&store, &clock, &format!("kind-{nr}"), "q", (1, 1)).await;
        }
        let now: Time = store.now().await.expect("a time");
        let kinds = store.times_of_kinds("q", now, 3).await.expect("read");
        let names: Vec<&str> = kinds.iter().map(|kind| kind.kind.as_str()).collect();
        assert_eq!(names, ["kind-0", "kind-1", "kind-2"]);
        assert_eq!(store.times_of_kinds("q", now, 50).await.expect("read").len(), 7);
    })
    .await;
}
