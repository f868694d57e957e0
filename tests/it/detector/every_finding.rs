//! One finding of every form.

use unstuck::{
    domain::{
        evidence::{Evidence, Figure, Source},
        expectation::Usual,
        finding::{About, Stall, Subject, Verdict},
        observation::{Blind, Blindness, BrokerSight, DeathCause, Presence, Publishing, Sample},
        rules::{
            Ruling,
            attempts::{cancel_ignored, crash_loop, double_run},
            broker::{self, BrokerMemory},
            dead::dead_lettered,
            fold::{Fold, Split},
            overtaken::{HandedOut, Oldest, Taken, overtaken},
            queue::QueueView,
            settings::ack_deadline,
            task::{
                Lapsed, PublishCauses, Takers, Timed, Unpublished, WorkerPresence, lapsed, message_lost,
                overdue, unpublished,
            },
            unusual::{LongRun, unusual},
        },
        task::{AttemptOutcome, State},
    },
    store::PublishCause,
};
use uuid::Uuid;

use super::{
    support::{
        THRESHOLDS, at, cancelling, clear_sight, consumers, crashed, crew, found, holding, judge, judge_head,
        judge_settings, late_success, letter, mismatch, queued, run, sample, short, suspect, window, with,
    },
    traced::proven,
};

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
