//! What is wrong with one task, under which cause it is told, and when it is over.

use super::support::{THRESHOLDS, at, suspect};
use unstuck::domain::{
    evidence::{Figure, Source},
    finding::{CloseReason, Confidence, Scope, Stall, Subject, Variant, Verdict},
    observation::Publishing,
    rules::{
        fold::{Fold, Split},
        over::{OpenStall, over},
        task::{
            Lapsed, PublishCauses, Takers, Timed, Unpublished, WorkerPresence, lapsed, overdue, unpublished,
        },
    },
    task::State,
};

fn subject(scope: Scope, name: &str) -> Subject {
    Subject {
        scope,
        name: name.into(),
    }
}

fn lapse(over_ms: i64, presence: WorkerPresence, consumers: Option<i64>, blind: bool) -> Option<Stall> {
    let task = Lapsed {
        suspect: suspect(),
        worker: "w".into(),
        started_at: Some(at(-60_000)),
        lease_expires_at: at(-over_ms),
        resent_at: None,
    };
    let takers = Takers {
        messages_ready: None,
        consumers: consumers.map(|value| Figure {
            value,
            source: Source::Declare,
            read_at: at(0),
        }),
    };
    let blind = blind.then(|| subject(Scope::Broker, "rabbit"));
    lapsed(task, presence, takers, blind, at(0), &THRESHOLDS)
}

#[test]
fn a_lease_that_is_over_is_told_by_what_the_broker_says_about_the_worker() {
    let gone = WorkerPresence::Gone {
        last_seen_at: at(-40_000),
    };
    use WorkerPresence::{Listed, NeverListed, Unknown};
    for (presence, consumers, verdict, variant, confidence) in [
        (
            gone,
            Some(2),
            Verdict::WorkerLost,
            Variant::Recovering,
            Confidence::Proven,
        ),
        (
            gone,
            Some(0),
            Verdict::WorkerLost,
            Variant::NoTaker,
            Confidence::Proven,
        ),
        (
            gone,
            None,
            Verdict::WorkerLost,
            Variant::TakerUnknown,
            Confidence::Proven,
        ),
        (
            NeverListed,
            Some(2),
            Verdict::WorkerLost,
            Variant::Unseen,
            Confidence::Likely,
        ),
        (
            Listed,
            Some(1),
            Verdict::WorkerSilent,
            Variant::Recovering,
            Confidence::Proven,
        ),
        (
            Listed,
            Some(0),
            Verdict::WorkerSilent,
            Variant::NoTaker,
            Confidence::Proven,
        ),
        (
            Unknown,
            None,
            Verdict::Unknown,
            Variant::Plain,
            Confidence::Proven,
        ),
    ] {
        let stall = lapse(5_000, presence, consumers, true).expect("a stall");
        assert_eq!((stall.verdict, stall.evidence.variant), (verdict, variant));
        assert_eq!((stall.confidence, stall.since), (confidence, at(-5_000)));
        let cause = stall.cause.expect("a cause");
        match verdict {
            Verdict::Unknown => assert_eq!(cause, (verdict, subject(Scope::Broker, "rabbit"))),
            _ => assert_eq!(cause, (verdict, subject(Scope::Worker, "w"))),
        }
    }
}

#[test]
fn the_take_over_has_its_grace() {
    assert_eq!(lapse(4_999, WorkerPresence::Listed, Some(1), false), None);
}

#[test]
fn nothing_is_said_about_a_worker_that_can_not_be_seen_before_that_is_a_finding() {
    assert_eq!(lapse(60_000, WorkerPresence::Unknown, None, false), None);
}

fn publish(cause: Option<&str>, causes: PublishCauses<'_>, age_ms: i64) -> Option<Stall> {
    let row = Unpublished {
        suspect: suspect(),
        due_at: at(-age_ms),
        tries: 3,
        cause: cause.map(str::to_owned),
        detail: None,
    };
    unpublished(row, causes, at(0), &THRESHOLDS)
}

const CALM: PublishCauses<'static> = PublishCauses {
    broker: "rabbit",
    publishing: &Publishing::Open,
    alarm: false,
    broker_blind: false,
    queue_missing: false,
};

