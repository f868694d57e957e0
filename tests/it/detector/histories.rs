//! Random histories of a queue, and what the rules say of them.
//!
//! Truth is known here, so what the rules say can be held against it: a healthy queue gives no finding, a shortage is
//! never larger than the truth, a task called lost is lost, and a purge is found in time.

use proptest::prelude::*;
use unstuck::domain::{
    finding::{Confidence, Stall, Verdict},
    ledger::{Named, Shortfall, shortfall},
    rules::{
        head::{behind_head, older},
        overtaken::overtaken,
        queue::QueueView,
        task::message_lost,
    },
    time::Time,
};

use super::{
    queue_world::{EVERY_MS, Plan, STEP_MS, World, named, oldest},
    support::{THRESHOLDS, at, judge, verdicts},
};

fn plans(deaths: bool) -> impl Strategy<Value = Plan> {
    (
        any::<bool>(),
        1..5i64,
        50..1_500i64,
        20..40_000i64,
        0..8i64,
        any::<bool>(),
        1..4i64,
        0..30i64,
    )
        .prop_map(
            move |(quorum, workers, pace_ms, longest_ms, buffer, churn, priorities, twice_in)| Plan {
                quorum,
                workers,
                pace_ms,
                shortest_ms: 10,
                longest_ms,
                buffer,
                churn,
                deaths,
                purge_at: None,
                quiet_after_purge: false,
                priorities,
                twice_in,
                scatters: false,
            },
        )
}

/// A queue that is never empty: more tasks than its workers can do, each for long enough to be told from a message that
/// a worker only holds.
fn crowded() -> impl Strategy<Value = Plan> {
    let sizes = (1..3i64, 2_000..20_000i64, 0..4i64, any::<bool>());
    (plans(true), sizes).prop_map(|(plan, (workers, shortest_ms, buffer, scatters))| Plan {
        workers,
        pace_ms: shortest_ms / (6 * workers),
        shortest_ms,
        longest_ms: shortest_ms,
        // Mostly none: a message in a buffer hides what overtakes it.
        buffer: (buffer - 2).max(0),
        scatters,
        ..plan
    })
}

/// So many of the oldest are held against what was handed out.
const OLDEST: usize = 50;

/// The tasks that are called lost one by one.
fn called_lost(world: &World) -> Vec<(usize, Stall)> {
    let queue = QueueView {
        name: "q",
        backlog_target_ms: 900_000,
        window: &world.window,
    };
    let now = world.window.newest().expect("a reading").at;
    let mut called = Vec::new();
    if let Some(loss) = judge(&world.window).1 {
        let covered = world.waiting_before(loss.before);
        called.extend(
            covered
                .into_iter()
                .map(|(nr, _, published_at)| (nr, message_lost(named(nr), published_at, &loss))),
        );
    }
    let long_ago = Time::from_ms(now.ms() - THRESHOLDS.overtaken_margin_ms);
    for (nr, priority, published_at) in world.waiting_before(long_ago).into_iter().take(OLDEST) {
        let oldest = oldest(nr, priority, published_at);
        let stall = overtaken(oldest, &queue, &world.crew, &world.handed_out, &THRESHOLDS);
        called.extend(stall.map(|stall| (nr, stall)));
    }
    let head_at = world.head.filter(|_| !world.is_quorum()).map(at);
    if let (Some(head_at), Some(older)) = (head_at, older(&queue, head_at, &THRESHOLDS)) {
        let highest = world.highest_priority();
        let tasks = world
            .waiting_before(older.before)
            .into_iter()
            .filter(|(_, priority, _)| *priority >= highest);
        let tasks = tasks
            .map(|(nr, _, published_at)| (named(nr), published_at))
            .collect();
        let stalls = behind_head(tasks, older, &queue, head_at, &THRESHOLDS);
        called.extend(
            stalls
                .into_iter()
                .map(|stall| (stall.task_id.as_u128() as usize, stall)),
        );
    }
    called
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_healthy_queue_gives_no_finding(plan in plans(false), seed in any::<u64>()) {
        let mut world = World::new(plan, seed);
        for _ in 0..30 {
            world.advance();
            prop_assert_eq!(world.lost(), 0);
            let mut said = verdicts(&world.window);
            // More copies than tasks are no fault, and worth knowing.
            said.retain(|verdict| *verdict != Verdict::LedgerOver || world.surplus() == 0);
            prop_assert_eq!(said, Vec::<Verdict>::new(), "at {} ms", world.now);
            prop_assert_eq!(called_lost(&world), Vec::new(), "at {} ms", world.now);
        }
    }

    #[test]
    fn what_is_called_lost_is_lost(plan in plans(true), seed in any::<u64>(), purge_at in 200..1_000i64) {
        let plan = Plan { purge_at: Some(purge_at * STEP_MS), ..plan };
        let mut world = World::new(plan, seed);
        for _ in 0..24 {
            world.advance();
            let truth = world.lost() as i64;
            if let Shortfall::AtLeast { missing, of, named, .. } = shortfall(&world.window) {
                prop_assert!(missing <= truth, "{} called missing, {} are, at {} ms", missing, truth, world.now);
                if named != Named::Some {
                    prop_assert!(of <= truth, "all {} called lost, {} are, at {} ms", of, truth, world.now);
                }
            }
            for (nr, stall) in called_lost(&world) {
                prop_assert!(world.is_lost(nr), "at {} ms: {:?}", world.now, stall);
            }
        }
    }

    #[test]
    fn a_purge_is_found_within_twenty_seconds(plan in plans(false), seed in any::<u64>(), purge_at in 200..1_000i64) {
        // Workers that buffer nothing, so that each waiting task had its message in the queue.
        let plan = Plan {
            purge_at: Some(purge_at * STEP_MS),
            quiet_after_purge: true,
            buffer: 0,
            churn: false,
            ..plan
        };
        let mut world = World::new(plan, seed);
        let mut found = false;
        let mut ended_before = 0;
        while world.now < purge_at * STEP_MS + 20_000 - EVERY_MS / 2 {
            if world.now <= purge_at * STEP_MS {
                ended_before = world.activity.ended;
            }
            world.advance();
            let now_found = verdicts(&world.window).contains(&Verdict::LedgerShort);
            prop_assert!(!now_found || world.lost() > 0);
            found |= now_found;
        }
        // The message of a task that ended while the totals were late may have been anybody's.
        let hidden = world.activity.ended - ended_before;
        prop_assert!(found || world.lost() as i64 <= hidden, "{} tasks lost", world.lost());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn in_a_crowd_no_task_is_called_lost_that_has_its_message(
        plan in crowded(), seed in any::<u64>(), purge_at in prop::option::weighted(0.8, 200..1_600i64)
    ) {
        let plan = Plan { purge_at: purge_at.map(|at| at * STEP_MS), ..plan };
        let mut world = World::new(plan, seed);
        for _ in 0..60 {
            world.advance();
            for (nr, stall) in called_lost(&world) {
                // Where the broker puts what is handed back behind others, an overtaking proves nothing, and says so.
                let may_err = plan.scatters && stall.confidence == Confidence::Likely;
                prop_assert!(may_err || world.is_lost(nr), "at {} ms: {:?}", world.now, stall);
            }
        }
    }
}
