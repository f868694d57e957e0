//! What people and the detector do to a task, as opposed to its worker.

use serde_json::{Value, json};

use super::{Change, Verdict};
use crate::domain::{
    task::{AttemptOutcome, State},
    transition::{Answer, Effect, LeasePolicy, RESEND_EVERY, RefusalCode, RequeueBy, Rules, TAKE_OVER_GRACE},
};

impl Change {
    pub(super) fn run_again(
        &mut self,
        allowed: fn(State) -> bool,
        refusal: RefusalCode,
        event: &'static str,
        payload: &Option<Value>,
    ) -> Verdict {
        if !allowed(self.task.state) {
            return Err(refusal);
        }
        self.task.tries = 0;
        self.task.cancel_requested_at = None;
        self.task.error = None;
        self.effects.push(Effect::SetResult(None));
        self.replace_payload(payload);
        self.dispatch_again(self.rules.now);
        self.record(event, json!({ "payload_changed": payload.is_some() }));
        Ok(Answer::Done)
    }

    fn replace_payload(&mut self, payload: &Option<Value>) {
        if let Some(payload) = payload {
            self.effects.push(Effect::SetPayload(payload.clone()));
        }
    }

    pub(super) fn requeue(&mut self, by: RequeueBy, lease: LeasePolicy, payload: &Option<Value>) -> Verdict {
        let now = self.rules.now;
        match self.task.state {
            State::Queued => {
                self.grant(by);
                self.replace_payload(payload);
                let due = self.task.available_at.max(now);
                self.dispatch_again(due);
                self.record("requeued", json!({ "payload_changed": payload.is_some() }));
                Ok(Answer::Done)
            }
            State::Running => {
                let alive = self.task.lease_alive(now);
                if alive && lease == LeasePolicy::Respect {
                    return Err(RefusalCode::LeaseAlive);
                }
                if self.task.cancel_requested_at.is_some() && !alive {
                    self.close_attempt(AttemptOutcome::Lost, None);
                    self.finish(State::Cancelled);
                    self.record("cancelled", json!({ "worker": "gone" }));
                    return Err(RefusalCode::CancelRequested);
                }
                if self.task.cancel_requested_at.is_some() {
                    return Err(RefusalCode::CancelRequested);
                }
                if by == RequeueBy::Policy && self.task.tries >= self.task.max_attempts {
                    self.end_without_owner();
                    return Err(RefusalCode::NoAttemptsLeft);
                }
                let outcome = if alive {
                    AttemptOutcome::Superseded
                } else {
                    AttemptOutcome::Lost
                };
                // The superseded program may run until its lease ends: the next one waits for that.
                let due = self.task.lease_expires_at.filter(|_| alive).unwrap_or(now);
                self.close_attempt(outcome, None);
                self.grant(by);
                self.replace_payload(payload);
                self.dispatch_again(due);
                self.record("requeued", json!({ "closed_attempt": outcome, "available_at": due, "payload_changed": payload.is_some() }));
                Ok(Answer::Done)
            }
            State::New | State::Succeeded | State::Failed | State::Cancelled => {
                Err(RefusalCode::NotRequeueable)
            }
        }
    }

    fn grant(&mut self, by: RequeueBy) {
        match by {
            RequeueBy::Person => self.task.tries = 0,
            RequeueBy::Policy => {}
        }
    }

    pub(super) fn cancel(&mut self) -> Verdict {
        match self.task.state {
            State::New | State::Queued => {
                self.finish(State::Cancelled);
                self.record("cancelled", json!({}));
                Ok(Answer::Done)
            }
            State::Running if self.task.cancel_requested_at.is_some() => Ok(Answer::Repeated),
            State::Running => {
                self.task.cancel_requested_at = Some(self.rules.now);
                self.record("cancel_requested", json!({}));
                Ok(Answer::Done)
            }
            State::Succeeded | State::Failed | State::Cancelled => Err(RefusalCode::AlreadyEnded),
        }
    }

    pub(super) fn recover(&mut self) -> Verdict {
        let Rules { now, lease, .. } = self.rules;
        let over = match (self.task.state, self.task.lease_expires_at) {
            (State::Running, Some(until)) => now >= until,
            _ => false,
        };
        if !over {
            return Err(RefusalCode::NothingToRecover);
        }
        if self.task.cancel_requested_at.is_some() {
            self.end_without_owner();
            return Ok(Answer::Done);
        }
        let graced = self
            .task
            .lease_expires_at
            .is_some_and(|until| now >= until + TAKE_OVER_GRACE);
        let waited = self.task.resent_at.is_none_or(|resent| now >= resent + lease);
        if !graced || !waited {
            return Err(RefusalCode::NothingToRecover);
        }
        if self.end_without_owner().is_some() {
            return Ok(Answer::Done);
        }
        self.task.resent_at = Some(now);
        self.task.message_gone = false;
        self.effects.push(Effect::Publish { due_at: now });
        self.record("resent", json!({ "worker": self.task.worker }));
        Ok(Answer::Done)
    }

    pub(super) fn resend(&mut self, version: i64, finding: &Value) -> Verdict {
        if self.task.version != version {
            return Err(RefusalCode::MovedOn);
        }
        let now = self.rules.now;
        let waited = self
            .task
            .resent_at
            .is_none_or(|resent| now >= resent + RESEND_EVERY);
        if self.task.state != State::Queued || self.task.published_at.is_none() || !waited {
            return Err(RefusalCode::NothingToResend);
        }
        self.task.published_at = None;
        self.task.resent_at = Some(now);
        self.effects.push(Effect::Publish { due_at: now });
        self.record("republished", json!({ "finding": finding }));
        Ok(Answer::Done)
    }
}
