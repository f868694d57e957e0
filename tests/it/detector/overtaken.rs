//! Which tasks were overtaken by later ones, and what overtaking does not prove.

use std::collections::HashMap;

use unstuck::domain::{
    finding::{Confidence, Stall, Verdict},
    observation::{ConsumerTags, Sample, Window},
    rules::{
        overtaken::{Crew, HandedOut, Oldest, Taken, overtaken},
        queue::QueueView,
    },
};
use uuid::Uuid;

use super::support::{THRESHOLDS, at, consumers, crew, sample, suspect, window, with};

/// Readings of a busy queue in which nothing is buffered.
fn quiet() -> Window {
    window((0..4).map(|nr| with(sample(nr * 5_000, false, 5, 1), held)))
}

fn held(sample: &mut Sample) {
    sample.facts.settled = 5;
    sample.facts.held = 1;
}

/// Readings of a queue whose consumers always hold a message of which no attempt is known yet: their tasks are short.
fn busy(count: i64) -> Window {
    window((0..4).map(|nr| {
        with(sample(nr * 5_000, false, 5, 1), |sample| {
            sample.facts.settled = 5;
            consumers(sample, count);
        })
    }))
}

/// Messages that were due at `due_ms`, each handed out one second after the other from `started_ms` on.
fn handed_out(takers: &[&str], due_ms: i64, started_ms: i64) -> HandedOut {
    let mut handed_out = HandedOut::default();
    for (nr, worker) in (0..).zip(takers) {
        handed_out.note(Taken {
            task_id: Uuid::from_u128(nr as u128 + 1),
            queue: "q".into(),
            priority: 0,
            due_at: at(due_ms),
            started_at: at(started_ms + nr * 1_000),
            worker: (*worker).into(),
        });
    }
    handed_out
}

/// What is said of a task that was confirmed 10 s before those of `handed_out`.
fn judge(window: &Window, crew: &Crew, handed_out: &HandedOut, priority: i64) -> Option<Stall> {
    let queue = QueueView {
        name: "q",
        backlog_target_ms: 900_000,
        window,
    };
    let oldest = Oldest {
        suspect: suspect(),
        priority,
        published_at: at(-60_000),
    };
    overtaken(oldest, &queue, crew, handed_out, &THRESHOLDS)
}

#[test]
fn a_task_that_more_later_ones_overtook_than_can_be_buffered_has_likely_lost_its_message() {
    // Somebody else is there, who took none.
    let crew = crew(0, &[("w", 1), ("v", 1)]);
    let told = |count| judge(&quiet(), &crew, &handed_out(&vec!["w"; count], -50_000, 1_000), 0);
    let stall = told(3).expect("overtaken");
    assert_eq!(
        (stall.verdict, stall.confidence),
        (Verdict::MessageLost, Confidence::Likely)
    );
    assert_eq!(stall.evidence.facts.overtaken_by, Some(3));
    assert_eq!(told(2), None, "prefetch and one");
}

#[test]
fn a_task_that_every_consumer_went_past_has_likely_lost_its_message() {
    let told = |limits: &[(&str, i64)], takers: &[&str]| {
        let window = busy(limits.len() as i64);
        judge(&window, &crew(0, limits), &handed_out(takers, -50_000, 1_000), 0)
    };
    let stall = told(&[("w", 1)], &["w", "w"]).expect("overtaken");
    assert_eq!((stall.confidence, stall.cause), (Confidence::Likely, None));
    assert_eq!(stall.evidence.facts.overtaken_by, Some(2));
    assert_eq!(told(&[("w", 1)], &["w"]), None, "no more than it may hold");
    assert_eq!(told(&[("w", 2)], &["w", "w"]), None, "no more than it may hold");
    assert_eq!(
        told(&[("w", 1), ("v", 1)], &["w", "w", "w", "w"]),
        None,
        "the other one may hold it"
    );
    assert!(told(&[("w", 1), ("v", 1)], &["w", "w", "v", "v"]).is_some());
    assert_eq!(
        told(&[("w", 1)], &["v", "v", "v"]),
        None,
        "taken by nobody who is there"
    );
}

