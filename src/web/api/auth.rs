//! What a call's token must allow. Each call names its permission as the first argument of its handler, so that a
//! caller who may not is refused before anything of the request is read.

use std::{marker::PhantomData, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use tracing::info;

use crate::{
    domain::{access::Scope, audit::AuditEntry},
    web::{
        Site,
        error::{AppError, Problem},
        extract::RequestId,
        session::ApiCaller,
    },
};

/// A permission: any one of its scopes is enough.
pub(super) trait Permission: Send + Sync + 'static {
    const SCOPES: &'static [Scope];
}

macro_rules! permissions {
    ($($(#[$meta:meta])* $name:ident = $($scope:ident)|+;)+) => {$(
        $(#[$meta])*
        pub(super) enum $name {}
        impl Permission for $name {
            const SCOPES: &'static [Scope] = &[$(Scope::$scope),+];
        }
    )+};
}
permissions! {
    /// Create and start tasks.
    Produce = Produce;
    /// Claim tasks, heartbeat, finish them.
    Work = Work;
    /// Read everything.
    Read = Read;
    /// Read one task: also for whoever made it, to follow it.
    Follow = Read | Produce;
    /// Retry, requeue, cancel, rerun; set policies.
    Operate = Operate;
    /// File problem reports.
    Report = Report;
}

/// A caller who may do what `P` says.
pub(super) struct Caller<P> {
    caller: ApiCaller,
    request_id: String,
    address: String,
    permission: PhantomData<P>,
}

impl<P> Caller<P> {
    /// The actor of what the caller does.
    pub(super) fn actor(&self) -> &str {
        self.caller.actor()
    }

    /// The audit row of an action on a task.
    pub(super) fn audit(&self, action: &str, task_id: uuid::Uuid, reason: Option<String>) -> AuditEntry {
        self.audit_on(action, "task", &task_id.to_string(), reason)
    }

    /// The audit row of an action on the `target` of this id.
    pub(super) fn audit_on(
        &self,
        action: &str,
        target: &str,
        target_id: &str,
        reason: Option<String>,
    ) -> AuditEntry {
        let mut entry = AuditEntry::new(self.actor(), action, target, target_id);
        entry.reason = reason;
        entry.request_id = Some(self.request_id.clone());
        entry.address = Some(self.address.clone());
        entry
    }
}

impl<P: Permission> FromRequestParts<Arc<Site>> for Caller<P> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, AppError> {
        let caller = ApiCaller::from_request_parts(parts, site).await?;
        if !P::SCOPES.iter().any(|scope| caller.0.may(*scope)) {
            let needed: Vec<&str> = P::SCOPES.iter().map(|scope| scope.as_str()).collect();
            let needed = needed.join(" or ");
            info!(
                actor = caller.actor(),
                path = parts.uri.path(),
                needed,
                "a call was refused: its token has not the scope"
            );
            return Err(AppError::new(Problem::Forbidden)
                .detail(format!("this call needs a token with the scope {needed}"))
                .member("scope", needed));
        }
        let request_id = parts.extensions.get::<RequestId>().cloned().unwrap_or_default();
        let address = site.origin.client_addr(&parts.headers, &parts.extensions);
        Ok(Self {
            caller,
            request_id: request_id.0,
            address: address.0.to_string(),
            permission: PhantomData,
        })
    }
}
