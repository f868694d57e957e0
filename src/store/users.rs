//! The people who may sign in.

use uuid::Uuid;

use super::{
    Lane, Store, StoreError,
    audit::insert_audit,
    db::{Sql, execute, fetch_all, fetch_optional, fetch_scalar, sql},
    types::{At, Id, Word},
};
use crate::domain::{access::Role, audit::AuditEntry, time::Time};

/// Somebody who may sign in, unless `disabled_at` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: Uuid,
    /// Lower case.
    pub email: String,
    /// A PHC string.
    pub password_hash: String,
    pub role: Role,
    /// A language tag; `None` leaves it to the browser.
    pub lang: Option<String>,
    pub disabled_at: Option<Time>,
    pub created_at: Time,
    pub updated_at: Time,
    pub last_login_at: Option<Time>,
}

#[derive(sqlx::FromRow)]
pub(super) struct UserRow {
    id: Id,
    email: String,
    password_hash: String,
    role: Word<Role>,
    lang: Option<String>,
    disabled_at: Option<At>,
    created_at: At,
    updated_at: At,
    last_login_at: Option<At>,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id.0,
            email: row.email,
            password_hash: row.password_hash,
            role: row.role.0,
            lang: row.lang,
            disabled_at: row.disabled_at.map(|at| at.0),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            last_login_at: row.last_login_at.map(|at| at.0),
        }
    }
}

/// Which users a new one may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    Others,
    /// Only an empty house: the first administrator.
    Nobody,
}

macro_rules! user_columns {
    () => {
        "id, email, password_hash, role, lang, disabled_at, created_at, updated_at, last_login_at"
    };
}
pub(super) use user_columns;

const ADD: Sql = sql!(
    "INSERT INTO users (id, email, password_hash, role, created_at, updated_at)
      SELECT $1, $2, $3, $4, $5, $5 WHERE $6 OR NOT EXISTS (SELECT 1 FROM users)
      ON CONFLICT (email) DO NOTHING"
);
const BY_EMAIL: Sql = sql!("SELECT " user_columns!() " FROM users WHERE email = $1");
const PAGE: Sql = sql!("SELECT " user_columns!() " FROM users WHERE email > $1 ORDER BY email LIMIT $2");
const ANY: Sql = sql!("SELECT count(*) FROM (SELECT 1 FROM users LIMIT 1) one");
const SET_PASSWORD: Sql = sql!("UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1");
const REHASH: Sql = sql!("UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2");
const SET_LANG: Sql = sql!("UPDATE users SET lang = $2, updated_at = $3 WHERE id = $1");
const DISABLE: Sql = sql!("UPDATE users SET disabled_at = $2, updated_at = $2 WHERE id = $1 AND disabled_at IS NULL
      AND (role <> 'admin' OR EXISTS (
        SELECT 1 FROM users other WHERE other.id <> $1 AND other.role = 'admin' AND other.disabled_at IS NULL))");
/// Whoever disables an administrator looks at all of them: two at once must not disable one another.
const LOCK_ADMINS: Sql = sql!("SELECT " user_columns!() " FROM users WHERE role = 'admin' ORDER BY id LIMIT 1000" pg(" FOR UPDATE"));
const END_SESSIONS: Sql = sql!("DELETE FROM sessions WHERE user_id = $1");

impl Store {
    /// Adds `user` with its audit row; `false` when the e-mail address is taken, or somebody is there already and
    /// `joining` is `Nobody`.
    pub async fn add_user(
        &self,
        user: &NewUser,
        joining: Joining,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let others = joining == Joining::Others;
        let added = execute!(
            &mut tx,
            ADD,
            Id(user.id),
            &user.email,
            &user.password_hash,
            user.role.as_str(),
            At(now),
            others
        )?;
        if added == 1 {
            insert_audit(&mut tx, now, &[audit]).await?;
        }
        tx.commit().await?;
        Ok(added == 1)
    }

    pub async fn has_users(&self) -> Result<bool, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_scalar!(&mut conn, i64, ANY)? > 0)
    }

    /// The user of `email`, disabled ones too.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_optional!(&mut conn, UserRow, BY_EMAIL, email)?.map(User::from))
    }

    /// Up to `limit` users by e-mail address, after the address `after` (empty for the first).
    pub async fn users(&self, after: &str, limit: i64) -> Result<Vec<User>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, UserRow, PAGE, after, limit)?;
        Ok(rows.into_iter().map(User::from).collect())
    }

    /// Sets a new password and ends every session of the user.
    pub async fn set_password(
        &self,
        id: Uuid,
        password_hash: &str,
        audit: AuditEntry,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        execute!(&mut tx, SET_PASSWORD, Id(id), password_hash, At(now))?;
        execute!(&mut tx, END_SESSIONS, Id(id))?;
        insert_audit(&mut tx, now, &[audit]).await?;
        tx.commit().await
    }

    /// Replaces a hash by a stronger one of the same password, unless the password was changed meanwhile.
    pub async fn rehash(&self, id: Uuid, old: &str, new: &str) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        execute!(&mut tx, REHASH, Id(id), old, new)?;
        tx.commit().await
    }

    /// Remembers the user's language; `None` leaves it to the browser.
    pub async fn set_lang(&self, id: Uuid, lang: Option<&str>) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        execute!(&mut tx, SET_LANG, Id(id), lang, At(now))?;
        tx.commit().await
    }

    /// Disables the user and ends every session; `false` when the user is disabled already, or the last
    /// administrator.
    pub async fn disable_user(&self, id: Uuid, audit: AuditEntry) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        fetch_all!(&mut tx, UserRow, LOCK_ADMINS)?;
        let disabled = execute!(&mut tx, DISABLE, Id(id), At(now))?;
        if disabled == 1 {
            execute!(&mut tx, END_SESSIONS, Id(id))?;
            insert_audit(&mut tx, now, &[audit]).await?;
        }
        tx.commit().await?;
        Ok(disabled == 1)
    }
}

/// A checked request to add a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    pub id: Uuid,
    pub email: String,
    pub password_hash: String,
    pub role: Role,
}
