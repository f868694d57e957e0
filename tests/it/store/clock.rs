//! The clock that a SQLite file keeps: nobody who sets the machine's moves it, and it follows.

use std::time::{SystemTime, UNIX_EPOCH};

use unstuck::store::{Change, Clock, Drift, Store};

use super::durations::{act, claim, started, succeed};
use crate::support::{plant::execute, store::TestStore};

const HOUR_MS: i64 = 3_600_000;

/// How far the machine's clock is ahead, to the second.
async fn ahead_s(store: &Store) -> i64 {
    let machine = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let now = store.now().await.expect("a time").ms();
    let ahead_ms = i64::try_from(machine.as_millis()).expect("a time") - now;
    (ahead_ms as f64 / 1000.0).round() as i64
}

/// A file, and its store by its own clock.
async fn file() -> (TestStore, Store) {
    let test = TestStore::sqlite().await;
    let store = test.store.clone().with_clock(Clock::Database);
    (test, store)
}

/// As if somebody had set the machine's clock forward by an hour.
async fn set_forward(test: &TestStore) {
    set(test, HOUR_MS).await;
}

/// As if somebody had set the machine's clock forward by so much.
async fn set(test: &TestStore, forward_ms: i64) {
    let statement = format!("UPDATE clock SET at_ms = at_ms - {forward_ms}");
    assert_eq!(execute(&test.url, statement).await, 1);
}

async fn follow(store: &Store) -> Drift {
    let drift = store.follow_machine_clock().await.expect("answers");
    drift.expect("a SQLite file's")
}

#[tokio::test]
async fn a_file_s_clock_is_right_from_its_first_opening_on_and_every_process_reads_the_same() {
    let (test, store) = file().await;
    assert_eq!(ahead_s(&store).await, 0);
    assert_eq!(follow(&store).await.change, Change::None);
    set_forward(&test).await;
    let other = Store::open(&test.url).await.expect("opens");
    assert_eq!((ahead_s(&store).await, ahead_s(&other).await), (3600, 3600));
    test.close().await;
}

#[tokio::test]
async fn it_is_set_at_once_while_nothing_is_open_and_runs_faster_or_slower_while_a_task_is() {
    let (test, store) = file().await;
    set_forward(&test).await;
    assert_eq!(follow(&store).await.change, Change::Set);
    assert_eq!(ahead_s(&store).await, 0);

    set_forward(&test).await;
    let id = started(&store, "report", "q").await;
    act(&store, id, claim()).await;
    let lease = async || {
        let task = store.task(id).await.expect("answers").expect("it is there").task;
        let ends = task.lease_expires_at.expect("it runs");
        ends.ms_since(store.now().await.expect("a time"))
    };
    let before = lease().await;
    let drift = follow(&store).await;
    assert_eq!(drift.change, Change::Paced);
    assert!((drift.ahead_ms - HOUR_MS).abs() < 10_000, "{drift:?}");
    assert_eq!(follow(&store).await.change, Change::None, "it does already");
    assert_eq!(ahead_s(&store).await, 3600, "it never steps");
    assert!(lease().await > before - 20_000, "the lease lives");

    // A second of this machine is 1.05 of the file's.
    execute(
        &test.url,
        "UPDATE clock SET at_boot_ms = at_boot_ms - 3600000".to_owned(),
    )
    .await;
    assert_eq!(ahead_s(&store).await, -180);
    assert_eq!(follow(&store).await.change, Change::Paced, "too far: back");

    act(&store, id, succeed(1)).await;
    assert_eq!(follow(&store).await.change, Change::Set);
    assert_eq!(ahead_s(&store).await, 0);
    test.close().await;
}

#[tokio::test]
async fn what_was_read_by_a_clock_that_was_set_back_is_not_the_newest_any_more() {
    let (test, store) = file().await;
    let read = async || {
        let at = store.now().await.expect("a time").ms();
        let row = format!(
            "INSERT INTO samples (queue, at, queued, running, health, detail, kept_for) \
             VALUES ('q', {at}, 1, 0, 'ok', '{{}}', 'hour')"
        );
        assert_eq!(execute(&test.url, row).await, 1);
        at
    };
    let newest = async || {
        let sample = store.latest_sample("q").await.expect("read");
        sample.map(|sample| sample.at.ms())
    };
    let before = read().await;
    set(&test, -HOUR_MS).await;
    let wrong = read().await;
    assert_eq!(newest().await, Some(wrong));
    assert_eq!(follow(&store).await.change, Change::Set);
    assert_eq!(newest().await, Some(before));
    let after = read().await;
    assert_eq!(newest().await, Some(after));
    test.close().await;
}

#[tokio::test]
async fn a_machine_that_starts_anew_goes_on_by_its_clock_and_never_from_before_the_last_heartbeat() {
    let (test, store) = file().await;
    let id = started(&store, "report", "q").await;
    act(&store, id, claim()).await;
    let restart = async |beat_ms: i64| {
        let beat = format!("UPDATE tasks SET beat_at = beat_at + {beat_ms} WHERE state = 'running'");
        execute(&test.url, beat).await;
        execute(&test.url, "UPDATE clock SET boot = 'another'".to_owned()).await;
        Store::open(&test.url).await.expect("opens")
    };
    assert_eq!(ahead_s(&restart(0).await).await, 0);
    let behind = restart(HOUR_MS).await;
    assert!((-3600..-3590).contains(&ahead_s(&behind).await));
    test.close().await;
}
