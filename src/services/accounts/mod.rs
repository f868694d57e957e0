//! Who gets in: people by password and session, programs by token.

mod limit;
mod login;
mod password;
mod people;
mod sessions;
mod tokens;

pub use login::{LoginRefused, Opened, Visitor};
pub use password::{HashingBusy, PasswordFlaw};
pub use people::{AccountError, Added};
pub use tokens::{Caller, IssuedToken};

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::store::Store;
use limit::Attempts;
use password::Hashing;
use tokens::Known;

/// How long a session lives.
#[derive(Clone, Copy, Debug)]
pub struct SessionPolicy {
    /// Without a request.
    pub idle: Duration,
    /// At most.
    pub lifetime: Duration,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            lifetime: Duration::from_secs(12 * 3600),
        }
    }
}

/// The accounts of one process. Cheap to clone; limits and caches are shared by the clones.
#[derive(Clone)]
pub struct Accounts {
    store: Store,
    hashing: Arc<Hashing>,
    attempts: Arc<Attempts>,
    known: Arc<Known>,
    pub policy: SessionPolicy,
}

impl Accounts {
    /// `api_token` is the configured token with every scope, valid while set.
    pub fn new(store: Store, api_token: Option<&str>) -> Self {
        Self {
            store,
            hashing: Arc::new(Hashing::new()),
            attempts: Arc::new(Attempts::default()),
            known: Arc::new(Known::new(api_token.map(fingerprint))),
            policy: SessionPolicy::default(),
        }
    }
}

/// 256 random bits as text that fits into a cookie and a header.
fn secret() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What is kept of a secret: its SHA-256, hexadecimal. Enough for 256 random bits, not for a password.
pub fn fingerprint(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
