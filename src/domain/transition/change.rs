//! What each event does: the guards and effects of the table in docs/state-machine.md, one function an event.

mod acts;

use serde_json::{Value, json};

use super::{Answer, Claim, Decision, Effect, Event, Refusal, RefusalCode, Rules};
use crate::domain::{
    retry,
    task::{AttemptOutcome, State, Task},
    time::Time,
};

/// Decides `event` for `task`. `reported` is the stored end of the attempt that the event names, when that attempt is
/// not the one that runs: it tells a repeated report from a late one.
pub fn decide(task: &Task, event: &Event, reported: Option<AttemptOutcome>, rules: &Rules) -> Decision {
    let mut change = Change {
        task: task.clone(),
        before: task.clone(),
        effects: Vec::new(),
        rules: *rules,
    };
    let answer = change.apply(event, reported);
    let Change { task, effects, .. } = change;
    Decision {
        answer: answer.map_err(|code| Refusal::of(code, &task)),
        task,
        effects,
    }
}

impl State {
    fn is_retryable(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }
    fn is_succeeded(self) -> bool {
        self == Self::Succeeded
    }
}

/// A decision in the making.
struct Change {
    before: Task,
    task: Task,
    effects: Vec<Effect>,
    rules: Rules,
}

type Verdict = Result<Answer, RefusalCode>;

impl Change {
    fn apply(&mut self, event: &Event, reported: Option<AttemptOutcome>) -> Verdict {
        match event {
            Event::Start { available_at } => self.start(*available_at),
            Event::Claim(claim) => self.claim(claim),
            Event::Heartbeat {
                attempt,
                progress,
                message,
            } => self.heartbeat(*attempt, *progress, message.as_deref()),
            Event::Succeed { attempt, result, log } => self.succeed(*attempt, result, log, reported),
            Event::Fail {
                attempt,
                error,
                retryable,
                log,
            } => self.fail(*attempt, error, *retryable, log, reported),
            Event::Release { attempt } => self.release(*attempt, reported),
            Event::Retry { payload } => {
                self.run_again(State::is_retryable, RefusalCode::NotRetryable, "retried", payload)
            }
            Event::Rerun { payload } => {
                self.run_again(State::is_succeeded, RefusalCode::NotSucceeded, "rerun", payload)
            }
            Event::Requeue { by, lease, payload } => self.requeue(*by, *lease, payload),
            Event::Cancel => self.cancel(),
            Event::OnDispatch { dispatch, .. } if *dispatch != self.task.dispatch => {
                Err(RefusalCode::MovedOn)
            }
            Event::OnDispatch { event, .. } => self.apply(event, reported),
            Event::Recover => self.recover(),
            Event::Resend { version, finding } => self.resend(*version, finding),
        }
    }
}

impl Change {
    fn record(&mut self, event: &'static str, detail: Value) {
        let (from, to, attempt) = (self.before.state, self.task.state, self.task.attempt);
        self.effects.push(Effect::Record {
            event,
            from,
            to,
            attempt,
            detail,
        });
        self.before.state = to;
    }

    fn start(&mut self, available_at: Option<Time>) -> Verdict {
        if self.task.state != State::New {
            return Err(RefusalCode::AlreadyStarted);
        }
        let due = available_at.unwrap_or(self.task.available_at).max(self.rules.now);
        self.dispatch_again(due);
        self.record("started", json!({ "available_at": due }));
        Ok(Answer::Done)
    }

    /// The next dispatch, due at `due`; unsent rows of earlier ones go.
    fn dispatch_again(&mut self, due: Time) {
        let task = &mut self.task;
        task.state = State::Queued;
        task.dispatch += 1;
        task.available_at = due;
        task.published_at = None;
        task.resent_at = None;
        task.message_gone = false;
        task.finished_at = None;
        task.worker = None;
        task.claim_id = None;
        task.lease_expires_at = None;
        task.beat_at = None;
        task.progress = None;
        task.progress_message = None;
        self.effects.push(Effect::Unpublish);
        self.effects.push(Effect::Publish { due_at: due });
    }

