//! Which tasks have no message: the arithmetic, and its traps.

use unstuck::domain::{
    finding::{Confidence, Variant, Verdict},
    ledger::{Ledger, Named, Shortfall, shortfall},
    observation::{Presence, Sample, Window},
    rules::Ruling,
};

use super::support::{at, found, judge, ruling, sample, verdicts, window, with};

/// Readings every 5 s of a queue in which `settled` tasks wait and `held` run.
fn readings(quorum: bool, settled: i64, held: i64, broker: &[(i64, i64)]) -> Window {
    window(broker.iter().enumerate().map(|(nr, (ready, unacknowledged))| {
        with(
            sample(nr as i64 * 5_000, quorum, *ready, *unacknowledged),
            |sample| {
                sample.facts.queued = settled;
                sample.facts.waiting = settled;
                sample.facts.settled = settled;
                sample.facts.held = held;
                sample.facts.running = held;
                sample.facts.live = held;
            },
        )
    }))
}

#[test]
fn a_shortage_is_the_smallest_that_every_reading_allows() {
    let none = Shortfall::None;
    let short = |missing, of, named| Shortfall::AtLeast {
        missing,
        of,
        named,
        readings: 2,
        span_ms: 5_000,
    };
    for (name, settled, held, broker, expected) in [
        ("nothing waits, nothing is there", 0, 0, [(0, 0), (0, 0)], none),
        ("each waiting task has its message", 5, 1, [(5, 1), (5, 1)], none),
        (
            "purged while nobody works",
            5,
            0,
            [(0, 0), (0, 0)],
            short(5, 5, Named::AllEmpty),
        ),
        (
            "purged while one runs",
            5,
            1,
            [(0, 1), (0, 1)],
            short(5, 5, Named::AllAccounted),
        ),
        ("partly gone", 5, 1, [(2, 1), (2, 1)], short(3, 5, Named::Some)),
        (
            "what is unacknowledged beyond the running may be theirs",
            5,
            1,
            [(0, 4), (0, 4)],
            short(2, 5, Named::Some),
        ),
        ("a buffer can hold them all", 5, 1, [(0, 6), (0, 6)], none),
        (
            "one reading with room is enough to doubt",
            5,
            0,
            [(0, 0), (5, 0)],
            none,
        ),
        ("it was there a moment ago", 5, 0, [(5, 0), (0, 0)], none),
        ("surplus copies hide a loss", 5, 0, [(9, 0), (9, 0)], none),
        // Less unacknowledged than running: somebody acknowledges early, and what is left may be a waiting task's.
        (
            "early acknowledgements are not subtracted",
            1,
            2,
            [(0, 1), (0, 1)],
            none,
        ),
        (
            "early acknowledgements do not hide an empty queue",
            1,
            2,
            [(0, 0), (0, 0)],
            short(1, 1, Named::AllEmpty),
        ),
    ] {
        for quorum in [false, true] {
            let window = readings(quorum, settled, held, &broker);
            assert_eq!(shortfall(&window), expected, "{name}, quorum: {quorum}");
        }
    }
}

#[test]
fn a_copy_of_a_running_task_takes_up_a_place_so_it_hides_no_loss() {
    // Three of five were taken away; a running task without a worker has its own message and a copy there.
    let told = |settled, copies, broker: &[(i64, i64)]| {
        let mut window = Window::default();
        for sample in readings(false, settled, 0, broker)
            .backwards()
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            window.push(with(*sample, |sample| sample.facts.copies = copies));
        }
        match shortfall(&window) {
            Shortfall::AtLeast {
                missing, of, named, ..
            } => Some((missing, of, named)),
            Shortfall::None | Shortfall::Unknown => None,
        }
    };
    assert_eq!(told(5, 0, &[(4, 0), (4, 0)]), Some((1, 5, Named::Some)));
    assert_eq!(told(5, 1, &[(4, 0), (4, 0)]), Some((2, 6, Named::Some)));
    assert_eq!(told(5, 1, &[(7, 0), (7, 0)]), None, "nothing is missing");
    assert_eq!(
        told(5, 1, &[(0, 0), (0, 0)]),
        Some((5, 5, Named::AllEmpty)),
        "a copy that is gone is put out again by itself"
    );
    assert_eq!(
        told(0, 1, &[(0, 0), (0, 0)]),
        None,
        "nobody waits for a lost message"
    );
}

#[test]
fn a_purge_is_proven_for_each_task_and_is_one_cause() {
    let window = readings(true, 7, 0, &[(7, 0), (0, 0), (0, 0)]);
    let found = found(&window);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].verdict, Verdict::LedgerShort);
    assert_eq!(found[0].confidence, Confidence::Proven);
    assert_eq!((found[0].tasks, found[0].since), (7, at(5_000)));
    assert_eq!(found[0].evidence.variant, Variant::All);
    let loss = judge(&window).1.expect("each task is lost");
    assert_eq!(loss.evidence.variant, Variant::Empty);
    // Tasks that were confirmed later than the oldest reading could show are not covered.
    assert_eq!(loss.before, at(5_000 - 7_000));
}