#[test]
fn somebody_who_is_not_listed_and_held_a_message_may_have_had_this_one() {
    let told = |held_at: i64, unacknowledged: i64, listed: &[(&str, i64)]| {
        let mut crew = crew(-200_000, listed);
        let reading = sample(held_at, false, 5, unacknowledged);
        crew.weigh(at(held_at), &reading.numbers);
        let taken = handed_out(&["w", "w"], -50_000, 1_000);
        judge(&busy(1), &crew, &taken, 0)
    };
    let one = [("w", 1)];
    assert!(told(5_000, 1, &one).is_some(), "only the consumer held some");
    assert_eq!(told(5_000, 2, &one), None);
    assert!(told(-60_001, 2, &one).is_some(), "before it was confirmed");
    let young = {
        let mut crew = crew(0, &one);
        crew.weigh(at(1_000), &sample(1_000, false, 5, 2).numbers);
        judge(&busy(1), &crew, &handed_out(&["w", "w"], -50_000, 1_000), 0)
    };
    assert!(young.is_some(), "the count may be older than the list");
    let counted = |second: i64| {
        let mut crew = crew(0, &one);
        for at_ms in [1_000, second * 1_000] {
            let reading = with(sample(at_ms, true, 5, 1), |sample| consumers(sample, 2));
            crew.weigh(at(at_ms), &reading.numbers);
        }
        judge(&busy(1), &crew, &handed_out(&["w", "w"], -50_000, 1_000), 0)
    };
    assert!(counted(20).is_some(), "another consumer may be listed late");
    assert_eq!(counted(21), None, "a quorum queue counts who holds a message");
}

#[test]
fn a_consumer_that_holds_as_much_as_it_may_for_running_attempts_can_not_hold_another_message() {
    let limits: ConsumerTags = [("w".to_owned(), Some(1)), ("v".to_owned(), Some(2))].into();
    let told = |held, takers: &[&str]| {
        let mut crew = Crew::default();
        let held = HashMap::from([("v".to_owned(), held)]);
        crew.note(at(0), Some(&limits), held);
        judge(&busy(2), &crew, &handed_out(takers, -50_000, 1_000), 0)
    };
    assert!(told(2, &["w", "w"]).is_some());
    assert_eq!(told(1, &["w", "w"]), None, "it has room for one more");
    assert_eq!(told(2, &[]), None, "nobody was handed anything");
}

#[test]
fn what_a_consumer_held_that_left_is_at_the_head_again_so_only_later_ones_count() {
    let after = |started_ms| handed_out(&["w", "w"], -50_000, started_ms);
    let both: ConsumerTags = [("w".to_owned(), Some(1)), ("v".to_owned(), Some(1))].into();
    let one: ConsumerTags = [("w".to_owned(), Some(1))].into();
    let mut crew = Crew::default();
    crew.note(at(0), Some(&both), HashMap::new());
    crew.note(at(5_000), None, HashMap::new());
    assert_eq!(
        judge(&busy(1), &crew, &after(1_000), 0),
        None,
        "nobody is known to be there"
    );
    crew.note(at(10_000), Some(&one), HashMap::new());
    assert_eq!(
        judge(&busy(1), &crew, &after(9_500), 0),
        None,
        "one of them before it left"
    );
    assert!(judge(&busy(1), &crew, &after(10_001), 0).is_some());
    crew.note(at(15_000), Some(&one), HashMap::new());
    assert!(
        judge(&busy(1), &crew, &after(10_001), 0).is_some(),
        "nobody left since"
    );
}

#[test]
fn overtaking_proves_nothing_when_there_is_an_innocent_reason() {
    let crew = crew(0, &[("w", 1)]);
    let after = handed_out(&["w"; 9], -50_000, 1_000);
    for window in [quiet(), busy(1)] {
        assert!(judge(&window, &crew, &after, 0).is_some());
        assert_eq!(judge(&window, &crew, &after, 5), None, "another priority");
        assert_eq!(
            judge(&window, &crew, &handed_out(&["w"; 9], -50_001, 1_000), 0),
            None,
            "due at nearly the same time"
        );
        assert_eq!(
            judge(&window, &crew, &handed_out(&["w"; 9], -50_000, -9_000), 0),
            None,
            "handed out before we looked"
        );
        assert_eq!(
            judge(&window, &Crew::default(), &after, 0),
            None,
            "consumers that were never listed"
        );
    }
    let next = |change: fn(&mut Sample)| {
        let mut window = quiet();
        window.push(with(sample(20_000, false, 5, 1), |sample| {
            held(sample);
            change(sample);
        }));
        let idle = super::support::crew(0, &[("w", 1), ("v", 1)]);
        judge(&window, &idle, &after, 0)
    };
    assert!(next(|_| {}).is_some());
    assert_eq!(next(|sample| sample.facts.held = 0), None, "a buffer may hold it");
    assert_eq!(
        next(|sample| sample.numbers.prefetch = None),
        None,
        "a consumer without a limit"
    );
    assert_eq!(
        next(|sample| sample.numbers.snapshot = None),
        None,
        "numbers missing"
    );
}
