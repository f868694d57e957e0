//! Readings as a test writes them.

use unstuck::{
    domain::{
        evidence::{Evidence, Figure, Source},
        expectation::Usual,
        finding::{About, Incident, Stall, Subject, Verdict},
        observation::{
            Activity, Blind, Blindness, BrokerSight, DeadLetter, DeathCause, Mismatch, Numbers, Presence,
            Publishing, QueueFacts, Sample, Snapshot, Window, lag_ms,
        },
        rules::{
            Ruling, Thresholds,
            attempts::{Cancelling, Crashed, LateSuccess, Run, cancel_ignored, crash_loop, double_run},
            broker::{self, BrokerMemory},
            dead::{Queued, dead_lettered},
            fold::{Fold, Split},
            head::{behind_head, older},
            judge_queue,
            messages::Loss,
            overtaken::{Crew, HandedOut, Oldest, Taken, overtaken},
            queue::QueueView,
            settings::{Holding, MismatchMemory, ack_deadline, queue_mismatch},
            task::{
                Lapsed, PublishCauses, Suspect, Takers, Timed, Unpublished, WorkerPresence, lapsed,
                message_lost, overdue, unpublished,
            },
            unusual::{LongRun, unusual},
        },
        task::{AttemptOutcome, State},
        time::Time,
    },
    store::PublishCause,
};
use uuid::Uuid;

use super::traced::proven;

/// Where a test's time begins.
pub const START: Time = Time::from_ms(1_767_225_600_000);

/// `ms` milliseconds after the start.
pub fn at(ms: i64) -> Time {
    Time::from_ms(START.ms() + ms)
}

pub const THRESHOLDS: Thresholds = Thresholds::new(5_000);

/// One reading of a queue that holds `ready` and `unacknowledged` messages and has one consumer.
pub fn sample(ms: i64, quorum: bool, ready: i64, unacknowledged: i64) -> Sample {
    let figure = |value, source| {
        Some(Figure {
            value,
            source,
            read_at: at(ms),
        })
    };
    Sample {
        at: at(ms),
        numbers: Numbers {
            presence: Presence::Here,
            ready: figure(ready, Source::Declare),
            unacknowledged: figure(unacknowledged, Source::Totals),
            consumers: figure(1, Source::Declare),
            snapshot: Some(Snapshot {
                ready,
                unacknowledged,
                lag_ms: lag_ms(Source::Totals, quorum),
            }),
            prefetch: Some(1),
        },
        facts: QueueFacts::default(),
        activity: Activity::default(),
        expected_wait_ms: None,
    }
}

/// The same reading with other facts from the database.
pub fn with(mut sample: Sample, change: impl FnOnce(&mut Sample)) -> Sample {
    change(&mut sample);
    sample
}

/// The consumers of a reading.
pub fn consumers(sample: &mut Sample, count: i64) {
    if let Some(figure) = &mut sample.numbers.consumers {
        figure.value = count;
    }
}

pub fn window(samples: impl IntoIterator<Item = Sample>) -> Window {
    let mut window = Window::default();
    for sample in samples {
        window.push(sample);
    }
    window
}

/// Everything that the rules say about a queue with these readings, and the tasks that are proven lost.
pub fn judge(window: &Window) -> (Vec<(Verdict, Ruling)>, Option<Loss>) {
    let queue = QueueView {
        name: "q",
        backlog_target_ms: 900_000,
        window,
    };
    let (ruled, loss) = judge_queue(&queue, false, &THRESHOLDS);
    let rulings = ruled.into_iter().map(|ruled| (ruled.verdict, ruled.ruling));
    (rulings.collect(), loss)
}

/// The causes that are found.
pub fn found(window: &Window) -> Vec<Incident> {
    let (rulings, _) = judge(window);
    rulings
        .into_iter()
        .filter_map(|(_, ruling)| match ruling {
            Ruling::Found(incident) => Some(*incident),
            Ruling::Clear | Ruling::Undecided => None,
        })
        .collect()
}

/// Their verdicts.
pub fn verdicts(window: &Window) -> Vec<Verdict> {
    found(window)
        .into_iter()
        .map(|incident| incident.verdict)
        .collect()
}