    fn claim(&mut self, claim: &Claim) -> Verdict {
        let Rules { now, .. } = self.rules;
        let current = self.task.dispatch;
        match claim.dispatch {
            Some(dispatch) if dispatch > current => return Err(RefusalCode::AheadOfDatabase),
            Some(dispatch) if dispatch < current => return Err(RefusalCode::OldDispatch),
            _ => {}
        }
        match self.task.state {
            State::New => Err(RefusalCode::NeverStarted),
            State::Queued if now < self.task.available_at => Err(RefusalCode::NotDue),
            State::Queued => Ok(self.take(claim, "claimed")),
            State::Running if self.task.lease_alive(now) => {
                if self.task.claim_id.as_deref() == Some(&claim.claim_id) {
                    let lease_expires_at = self.task.lease_expires_at.unwrap_or(now);
                    return Ok(Answer::Claimed {
                        attempt: self.task.attempt,
                        lease_expires_at,
                    });
                }
                // The copy is acknowledged, so from here on the attempt may run without a message: the ledger knows,
                // and the message comes back when the lease ends.
                self.task.message_gone = true;
                Err(RefusalCode::OwnedElsewhere)
            }
            State::Running => {
                if let Some(refused) = self.end_without_owner() {
                    return Err(refused);
                }
                self.close_attempt(AttemptOutcome::Lost, None);
                self.record("attempt_lost", json!({ "worker": self.task.worker }));
                Ok(self.take(claim, "taken_over"))
            }
            State::Succeeded | State::Failed | State::Cancelled => Err(RefusalCode::AlreadyEnded),
        }
    }

    fn take(&mut self, claim: &Claim, event: &'static str) -> Answer {
        let now = self.rules.now;
        let until = now + self.rules.lease;
        let task = &mut self.task;
        task.state = State::Running;
        task.attempt += 1;
        task.tries += 1;
        task.worker = Some(claim.worker.clone());
        task.claim_id = Some(claim.claim_id.clone());
        task.message_gone = false;
        task.started_at = Some(now);
        task.beat_at = Some(now);
        task.lease_expires_at = Some(until);
        task.progress = None;
        task.progress_message = None;
        let attempt = task.attempt;
        self.effects.push(Effect::OpenAttempt {
            number: attempt,
            worker: claim.worker.clone(),
            claim_id: claim.claim_id.clone(),
            dispatch: self.task.dispatch,
        });
        self.record(event, json!({ "worker": claim.worker }));
        Answer::Claimed {
            attempt,
            lease_expires_at: until,
        }
    }

    /// A running task whose lease is over ends here when it was cancelled or has no attempts left.
    fn end_without_owner(&mut self) -> Option<RefusalCode> {
        if self.task.cancel_requested_at.is_some() {
            self.close_attempt(AttemptOutcome::Lost, None);
            self.finish(State::Cancelled);
            self.record("cancelled", json!({ "worker": "gone" }));
            return Some(RefusalCode::CancelRequested);
        }
        if self.task.tries >= self.task.max_attempts {
            let error = format!("its worker died {} {}", self.task.tries, times(self.task.tries));
            self.close_attempt(AttemptOutcome::Lost, None);
            self.task.error = Some(error.clone());
            self.finish(State::Failed);
            self.record("failed", json!({ "error": error }));
            return Some(RefusalCode::NoAttemptsLeft);
        }
        None
    }

    fn close_attempt(&mut self, outcome: AttemptOutcome, error: Option<String>) {
        self.effects.push(Effect::EndAttempt {
            number: self.task.attempt,
            outcome,
            error,
            log: None,
        });
    }

    fn finish(&mut self, state: State) {
        let task = &mut self.task;
        task.state = state;
        task.finished_at = Some(self.rules.now);
        task.lease_expires_at = None;
        self.effects.push(Effect::Unpublish);
    }

    fn heartbeat(&mut self, attempt: i64, progress: Option<f64>, message: Option<&str>) -> Verdict {
        if self.task.state != State::Running || attempt != self.task.attempt {
            return Err(RefusalCode::NotCurrentAttempt);
        }
        let until = self.rules.now + self.rules.lease;
        let task = &mut self.task;
        task.beat_at = Some(self.rules.now);
        task.lease_expires_at = Some(until);
        if progress.is_some() {
            task.progress = progress;
        }
        if let Some(message) = message {
            task.progress_message = Some(message.to_owned());
        }
        Ok(Answer::Alive {
            lease_expires_at: until,
            cancel_requested: task.cancel_requested_at.is_some(),
        })
    }