#[test]
fn no_single_task_is_named_while_the_broker_holds_some() {
    let window = readings(false, 7, 0, &[(3, 0), (3, 0)]);
    assert_eq!(verdicts(&window), [Verdict::LedgerShort]);
    assert_eq!(found(&window)[0].evidence.variant, Variant::Part);
    assert_eq!(judge(&window).1, None);
}

#[test]
fn nothing_is_proven_without_two_readings_far_enough_apart() {
    let gap = |quorum, ms| {
        let first = with(sample(0, quorum, 0, 0), |sample| sample.facts.settled = 3);
        let second = with(sample(ms, quorum, 0, 0), |sample| sample.facts.settled = 3);
        shortfall(&window([first, second]))
    };
    assert_eq!(gap(false, 2_900), Shortfall::Unknown);
    assert_ne!(gap(false, 3_000), Shortfall::Unknown);
    assert_eq!(gap(true, 4_400), Shortfall::Unknown);
    assert_ne!(gap(true, 4_500), Shortfall::Unknown);
    let one = with(sample(0, false, 0, 0), |sample| sample.facts.settled = 3);
    assert_eq!(shortfall(&window([one])), Shortfall::Unknown);
}

#[test]
fn numbers_from_statistics_need_twelve_seconds() {
    let late = |ms| {
        with(sample(ms, false, 0, 0), |sample| {
            sample.facts.settled = 3;
            if let Some(snapshot) = &mut sample.numbers.snapshot {
                snapshot.lag_ms = 12_000;
            }
        })
    };
    let short = window([late(0), late(5_000), late(10_000)]);
    assert_eq!(shortfall(&short), Shortfall::Unknown);
    let long = window([late(0), late(5_000), late(10_000), late(15_000)]);
    assert_ne!(shortfall(&long), Shortfall::Unknown);
    assert_eq!(
        long.settled_before(at(20_000), &late(20_000).numbers),
        Some(at(5_000 - 12_000))
    );
}

#[test]
fn absent_numbers_are_never_zero() {
    let unseen = |sample: &mut Sample| {
        sample.numbers.snapshot = None;
        sample.numbers.ready = None;
        sample.numbers.unacknowledged = None;
        sample.numbers.presence = Presence::Unseen;
    };
    let mut window = readings(true, 7, 0, &[(0, 0), (0, 0)]);
    window.push(with(sample(10_000, true, 0, 0), unseen));
    assert_eq!(shortfall(&window), Shortfall::Unknown);
    assert_eq!(ruling(&window, Verdict::LedgerShort), Ruling::Undecided);
    let ledger = Ledger::of(
        &window.newest().expect("a reading").facts,
        &window.newest().expect("a reading").numbers,
    );
    assert_eq!((ledger.messages_ready, ledger.balance), (None, None));
    // The first reading after a gap proves nothing with those before it.
    window.push(with(sample(15_000, true, 0, 0), |sample| {
        sample.facts.settled = 7
    }));
    assert_eq!(shortfall(&window), Shortfall::Unknown);
}

#[test]
fn after_a_restart_nothing_is_proven_until_the_numbers_have_settled() {
    let mut window = readings(true, 7, 0, &[(0, 0), (0, 0)]);
    window.restart(at(7_000));
    for ms in [10_000, 15_000] {
        window.push(with(sample(ms, true, 0, 0), |sample| sample.facts.settled = 7));
        assert_eq!(shortfall(&window), Shortfall::Unknown, "{ms} ms");
    }
    window.push(with(sample(20_000, true, 0, 0), |sample| {
        sample.facts.settled = 7
    }));
    assert_eq!(shortfall(&window), Shortfall::Unknown, "one reading");
    window.push(with(sample(25_000, true, 0, 0), |sample| {
        sample.facts.settled = 7
    }));
    assert_ne!(shortfall(&window), Shortfall::Unknown);
}

#[test]
fn a_live_count_above_the_snapshot_counts() {
    // The snapshot of a quorum queue is late: 7 messages were published since, and are there.
    let late = |ms| {
        with(sample(ms, true, 0, 0), |sample| {
            sample.facts.settled = 7;
            if let Some(ready) = &mut sample.numbers.ready {
                ready.value = 7;
            }
        })
    };
    assert_eq!(shortfall(&window([late(0), late(5_000)])), Shortfall::None);
}

