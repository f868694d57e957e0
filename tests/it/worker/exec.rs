//! The contract between a worker and the program that it runs per task.

use std::time::Duration;

use serde_json::{Value, json};
use unstuck::services::{
    exec::Exec,
    guard::BootTime,
    worker::{Handler, Job, JobError, JobSpec, Progress, Reins, StopCause},
};
use uuid::Uuid;

use super::process::{Notes, is_alive, until_gone};
use crate::support::wait::eventually;

const LONG: Duration = Duration::from_secs(60);

pub fn job(payload: Value) -> (Job, Reins) {
    job_trusted_for(payload, LONG)
}

pub fn job_trusted_for(payload: Value, trust: Duration) -> (Job, Reins) {
    let spec = JobSpec {
        task_id: Uuid::now_v7(),
        attempt: 3,
        kind: "resize".into(),
        queue: "images".into(),
        title: None,
        payload,
        timeout: None,
    };
    Job::new(spec, BootTime::now() + trust)
}

/// A program written in shell; `$0` is `argument`.
pub fn shell(script: &str, argument: &str) -> Exec {
    Exec::new(["sh", "-c", script, argument])
        .expect("there is a shell")
        .guarded_by(env!("CARGO_BIN_EXE_unstuck"))
}

async fn run(script: &str, payload: Value) -> (Result<Value, JobError>, Reins) {
    let (job, reins) = job(payload);
    (shell(script, "sh").run(job).await, reins)
}

async fn result(script: &str) -> Result<Value, JobError> {
    run(script, json!({"n": 1})).await.0
}

#[tokio::test]
async fn the_payload_goes_in_and_the_result_comes_out() {
    assert_eq!(
        run("cat", json!({"n": [1, "é"]})).await.0,
        Ok(json!({"n": [1, "é"]}))
    );
    assert_eq!(result("echo hello").await, Ok(json!("hello")));
    assert_eq!(result("true").await, Ok(Value::Null));
}

#[tokio::test]
async fn the_exit_status_decides() {
    assert_eq!(
        result("exit 75").await,
        Err(JobError::retryable("exit status 75"))
    );
    assert_eq!(
        result("echo out; echo 'no such file' >&2; exit 3").await,
        Err(JobError::failed("exit status 3: no such file"))
    );
    assert_eq!(
        result("kill -SEGV $$").await,
        Err(JobError::failed("killed by SIGSEGV"))
    );
}

#[tokio::test]
async fn a_program_that_does_not_read_its_input_is_no_error() {
    let large = json!("x".repeat(3_000_000));
    assert_eq!(
        run("exec <&-; echo done", large.clone()).await.0,
        Ok(json!("done"))
    );
    assert_eq!(run("wc -c", large).await.0, Ok(json!(3_000_002)));
}

#[tokio::test]
async fn a_command_that_can_not_be_run_fails_with_a_clear_error() {
    let missing = Exec::new(["no-such-program"]).expect_err("it is looked for");
    assert_eq!(
        missing.to_string(),
        "no-such-program is not a program that can be run from here"
    );
    assert!(Exec::new(Vec::<String>::new()).is_err());

    let notes = Notes::new();
    let script = notes.path("vanishes");
    std::fs::write(&script, "#!/bin/sh\n").expect("written");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("executable");
    let exec = Exec::new([&script])
        .expect("it is there")
        .guarded_by(env!("CARGO_BIN_EXE_unstuck"));
    std::fs::remove_file(&script).expect("removed");
    let error = exec.run(job(Value::Null).0).await.expect_err("it vanished");
    assert!(
        !error.retryable && error.message.starts_with("can't run "),
        "{error:?}"
    );
    assert!(error.message.contains("No such file"), "{error:?}");
}