/// What the rule for one verdict says.
pub fn ruling(window: &Window, verdict: Verdict) -> Ruling {
    let (rulings, _) = judge(window);
    rulings
        .into_iter()
        .find(|(of, _)| *of == verdict)
        .map(|(_, ruling)| ruling)
        .expect("every verdict about a queue is ruled on")
}

/// One finding of every form, as the rules give it.
pub fn every_finding() -> Vec<(About, Verdict, Evidence)> {
    let mut all = causes();
    let stalls = stalls();
    for stall in &stalls {
        all.push((About::Task, stall.verdict, stall.evidence.clone()));
        if let Some(fold) = Fold::of(stall) {
            let incident = fold.incident(Split::default(), at(0));
            all.push((About::Cause, incident.verdict, incident.evidence));
        }
    }
    all
}

fn causes() -> Vec<(About, Verdict, Evidence)> {
    let short = |ready| {
        window([0, 5_000].map(|ms| with(sample(ms, false, ready, 0), |sample| sample.facts.settled = 3)))
    };
    let minute = |change: fn(&mut Sample)| {
        window((0..13).map(|nr| {
            with(sample(nr * 5_000, false, 5, 0), |sample| {
                sample.facts.waiting = 5;
                change(sample);
            })
        }))
    };
    let windows = [
        short(0),
        short(1),
        minute(|sample| consumers(sample, 0)),
        minute(|sample| {
            sample.facts.waiting = 9;
            if let Some(figure) = &mut sample.numbers.unacknowledged {
                figure.value = 1;
            }
        }),
        minute(|sample| {
            sample.facts.live = 1;
            sample.expected_wait_ms = Some(900_001);
        }),
        minute(|sample| {
            sample.facts.live = 1;
            sample.facts.oldest_published_at = Some(at(-900_001));
        }),
        minute(|sample| sample.facts.waiting = 1),
        minute(|sample| sample.numbers.presence = Presence::Missing),
        minute(|sample| sample.numbers.unacknowledged = None),
    ];
    let of_queues = windows.iter().flat_map(found);
    let sights = Blindness::ALL.iter().map(|why| BrokerSight {
        blind: Some(Blind {
            why: *why,
            detail: "detail".into(),
        }),
        ..clear_sight()
    });
    let alarms = [
        BrokerSight {
            alarms: Some(vec!["memory".into()]),
            ..clear_sight()
        },
        BrokerSight {
            publishing: Publishing::Blocked("low on memory".into()),
            ..clear_sight()
        },
    ];
    let of_broker = sights.chain(alarms).flat_map(|sight| {
        let mut memory = BrokerMemory::default();
        let mut last = Vec::new();
        for ms in [0, 5_000, 10_000, 15_000] {
            last = broker::judge(&mut memory, "rabbit:5672", &sight, at(ms), &THRESHOLDS).to_vec();
        }
        last.into_iter().filter_map(|ruled| match ruled.ruling {
            Ruling::Found(incident) => Some(*incident),
            Ruling::Clear | Ruling::Undecided => None,
        })
    });
    let mismatched = match judge_settings(Some(&[mismatch(true)]), 10_000) {
        Ruling::Found(incident) => Some(*incident),
        Ruling::Clear | Ruling::Undecided => None,
    };
    of_queues
        .chain(of_broker)
        .chain(mismatched)
        .map(|incident| (About::Cause, incident.verdict, incident.evidence))
        .collect()
}

