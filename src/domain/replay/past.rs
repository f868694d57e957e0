//! Findings as they were kept: whether the rules, with other thresholds, would have said them.

use uuid::Uuid;

use crate::domain::{
    evidence::{Evidence, Facts, Figure, Source},
    finding::{Scope, Subject, Verdict},
    observation::{
        Activity, Blind, Blindness, BrokerSight, Mismatch, Numbers, Presence, Publishing, QueueFacts, Sample,
        Snapshot, Window,
    },
    rules::{
        Ruling, Thresholds,
        attempts::{Cancelling, Crashed, Run, cancel_ignored, crash_loop},
        broker::{self, BrokerMemory, queue_unknown},
        messages::{ledger_over, queue_missing},
        queue::{QueueView, backlog, consumers_stuck, no_consumers},
        settings::{Holding, MismatchMemory, ack_deadline, queue_mismatch},
        task::{Lapsed, PublishCauses, Suspect, Takers, Unpublished, WorkerPresence, lapsed, unpublished},
    },
    task::{AttemptOutcome, State},
    time::Time,
};

/// A finding as it was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    pub verdict: Verdict,
    /// What it was about; of a finding about a task, its queue.
    pub subject: Subject,
    pub about_task: bool,
    pub since: Time,
    /// Until when it was so: when it was last found, or when it closed.
    pub until: Time,
    pub evidence: Evidence,
}

/// Whether a past finding would have been said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Said,
    NotSaid,
    /// What its rule looks at was not kept.
    CantTell,
}

impl Answer {
    fn of<T>(found: Option<T>) -> Self {
        match found {
            Some(_) => Self::Said,
            None => Self::NotSaid,
        }
    }

    fn ruled(ruling: &Ruling) -> Self {
        match ruling {
            Ruling::Found(_) => Self::Said,
            Ruling::Clear | Ruling::Undecided => Self::NotSaid,
        }
    }
}

/// Whether the rules, with these thresholds, would have said `past` before it was over. `every_ms` lay between two looks.
///
/// Exact for thresholds that are longer than those it was found by: how long it lasted was kept.
pub fn would_be_said(past: &Past, thresholds: &Thresholds, every_ms: i64) -> Answer {
    if past.about_task {
        about_task(past, thresholds)
    } else {
        about_cause(past, thresholds, every_ms)
    }
}

fn about_task(past: &Past, thresholds: &Thresholds) -> Answer {
    let facts = &past.evidence.facts;
    match past.verdict {
        Verdict::Unpublished => Answer::of(unpublished(
            Unpublished {
                suspect: suspect(past),
                due_at: facts.due_at.unwrap_or(past.since),
                tries: facts.tries.unwrap_or(0),
                cause: None,
                detail: None,
            },
            PublishCauses {
                broker: "",
                publishing: &Publishing::Open,
                alarm: false,
                broker_blind: false,
                queue_missing: false,
            },
            past.until,
            thresholds,
        )),
        Verdict::WorkerLost | Verdict::WorkerSilent => {
            let task = Lapsed {
                suspect: suspect(past),
                worker: facts.worker.clone().unwrap_or_default(),
                started_at: facts.started_at,
                lease_expires_at: facts.lease_expires_at.unwrap_or(past.since),
                resent_at: facts.resent_at,
            };
            let presence = match past.verdict {
                Verdict::WorkerSilent => WorkerPresence::Listed,
                _ => WorkerPresence::NeverListed,
            };
            let takers = Takers {
                messages_ready: facts.messages_ready,
                consumers: facts.consumers,
            };
            Answer::of(lapsed(task, presence, takers, None, past.until, thresholds))
        }
        Verdict::CancelIgnored => {
            let Some((asked, (beat, lease))) = facts
                .cancel_requested_at
                .zip(facts.beat_at.zip(facts.lease_expires_at))
            else {
                return Answer::CantTell;
            };
            // Its heartbeats went on until it was over.
            let lease_ms = lease.ms_since(beat);
            let task = Cancelling {
                suspect: suspect(past),
                worker: facts.worker.clone().unwrap_or_default(),
                cancel_requested_at: asked,
                beat_at: past.until,
                lease_expires_at: Time::from_ms(past.until.ms().saturating_add(lease_ms.max(1))),
            };
            Answer::of(cancel_ignored(task, past.until, thresholds))
        }
        Verdict::CrashLoop => {
            let lost = facts.lost_attempts.unwrap_or(0);
            let run = |number| Run {
                number,
                worker: String::new(),
                outcome: Some(AttemptOutcome::Lost),
                ended_at: Some(past.since),
            };
            let task = Crashed {
                suspect: suspect(past),
                state: State::Running,
                tries: lost,
                max_attempts: facts.max_attempts.unwrap_or(lost),
                runs: (1..=lost).rev().map(run).collect(),
            };
            Answer::of(crash_loop(task, past.until, thresholds))
        }
        Verdict::AckDeadline => {
            let Some((started_at, timeout_ms)) = facts.started_at.zip(facts.ack_timeout_ms) else {
                return Answer::CantTell;
            };
            let deadline = Time::from_ms(started_at.ms().saturating_add(timeout_ms));
            let until = past.until.min(deadline);
            let task = Holding {
                suspect: suspect(past),
                worker: facts.worker.clone(),
                started_at,
                lease_expires_at: Time::from_ms(until.ms().saturating_add(1)),
                progress: None,
                timeout_s: None,
            };
            Answer::of(ack_deadline(task, timeout_ms, until, thresholds))
        }
        Verdict::MessageLost
        | Verdict::DeadLettered
        | Verdict::Overdue
        | Verdict::DoubleRun
        | Verdict::NoConsumers
        | Verdict::ConsumersStuck
        | Verdict::Backlog
        | Verdict::LedgerShort
        | Verdict::LedgerOver
        | Verdict::QueueMissing
        | Verdict::QueueMismatch
        | Verdict::BrokerAlarm
        | Verdict::Unknown => Answer::CantTell,
    }
}