    /// Whether `attempt` may report its end: yes, it did already with `as_outcome`, or no (kept as late).
    fn may_end(
        &mut self,
        attempt: i64,
        reported: Option<AttemptOutcome>,
        as_outcome: AttemptOutcome,
        late: Value,
    ) -> Result<Option<Answer>, RefusalCode> {
        if self.task.state == State::Running && attempt == self.task.attempt {
            return Ok(None);
        }
        match reported {
            Some(outcome) if outcome == as_outcome => Ok(Some(Answer::Repeated)),
            Some(_) => {
                self.effects.push(Effect::KeepLate {
                    number: attempt,
                    late: late.clone(),
                });
                let state = self.task.state;
                self.effects.push(Effect::Record {
                    event: "late_report",
                    from: state,
                    to: state,
                    attempt,
                    detail: late,
                });
                Err(RefusalCode::NotCurrentAttempt)
            }
            None => Err(RefusalCode::NotCurrentAttempt),
        }
    }

    fn succeed(
        &mut self,
        attempt: i64,
        result: &Value,
        log: &Option<String>,
        reported: Option<AttemptOutcome>,
    ) -> Verdict {
        let late = json!({ "report": "succeeded", "result": result });
        if let Some(answer) = self.may_end(attempt, reported, AttemptOutcome::Succeeded, late)? {
            return Ok(answer);
        }
        self.end_attempt(AttemptOutcome::Succeeded, None, log);
        self.task.error = None;
        if self.task.progress.is_some() {
            self.task.progress = Some(100.0);
        }
        self.finish(State::Succeeded);
        self.effects.push(Effect::SetResult(Some(result.clone())));
        self.record("succeeded", json!({}));
        Ok(Answer::Done)
    }

    fn end_attempt(&mut self, outcome: AttemptOutcome, error: Option<&str>, log: &Option<String>) {
        let (error, log) = (error.map(str::to_owned), log.clone());
        self.effects.push(Effect::EndAttempt {
            number: self.task.attempt,
            outcome,
            error,
            log,
        });
    }

    fn fail(
        &mut self,
        attempt: i64,
        error: &str,
        retryable: bool,
        log: &Option<String>,
        reported: Option<AttemptOutcome>,
    ) -> Verdict {
        let late = json!({ "report": "failed", "error": error });
        // A failure reported after a cancel request was recorded as cancelled: the same report again is a repetition.
        let as_outcome = match reported {
            Some(AttemptOutcome::Cancelled) => AttemptOutcome::Cancelled,
            _ => AttemptOutcome::Failed,
        };
        if let Some(answer) = self.may_end(attempt, reported, as_outcome, late)? {
            return Ok(answer);
        }
        if self.task.cancel_requested_at.is_some() {
            self.end_attempt(AttemptOutcome::Cancelled, Some(error), log);
            self.finish(State::Cancelled);
            self.record("cancelled", json!({ "error": error }));
            return Ok(Answer::Done);
        }
        self.end_attempt(AttemptOutcome::Failed, Some(error), log);
        self.task.error = Some(error.to_owned());
        if retryable && self.task.tries < self.task.max_attempts {
            let due = self.rules.now + retry::backoff(self.task.tries, self.rules.jitter);
            self.dispatch_again(due);
            self.record("retry_scheduled", json!({ "error": error, "available_at": due }));
        } else {
            self.finish(State::Failed);
            self.record("failed", json!({ "error": error, "retryable": retryable }));
        }
        Ok(Answer::Done)
    }

    fn release(&mut self, attempt: i64, reported: Option<AttemptOutcome>) -> Verdict {
        let late = json!({ "report": "released" });
        if let Some(answer) = self.may_end(attempt, reported, AttemptOutcome::Released, late)? {
            return Ok(answer);
        }
        if self.task.cancel_requested_at.is_some() {
            self.close_attempt(AttemptOutcome::Cancelled, None);
            self.finish(State::Cancelled);
            self.record("cancelled", json!({}));
            return Ok(Answer::Done);
        }
        self.close_attempt(AttemptOutcome::Released, None);
        self.task.tries -= 1;
        self.dispatch_again(self.rules.now);
        self.record("released", json!({}));
        Ok(Answer::Done)
    }
}

fn times(n: i64) -> &'static str {
    if n == 1 { "time" } else { "times" }
}
