//! Whether anything changed that a page may show.

use super::{
    Store, StoreError,
    db::{Sql, fetch_optional, sql},
    types::{At, Id},
};

/// The newest row of each table that grows with what pages show. Two equal ones: nothing has happened in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse(Option<PulseRow>);

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct PulseRow {
    history: Option<i64>,
    audit: Option<i64>,
    sample: Option<At>,
    message: Option<Id>,
    incidents: i64,
}

// Each is the end of an index; incidents are counted, because one that closes leaves no row.
const PULSE: Sql = sql!(
    "SELECT (SELECT max(id) FROM history) AS history, (SELECT max(id) FROM audit) AS audit,
      (SELECT max(at) FROM samples) AS sample,
      (SELECT id FROM ticket_messages ORDER BY id DESC LIMIT 1) AS message,
      (SELECT count(*) FROM incidents WHERE closed_at IS NULL) AS incidents"
);

impl Store {
    /// The present pulse. Cheap: a few index reads, however large the tables are.
    pub async fn pulse(&self) -> Result<Pulse, StoreError> {
        let mut conn = self.read().await?;
        Ok(Pulse(fetch_optional!(&mut conn, PulseRow, PULSE)?))
    }
}