fn about_cause(past: &Past, thresholds: &Thresholds, every_ms: i64) -> Answer {
    let facts = &past.evidence.facts;
    let window = |count: i64, change: &dyn Fn(&mut Sample)| {
        let mut window = Window::default();
        let span_ms = past.until.ms_since(past.since);
        window.keep(span_ms, usize::try_from(count).unwrap_or(0));
        let steps = (count - 1).max(1);
        for step in 0..=steps {
            let at = Time::from_ms(past.since.ms() + span_ms * step / steps);
            let mut sample = reading(at, facts);
            change(&mut sample);
            window.push(sample);
        }
        window
    };
    match (past.verdict, &past.subject.scope) {
        (Verdict::NoConsumers, _) => {
            let window = window(2, &|_| {});
            Answer::ruled(&no_consumers(&view(past, &window), thresholds))
        }
        (Verdict::ConsumersStuck, _) => {
            let looks = past.until.ms_since(past.since) / every_ms.max(1) + 1;
            // As many readings as there were, but no more than the rule can ask for.
            let count = looks.min(thresholds.stuck_samples).max(2);
            let window = window(count, &|_| {});
            Answer::ruled(&consumers_stuck(&view(past, &window), thresholds))
        }
        (Verdict::Backlog, _) => {
            let over = past.evidence.threshold.value.saturating_add(1);
            let window = window(2, &|sample| {
                sample.facts.live = 1;
                sample.expected_wait_ms = Some(over);
            });
            Answer::ruled(&backlog(&view(past, &window), thresholds))
        }
        (Verdict::LedgerOver, _) => {
            let surplus = facts.surplus.unwrap_or(1);
            let window = window(2, &|sample| {
                let snapshot = Snapshot {
                    ready: surplus,
                    unacknowledged: 0,
                    lag_ms: 0,
                };
                sample.numbers.snapshot = Some(snapshot);
                sample.facts = QueueFacts::default();
            });
            Answer::ruled(&ledger_over(&view(past, &window), thresholds))
        }
        (Verdict::QueueMissing, _) => {
            let window = window(2, &|sample| sample.numbers.presence = Presence::Missing);
            Answer::ruled(&queue_missing(&view(past, &window), thresholds).0)
        }
        (Verdict::QueueMismatch, _) => {
            let window = window(2, &|_| {});
            let harmful = [Mismatch {
                argument: String::new(),
                expected: String::new(),
                actual: String::new(),
                harmful: true,
            }];
            let mut memory = MismatchMemory::default();
            let mut at =
                |now| queue_mismatch(&mut memory, &view(past, &window), Some(&harmful), now, thresholds);
            let (first, last) = (at(past.since), at(past.until));
            match Answer::ruled(&first) {
                Answer::Said => Answer::Said,
                Answer::NotSaid | Answer::CantTell => Answer::ruled(&last),
            }
        }
        (Verdict::Unknown, Scope::Queue) => {
            let window = window(2, &|sample| sample.numbers = Numbers::UNSEEN);
            Answer::ruled(&queue_unknown(&view(past, &window), false, thresholds))
        }
        (Verdict::Unknown, _) => of_broker(
            past,
            thresholds,
            2,
            0,
            BrokerSight {
                blind: Some(Blind {
                    why: Blindness::Failed,
                    detail: String::new(),
                }),
                ..clear()
            },
        ),
        (Verdict::BrokerAlarm, _) => {
            let looks = past.until.ms_since(past.since) / every_ms.max(1) + 1;
            let looks = looks.min(thresholds.alarm_readings).max(1);
            of_broker(
                past,
                thresholds,
                looks,
                1,
                BrokerSight {
                    alarms: Some(vec![String::new()]),
                    ..clear()
                },
            )
        }
        (
            Verdict::Unpublished
            | Verdict::MessageLost
            | Verdict::WorkerLost
            | Verdict::WorkerSilent
            | Verdict::Overdue
            | Verdict::CrashLoop
            | Verdict::CancelIgnored
            | Verdict::DoubleRun
            | Verdict::DeadLettered
            | Verdict::AckDeadline
            | Verdict::LedgerShort,
            _,
        ) => Answer::CantTell,
    }
}