#[test]
fn a_message_that_is_not_published_is_told_under_what_keeps_it() {
    let broker = || subject(Scope::Broker, "rabbit");
    let queue = || Subject::queue("q");
    let alarm = PublishCauses { alarm: true, ..CALM };
    let blind = PublishCauses {
        broker_blind: true,
        ..CALM
    };
    let missing = PublishCauses {
        queue_missing: true,
        ..CALM
    };
    let down = Publishing::Down("refused".into());
    let away = PublishCauses {
        publishing: &down,
        ..CALM
    };
    for (cause, causes, variant, told_under) in [
        (None, CALM, Variant::Untried, (Verdict::Unpublished, broker())),
        (
            Some("unreachable"),
            CALM,
            Variant::Unreachable,
            (Verdict::Unpublished, broker()),
        ),
        (None, away, Variant::Unreachable, (Verdict::Unpublished, broker())),
        (
            Some("unconfirmed"),
            away,
            Variant::Unreachable,
            (Verdict::Unpublished, broker()),
        ),
        (
            Some("unreachable"),
            blind,
            Variant::Unreachable,
            (Verdict::Unknown, broker()),
        ),
        (
            Some("blocked"),
            CALM,
            Variant::Blocked,
            (Verdict::Unpublished, broker()),
        ),
        (
            Some("blocked"),
            alarm,
            Variant::Blocked,
            (Verdict::BrokerAlarm, broker()),
        ),
        (
            Some("nacked"),
            CALM,
            Variant::Nacked,
            (Verdict::Unpublished, queue()),
        ),
        (
            Some("nacked"),
            blind,
            Variant::Nacked,
            (Verdict::Unpublished, queue()),
        ),
        (
            Some("unroutable"),
            missing,
            Variant::Unroutable,
            (Verdict::QueueMissing, queue()),
        ),
        (
            Some("unroutable"),
            CALM,
            Variant::Unroutable,
            (Verdict::Unpublished, queue()),
        ),
        (
            Some("refused"),
            CALM,
            Variant::Refused,
            (Verdict::Unpublished, queue()),
        ),
        (
            Some("queue_mismatch"),
            CALM,
            Variant::QueueMismatch,
            (Verdict::Unpublished, queue()),
        ),
        (
            Some("unconfirmed"),
            CALM,
            Variant::Unconfirmed,
            (Verdict::Unpublished, queue()),
        ),
    ] {
        let stall = publish(cause, causes, 15_000).expect("a stall");
        assert_eq!(stall.verdict, Verdict::Unpublished);
        assert_eq!(
            (stall.evidence.variant, stall.since),
            (variant, at(-15_000)),
            "{cause:?}"
        );
        assert_eq!(stall.cause, Some(told_under), "{cause:?}");
    }
    assert_eq!(publish(None, CALM, 14_999), None, "it has its grace");
}

#[test]
fn a_running_task_is_overdue_past_its_timeout_while_its_lease_is_alive() {
    let timed = |started_ms: i64, lease_ms: i64| {
        let task = Timed {
            suspect: suspect(),
            worker: Some("w".into()),
            started_at: at(-started_ms),
            timeout_s: 60,
            lease_expires_at: at(lease_ms),
        };
        overdue(task, at(0))
    };
    assert_eq!(timed(60_000, 1), None, "to the millisecond");
    assert_eq!(
        timed(60_001, 0),
        None,
        "its lease is over: that is another finding"
    );
    let stall = timed(60_001, 1).expect("overdue");
    assert_eq!(
        (stall.verdict, stall.since, stall.cause),
        (Verdict::Overdue, at(-1), None)
    );
}

fn open(verdict: Verdict) -> OpenStall {
    let queued = matches!(
        verdict,
        Verdict::Unpublished | Verdict::MessageLost | Verdict::DeadLettered
    );
    OpenStall {
        verdict,
        variant: Variant::Plain,
        dispatch: 2,
        attempt: 1,
        since: at(0),
        state: if queued { State::Queued } else { State::Running },
        task_dispatch: 2,
        task_attempt: 1,
        tries: 1,
        message_gone: false,
        published_at: (queued && verdict != Verdict::Unpublished).then(|| at(-1_000)),
        started_at: Some(at(-120_000)),
        lease_expires_at: Some(at(if verdict == Verdict::Overdue {
            90_000
        } else {
            -5_000
        })),
        finished_at: None,
        timeout_s: Some(60),
    }
}

