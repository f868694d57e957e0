//! The table of DESIGN: every state against every event, and what no run of events may ever bring about.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::*;

const LEASE: Duration = Duration::from_secs(30);

fn at(seconds: i64) -> Time {
    Time::from_ms(1_767_225_600_000 + seconds * 1000)
}

fn rules(now: Time) -> Rules {
    Rules {
        now,
        lease: LEASE,
        jitter: 0.5,
    }
}

fn task(state: State) -> Task {
    let running = state == State::Running;
    Task {
        id: Uuid::nil(),
        kind: "k".into(),
        queue: "q".into(),
        state,
        priority: 0,
        max_attempts: 3,
        version: 7,
        dispatch: i64::from(state != State::New),
        attempt: i64::from(!matches!(state, State::New | State::Queued)),
        tries: i64::from(!matches!(state, State::New | State::Queued)),
        worker: running.then(|| "w1".into()),
        claim_id: running.then(|| "c1".into()),
        message_gone: false,
        progress: None,
        progress_message: None,
        error: None,
        created_at: at(-60),
        available_at: at(-60),
        published_at: None,
        started_at: running.then(|| at(-10)),
        beat_at: running.then(|| at(-10)),
        lease_expires_at: running.then(|| at(20)),
        resent_at: None,
        cancel_requested_at: None,
        finished_at: None,
    }
}

fn claim(id: &str, dispatch: i64) -> Event {
    Event::Claim(Claim {
        claim_id: id.into(),
        dispatch: Some(dispatch),
        worker: "w2".into(),
    })
}

fn resend(version: i64) -> Event {
    Event::Resend {
        version,
        finding: Value::Null,
    }
}

fn requeue(lease: LeasePolicy) -> Event {
    Event::Requeue {
        by: RequeueBy::Person,
        lease,
        payload: None,
    }
}

#[test]
fn what_was_decided_for_another_dispatch_is_refused_and_changes_nothing() {
    for state in [
        State::Queued,
        State::Running,
        State::Failed,
        State::Cancelled,
        State::Succeeded,
    ] {
        let before = task(state);
        for (name, event) in events() {
            let plain = decide(&before, &event, None, &rules(at(30)));
            let on = |dispatch| Event::OnDispatch {
                dispatch,
                event: Box::new(event.clone()),
            };
            let seen = decide(&before, &on(before.dispatch), None, &rules(at(30)));
            assert_eq!(
                (seen.task, seen.answer),
                (plain.task, plain.answer),
                "{name} of {state}"
            );
            let late = decide(&before, &on(before.dispatch - 1), None, &rules(at(30)));
            let code = late.answer.map_err(|refusal| refusal.code);
            assert_eq!(code, Err(RefusalCode::MovedOn), "{name} of {state}");
            assert_eq!(
                (late.task, late.effects),
                (before.clone(), Vec::new()),
                "{name} of {state}"
            );
        }
    }
}

#[test]
fn a_requeue_that_is_asked_for_twice_takes_one_dispatch() {
    let event = Event::OnDispatch {
        dispatch: 1,
        event: Box::new(requeue(LeasePolicy::Respect)),
    };
    let once = decide(&task(State::Queued), &event, None, &rules(at(30)));
    assert_eq!(once.task.dispatch, 2);
    let twice = decide(&once.task, &event, None, &rules(at(30)));
    assert!(twice.answer.is_err());
    assert_eq!(twice.task.dispatch, 2);
}

fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("start", Event::Start { available_at: None }),
        ("claim", claim("c2", 1)),
        ("claim again", claim("c1", 1)),
        (
            "heartbeat",
            Event::Heartbeat {
                attempt: 1,
                progress: None,
                message: None,
            },
        ),
        (
            "succeed",
            Event::Succeed {
                attempt: 1,
                result: Value::Null,
                log: None,
            },
        ),
        (
            "fail",
            Event::Fail {
                attempt: 1,
                error: "e".into(),
                retryable: true,
                log: None,
            },
        ),
        (
            "fail for good",
            Event::Fail {
                attempt: 1,
                error: "e".into(),
                retryable: false,
                log: None,
            },
        ),
        ("release", Event::Release { attempt: 1 }),
        ("retry", Event::Retry { payload: None }),
        ("rerun", Event::Rerun { payload: None }),
        ("requeue", requeue(LeasePolicy::Respect)),
        ("force", requeue(LeasePolicy::Override)),
        ("cancel", Event::Cancel),
        ("recover", Event::Recover),
        ("resend", resend(7)),
    ]
}

