//! Whose time counts, and the clock that a SQLite file keeps.
//!
//! SQLite has no clock, and somebody can set the machine's: leases measured by it would end early, or never. So the file has a
//! clock of its own: the time since the machine started, which runs through its sleep, which nobody can set and which all
//! its processes read alike, and a row that says what to add. It follows the machine's clock: at once while no task is open,
//! else so slowly that no lease becomes shorter than its worker relies on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use nix::time::{ClockId, clock_gettime};
use sqlx::{FromRow, PgConnection, SqliteConnection};

use super::{
    Lane, Store, StoreError,
    db::{Engine, Tx},
    types::At,
};
use crate::domain::time::Time;

/// Whose time counts. Lease times are the database's clock, so that workers on several machines agree.
#[derive(Clone)]
pub enum Clock {
    /// PostgreSQL's own clock, or the SQLite file's.
    Database,
    /// A time that a test sets.
    Set(Arc<AtomicI64>),
}

/// How the machine's clock stands to the SQLite file's, and what was done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// How far the machine's is ahead, in ms; negative when it is behind.
    pub ahead_ms: i64,
    pub change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is near enough, or followed already.
    None,
    /// Tasks are open: the file's clock runs faster or slower from now on, or as it should again.
    Paced,
    /// No task was open: it was set.
    Set,
}

/// A drift that is left alone.
const TOLERATED_MS: i64 = 2_000;
/// Once the file's clock follows, it does so until it is this near.
const REACHED_MS: i64 = 500;
/// How much faster or slower it then runs. A worker stops a sixth of its lease early, so a lease may well be a twentieth
/// shorter.
const PACE_PPM: i64 = 50_000;

/// One row of `clock`.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
struct Dial {
    boot: String,
    at_boot_ms: i64,
    at_ms: i64,
    rate_ppm: i64,
}

impl Dial {
    /// What it shows `boot_ms` after the machine started.
    fn at(&self, boot_ms: i64) -> i64 {
        let passed = boot_ms.saturating_sub(self.at_boot_ms);
        self.at_ms
            .saturating_add(passed)
            .saturating_add(passed.saturating_mul(self.rate_ppm) / 1_000_000)
    }

    /// How fast it should run from now on while the machine's clock is `ahead_ms` ahead of it.
    fn pace(&self, ahead_ms: i64) -> i64 {
        let near = if self.rate_ppm == 0 {
            TOLERATED_MS
        } else {
            REACHED_MS
        };
        match ahead_ms {
            ahead if ahead > near => PACE_PPM,
            ahead if ahead < -near => -PACE_PPM,
            _ => 0,
        }
    }
}

const DIAL: &str = "SELECT boot, at_boot_ms, at_ms, rate_ppm FROM clock";
const SET: &str =
    "INSERT OR REPLACE INTO clock (one, boot, at_boot_ms, at_ms, rate_ppm) VALUES (1, $1, $2, $3, $4)";
/// The last that the machine wrote of its work before it was started anew: the clock never shows less.
const LAST_BEAT: &str = "SELECT max(beat_at) FROM tasks WHERE state = 'running'";
/// Readings of a time that is still to come would count as the newest.
const FORGET_LATER: &str = "DELETE FROM samples WHERE at > $1";
const OPEN: &str = "SELECT EXISTS (SELECT 1 FROM tasks WHERE state = 'queued') OR EXISTS (SELECT 1 FROM tasks WHERE state = 'running')";

async fn dial(conn: &mut SqliteConnection) -> Result<Option<Dial>, StoreError> {
    Ok(sqlx::query_as(DIAL).fetch_optional(conn).await?)
}

async fn set(conn: &mut SqliteConnection, dial: &Dial) -> Result<(), StoreError> {
    let set = sqlx::query(SET)
        .bind(&dial.boot)
        .bind(dial.at_boot_ms)
        .bind(dial.at_ms)
        .bind(dial.rate_ppm);
    set.execute(conn).await?;
    Ok(())
}

impl Store {
    /// The same store with its clock set by hand. For tests.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The time that leases and schedules are measured by.
    pub async fn now(&self) -> Result<Time, StoreError> {
        if let Clock::Set(ms) = &self.clock {
            return Ok(Time::from_ms(ms.load(Ordering::SeqCst)));
        }
        match &mut self.read().await? {
            Engine::Sqlite(conn) => self.shown(conn).await,
            Engine::Postgres(conn) => postgres_now(conn).await,
        }
    }

    /// The time as of a transaction's start, read inside it.
    pub(crate) async fn now_in(&self, tx: &mut Tx) -> Result<Time, StoreError> {
        if let Clock::Set(ms) = &self.clock {
            return Ok(Time::from_ms(ms.load(Ordering::SeqCst)));
        }
        match tx {
            Engine::Sqlite(conn) => self.shown(conn).await,
            Engine::Postgres(conn) => postgres_now(conn).await,
        }
    }

    /// What the file's clock shows. A machine that does not say when it started has only its own.
    async fn shown(&self, conn: &mut SqliteConnection) -> Result<Time, StoreError> {
        let Some(boot) = &self.boot else {
            return Ok(Time::from_ms(machine_ms()));
        };
        let shown = dial(conn).await?.filter(|dial| *dial.boot == **boot);
        Ok(Time::from_ms(
            shown.map_or_else(machine_ms, |dial| dial.at(boot_ms())),
        ))
    }

