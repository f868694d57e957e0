//! Who is signed in. Only the SHA-256 of a session's token is kept: the database can't be used to sign in.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Lane, Store, StoreError,
    audit::insert_audit,
    db::{Sql, execute, fetch_all, fetch_optional, sql},
    types::{At, Id},
    users::{User, UserRow, user_columns},
};
use crate::domain::{audit::AuditEntry, time::Time};

/// One sign-in of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token, hexadecimal.
    pub token_hash: String,
    pub user_id: Uuid,
    pub created_at: Time,
    pub seen_at: Time,
    /// Its latest end, however busy it is.
    pub expires_at: Time,
    pub address: String,
    pub user_agent: String,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    token_hash: String,
    user_id: Id,
    created_at: At,
    seen_at: At,
    expires_at: At,
    address: String,
    user_agent: String,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            token_hash: row.token_hash,
            user_id: row.user_id.0,
            created_at: row.created_at.0,
            seen_at: row.seen_at.0,
            expires_at: row.expires_at.0,
            address: row.address,
            user_agent: row.user_agent,
        }
    }
}

/// What a new session is made of.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    pub token_hash: &'a str,
    pub user_id: Uuid,
    /// How long it may last at most.
    pub lifetime: Duration,
    pub address: &'a str,
    pub user_agent: &'a str,
}

/// Whether a look at a session counts as its person being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A request that the person made.
    Person,
    /// One that an open page made by itself.
    Page,
}

/// `seen_at` is written at most once in this long: a page view is no write.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Ended sessions that a login sweeps away in passing.
const SWEEP: i64 = 100;

// A user disabled since the password was checked gets no session.
const OPEN: Sql = sql!(
    "INSERT INTO sessions (token_hash, user_id, created_at, seen_at, expires_at, address, user_agent)
      SELECT $1, id, $3, $3, $4, $5, $6 FROM users WHERE id = $2 AND disabled_at IS NULL"
);
const LOGGED_IN: Sql = sql!("UPDATE users SET last_login_at = $2 WHERE id = $1");
const SWEEP_ENDED: Sql = sql!(
    "DELETE FROM sessions WHERE token_hash IN (
      SELECT token_hash FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)"
);
const ALIVE: Sql = sql!(
    "SELECT token_hash, user_id, created_at, seen_at, expires_at, address, user_agent
      FROM sessions WHERE token_hash = $1 AND expires_at > $2 AND seen_at > $3"
);
const OWNER: Sql = sql!("SELECT " user_columns!() " FROM users WHERE id = $1 AND disabled_at IS NULL");
const TOUCH: Sql = sql!("UPDATE sessions SET seen_at = $2 WHERE token_hash = $1 AND seen_at < $2");
const OF_USER: Sql = sql!("SELECT token_hash, user_id, created_at, seen_at, expires_at, address, user_agent
      FROM sessions WHERE user_id = $1 AND expires_at > $2 AND seen_at > $3 ORDER BY created_at DESC, token_hash LIMIT 100");
const CLOSE: Sql = sql!("DELETE FROM sessions WHERE token_hash = $1");
const CLOSE_OTHERS: Sql = sql!("DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2");

impl Store {
    /// Opens a session with its audit row and notes the login; `false` when the user is gone or disabled.
    pub async fn open_session(&self, new: &NewSession<'_>, audit: AuditEntry) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let until = now + new.lifetime;
        let opened = execute!(
            &mut tx,
            OPEN,
            new.token_hash,
            Id(new.user_id),
            At(now),
            At(until),
            new.address,
            new.user_agent
        )?;
        if opened == 1 {
            execute!(&mut tx, LOGGED_IN, Id(new.user_id), At(now))?;
            execute!(&mut tx, SWEEP_ENDED, At(now), SWEEP)?;
            insert_audit(&mut tx, now, &[audit]).await?;
        }
        tx.commit().await?;
        Ok(opened == 1)
    }

    /// The living session of `token_hash` and its user as of now; `None` when it never was, has ended, was idle for
    /// `idle`, or its user is disabled. The sight of a person is noted.
    pub async fn session(
        &self,
        token_hash: &str,
        idle: Duration,
        sight: Sight,
    ) -> Result<Option<(Session, User, Time)>, StoreError> {
        let now = self.now().await?;
        let found = {
            let mut conn = self.read().await?;
            let Some(session) =
                fetch_optional!(&mut conn, SessionRow, ALIVE, token_hash, At(now), At(now - idle))?
            else {
                return Ok(None);
            };
            let user = fetch_optional!(&mut conn, UserRow, OWNER, session.user_id)?;
            user.map(|user| (Session::from(session), User::from(user), now))
        };
        if let Some((session, _, _)) = &found
            && sight == Sight::Person
            && now.ms_since(session.seen_at) > TOUCH_EVERY.as_millis() as i64
        {
            let mut tx = self.begin(Lane::Shared).await?;
            execute!(&mut tx, TOUCH, token_hash, At(now))?;
            tx.commit().await?;
        }
        Ok(found)
    }

    /// The user's living sessions, the newest first; at most 100.
    pub async fn sessions_of(&self, user_id: Uuid, idle: Duration) -> Result<Vec<Session>, StoreError> {
        let now = self.now().await?;
        let mut conn = self.read().await?;
        let rows = fetch_all!(
            &mut conn,
            SessionRow,
            OF_USER,
            Id(user_id),
            At(now),
            At(now - idle)
        )?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    /// Ends one session. Ending it twice is fine: only the first leaves an audit row.
    pub async fn close_session(&self, token_hash: &str, audit: AuditEntry) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        if execute!(&mut tx, CLOSE, token_hash)? == 1 {
            insert_audit(&mut tx, now, &[audit]).await?;
        }
        tx.commit().await
    }

    /// Ends every session of the user but the one of `token_hash`; how many there were.
    pub async fn close_other_sessions(
        &self,
        user_id: Uuid,
        token_hash: &str,
        audit: AuditEntry,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let closed = execute!(&mut tx, CLOSE_OTHERS, Id(user_id), token_hash)?;
        insert_audit(&mut tx, now, &[audit]).await?;
        tx.commit().await?;
        Ok(closed)
    }
}
