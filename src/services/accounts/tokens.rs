//! Programs and their tokens.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{AccountError, Accounts, fingerprint, secret};
use crate::{
    domain::{access::Scope, audit::AuditEntry, time::Time},
    store::{NewToken, StoreError, Token},
};

/// How long a token's answer is remembered: a revoked token works at most this much longer.
const REMEMBER: Duration = Duration::from_secs(5);
/// Tokens remembered at once.
const MOST: usize = 1000;

/// A program that calls, as its token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `token:<id>`, or `token:config` for the configured one: the actor of what it does, and whose idempotency keys
    /// its requests bring.
    pub actor: String,
    pub scopes: Vec<Scope>,
}

impl Caller {
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// A token that was just made.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    pub id: Uuid,
    /// The token itself: show it once, it is kept nowhere.
    pub secret: String,
}

/// Tokens that were looked up a moment ago, so that the hot calls of the API don't ask the database for theirs.
pub(super) struct Known {
    /// Of the configured token.
    configured: Option<String>,
    found: Mutex<HashMap<String, (Instant, Caller)>>,
}

impl Known {
    pub(super) fn new(configured: Option<String>) -> Self {
        Self {
            configured,
            found: Mutex::default(),
        }
    }

    fn get(&self, token_hash: &str, now: Instant) -> Option<Caller> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, caller) = found.get(token_hash)?;
        (now.duration_since(*since) < REMEMBER).then(|| caller.clone())
    }

    fn put(&self, token_hash: String, caller: Caller, now: Instant) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST {
            found.retain(|_, (since, _)| now.duration_since(*since) < REMEMBER);
        }
        if found.len() < MOST {
            found.insert(token_hash, (now, caller));
        }
    }

    fn forget_all(&self) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Accounts {
    /// Who `token` belongs to; `None` for one that is unknown, expired or revoked (in another process: up to 5 s ago).
    pub async fn caller(&self, token: &str) -> Result<Option<Caller>, StoreError> {
        let token_hash = fingerprint(token);
        if let Some(configured) = &self.known.configured
            && bool::from(configured.as_bytes().ct_eq(token_hash.as_bytes()))
        {
            return Ok(Some(Caller {
                actor: "token:config".into(),
                scopes: Scope::ALL.to_vec(),
            }));
        }
        let now = Instant::now();
        if let Some(caller) = self.known.get(&token_hash, now) {
            return Ok(Some(caller));
        }
        let Some(token) = self.store.valid_token(&token_hash).await? else {
            return Ok(None);
        };
        let caller = Caller {
            actor: format!("token:{}", token.id),
            scopes: token.scopes,
        };
        self.known.put(token_hash, caller.clone(), now);
        Ok(Some(caller))
    }

    /// Makes a token in the name of `actor`. The secret is in the answer and nowhere else.
    pub async fn create_token(
        &self,
        actor: &str,
        name: &str,
        scopes: &[Scope],
        expires_at: Option<Time>,
    ) -> Result<IssuedToken, AccountError> {
        let issued = IssuedToken {
            id: Uuid::now_v7(),
            secret: format!("unstuck_{}", secret()),
        };
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        let mut audit = AuditEntry::new(actor, "token_create", "token", issued.id.to_string());
        audit.after = Some(serde_json::json!({ "name": name, "scopes": scopes, "expires_at": expires_at }));
        let new = NewToken {
            id: issued.id,
            name: name.chars().filter(|char| !char.is_control()).take(100).collect(),
            token_hash: fingerprint(&issued.secret),
            scopes,
            created_by: actor.to_owned(),
            expires_at,
        };
        self.store.add_token(&new, audit).await?;
        Ok(issued)
    }

    /// Up to `limit` tokens in the order they were made, after the id `after`.
    pub async fn tokens(&self, after: Option<Uuid>, limit: i64) -> Result<Vec<Token>, AccountError> {
        Ok(self.store.tokens(after, limit).await?)
    }

    /// Ends a token for good; other processes notice within 5 s.
    pub async fn revoke_token(&self, actor: &str, id: Uuid) -> Result<(), AccountError> {
        let audit = AuditEntry::new(actor, "token_revoke", "token", id.to_string());
        let revoked = self.store.revoke_token(id, audit).await?;
        self.known.forget_all();
        if revoked {
            Ok(())
        } else {
            Err(AccountError::NoToken(id))
        }
    }
}