/// What each event leads to from each state: the state after it, or `-` where the guard refuses.
const TABLE: &str = "
                new       queued    queued+   running   running*  running!  succeeded failed    cancelled
start           queued    -         -         -         -         -         -         -         -
claim           -         running   running   -         running   -         -         -         -
claim again     -         running   running   running   running   -         -         -         -
heartbeat       -         -         -         running   running   running   -         -         -
succeed         -         -         -         succeeded succeeded succeeded -         -         -
fail            -         -         -         queued    queued    cancelled -         -         -
fail for good   -         -         -         failed    failed    cancelled -         -         -
release         -         -         -         queued    queued    cancelled -         -         -
retry           -         -         -         -         -         -         -         queued    queued
rerun           -         -         -         -         -         -         queued    -         -
requeue         -         queued    queued    -         queued    -         -         -         -
force           -         queued    queued    queued    queued    -         -         -         -
cancel          cancelled cancelled cancelled running   running   running   -         -         -
recover         -         -         -         -         running   cancelled -         -         -
resend          -         -         queued    -         -         -         -         -         -
";

/// The columns of `TABLE`: the broker confirmed the message of `queued+`; `running*` has its lease over, `running!` too and
/// was asked to cancel.
fn column(name: &str) -> Task {
    let lapsed = |task: Task| Task {
        lease_expires_at: Some(at(-5)),
        ..task
    };
    match name {
        "queued+" => Task {
            published_at: Some(at(-30)),
            ..task(State::Queued)
        },
        "running*" => lapsed(task(State::Running)),
        "running!" => Task {
            cancel_requested_at: Some(at(-5)),
            ..lapsed(task(State::Running))
        },
        state => task(state.parse().expect("a state")),
    }
}

#[test]
fn every_state_and_event_lead_where_the_table_says() {
    let mut lines = TABLE.lines().filter(|line| !line.trim().is_empty());
    let columns: Vec<&str> = lines.next().expect("a head").split_whitespace().collect();
    let events = events();
    let mut seen = 0;
    for line in lines {
        let (name, cells) = line.split_at(16);
        let event = &events
            .iter()
            .find(|(known, _)| *known == name.trim())
            .expect("a known event")
            .1;
        for (column_name, expected) in columns.iter().zip(cells.split_whitespace()) {
            let before = column(column_name);
            let decision = decide(&before, event, None, &rules(at(0)));
            let found = if decision.answer.is_ok() {
                decision.task.state.as_str()
            } else {
                "-"
            };
            assert_eq!(found, expected, "{} from {column_name}", name.trim());
            seen += 1;
        }
    }
    assert_eq!(seen, events.len() * columns.len(), "the table is complete");
}

#[test]
fn a_claim_that_meets_a_cancelled_or_hopeless_task_ends_it() {
    let decision = decide(&column("running!"), &claim("c2", 1), None, &rules(at(0)));
    assert_eq!(decision.task.state, State::Cancelled);
    let hopeless = Task {
        tries: 3,
        ..column("running*")
    };
    let decision = decide(&hopeless, &claim("c2", 1), None, &rules(at(0)));
    assert_eq!(
        (decision.task.state, decision.task.error.as_deref()),
        (State::Failed, Some("its worker died 3 times"))
    );
    assert_eq!(decision.answer.expect_err("refused").disposal(), Disposal::Ack);
}

