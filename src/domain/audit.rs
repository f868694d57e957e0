//! Who did what, why, and what it changed.

use serde_json::{Value, json};

use super::{task::Task, transition::Refusal, words::words};

words! {
    pub enum AuditOutcome {
        Done = "done",
        Refused = "refused",
    }
}

/// One row of the audit log, written in the transaction of the change itself.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// `user:…`, `token:…` or `system`.
    pub actor: String,
    /// A verb: `retry`, `requeue`, `login`, …
    pub action: String,
    /// What kind of thing it was done to: `task`, `user`, `ticket`, …
    pub target: String,
    pub target_id: String,
    pub outcome: AuditOutcome,
    pub reason: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
    /// The finding that an automatic action rests on; kept with what the action did.
    pub finding: Option<Value>,
    pub request_id: Option<String>,
    pub address: Option<String>,
}

impl AuditEntry {
    /// An entry without reason, picture or request yet.
    pub fn new(
        actor: impl Into<String>,
        action: impl Into<String>,
        target: &str,
        target_id: impl Into<String>,
    ) -> Self {
        Self {
            actor: actor.into(),
            action: action.into(),
            target: target.to_owned(),
            target_id: target_id.into(),
            outcome: AuditOutcome::Done,
            reason: None,
            before: None,
            after: None,
            finding: None,
            request_id: None,
            address: None,
        }
    }

    /// The same entry with what the action did to a task, or why it was refused.
    pub fn about(mut self, before: &Task, after: &Task, refusal: Option<&Refusal>) -> Self {
        self.before = Some(picture(before));
        let mut told = match refusal {
            None => picture(after),
            Some(refusal) => json!({ "state": after.state, "refused": refusal.code }),
        };
        if let (Some(told), Some(finding)) = (told.as_object_mut(), self.finding.take()) {
            told.insert("finding".to_owned(), finding);
        }
        self.after = Some(told);
        self.outcome = if refusal.is_some() {
            AuditOutcome::Refused
        } else {
            AuditOutcome::Done
        };
        self
    }
}

fn picture(task: &Task) -> Value {
    json!({
        "state": task.state, "dispatch": task.dispatch, "attempt": task.attempt, "worker": task.worker,
        "lease_expires_at": task.lease_expires_at,
    })
}
