//! Elections: which of several processes may act alone, until when, and in which term.

use std::time::Duration;

use super::{
    Lane, Store, StoreError,
    db::{Sql, Tx, execute, fetch_optional, sql},
    types::At,
};

/// The right to act alone. Every write under it names its term, so that one that was lost meanwhile is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    pub name: &'static str,
    pub holder: String,
    /// Raised by every change of the holder.
    pub term: i64,
    pub lease: Duration,
}

/// A lease that ends later than `$5` was written by a clock that has been set back since.
const LEAD: Sql = sql!(
    "INSERT INTO leaders (name, holder, term, expires_at) VALUES ($1, $2, 1, $3)
      ON CONFLICT (name) DO UPDATE SET term = leaders.term + CASE WHEN leaders.holder = $2 THEN 0 ELSE 1 END,
        holder = $2, expires_at = $3
      WHERE leaders.holder = $2 OR leaders.expires_at <= $4 OR leaders.expires_at > $5
      RETURNING term"
);

const HOLD: Sql = sql!("UPDATE leaders SET expires_at = $4 WHERE name = $1 AND holder = $2 AND term = $3");

const RESIGN: Sql = sql!("UPDATE leaders SET expires_at = $4 WHERE name = $1 AND holder = $2 AND term = $3");

impl Store {
    /// Makes `holder` the leader of `name` for `lease`, or renews it; `None` while somebody else is.
    ///
    /// `holder` is new at each start of a process. A leader that stops renewing is replaced when its lease ends.
    pub async fn lead(
        &self,
        name: &'static str,
        holder: &str,
        lease: Duration,
    ) -> Result<Option<Leadership>, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let term = fetch_optional!(
            &mut tx,
            (i64,),
            LEAD,
            name,
            holder,
            At(now + lease),
            At(now),
            At(now + lease + lease)
        )?;
        tx.commit().await?;
        Ok(term.map(|(term,)| Leadership {
            name,
            holder: holder.to_owned(),
            term,
            lease,
        }))
    }

    /// Ends the lease at once, so that another process need not wait for it. Nothing happens when it was lost already.
    pub async fn resign(&self, leadership: &Leadership) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let Leadership {
            name, holder, term, ..
        } = leadership;
        execute!(&mut tx, RESIGN, *name, holder, *term, At(now))?;
        tx.commit().await
    }

    /// Renews the lease as a part of `tx`, which nobody can then overtake; false when the leadership was lost.
    pub(super) async fn hold(&self, tx: &mut Tx, leadership: &Leadership) -> Result<bool, StoreError> {
        let now = self.now_in(tx).await?;
        let Leadership {
            name,
            holder,
            term,
            lease,
        } = leadership;
        Ok(execute!(tx, HOLD, *name, holder, *term, At(now + *lease))? == 1)
    }
}
