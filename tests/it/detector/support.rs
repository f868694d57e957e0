//! Readings as a test writes them.

use unstuck::domain::{
    evidence::{Figure, Source},
    finding::{Incident, Stall, Verdict},
    observation::{
        Activity, BrokerSight, DeadLetter, DeathCause, Mismatch, Numbers, Presence, Publishing, QueueFacts,
        Sample, Snapshot, Window, lag_ms,
    },
    rules::{
        Ruling, Thresholds,
        attempts::{Cancelling, Crashed, LateSuccess, Run},
        dead::Queued,
        head::{behind_head, older},
        judge_queue,
        messages::Loss,
        overtaken::Crew,
        queue::QueueView,
        settings::{Holding, MismatchMemory, queue_mismatch},
        task::Suspect,
    },
    task::{AttemptOutcome, State},
    time::Time,
};
use uuid::Uuid;

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