#[tokio::test]
async fn the_environment_has_the_task_and_nothing_of_ours() {
    let (job, _reins) = job(Value::Null);
    let id = job.task_id;
    let secrets = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("UNSTUCK_TEST_"));
    assert!(
        secrets.count() > 0,
        "this process has variables of ours, as a worker has"
    );
    let output = shell("env", "sh").run(job).await.expect("it succeeds");
    let mut ours: Vec<&str> = output
        .as_str()
        .expect("text")
        .lines()
        .filter(|line| line.contains("UNSTUCK"))
        .collect();
    ours.sort_unstable();
    assert_eq!(
        ours,
        [
            "UNSTUCK_ATTEMPT=3",
            "UNSTUCK_KIND=resize",
            &format!("UNSTUCK_TASK_ID={id}")
        ]
    );
    assert!(
        output.as_str().expect("text").contains("PATH="),
        "the rest is passed on"
    );
}

#[tokio::test]
async fn the_program_holds_no_connection_of_ours() {
    let _ours = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let open = result("ls -l /proc/$$/fd").await.expect("it succeeds");
    let open = open.as_str().expect("text");
    assert!(open.contains("pipe:") && !open.contains("socket:"), "{open}");
}

#[tokio::test]
async fn the_program_starts_with_no_signal_blocked_or_ignored() {
    let masks = result("grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2")
        .await
        .expect("it succeeds");
    for mask in masks.as_str().expect("text").lines() {
        let mask = u64::from_str_radix(mask, 16).expect("hexadecimal");
        // Signals 32 and on are the C library's own.
        assert_eq!(mask & 0x7fff_ffff, 0, "{mask:x}");
    }
}

#[tokio::test]
async fn progress_is_reported_and_the_rest_of_standard_error_is_the_log() {
    let script = "echo one >&2; echo '::progress 10 reading' >&2; echo '::progress 40' >&2; printf 'a\\000b\\351\\n\\nlast' >&2";
    let (ended, reins) = run(script, Value::Null).await;
    assert_eq!(ended, Ok(Value::Null));
    let progress = Progress {
        percent: Some(40.0),
        message: Some("reading".into()),
    };
    assert_eq!(reins.take_progress(), Some(progress));
    assert_eq!(reins.take_progress(), None, "it is taken once");
    assert_eq!(reins.log().as_deref(), Some("one\nab\u{fffd}\n\nlast\n"));
}

#[tokio::test]
async fn big_output_is_read_to_its_end_and_kept_in_bounds() {
    let script =
        "head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2; echo end >&2";
    let (ended, reins) = run(script, Value::Null).await;
    let text = ended.expect("it succeeds");
    let text = text.as_str().expect("text");
    assert!(
        text.starts_with("xxx") && text.ends_with("more bytes were written]"),
        "{}",
        &text[text.len() - 80..]
    );
    let log = reins.log().expect("a log");
    assert!(
        log.len() < 70_000 && log.ends_with("end\n"),
        "{} bytes",
        log.len()
    );
}

#[tokio::test]
async fn a_cancelled_program_is_asked_to_end_and_may_clean_up() {
    let notes = Notes::new();
    let (job, reins) = job(Value::Null);
    let script =
        r#"trap 'echo cleaned > "$0"; exit 9' TERM; echo up > "$0.up"; while :; do sleep 0.05; done"#;
    let exec = shell(script, notes.path("note").to_str().expect("UTF-8"));
    let running = tokio::spawn(async move { exec.run(job).await });
    notes.read("note.up").await;
    reins.stop(StopCause::Cancelled);
    assert_eq!(running.await.expect("no panic"), Err(JobError::stopped()));
    assert_eq!(notes.read("note").await, "cleaned\n");
}

#[tokio::test]
async fn a_program_that_finishes_in_spite_of_the_wish_to_stop_has_succeeded() {
    let notes = Notes::new();
    let (job, reins) = job(Value::Null);
    let script = r#"trap 'echo finished; exit 0' TERM; echo up > "$0"; while :; do sleep 0.05; done"#;
    let exec = shell(script, notes.path("up").to_str().expect("UTF-8"));
    let running = tokio::spawn(async move { exec.run(job).await });
    notes.read("up").await;
    reins.stop(StopCause::Draining);
    assert_eq!(running.await.expect("no panic"), Ok(json!("finished")));
}

