//! `unstuck worker` as a process of its own, and what becomes of its programs when it is killed, frozen or stopped.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::json;
use unstuck::domain::task::{AttemptOutcome, State};

use super::{
    guard::{FAMILY, family, kill},
    process::{Notes, Process, is_alive, until_gone},
    workshop::{LEASE, PATIENCE, Workshop},
};
use crate::support::{broker, wait::eventually};

fn start(shop: &Workshop, arguments: &[&str]) -> Process {
    Process::start(&mut command(shop, arguments))
}

fn command(shop: &Workshop, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unstuck"));
    command
        .args(["worker", "--queue", &shop.queue])
        .args(arguments)
        .env("UNSTUCK_DATABASE_URL", &shop.database_url)
        .env("UNSTUCK_AMQP_URL", broker::amqp_url())
        .env("UNSTUCK_LEASE_S", LEASE.as_secs().to_string())
        .env("UNSTUCK_LOG", "warn")
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// Runs `first` in attempt 1; later attempts say whether the process of the note `pids.main` still lives.
fn first_then_look(first: &str) -> String {
    format!(
        r#"if [ "$UNSTUCK_ATTEMPT" = 1 ]; then {first}
        fi
        pid=$(cat "$0.main")
        if kill -0 "$pid" 2>/dev/null; then echo '"beside"'; else echo '"alone"'; fi"#
    )
}

#[tokio::test]
async fn a_killed_worker_takes_its_programs_with_it_and_another_worker_goes_on() {
    let (shop, notes) = (Workshop::sqlite().await, Notes::new());
    let serving = shop.serve();
    let (script, path) = (first_then_look(FAMILY), notes.path("pids"));
    let arguments = ["--exec", "sh", "-c", &script, path.to_str().expect("UTF-8")];
    let mut first = start(&shop, &arguments);
    let id = shop.send("x", json!(1)).await;
    let pids = family(&notes).await;
    first.signal(Signal::SIGKILL);
    first.ended().await;
    let second = start(&shop, &arguments);
    for pid in pids {
        until_gone(pid, Duration::from_secs(2)).await;
    }
    let view = shop.until(id, State::Succeeded).await;
    assert_eq!(view.result, Some(json!("alone")));
    let outcomes: Vec<_> = shop
        .attempts(id)
        .await
        .into_iter()
        .map(|attempt| attempt.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [Some(AttemptOutcome::Lost), Some(AttemptOutcome::Succeeded)]
    );
    shop.outside.until_ready(&shop.queue, 0).await;
    drop(serving);
    drop(second);
    shop.close().await;
}

#[tokio::test]
async fn a_frozen_worker_leaves_no_program_running_past_its_lease_and_works_on_when_it_wakes() {
    let (shop, notes) = (Workshop::sqlite().await, Notes::new());
    let serving = shop.serve();
    let (script, path) = (first_then_look(FAMILY), notes.path("pids"));
    let worker = start(
        &shop,
        &["--exec", "sh", "-c", &script, path.to_str().expect("UTF-8")],
    );
    let id = shop.send("x", json!(1)).await;
    let pids = family(&notes).await;
    let frozen_at = Instant::now();
    // Its whole process group, as a terminal would.
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(worker.pid()), Signal::SIGSTOP).expect("frozen");
    for pid in pids {
        until_gone(pid, LEASE).await;
    }
    assert!(
        frozen_at.elapsed() < LEASE,
        "gone after {:?}",
        frozen_at.elapsed()
    );
    assert_eq!(
        shop.view(id).await.task.attempt,
        1,
        "nobody else could begin before"
    );
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(worker.pid()), Signal::SIGCONT).expect("woken");
    let view = shop.until(id, State::Succeeded).await;
    assert_eq!((view.result, view.task.attempt), (Some(json!("alone")), 2));
    drop(serving);
    drop(worker);
    shop.close().await;
}

#[tokio::test]
async fn killing_the_worker_and_its_guard_at_once_kills_the_program_too() {
    let (shop, notes) = (Workshop::sqlite().await, Notes::new());
    let path = notes.path("pid");
    let script = r#"echo $PPID > "$0.guard"; echo $$ > "$0"; exec sleep 600"#;
    let mut worker = start(
        &shop,
        &["--exec", "sh", "-c", script, path.to_str().expect("UTF-8")],
    );
    shop.send("x", json!(1)).await;
    let (guard, pid) = (notes.pid("pid.guard").await, notes.pid("pid").await);
    worker.signal(Signal::SIGSTOP);
    kill(guard, Signal::SIGKILL);
    worker.signal(Signal::SIGKILL);
    worker.ended().await;
    until_gone(pid, Duration::from_secs(2)).await;
    drop(worker);
    shop.close().await;
}