fn stalls() -> Vec<Stall> {
    let mut all = Vec::new();
    let causes = PublishCauses {
        broker: "rabbit:5672",
        publishing: &Publishing::Open,
        alarm: false,
        broker_blind: false,
        queue_missing: false,
    };
    let words = PublishCause::ALL
        .iter()
        .map(|cause| Some(cause.as_str().to_owned()));
    for cause in words.chain([None]) {
        let row = Unpublished {
            suspect: suspect(),
            due_at: at(-15_000),
            tries: 3,
            cause,
            detail: None,
        };
        all.extend(unpublished(row, causes, at(0), &THRESHOLDS));
    }
    let figure = |value| Figure {
        value,
        source: Source::Declare,
        read_at: at(0),
    };
    let gone = WorkerPresence::Gone {
        last_seen_at: at(-40_000),
    };
    use WorkerPresence::{Listed, NeverListed, Unknown};
    for presence in [gone, Listed, NeverListed, Unknown] {
        for consumers in [Some(0), Some(1), None] {
            let takers = Takers {
                messages_ready: None,
                consumers: consumers.map(figure),
            };
            let task = Lapsed {
                suspect: suspect(),
                worker: "w".into(),
                started_at: Some(at(-60_000)),
                lease_expires_at: at(-6_000),
                resent_at: None,
            };
            let blind = Some(Subject::queue("q"));
            all.extend(lapsed(task, presence, takers, blind, at(0), &THRESHOLDS));
        }
    }
    all.extend(overdue(
        Timed {
            suspect: suspect(),
            worker: None,
            started_at: at(-61_000),
            timeout_s: 60,
            lease_expires_at: at(1),
        },
        at(0),
    ));
    let long = LongRun {
        suspect: suspect(),
        kind: "report".into(),
        worker: None,
        started_at: at(-61_000),
        lease_expires_at: at(1),
    };
    let usual = Usual {
        samples: 60,
        p50_ms: 1_000,
        p99_ms: 2_000,
        longest_ms: 3_000,
        since: at(-86_400_000),
        limit_ms: 60_000,
        watched_at: None,
    };
    all.extend(unusual(long, &usual, at(0), &THRESHOLDS));
    all.extend([State::Running, State::Failed].into_iter().filter_map(|state| {
        let lost = || run(Some(AttemptOutcome::Lost));
        crash_loop(
            crashed(state, 3, vec![lost(), lost(), lost()]),
            at(0),
            &THRESHOLDS,
        )
    }));
    all.extend(cancel_ignored(cancelling(), at(0), &THRESHOLDS));
    all.extend(double_run(late_success(), at(0)));
    all.extend(ack_deadline(holding(), 600_000, at(0), &THRESHOLDS));
    all.extend(DeathCause::ALL.iter().filter_map(|cause| {
        let depth = figure(3);
        dead_lettered(queued(), &letter(*cause, 1), depth, at(0), &THRESHOLDS)
    }));
    let settled = |unacknowledged, held| {
        window([0, 5_000].map(|ms| {
            with(sample(ms, false, 0, unacknowledged), |sample| {
                sample.facts.settled = 3;
                sample.facts.held = held;
            })
        }))
    };
    let missing = window([0, 5_000].map(|ms| {
        with(sample(ms, false, 0, 0), |sample| {
            sample.numbers.presence = Presence::Missing
        })
    }));
    for window in [settled(0, 0), settled(2, 2), missing] {
        let loss = judge(&window).1.expect("a loss");
        all.push(message_lost(suspect(), at(-30_000), &loss));
    }
    all.extend(judge_head(&short(5, 3), 2).into_iter().flatten());
    let mut handed_out = HandedOut::default();
    for nr in 0..9 {
        handed_out.note(Taken {
            task_id: Uuid::from_u128(nr),
            queue: "q".into(),
            priority: 0,
            due_at: at(-10_000),
            started_at: at(4_000),
            worker: "w".into(),
        });
    }
    let window = window([0, 5_000].map(|ms| sample(ms, false, 5, 0)));
    let queue = QueueView {
        name: "q",
        backlog_target_ms: 900_000,
        window: &window,
    };
    let oldest = Oldest {
        suspect: suspect(),
        priority: 0,
        published_at: at(-30_000),
    };
    let crew = crew(0, &[("w", 1)]);
    all.extend(overtaken(oldest, &queue, &crew, &handed_out, &THRESHOLDS));
    all.push(proven());
    all
}

/// The consumers of `q` since `ms`: each with how many messages it may hold.
pub fn crew(ms: i64, consumers: &[(&str, i64)]) -> Crew {
    let tags = consumers
        .iter()
        .map(|(tag, limit)| ((*tag).to_owned(), Some(*limit)));
    let mut crew = Crew::default();
    crew.note(at(ms), Some(&tags.collect()), Default::default());
    crew
}

