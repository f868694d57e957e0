//! What the detector would say of a state, by the product's own rule.

use unstuck::domain::{
    evidence::Source,
    ledger::{Shortfall, shortfall},
    observation::{Activity, Numbers, Presence, QueueFacts, Sample, Snapshot, Window, lag_ms, proof_span_ms},
    task::State,
    time::Time,
};

use super::world::{NOW, World};

/// Whether the queue is found short of a message when nothing else moves for a while.
pub fn is_short(world: &World) -> bool {
    let held = world.in_broker().count() - world.ready.len();
    let lag_ms = lag_ms(Source::Totals, false);
    let mut facts = QueueFacts::default();
    for kept in &world.tasks {
        let settled = kept.task.state == State::Queued && kept.task.published_at.is_some();
        facts.settled += i64::from(settled);
        facts.held += i64::from(kept.task.lease_alive(NOW) && !kept.task.message_gone);
    }
    let numbers = Numbers {
        presence: Presence::Here,
        snapshot: Some(Snapshot {
            ready: world.ready.len() as i64,
            unacknowledged: held as i64,
            lag_ms,
        }),
        ..Numbers::UNSEEN
    };
    let mut window = Window::default();
    for at in [NOW, Time::from_ms(NOW.ms() + proof_span_ms(lag_ms))] {
        window.push(Sample {
            at,
            numbers,
            facts,
            activity: Activity::default(),
            expected_wait_ms: None,
        });
    }
    matches!(shortfall(&window), Shortfall::AtLeast { .. })
}
