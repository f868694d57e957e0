//! The people who may sign in: added, listed, given a new password, disabled.

use std::time::{Duration, Instant};

use rand::seq::IndexedRandom;
use tracing::warn;
use uuid::Uuid;

use super::{
    Accounts, HashingBusy, PasswordFlaw,
    limit::Guesser,
    password::{self, SHORTEST, SHORTEST_CONFIGURED},
};
use crate::{
    domain::{access::Role, audit::AuditEntry},
    store::{Joining, NewUser, StoreError, User},
};

/// Why an account could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("{0:?} is no e-mail address")]
    Email(String),
    #[error(transparent)]
    Password(#[from] PasswordFlaw),
    #[error("there is a user {0} already")]
    Exists(String),
    #[error("there is no user {0}")]
    Unknown(String),
    #[error("{0} is disabled already, or the last administrator")]
    NotDisabled(String),
    #[error("the present password is not right")]
    WrongPassword,
    #[error("too many attempts; try again in {} s", wait.as_secs().max(1))]
    TooMany { wait: Duration },
    #[error("no token {0}, or it is revoked already")]
    NoToken(Uuid),
    #[error(transparent)]
    Busy(#[from] HashingBusy),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A user that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    pub email: String,
    /// The password, when it was made here: show it once.
    pub password: Option<String>,
}

impl Accounts {
    /// Adds somebody in the name of `actor`. Without a password one is made and given back.
    pub async fn add_user(
        &self,
        actor: &str,
        email: &str,
        role: Role,
        password: Option<&str>,
    ) -> Result<Added, AccountError> {
        let email = parse_email(email)?;
        if let Some(password) = password {
            password::check(password, &email, SHORTEST)?;
        }
        match self.join(actor, &email, role, password, Joining::Others).await? {
            Some(added) => Ok(added),
            None => Err(AccountError::Exists(email)),
        }
    }

    /// Makes the first administrator when there is no user at all; `None` when there is one.
    ///
    /// A configured password is taken from 8 characters on, with a warning below 15. Without one it is made and given
    /// back: print it once. Safe in several processes at once: one of them makes the user.
    pub async fn first_administrator(
        &self,
        email: Option<&str>,
        password: Option<&str>,
    ) -> Result<Option<Added>, AccountError> {
        if self.store.has_users().await? {
            return Ok(None);
        }
        let email = parse_email(email.unwrap_or("admin@localhost"))?;
        if let Some(password) = password {
            password::check(password, &email, SHORTEST_CONFIGURED).or_else(|flaw| match flaw {
                // Whoever configures a password has it in a file anyway: weak is their choice, and said aloud.
                PasswordFlaw::Guessable => Ok(()),
                flaw => Err(flaw),
            })?;
            if password::check(password, &email, SHORTEST).is_err() {
                warn!("the configured administrator password is weak: use 15 characters or more");
            }
        }
        self.join("system", &email, Role::Admin, password, Joining::Nobody)
            .await
    }

    async fn join(
        &self,
        actor: &str,
        email: &str,
        role: Role,
        password: Option<&str>,
        joining: Joining,
    ) -> Result<Option<Added>, AccountError> {
        let made = password.is_none().then(make_password);
        let chosen = made.as_deref().or(password).unwrap_or_default();
        let user = NewUser {
            id: Uuid::now_v7(),
            email: email.to_owned(),
            password_hash: self.hashing.hash(chosen.to_owned()).await?,
            role,
        };
        let mut audit = AuditEntry::new(actor, "user_add", "user", email);
        audit.after = Some(serde_json::json!({ "role": role }));
        let added = self.store.add_user(&user, joining, audit).await?;
        Ok(added.then(|| Added {
            email: email.to_owned(),
            password: made,
        }))
    }

    /// Up to `limit` users by e-mail address, after the address `after` (empty for the first).
    pub async fn users(&self, after: &str, limit: i64) -> Result<Vec<User>, AccountError> {
        Ok(self.store.users(after, limit).await?)
    }

    /// Makes a new password for somebody, ends their sessions, and gives the password back: show it once.
    pub async fn reset_password(&self, actor: &str, email: &str) -> Result<String, AccountError> {
        let user = self.user(email).await?;
        let password = make_password();
        let hash = self.hashing.hash(password.clone()).await?;
        let audit = AuditEntry::new(actor, "user_reset_password", "user", &user.email);
        self.store.set_password(user.id, &hash, audit).await?;
        Ok(password)
    }

    /// Changes a person's own password and ends all their sessions. Refused when `present` is wrong, or `new` won't do.
    /// Wrong ones count as guesses: a session that somebody else got hold of is no way to the password.
    pub async fn change_password(
        &self,
        user: &User,
        present: &str,
        new: &str,
        mut audit: AuditEntry,
    ) -> Result<(), AccountError> {
        let guesser = [Guesser::Account(user.email.clone())];
        self.attempts
            .begin(&guesser, Instant::now())
            .map_err(|wait| AccountError::TooMany { wait })?;
        let hash = Some(user.password_hash.clone());
        if !self.hashing.matches(present.to_owned(), hash).await? {
            return Err(AccountError::WrongPassword);
        }
        self.attempts.forgive(&guesser);
        password::check(new, &user.email, SHORTEST)?;
        let hash = self.hashing.hash(new.to_owned()).await?;
        audit.action = "user_change_password".into();
        Ok(self.store.set_password(user.id, &hash, audit).await?)
    }

    /// Keeps somebody out from now on and ends their sessions. The last administrator can't be disabled.
    pub async fn disable_user(&self, actor: &str, email: &str) -> Result<(), AccountError> {
        let user = self.user(email).await?;
        let audit = AuditEntry::new(actor, "user_disable", "user", &user.email);
        if self.store.disable_user(user.id, audit).await? {
            Ok(())
        } else {
            Err(AccountError::NotDisabled(user.email))
        }
    }

    async fn user(&self, email: &str) -> Result<User, AccountError> {
        let email = parse_email(email)?;
        let found = self.store.user_by_email(&email).await?;
        found.ok_or(AccountError::Unknown(email))
    }
}

/// An e-mail address in the form it is kept: trimmed, lower case. Whether it takes mail nobody checks.
pub(super) fn parse_email(text: &str) -> Result<String, AccountError> {
    let email = text.trim().to_lowercase();
    let plain = |part: &str| {
        !part.is_empty()
            && !part
                .chars()
                .any(|char| char.is_whitespace() || char.is_control() || char == '@')
    };
    match email.split_once('@') {
        Some((name, host)) if plain(name) && plain(host) && email.len() <= 254 => Ok(email),
        _ => Err(AccountError::Email(
            text.chars().filter(|char| !char.is_control()).take(100).collect(),
        )),
    }
}

/// 20 characters that can't be taken for one another, in groups: 97 random bits.
fn make_password() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    let groups: Vec<String> = (0..5)
        .map(|_| {
            (0..4)
                .filter_map(|_| LETTERS.choose(&mut rng))
                .map(|letter| char::from(*letter))
                .collect()
        })
        .collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_password_will_do_and_is_new_each_time() {
        let (one, two) = (make_password(), make_password());
        assert_ne!(one, two);
        assert_eq!(password::check(&one, "a@b", SHORTEST), Ok(()));
        assert_eq!(one.len(), 24);
    }

    #[test]
    fn an_address_is_kept_in_one_form() {
        assert_eq!(
            parse_email("  Night.Shift@Example.ORG ").expect("an address"),
            "night.shift@example.org"
        );
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b@c",
            "a\u{0}@b",
            &format!("{}@b", "a".repeat(300)),
        ] {
            assert!(parse_email(text).is_err(), "{text:?}");
        }
    }
}