#[test]
fn a_forced_requeue_waits_for_the_old_lease() {
    let decision = decide(
        &task(State::Running),
        &requeue(LeasePolicy::Override),
        None,
        &rules(at(0)),
    );
    assert_eq!((decision.task.available_at, decision.task.tries), (at(20), 0));
    assert!(decision.effects.contains(&Effect::Publish { due_at: at(20) }));
}

#[test]
fn the_same_dispatch_is_put_out_again_at_most_once_a_lease() {
    let lapsed = column("running*");
    let first = decide(&lapsed, &Event::Recover, None, &rules(at(0)));
    assert_eq!((first.task.dispatch, first.task.resent_at), (1, Some(at(0))));
    let soon = decide(&first.task, &Event::Recover, None, &rules(at(29)));
    assert_eq!(
        soon.answer.expect_err("too soon").code,
        RefusalCode::NothingToRecover
    );
    assert!(
        decide(&first.task, &Event::Recover, None, &rules(at(30)))
            .answer
            .is_ok()
    );
}

#[test]
fn within_the_grace_a_take_over_is_waited_for() {
    let fresh = Task {
        lease_expires_at: Some(at(-2)),
        ..task(State::Running)
    };
    assert!(
        decide(&fresh, &Event::Recover, None, &rules(at(0)))
            .answer
            .is_err()
    );
}

#[test]
fn a_lost_message_is_put_out_again_under_the_same_dispatch_and_no_other_version() {
    let confirmed = column("queued+");
    let moved = decide(&confirmed, &resend(6), None, &rules(at(0)));
    assert_eq!(moved.answer.expect_err("moved").code, RefusalCode::MovedOn);
    assert_eq!((moved.task, moved.effects), (confirmed.clone(), Vec::new()));
    let done = decide(&confirmed, &resend(7), None, &rules(at(0)));
    assert!(done.answer.is_ok());
    let expected = Task {
        published_at: None,
        resent_at: Some(at(0)),
        ..confirmed
    };
    assert_eq!(done.task, expected, "nothing else changes");
    assert!(done.effects.contains(&Effect::Publish { due_at: at(0) }));
    assert!(!done.effects.contains(&Effect::Unpublish));
}

#[test]
fn a_message_that_was_put_out_again_is_not_put_out_again_at_once() {
    let again = Task {
        resent_at: Some(at(-30)),
        ..column("queued+")
    };
    let every = i64::try_from(RESEND_EVERY.as_secs()).expect("seconds") - 30;
    for (now, expected) in [
        (at(every - 1), Err(RefusalCode::NothingToResend)),
        (at(every), Ok(Answer::Done)),
    ] {
        let decision = decide(&again, &resend(7), None, &rules(now));
        assert_eq!(decision.answer.map_err(|refusal| refusal.code), expected);
    }
}

#[test]
fn a_released_attempt_does_not_count() {
    let decision = decide(
        &task(State::Running),
        &Event::Release { attempt: 1 },
        None,
        &rules(at(0)),
    );
    assert_eq!(
        (decision.task.tries, decision.task.attempt, decision.task.dispatch),
        (0, 1, 2)
    );
}

#[test]
fn a_policy_s_requeue_grants_nothing() {
    let hopeless = Task {
        tries: 3,
        ..column("running*")
    };
    let event = Event::Requeue {
        by: RequeueBy::Policy,
        lease: LeasePolicy::Respect,
        payload: None,
    };
    assert_eq!(
        decide(&hopeless, &event, None, &rules(at(0))).task.state,
        State::Failed
    );
}

/// A run of events on one task: who claims, reports and acts at which time.
#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    Claim {
        worker: u8,
        stale: bool,
    },
    Report {
        attempt_back: i64,
        kind: u8,
    },
    Act(u8),
    /// The broker confirms what is in the outbox.
    Confirm,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..40i64).prop_map(Step::Wait),
        (0..3u8, any::<bool>()).prop_map(|(worker, stale)| Step::Claim { worker, stale }),
        (0..3i64, 0..5u8).prop_map(|(attempt_back, kind)| Step::Report { attempt_back, kind }),
        (0..8u8).prop_map(Step::Act),
        Just(Step::Confirm),
    ];
    prop::collection::vec(step, 1..60)
}