#[tokio::test]
async fn a_program_that_ignores_the_wish_to_stop_is_killed_after_the_grace() {
    let notes = Notes::new();
    let (job, reins) = job(Value::Null);
    let script = r#"trap '' TERM; echo $$ > "$0"; while :; do sleep 0.05; done"#;
    let exec = shell(script, notes.path("pid").to_str().expect("UTF-8")).grace(Duration::from_millis(300));
    let running = tokio::spawn(async move { exec.run(job).await });
    let pid = notes.pid("pid").await;
    reins.stop(StopCause::Cancelled);
    assert_eq!(running.await.expect("no panic"), Err(JobError::stopped()));
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_second_and_more_urgent_wish_to_stop_does_not_wait_for_the_grace() {
    let notes = Notes::new();
    let (job, reins) = job(Value::Null);
    let script = r#"trap 'echo asked > "$0.asked"' TERM; echo $$ > "$0"; while :; do sleep 0.05; done"#;
    let exec = shell(script, notes.path("pid").to_str().expect("UTF-8")).grace(LONG);
    let running = tokio::spawn(async move { exec.run(job).await });
    let pid = notes.pid("pid").await;
    reins.stop(StopCause::Draining);
    notes.read("pid.asked").await;
    reins.stop(StopCause::Killed);
    until_gone(pid, Duration::from_secs(5)).await;
    assert_eq!(running.await.expect("no panic"), Err(JobError::stopped()));
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let notes = Notes::new();
    let (job, _reins) = job(Value::Null);
    let script =
        r#"setsid sh -c 'echo $$ > "$0"; exec sleep 600' "$0" & while ! [ -s "$0" ]; do sleep 0.02; done"#;
    let exec = shell(script, notes.path("pid").to_str().expect("UTF-8"));
    assert_eq!(
        exec.run(job).await,
        Ok(Value::Null),
        "an open pipe of its child does not keep it waiting"
    );
    assert!(!is_alive(notes.pid("pid").await));
}

#[tokio::test]
async fn a_program_killed_with_its_guard_is_tried_again() {
    let notes = Notes::new();
    let (job, _reins) = job(Value::Null);
    let script = r#"echo $PPID > "$0.guard"; echo $$ > "$0"; sleep 600 & echo $! > "$0.child"; wait"#;
    let exec = shell(script, notes.path("pid").to_str().expect("UTF-8"));
    let running = tokio::spawn(async move { exec.run(job).await });
    let (guard, pid, child) = (
        notes.pid("pid.guard").await,
        notes.pid("pid").await,
        notes.pid("pid.child").await,
    );
    super::guard::kill(guard, nix::sys::signal::Signal::SIGKILL);
    let ended = running.await.expect("no panic");
    assert_eq!(ended, Err(JobError::retryable("the program's guard was killed")));
    for pid in [pid, child] {
        until_gone(pid, Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn renewed_trust_keeps_a_program_alive_and_its_end_kills_it() {
    let notes = Notes::new();
    let (job, reins) = job_trusted_for(Value::Null, Duration::from_millis(1500));
    let exec = shell(
        r#"echo $$ > "$0"; exec sleep 600"#,
        notes.path("pid").to_str().expect("UTF-8"),
    );
    let running = tokio::spawn(async move { exec.run(job).await });
    let pid = notes.pid("pid").await;
    let first = reins.trusted_until();
    let second = BootTime::now() + Duration::from_secs(3);
    reins.trust(second);
    eventually(LONG, "the first trust is over", async || {
        first.is_over().then_some(())
    })
    .await;
    assert!(is_alive(pid), "it was renewed");
    until_gone(pid, LONG).await;
    assert!(second.is_over(), "not killed before its time");
    assert_eq!(running.await.expect("no panic"), Err(JobError::stopped()));
}

#[tokio::test]
async fn a_program_is_not_started_without_trust() {
    let notes = Notes::new();
    let (job, _reins) = job_trusted_for(Value::Null, Duration::ZERO);
    let exec = shell(r#"echo ran > "$0""#, notes.path("note").to_str().expect("UTF-8"));
    assert_eq!(exec.run(job).await, Err(JobError::stopped()));
    assert!(!notes.path("note").exists());
}