pub fn suspect() -> Suspect {
    Suspect {
        task_id: Uuid::nil(),
        queue: "q".into(),
        dispatch: 2,
        attempt: 1,
        version: 7,
    }
}

/// An attempt that ended a minute ago.
pub fn run(outcome: Option<AttemptOutcome>) -> Run {
    Run {
        number: 1,
        worker: "w".into(),
        outcome,
        ended_at: Some(at(-60_000)),
    }
}

/// A task with these attempts, newest first.
pub fn crashed(state: State, tries: i64, runs: Vec<Run>) -> Crashed {
    Crashed {
        suspect: suspect(),
        state,
        tries,
        max_attempts: 3,
        runs,
    }
}

/// Cancelled 130 s ago, with a lease of 30 s that was renewed 5 s ago.
pub fn cancelling() -> Cancelling {
    Cancelling {
        suspect: suspect(),
        worker: "w".into(),
        cancel_requested_at: at(-130_000),
        beat_at: at(-5_000),
        lease_expires_at: at(25_000),
    }
}

/// It has held its delivery for nine minutes, and its lease is alive.
pub fn holding() -> Holding {
    Holding {
        suspect: suspect(),
        worker: Some("w".into()),
        started_at: at(-540_000),
        lease_expires_at: at(20_000),
        progress: None,
        timeout_s: None,
    }
}

/// Queued, and confirmed half a minute ago.
pub fn queued() -> Queued {
    Queued {
        suspect: suspect(),
        published_at: at(-30_000),
    }
}

/// The message of the tests' suspect, dead for so many seconds.
pub fn letter(cause: DeathCause, seconds: i64) -> DeadLetter {
    DeadLetter {
        task_id: suspect().task_id,
        dispatch: Some(suspect().dispatch),
        cause,
        detail: (cause == DeathCause::ByWorker).then(|| "there is no such task".into()),
        died_at: Some(at(-seconds * 1_000)),
    }
}

/// Messages live for a second.
pub fn mismatch(harmful: bool) -> Mismatch {
    Mismatch {
        argument: "x-message-ttl".into(),
        expected: "none".into(),
        actual: "1000".into(),
        harmful,
    }
}

/// What is said about a queue with these differences after `ms`, when it was first seen so at the start.
pub fn judge_settings(found: Option<&[Mismatch]>, ms: i64) -> Ruling {
    let window = window([]);
    let queue = QueueView {
        name: "q",
        backlog_target_ms: 900_000,
        window: &window,
    };
    let mut memory = MismatchMemory::default();
    queue_mismatch(&mut memory, &queue, found, at(0), &THRESHOLDS);
    queue_mismatch(&mut memory, &queue, found, at(ms), &THRESHOLDS)
}

/// Attempt 1 reported its success 10 s after attempt 2 had begun.
pub fn late_success() -> LateSuccess {
    LateSuccess {
        suspect: suspect(),
        worker: "w".into(),
        attempt: 1,
        reported_at: at(0),
        next_attempt: 2,
        next_worker: "v".into(),
        next_started_at: at(-10_000),
    }
}

/// A broker that answers everything and has no alarm.
pub fn clear_sight() -> BrokerSight {
    BrokerSight {
        blind: None,
        statistics: None,
        consumers_age_ms: Some(0),
        alarms: Some(Vec::new()),
        publishing: Publishing::Open,
        restarted: false,
        queues: Default::default(),
    }
}

/// Readings of a queue that holds `ready` messages for `settled` tasks.
pub fn short(settled: i64, ready: i64) -> Window {
    window([0, 5_000].map(|ms| {
        with(sample(ms, false, ready, 0), |sample| {
            sample.facts.settled = settled
        })
    }))
}

/// What is said of `count` tasks older than the head, which was published two minutes after them.
pub fn judge_head(window: &Window, count: usize) -> Option<Vec<Stall>> {
    let queue = QueueView {
        name: "q",
        backlog_target_ms: 900_000,
        window,
    };
    let head_at = at(-30_000);
    let older = older(&queue, Some(head_at), &THRESHOLDS)?;
    let tasks = vec![(suspect(), at(-150_000)); count];
    Some(behind_head(tasks, older, &queue, head_at, &THRESHOLDS))
}