fn event_of(step: &Step, task: &Task) -> Option<Event> {
    Some(match step {
        Step::Wait(_) | Step::Confirm => return None,
        Step::Claim { worker, stale } => Event::Claim(Claim {
            claim_id: format!("{worker}-{}", task.attempt),
            dispatch: Some(task.dispatch - i64::from(*stale)),
            worker: format!("w{worker}"),
        }),
        Step::Report { attempt_back, kind } => {
            let attempt = task.attempt - attempt_back;
            match kind {
                0 => Event::Heartbeat {
                    attempt,
                    progress: None,
                    message: None,
                },
                1 => Event::Succeed {
                    attempt,
                    result: Value::Null,
                    log: None,
                },
                2 => Event::Fail {
                    attempt,
                    error: "e".into(),
                    retryable: true,
                    log: None,
                },
                3 => Event::Fail {
                    attempt,
                    error: "e".into(),
                    retryable: false,
                    log: None,
                },
                _ => Event::Release { attempt },
            }
        }
        Step::Act(kind) => match kind {
            0 => Event::Start { available_at: None },
            1 => Event::Retry { payload: None },
            2 => Event::Rerun { payload: None },
            3 => requeue(LeasePolicy::Respect),
            4 => requeue(LeasePolicy::Override),
            5 => Event::Cancel,
            6 => resend(task.version),
            _ => Event::Recover,
        },
    })
}

proptest! {
    #[test]
    fn no_run_of_events_breaks_a_promise(steps in steps()) {
        let mut task = task(State::New);
        let mut now = 0;
        let mut open: Option<i64> = None;
        let mut ends: std::collections::HashMap<i64, AttemptOutcome> = Default::default();
        let mut row: Option<i64> = None;
        for step in &steps {
            if let Step::Wait(seconds) = step { now += seconds; }
            if matches!(step, Step::Confirm) && row.take().is_some() { task.published_at = Some(at(now)); }
            let Some(event) = event_of(step, &task) else { continue };
            let reported = match &event {
                Event::Succeed { attempt, .. } | Event::Fail { attempt, .. } | Event::Release { attempt } => ends.get(attempt).copied(),
                _ => None,
            };
            let alive = task.lease_alive(at(now));
            let decision = decide(&task, &event, reported, &rules(at(now)));
            for effect in &decision.effects {
                match effect {
                    Effect::OpenAttempt { number, .. } => {
                        prop_assert!(open.is_none(), "two attempts at once");
                        prop_assert_eq!(*number, ends.len() as i64 + 1, "attempts without gap");
                        prop_assert!(!alive, "a live lease was taken over");
                        open = Some(*number);
                    }
                    Effect::EndAttempt { number, outcome, .. } => {
                        prop_assert_eq!(open.take(), Some(*number), "only the open attempt ends");
                        prop_assert!(ends.insert(*number, *outcome).is_none(), "one end each");
                    }
                    Effect::Unpublish => row = None,
                    Effect::Publish { .. } => row = Some(decision.task.dispatch),
                    _ => {}
                }
            }
            let person = matches!(event, Event::Retry { .. } | Event::Rerun { .. });
            prop_assert!(!task.state.is_end() || decision.task.state == task.state || person, "an end was undone");
            prop_assert!(decision.task.dispatch >= task.dispatch && decision.task.attempt >= task.attempt);
            prop_assert_eq!(decision.task.state == State::Running, open.is_some());
            prop_assert!(decision.task.tries <= decision.task.max_attempts && decision.task.tries >= 0);
            if decision.task.state == State::Queued {
                let out = row == Some(decision.task.dispatch);
                prop_assert!(out != decision.task.published_at.is_some(), "a queued task has its outbox row or the confirm");
            }
            prop_assert_eq!(decision.task.state.is_end(), decision.task.finished_at.is_some());
            task = decision.task;
        }
    }
}
