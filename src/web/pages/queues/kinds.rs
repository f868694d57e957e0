//! The kinds of a queue: how long their tasks wait and run.

use crate::{
    domain::{
        expectation::{KindTimes, Measure, Slowest},
        sketch::Sketch,
        time::Time,
    },
    store::{Store, StoreError},
    web::pages::address,
};

/// Kinds on one page, by name.
const KINDS: usize = 50;

/// The kinds to show.
pub(super) struct Kinds {
    pub(super) rows: Vec<Row>,
    /// The queue has more kinds than are shown.
    pub(super) more: bool,
    /// Of those that are shown.
    pub(super) slowest: Option<Slowest>,
}

/// How long one kind's tasks took to wait or to run.
pub(super) struct Row {
    pub(super) kind: String,
    pub(super) href: String,
    pub(super) measure: Measure,
    pub(super) samples: i64,
    /// What 50, 95 and 99 of 100 did not exceed.
    pub(super) spans_ms: [i64; 3],
}

impl Kinds {
    pub(super) async fn of(store: &Store, queue: &str, now: Time) -> Result<Self, StoreError> {
        let mut kinds = store.times_of_kinds(queue, now, KINDS as i64 + 1).await?;
        let more = kinds.len() > KINDS;
        kinds.truncate(KINDS);
        Ok(Self {
            rows: kinds.iter().flat_map(rows).collect(),
            more,
            slowest: Slowest::of(&kinds),
        })
    }
}

/// A row for what was measured of the kind.
fn rows(kind: &KindTimes) -> impl Iterator<Item = Row> {
    let of = |measure, sketch: &Sketch| {
        let percentile = |percent| sketch.percentile_ms(percent);
        Some(Row {
            kind: kind.kind.clone(),
            href: address::tasks("kind", &kind.kind),
            measure,
            samples: sketch.count(),
            spans_ms: [percentile(50)?, percentile(95)?, percentile(99)?],
        })
    };
    [of(Measure::Wait, &kind.wait), of(Measure::Run, &kind.run)]
        .into_iter()
        .flatten()
}