#[test]
fn a_shortage_ends_only_after_a_while_without_one() {
    let mut window = readings(false, 5, 0, &[(0, 0), (0, 0)]);
    let push = |window: &mut Window, ms, ready| {
        window.push(with(sample(ms, false, ready, 0), |sample| {
            sample.facts.settled = 5
        }));
    };
    push(&mut window, 10_000, 5);
    push(&mut window, 15_000, 5);
    assert_eq!(ruling(&window, Verdict::LedgerShort), Ruling::Undecided);
    for ms in [20_000, 25_000, 30_000, 35_000, 40_000] {
        push(&mut window, ms, 5);
    }
    assert_eq!(ruling(&window, Verdict::LedgerShort), Ruling::Clear);
    // And at once when no task waits any more.
    let window = readings(false, 0, 0, &[(0, 0), (0, 0)]);
    assert_eq!(ruling(&window, Verdict::LedgerShort), Ruling::Clear);
}

#[test]
fn a_clock_that_steps_back_empties_the_window() {
    let mut window = readings(false, 5, 0, &[(0, 0), (0, 0)]);
    window.push(with(sample(-60_000, false, 0, 0), |sample| {
        sample.facts.settled = 5
    }));
    assert_eq!(window.len(), 1);
    assert_eq!(shortfall(&window), Shortfall::Unknown);
}

#[test]
fn a_missing_queue_loses_what_waited_in_it_and_says_nothing_else() {
    let gone = |ms| {
        with(sample(ms, true, 0, 0), |sample| {
            sample.numbers.presence = Presence::Missing;
            sample.numbers.ready = None;
            sample.numbers.unacknowledged = None;
            sample.numbers.consumers = None;
            sample.numbers.snapshot = None;
            sample.facts.queued = 4;
            sample.facts.running = 2;
        })
    };
    let mut window = readings(true, 4, 2, &[(4, 2), (4, 2)]);
    window.push(gone(10_000));
    assert_eq!(verdicts(&window), [], "once is not enough");
    window.push(gone(15_000));
    assert_eq!(verdicts(&window), [Verdict::QueueMissing]);
    assert_eq!(found(&window)[0].tasks, 6);
    let loss = judge(&window).1.expect("its messages went with it");
    assert_eq!(
        (loss.before, loss.evidence.variant),
        (at(10_000), Variant::NoQueue)
    );
    assert_eq!(ruling(&window, Verdict::LedgerShort), Ruling::Clear);
    // It may have been there for a moment between two looks: what was confirmed into it then is as lost.
    window.push(gone(20_000));
    let loss = judge(&window).1.expect("its messages went with it");
    assert_eq!(
        loss.before,
        at(15_000),
        "two readings after the confirm are enough"
    );
    window.push(sample(25_000, true, 0, 0));
    assert_eq!(ruling(&window, Verdict::QueueMissing), Ruling::Clear);
}

#[test]
fn more_messages_than_tasks_is_worth_knowing_only_while_nothing_moves() {
    let over = |change: fn(i64, &mut Sample)| {
        window((0..6).map(|nr| {
            with(sample(nr * 5_000, true, 9, 0), |sample| {
                sample.facts.waiting = 7;
                sample.facts.queued = 7;
                change(nr, sample);
            })
        }))
    };
    let still = over(|_, _| {});
    let found = found(&still);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].verdict, found[0].tasks), (Verdict::LedgerOver, 0));
    assert_eq!(found[0].evidence.facts.surplus, Some(2));
    assert_eq!(verdicts(&over(|_, sample| sample.facts.in_flight = 1)), []);
    assert_eq!(verdicts(&over(|nr, sample| sample.activity.ended = nr)), []);
    assert_eq!(
        verdicts(&over(|nr, sample| sample.facts.waiting = 7 - (nr % 2))),
        []
    );
    let even = over(|_, sample| sample.facts.waiting = 9);
    assert_eq!(ruling(&even, Verdict::LedgerOver), Ruling::Clear);
}

#[test]
fn a_message_that_was_published_twice_is_no_finding_while_every_worker_works() {
    // One worker with room for one message runs a long task; the second copy of its message waits behind it.
    let copy_waits = |change: fn(&mut Sample)| {
        window((0..12).map(|nr| {
            with(sample(nr * 5_000, true, 1, 1), |sample| {
                sample.facts.running = 1;
                sample.facts.live = 1;
                sample.facts.holding = 1;
                sample.facts.held = 1;
                change(sample);
            })
        }))
    };
    assert_eq!(verdicts(&copy_waits(|_| {})), []);
    assert_eq!(verdicts(&copy_waits(|sample| sample.numbers.prefetch = None)), []);
    // With room left the copy would have been handed out and discarded: nobody takes it.
    let room_left = copy_waits(|sample| sample.numbers.prefetch = Some(2));
    assert_eq!(verdicts(&room_left), [Verdict::LedgerOver]);
    let nobody_lives = copy_waits(|sample| sample.facts.live = 0);
    assert!(verdicts(&nobody_lives).contains(&Verdict::LedgerOver));
}