fn view<'a>(past: &'a Past, window: &'a Window) -> QueueView<'a> {
    QueueView {
        name: &past.subject.name,
        backlog_target_ms: past.evidence.threshold.value,
        window,
    }
}

/// Looks at the broker so often from the finding's beginning to its end; `which` of the two rules answers.
fn of_broker(past: &Past, thresholds: &Thresholds, looks: i64, which: usize, sight: BrokerSight) -> Answer {
    let mut memory = BrokerMemory::default();
    let span_ms = past.until.ms_since(past.since);
    let steps = (looks - 1).max(1);
    let mut answer = Answer::NotSaid;
    for step in 0..looks {
        let at = Time::from_ms(past.since.ms() + span_ms * step / steps);
        let ruled = broker::judge(&mut memory, &past.subject.name, &sight, at, thresholds);
        if let Some(ruled) = ruled.get(which) {
            answer = Answer::ruled(&ruled.ruling);
        }
    }
    answer
}

/// A broker that answers everything and has no alarm.
fn clear() -> BrokerSight {
    BrokerSight {
        blind: None,
        statistics: None,
        consumers_age_ms: None,
        alarms: Some(Vec::new()),
        publishing: Publishing::Open,
        restarted: false,
        queues: Default::default(),
    }
}

/// A reading with the finding's own figures; those that it does not name are such that its rule can speak.
fn reading(at: Time, facts: &Facts) -> Sample {
    let figure = |known: Option<Figure>, value| {
        Some(known.unwrap_or(Figure {
            value,
            source: Source::Database,
            read_at: at,
        }))
    };
    Sample {
        at,
        numbers: Numbers {
            presence: Presence::Here,
            ready: figure(facts.messages_ready, 1),
            unacknowledged: figure(facts.messages_unacknowledged, 1),
            consumers: figure(facts.consumers, 0),
            snapshot: None,
            prefetch: None,
        },
        facts: QueueFacts {
            queued: facts.queued.unwrap_or(0),
            waiting: facts.queued.unwrap_or(0),
            running: facts.running.unwrap_or(0),
            ..QueueFacts::default()
        },
        activity: Activity::default(),
        expected_wait_ms: None,
    }
}

fn suspect(past: &Past) -> Suspect {
    let facts = &past.evidence.facts;
    Suspect {
        task_id: Uuid::nil(),
        queue: past.subject.name.clone(),
        dispatch: facts.dispatch.unwrap_or(0),
        attempt: facts.attempt.unwrap_or(0),
        version: 0,
    }
}
