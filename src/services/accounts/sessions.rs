//! A person's own sessions.

use super::Accounts;
use crate::{
    domain::audit::AuditEntry,
    store::{Session, StoreError, User},
};

impl Accounts {
    /// Where `user` is signed in, the newest first; at most 100.
    pub async fn sessions_of(&self, user: &User) -> Result<Vec<Session>, StoreError> {
        self.store.sessions_of(user.id, self.policy.idle).await
    }

    /// Signs `user` out everywhere but in the session `kept`, by its token; how many sessions that ended.
    pub async fn log_out_elsewhere(
        &self,
        user: &User,
        kept: &str,
        audit: AuditEntry,
    ) -> Result<u64, StoreError> {
        self.store
            .close_other_sessions(user.id, &super::fingerprint(kept), audit)
            .await
    }
}
