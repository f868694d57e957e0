//! The tokens of programs. Only the SHA-256 of a token is kept; the token itself is shown once, when it is made.

use uuid::Uuid;

use super::{
    Lane, Store, StoreError,
    audit::insert_audit,
    db::{Sql, execute, fetch_all, fetch_optional, sql},
    types::{At, Id},
};
use crate::domain::{access::Scope, audit::AuditEntry, time::Time};

/// A token as staff see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: Uuid,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub created_by: String,
    pub created_at: Time,
    /// To the minute.
    pub last_used_at: Option<Time>,
    pub expires_at: Option<Time>,
    pub revoked_at: Option<Time>,
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: Id,
    name: String,
    scopes: String,
    created_by: String,
    created_at: At,
    last_used_at: Option<At>,
    expires_at: Option<At>,
    revoked_at: Option<At>,
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            // A scope of a later version grants nothing here.
            scopes: row
                .scopes
                .split(' ')
                .filter_map(|word| word.parse().ok())
                .collect(),
            created_by: row.created_by,
            created_at: row.created_at.0,
            last_used_at: row.last_used_at.map(|at| at.0),
            expires_at: row.expires_at.map(|at| at.0),
            revoked_at: row.revoked_at.map(|at| at.0),
        }
    }
}

/// A checked request to add a token.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub id: Uuid,
    pub name: String,
    pub token_hash: String,
    pub scopes: Vec<Scope>,
    pub created_by: String,
    pub expires_at: Option<Time>,
}

macro_rules! token_columns {
    () => {
        "id, name, scopes, created_by, created_at, last_used_at, expires_at, revoked_at"
    };
}

const ADD: Sql = sql!(
    "INSERT INTO tokens (id, name, token_hash, scopes, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
);
const VALID: Sql = sql!("SELECT " token_columns!() " FROM tokens
      WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)");
const USED: Sql =
    sql!("UPDATE tokens SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)");
const PAGE: Sql = sql!("SELECT " token_columns!() " FROM tokens WHERE id > $1 ORDER BY id LIMIT $2");
const REVOKE: Sql = sql!("UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL");

impl Store {
    /// Adds a token with its audit row.
    pub async fn add_token(&self, new: &NewToken, audit: AuditEntry) -> Result<(), StoreError> {
        let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        execute!(
            &mut tx,
            ADD,
            Id(new.id),
            &new.name,
            &new.token_hash,
            scopes.join(" "),
            &new.created_by,
            At(now),
            new.expires_at.map(At)
        )?;
        insert_audit(&mut tx, now, &[audit]).await?;
        tx.commit().await
    }

    /// The token of `token_hash`; `None` when there is none, or it is revoked or expired. Its use is noted to the
    /// minute.
    pub async fn valid_token(&self, token_hash: &str) -> Result<Option<Token>, StoreError> {
        let now = self.now().await?;
        let found = {
            let mut conn = self.read().await?;
            fetch_optional!(&mut conn, TokenRow, VALID, token_hash, At(now))?.map(Token::from)
        };
        if let Some(token) = &found
            && token.last_used_at.is_none_or(|at| at < now.minute())
        {
            let mut tx = self.begin(Lane::Shared).await?;
            execute!(&mut tx, USED, Id(token.id), At(now.minute()))?;
            tx.commit().await?;
        }
        Ok(found)
    }

    /// Up to `limit` tokens in the order they were made, after the id `after`; revoked and expired ones too.
    pub async fn tokens(&self, after: Option<Uuid>, limit: i64) -> Result<Vec<Token>, StoreError> {
        let mut conn = self.read().await?;
        let after = Id(after.unwrap_or(Uuid::nil()));
        let rows = fetch_all!(&mut conn, TokenRow, PAGE, after, limit)?;
        Ok(rows.into_iter().map(Token::from).collect())
    }

    /// Revokes a token; `false` when there is none of this id, or it is revoked already.
    pub async fn revoke_token(&self, id: Uuid, audit: AuditEntry) -> Result<bool, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = self.now_in(&mut tx).await?;
        let revoked = execute!(&mut tx, REVOKE, Id(id), At(now))?;
        if revoked == 1 {
            insert_audit(&mut tx, now, &[audit]).await?;
        }
        tx.commit().await?;
        Ok(revoked == 1)
    }
}
