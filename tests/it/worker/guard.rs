//! A program never outlives its worker's word, whatever it does to get away.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill as send},
    unistd::Pid,
};
use serde_json::Value;
use unstuck::services::worker::Handler;

use super::{
    exec::{job, job_trusted_for, shell},
    process::{Notes, until_gone},
};

/// Leaves the ids of a child, a grandchild in a session of its own, and an orphan that forked twice and ignores
/// SIGTERM and SIGHUP; then waits.
pub const FAMILY: &str = r#"
    sleep 600 & echo $! > "$0.child"
    setsid sh -c 'trap "" TERM HUP; echo $$ > "$0.session"; while :; do sleep 0.1; done' "$0" &
    sh -c '(setsid sh -c "trap \"\" TERM HUP INT; echo \$\$ > \"\$0.orphan\"; while :; do sleep 0.1; done" "$0" &)' "$0"
    trap "" TERM HUP
    echo $$ > "$0.main"
    while :; do sleep 0.1; done
"#;

pub fn kill(pid: i32, signal: Signal) {
    send(Pid::from_raw(pid), signal).expect("it is there to be signalled");
}

pub async fn family(notes: &Notes) -> Vec<i32> {
    let mut pids = Vec::new();
    for name in ["pids.main", "pids.child", "pids.session", "pids.orphan"] {
        pids.push(notes.pid(name).await);
    }
    pids
}

#[tokio::test]
async fn when_the_worker_is_gone_the_whole_family_is_killed() {
    let notes = Notes::new();
    let (job, _reins) = job(Value::Null);
    let exec = shell(FAMILY, notes.path("pids").to_str().expect("UTF-8"));
    let running = tokio::spawn(async move { exec.run(job).await });
    let pids = family(&notes).await;
    // Closes the worker's end of the guard's socket, as the worker's death does.
    running.abort();
    for pid in pids {
        until_gone(pid, Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn when_the_workers_word_runs_out_the_whole_family_is_killed() {
    let notes = Notes::new();
    let (job, _reins) = job_trusted_for(Value::Null, Duration::from_secs(4));
    let exec = shell(FAMILY, notes.path("pids").to_str().expect("UTF-8"));
    let running = tokio::spawn(async move { exec.run(job).await });
    for pid in family(&notes).await {
        until_gone(pid, Duration::from_secs(10)).await;
    }
    running.await.expect("no panic").expect_err("it was stopped");
}

#[tokio::test]
async fn a_frozen_program_is_killed_too() {
    let notes = Notes::new();
    let (job, reins) = job(Value::Null);
    let exec = shell(FAMILY, notes.path("pids").to_str().expect("UTF-8"));
    let running = tokio::spawn(async move { exec.run(job).await });
    let pids = family(&notes).await;
    for pid in &pids {
        kill(*pid, Signal::SIGSTOP);
    }
    reins.stop(unstuck::services::worker::StopCause::LeaseLost);
    for pid in pids {
        until_gone(pid, Duration::from_secs(5)).await;
    }
    running.await.expect("no panic").expect_err("it was stopped");
}

#[tokio::test]
async fn the_guard_does_not_end_when_it_is_asked_to_as_one_of_a_service() {
    let notes = Notes::new();
    let (job, reins) = job(Value::Null);
    let exec = shell(
        r#"echo $PPID > "$0.guard"; echo $$ > "$0"; exec sleep 600"#,
        notes.path("pid").to_str().expect("UTF-8"),
    );
    let running = tokio::spawn(async move { exec.run(job).await });
    let (guard, pid) = (notes.pid("pid.guard").await, notes.pid("pid").await);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        kill(guard, signal);
    }
    reins.stop(unstuck::services::worker::StopCause::Killed);
    until_gone(pid, Duration::from_secs(5)).await;
    let error = running.await.expect("no panic").expect_err("it was stopped");
    assert_eq!(
        error,
        unstuck::services::worker::JobError::stopped(),
        "the guard lived to tell"
    );
}

#[test]
fn a_guard_started_by_hand_says_what_it_is() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_unstuck"))
        .arg("guard")
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unstuck worker --exec"));
}