#[tokio::test]
async fn sigterm_lets_a_program_finish_and_the_worker_ends_well() {
    let (shop, notes) = (Workshop::sqlite().await, Notes::new());
    let path = notes.path("go");
    let script = r#"echo up > "$0.up"; while ! [ -e "$0" ]; do sleep 0.05; done; echo done"#;
    let mut worker = start(
        &shop,
        &["--exec", "sh", "-c", script, path.to_str().expect("UTF-8")],
    );
    let id = shop.send("x", json!(1)).await;
    notes.read("go.up").await;
    worker.signal(Signal::SIGTERM);
    std::fs::write(&path, "").expect("written");
    assert!(worker.ended().await.success());
    let view = shop.view(id).await;
    assert_eq!(
        (view.task.state, view.result),
        (State::Succeeded, Some(json!("done")))
    );
    shop.outside.until_ready(&shop.queue, 0).await;
    drop(worker);
    shop.close().await;
}

#[tokio::test]
async fn a_program_that_outlasts_the_drain_is_ended_and_its_task_handed_back() {
    let (shop, notes) = (Workshop::sqlite().await, Notes::new());
    let path = notes.path("pid");
    let script =
        r#"trap 'echo asked > "$0.asked"; exit 1' TERM; echo $$ > "$0"; while :; do sleep 0.05; done"#;
    let arguments = [
        "--drain-s",
        "1",
        "--exec",
        "sh",
        "-c",
        script,
        path.to_str().expect("UTF-8"),
    ];
    let mut worker = start(&shop, &arguments);
    let id = shop.send("x", json!(1)).await;
    let pid = notes.pid("pid").await;
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success());
    assert!(!is_alive(pid));
    assert_eq!(notes.read("pid.asked").await, "asked\n");
    let task = shop.view(id).await.task;
    assert_eq!((task.state, task.dispatch, task.tries), (State::Queued, 2, 0));
    assert_eq!(shop.attempts(id).await[0].outcome, Some(AttemptOutcome::Released));
    drop(worker);
    shop.close().await;
}

#[tokio::test]
async fn a_second_sigterm_ends_stubborn_programs_at_once() {
    let (shop, notes) = (Workshop::sqlite().await, Notes::new());
    let path = notes.path("pid");
    let script = r#"trap '' TERM; echo $$ > "$0"; while :; do sleep 0.05; done"#;
    let arguments = [
        "--drain-s",
        "3600",
        "--exec",
        "sh",
        "-c",
        script,
        path.to_str().expect("UTF-8"),
    ];
    let mut worker = start(&shop, &arguments);
    let id = shop.send("x", json!(1)).await;
    let pid = notes.pid("pid").await;
    let told_at = Instant::now();
    worker.signal(Signal::SIGTERM);
    // Again and again, as somebody impatient does.
    let ended = eventually(PATIENCE, "the worker ended", async || {
        worker.signal(Signal::SIGINT);
        worker.has_ended()
    });
    assert!(ended.await.success());
    assert!(
        told_at.elapsed() < Duration::from_secs(10),
        "{:?}",
        told_at.elapsed()
    );
    assert!(!is_alive(pid));
    assert_eq!(shop.view(id).await.task.state, State::Queued);
    drop(worker);
    shop.close().await;
}

#[tokio::test]
async fn a_service_manager_that_stops_every_process_burns_no_attempt() {
    let (shop, notes) = (Workshop::sqlite().await, Notes::new());
    let path = notes.path("pid");
    let script = r#"echo $PPID > "$0.guard"; echo $$ > "$0"; exec sleep 600"#;
    let mut worker = start(
        &shop,
        &["--exec", "sh", "-c", script, path.to_str().expect("UTF-8")],
    );
    let id = shop.send("x", json!(1)).await;
    let (guard, pid) = (notes.pid("pid.guard").await, notes.pid("pid").await);
    for each in [pid, guard, worker.pid()] {
        kill(each, Signal::SIGTERM);
    }
    assert!(worker.ended().await.success());
    let task = shop.view(id).await.task;
    assert_eq!((task.state, task.tries), (State::Queued, 0));
    drop(worker);
    shop.close().await;
}

#[tokio::test]
async fn neither_program_nor_guard_is_given_our_configuration() {
    let shop = Workshop::sqlite().await;
    let script =
        r#"cat /proc/$PPID/environ /proc/$$/environ | tr '\0' '\n' | grep ^UNSTUCK_ | cut -d= -f1 | sort -u"#;
    let worker = start(&shop, &["--kind", "x", "--exec", "sh", "-c", script]);
    let id = shop.send("x", json!(1)).await;
    let view = shop.until(id, State::Succeeded).await;
    assert_eq!(
        view.result,
        Some(json!("UNSTUCK_ATTEMPT\nUNSTUCK_KIND\nUNSTUCK_TASK_ID"))
    );
    drop(worker);
    shop.close().await;
}

#[tokio::test]
async fn a_worker_whose_command_does_not_exist_does_not_start() {
    let shop = Workshop::sqlite().await;
    let output = command(&shop, &["--exec", "no-such-program"])
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("no-such-program is not a program that can be run from here"),
        "{text}"
    );
    shop.close().await;
}