#[test]
fn a_stall_is_over_when_its_task_says_so() {
    const QUEUED: [Verdict; 3] = [Verdict::Unpublished, Verdict::MessageLost, Verdict::DeadLettered];
    const RUNNING: [Verdict; 4] = [
        Verdict::WorkerLost,
        Verdict::WorkerSilent,
        Verdict::Unknown,
        Verdict::Overdue,
    ];
    for verdict in QUEUED.into_iter().chain(RUNNING) {
        let over = |change: fn(&mut OpenStall)| {
            let mut stall = open(verdict);
            change(&mut stall);
            over(&stall, at(10_000), &THRESHOLDS)
        };
        assert_eq!(over(|_| {}), None, "{verdict} stays");
        for state in [State::Succeeded, State::Failed, State::Cancelled] {
            let mut ended = open(verdict);
            ended.state = state;
            assert_eq!(
                unstuck::domain::rules::over::over(&ended, at(10_000), &THRESHOLDS),
                Some(CloseReason::Ended)
            );
        }
        assert_eq!(over(|stall| stall.task_dispatch = 3), Some(CloseReason::Requeued));
        if QUEUED.contains(&verdict) {
            assert_eq!(
                over(|stall| stall.state = State::Running),
                Some(CloseReason::Claimed)
            );
            assert_eq!(
                over(|stall| stall.published_at = Some(at(1))),
                Some(CloseReason::Confirmed)
            );
        } else {
            assert_eq!(over(|stall| stall.task_attempt = 2), Some(CloseReason::TakenOver));
        }
    }
    let beating = |verdict| {
        let mut stall = open(verdict);
        stall.lease_expires_at = Some(at(10_001));
        over(&stall, at(10_000), &THRESHOLDS)
    };
    assert_eq!(beating(Verdict::WorkerSilent), Some(CloseReason::BeatingAgain));
    let mut extended = open(Verdict::Overdue);
    extended.timeout_s = Some(3600);
    assert_eq!(
        over(&extended, at(10_000), &THRESHOLDS),
        Some(CloseReason::Extended)
    );
    let mut unusual = open(Verdict::Overdue);
    (unusual.variant, unusual.timeout_s) = (Variant::Unusual, None);
    assert_eq!(over(&unusual, at(10_000), &THRESHOLDS), None, "only a look tells");
    unusual.timeout_s = Some(3600);
    assert_eq!(
        over(&unusual, at(10_000), &THRESHOLDS),
        Some(CloseReason::Extended)
    );
    let mut dead = open(Verdict::Overdue);
    dead.lease_expires_at = Some(at(9_999));
    assert_eq!(over(&dead, at(10_000), &THRESHOLDS), Some(CloseReason::Replaced));
}

#[test]
fn one_worker_is_one_cause_that_says_what_became_of_its_tasks() {
    let gone = WorkerPresence::Gone {
        last_seen_at: at(-40_000),
    };
    let fold = |over_ms, consumers| {
        Fold::of(&lapse(over_ms, gone, Some(consumers), false).expect("a stall")).expect("a cause")
    };
    let mut one = fold(6_000, 1);
    one.join(fold(9_000, 0));
    one.join(fold(7_000, 1));
    let split = Split {
        stalled: 3,
        moved_on: 5,
        ended: 2,
    };
    let incident = one.incident(split, at(0));
    assert_eq!(
        (incident.verdict, incident.tasks, incident.since),
        (Verdict::WorkerLost, 3, at(-9_000))
    );
    assert_eq!(incident.subject, subject(Scope::Worker, "w"));
    assert_eq!(
        incident.evidence.variant,
        Variant::NoTaker,
        "the form that needs somebody"
    );
    assert_eq!(
        (incident.evidence.facts.moved_on, incident.evidence.facts.ended),
        (Some(5), Some(2))
    );
}