    /// Starts a SQLite file's clock, once for each start of the machine.
    pub(super) async fn start_clock(&self) -> Result<(), StoreError> {
        let Some(boot) = &self.boot else {
            return Ok(());
        };
        let Engine::Sqlite(mut conn) = self.read().await? else {
            return Ok(());
        };
        if dial(&mut conn).await?.is_some_and(|dial| *dial.boot == **boot) {
            return Ok(());
        }
        drop(conn);
        let mut tx = self.begin(Lane::Shared).await?;
        if let Engine::Sqlite(conn) = &mut tx
            && dial(conn).await?.is_none_or(|dial| *dial.boot != **boot)
        {
            let last: Option<i64> = sqlx::query_scalar(LAST_BEAT).fetch_one(&mut **conn).await?;
            let dial = Dial {
                boot: boot.to_string(),
                at_boot_ms: boot_ms(),
                at_ms: machine_ms().max(last.unwrap_or(i64::MIN)),
                rate_ppm: 0,
            };
            set(conn, &dial).await?;
        }
        tx.commit().await
    }

    /// How far the machine's clock is ahead of a SQLite file's, in ms; `None` where there is no such clock.
    pub async fn machine_ahead_ms(&self) -> Result<Option<i64>, StoreError> {
        Ok(self.standing().await?.map(|(_, ahead_ms)| ahead_ms))
    }

    async fn standing(&self) -> Result<Option<(Dial, i64)>, StoreError> {
        let (Clock::Database, Some(boot)) = (&self.clock, &self.boot) else {
            return Ok(None);
        };
        let Engine::Sqlite(mut conn) = self.read().await? else {
            return Ok(None);
        };
        let shown = dial(&mut conn).await?.filter(|dial| *dial.boot == **boot);
        Ok(shown.map(|dial| {
            let ahead_ms = machine_ms() - dial.at(boot_ms());
            (dial, ahead_ms)
        }))
    }

    /// Lets a SQLite file's clock follow the machine's after somebody set that; `None` where there is no such clock.
    pub async fn follow_machine_clock(&self) -> Result<Option<Drift>, StoreError> {
        let Some((shown, ahead_ms)) = self.standing().await? else {
            return Ok(None);
        };
        if shown.pace(ahead_ms) == shown.rate_ppm && ahead_ms.abs() <= TOLERATED_MS {
            let change = Change::None;
            return Ok(Some(Drift { ahead_ms, change }));
        }
        self.adjust(shown).await.map(Some)
    }

    /// Sets the clock when no task is open, else its pace, unless another process has changed `known` meanwhile.
    async fn adjust(&self, known: Dial) -> Result<Drift, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let boot_ms = boot_ms();
        let shown_ms = known.at(boot_ms);
        let ahead_ms = machine_ms() - shown_ms;
        let mut change = Change::None;
        if let Engine::Sqlite(conn) = &mut tx
            && dial(conn).await?.as_ref() == Some(&known)
        {
            let open: bool = sqlx::query_scalar(OPEN).fetch_one(&mut **conn).await?;
            let rate_ppm = known.pace(ahead_ms);
            let turned = |at_ms: i64, rate_ppm: i64| Dial {
                boot: known.boot.clone(),
                at_boot_ms: boot_ms,
                at_ms,
                rate_ppm,
            };
            if !open {
                let at_ms = shown_ms + ahead_ms;
                set(conn, &turned(at_ms, 0)).await?;
                sqlx::query(FORGET_LATER).bind(at_ms).execute(&mut **conn).await?;
                change = Change::Set;
            } else if rate_ppm != known.rate_ppm {
                set(conn, &turned(shown_ms, rate_ppm)).await?;
                change = Change::Paced;
            }
        }
        tx.commit().await?;
        Ok(Drift { ahead_ms, change })
    }
}

async fn postgres_now(conn: &mut PgConnection) -> Result<Time, StoreError> {
    let now: At = sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(conn)
        .await?;
    Ok(now.0)
}

/// Which start of the machine this is; `None` where the kernel does not say.
pub(super) fn boot() -> Option<Arc<str>> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().into())
}

/// The time since the machine started, its sleep included, in ms.
fn boot_ms() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had this clock since 2.6.39");
    now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000
}

/// The machine's clock, in ms since 1970; negative before.
fn machine_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(rate_ppm: i64) -> Dial {
        Dial {
            boot: "b".into(),
            at_boot_ms: 1_000,
            at_ms: 500_000,
            rate_ppm,
        }
    }

    #[test]
    fn a_dial_shows_what_passed_at_its_pace_and_never_steps() {
        for (rate_ppm, shown) in [(0, 510_000), (PACE_PPM, 510_500), (-PACE_PPM, 509_500)] {
            assert_eq!(dial(rate_ppm).at(1_000), 500_000);
            assert_eq!(dial(rate_ppm).at(11_000), shown);
        }
        assert_eq!(dial(0).at(i64::MAX), i64::MAX);
    }

    #[test]
    fn the_clock_follows_beyond_a_tolerance_and_until_it_is_near() {
        for (rate_ppm, ahead_ms, pace) in [
            (0, 2_000, 0),
            (0, -2_000, 0),
            (0, 2_001, PACE_PPM),
            (0, -3_600_000, -PACE_PPM),
            (PACE_PPM, 501, PACE_PPM),
            (PACE_PPM, 500, 0),
            (PACE_PPM, -2_001, -PACE_PPM),
        ] {
            assert_eq!(dial(rate_ppm).pace(ahead_ms), pace, "{rate_ppm} {ahead_ms}");
        }
    }
}
