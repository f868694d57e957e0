//! Signing in and out.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tracing::{info, warn};

use super::{Accounts, HashingBusy, fingerprint, limit::Guesser, password, people::parse_email, secret};
use crate::{
    domain::{audit::AuditEntry, time::Time},
    store::{NewSession, Session, Sight, StoreError, User},
};

/// Who stands at the door.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub address: IpAddr,
    /// What guesses from this address are counted by: the address, or its IPv6 network.
    pub bucket: IpAddr,
    pub user_agent: String,
    /// What an earlier login left in this browser.
    pub device: Option<String>,
    pub request_id: String,
}

/// A session that was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// For the session's cookie.
    pub token: String,
    /// For the device's cookie: this browser has signed in to this account.
    pub device: String,
}

/// Why nobody was let in. The same for an unknown, a disabled and a mistyped account.
#[derive(Debug, thiserror::Error)]
pub enum LoginRefused {
    #[error("e-mail address or password is not right")]
    Wrong,
    #[error("too many attempts; try again in {} s", wait.as_secs().max(1))]
    TooMany { wait: Duration },
    #[error(transparent)]
    Busy(#[from] HashingBusy),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Opens a session for whoever has `email` and `password`, unless too many guesses came before.
    ///
    /// Takes equally long whether there is such an account or not. Strangers' failures don't count against a browser
    /// that has signed in to the account before.
    pub async fn log_in(
        &self,
        email: &str,
        password: &str,
        visitor: &Visitor,
    ) -> Result<Opened, LoginRefused> {
        let email = parse_email(email).unwrap_or_default();
        let device = self.device_of(&email).await?;
        let known = visitor
            .device
            .as_ref()
            .is_some_and(|given| bool::from(given.as_bytes().ct_eq(device.as_bytes())));
        let guesser = if known {
            Guesser::Device(email.clone())
        } else {
            Guesser::Account(email.clone())
        };
        let guessers = [guesser, Guesser::Address(visitor.bucket)];
        if let Err(wait) = self.attempts.begin(&guessers, Instant::now()) {
            warn!(address = %visitor.address, wait_s = wait.as_secs(), "a login was put off: too many attempts");
            return Err(LoginRefused::TooMany { wait });
        }
        let user = self.store.user_by_email(&email).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let right = self.hashing.matches(password.to_owned(), hash).await?;
        let Some(user) = user.filter(|user| right && user.disabled_at.is_none()) else {
            warn!(address = %visitor.address, "a login was refused");
            return Err(LoginRefused::Wrong);
        };
        self.attempts.forgive(&guessers);
        if password::is_outdated(&user.password_hash) {
            let hash = self.hashing.hash(password.to_owned()).await?;
            self.store.rehash(user.id, &user.password_hash, &hash).await?;
        }
        let token = secret();
        let mut audit = AuditEntry::new(format!("user:{}", user.email), "login", "user", &user.email);
        audit.address = Some(visitor.address.to_string());
        audit.request_id = Some(visitor.request_id.clone());
        let session = NewSession {
            token_hash: &fingerprint(&token),
            user_id: user.id,
            lifetime: self.policy.lifetime,
            address: &visitor.address.to_string(),
            user_agent: &visitor.user_agent.chars().take(300).collect::<String>(),
        };
        if !self.store.open_session(&session, audit).await? {
            return Err(LoginRefused::Wrong);
        }
        info!(user.id = %user.id, address = %visitor.address, "somebody signed in");
        Ok(Opened { token, device })
    }

    /// The living session of `token`, its user as they are now, and the time; `None` when there is none.
    pub async fn session(
        &self,
        token: &str,
        sight: Sight,
    ) -> Result<Option<(Session, User, Time)>, StoreError> {
        // 256 bits in base64; anything else can't be one and needs no look.
        if token.len() != 43 {
            return Ok(None);
        }
        self.store
            .session(&fingerprint(token), self.policy.idle, sight)
            .await
    }

    /// Whether the session of `token` still lives. Asking keeps no session alive.
    pub async fn still_signed_in(&self, token: &str) -> Result<bool, StoreError> {
        Ok(self.session(token, Sight::Page).await?.is_some())
    }

    /// Ends the session of `token`, if there is one.
    pub async fn log_out(&self, token: &str, audit: AuditEntry) -> Result<(), StoreError> {
        self.store.close_session(&fingerprint(token), audit).await
    }

    /// What a browser that has signed in to `email` may show: nobody else can make it.
    async fn device_of(&self, email: &str) -> Result<String, StoreError> {
        let key = self.store.secret("device_key").await?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(email.as_bytes());
        Ok(BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}
