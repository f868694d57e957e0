//! The way of one delivery: look at it, claim its task, run it, report its end, acknowledge it.

use std::time::{Duration, Instant};

use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};
use uuid::Uuid;

use super::{
    attempt::{self, Ending},
    builder::Handlers,
    gate::{Gate, Tries},
    handler::{JobError, Manner},
    job::{Job, JobSpec, StopCause},
    report::{Report, report, unstorable},
    shutdown::Shutdown,
};
use crate::{
    broker::{AckHandle, Content, Delivery, Incoming, PublishOutcome, Publisher, RawMessage},
    domain::{
        task::Task,
        transition::{Answer, Claim, Disposal, Event, Refusal},
    },
    services::{
        guard::BootTime,
        lifecycle::{Act, ActError, Acted, Claimed, Lifecycle},
        renewal::{Renewal, trusted_until},
        tracers,
    },
    store::{Store, TracerDelivery},
};

/// A report that the database answers with a defect is replaced after so many tries.
const DEFECTS: u32 = 3;
/// How long after a program was asked to end by a stranger the worker itself may hear the same.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Everything that the deliveries of one worker share.
pub(super) struct Desk {
    pub(super) worker: String,
    pub(super) store: Store,
    pub(super) lifecycle: Lifecycle,
    pub(super) renewal: Renewal,
    pub(super) publisher: Publisher,
    pub(super) gate: Gate,
    pub(super) acks: mpsc::UnboundedSender<AckHandle>,
    pub(super) handlers: Handlers,
    pub(super) slots: Semaphore,
    pub(super) shutdown: Shutdown,
}

/// What to do with the message in the end.
enum Fate {
    /// A commit made it unnecessary, or found it to be so.
    Acknowledge,
    /// Nobody can use it: a copy with the reason goes to the dead-letter queue first.
    DeadLetter(String),
    /// It goes back to its queue with the channel.
    GiveBack,
}

/// A claim's answer.
struct Owned {
    task: Task,
    claimed: Claimed,
    attempt: i64,
    /// When the claim, or the renewal that confirmed it, was sent.
    sent_at: BootTime,
}

impl Desk {
    /// Never fails: whatever the database or the broker do, it goes on trying until the worker ends.
    pub(super) async fn serve(&self, delivery: Delivery) {
        let Delivery {
            queue,
            content,
            redelivered,
            received_at,
            raw,
            handle,
        } = delivery;
        let fate = match content {
            Content::Malformed(malformed) => Fate::DeadLetter(malformed.reason),
            Content::Task(incoming) => self.work(&queue, incoming, &handle).await,
            Content::Tracer(id) => self.note_tracer(id, redelivered, received_at).await,
        };
        match fate {
            Fate::Acknowledge => self.acknowledge(handle),
            Fate::GiveBack => drop(handle),
            Fate::DeadLetter(reason) => {
                if self.dead_letter(&queue, raw, &reason, &handle).await {
                    self.acknowledge(handle);
                }
            }
        }
    }

    fn acknowledge(&self, handle: AckHandle) {
        // The acknowledging task outlives every delivery; without it the message merely comes again.
        if self.acks.send(handle).is_err() {
            tracing::debug!("a message stays unacknowledged");
        }
    }

    /// Tells when a tracer came, which is all that it is for. It needs no slot and is no attempt.
    async fn note_tracer(&self, id: Uuid, redelivered: bool, received_at: Instant) -> Fate {
        let mut tries = Tries::new(&self.gate);
        loop {
            let delivery = TracerDelivery {
                id,
                worker: self.worker.clone(),
                held: received_at.elapsed(),
                redelivered: Some(redelivered),
            };
            match tracers::note(&self.store, &delivery).await {
                // One that is not known any more needs nobody either.
                Ok(_) => return Fate::Acknowledge,
                Err(error) => tracing::warn!(tracer.id = %id, %error, "a tracer could not be noted"),
            }
            tokio::select! {
                () = tries.wait() => {}
                () = self.shutdown.draining() => return Fate::GiveBack,
            }
        }
    }

    async fn work(&self, queue: &str, incoming: Incoming, handle: &AckHandle) -> Fate {
        let task_id = incoming.task_id;
        let kind = match incoming.kind {
            Some(kind) => kind,
            None => match self.kind_of(task_id).await {
                Ok(kind) => kind,
                Err(fate) => return fate,
            },
        };
        if self.handlers.of(&kind).is_none() {
            return Fate::DeadLetter(format!("the worker does not serve tasks of kind {kind}"));
        }
        let slot = tokio::select! {
            biased;
            () = self.shutdown.draining() => return Fate::GiveBack,
            slot = self.slots.acquire() => slot.expect("the slots are never closed"),
        };
        // Another copy of it is, or will be, with somebody.
        if !handle.is_current() {
            return Fate::GiveBack;
        }
        let fate = match self.claim(task_id, incoming.dispatch).await {
            Ok(owned) => self.carry_out(owned).await,
            Err(fate) => fate,
        };
        if let Fate::Acknowledge = fate {
            tracing::debug!(task.id = %task_id, queue, "done with the message");
        }
        drop(slot);
        fate
    }

    /// The kind of a task whose message does not say it.
    async fn kind_of(&self, task_id: Uuid) -> Result<String, Fate> {
        let mut tries = Tries::new(&self.gate);
        loop {
            match self.store.task(task_id).await {
                Ok(Some(view)) => return Ok(view.task.kind),
                Ok(None) => return Err(unknown_task()),
                Err(error) => tracing::warn!(task.id = %task_id, %error, "a task could not be looked up"),
            }
            tokio::select! {
                () = tries.wait() => {}
                () = self.shutdown.draining() => return Err(Fate::GiveBack),
            }
        }
    }

    /// Claims the task; the same claim again after an unknown answer.
    async fn claim(&self, task_id: Uuid, dispatch: Option<i64>) -> Result<Owned, Fate> {
        let claim = Claim {
            claim_id: Uuid::new_v4().to_string(),
            dispatch,
            worker: self.worker.clone(),
        };
        let mut tries = Tries::new(&self.gate);
        loop {
            let sent_at = BootTime::now();
            match self.act(task_id, Event::Claim(claim.clone())).await {
                Ok(Acted {
                    answer: Answer::Claimed { attempt, .. },
                    task,
                    claimed: Some(claimed),
                }) => {
                    let owned = Owned {
                        task,
                        claimed,
                        attempt,
                        sent_at,
                    };
                    // The first try may have been the one that took the task: then its lease is older than this answer.
                    return if tries.failed == 0 {
                        Ok(owned)
                    } else {
                        self.confirm(owned, tries).await
                    };
                }
                Ok(acted) => {
                    tracing::error!(task.id = %task_id, answer = ?acted.answer, "a claim was not answered as one")
                }
                Err(ActError::NotFound) => return Err(unknown_task()),
                Err(ActError::Refused(refusal)) => return Err(refused(task_id, &refusal)),
                Err(ActError::Store(error)) => {
                    tracing::warn!(task.id = %task_id, %error, "a claim has no answer")
                }
            }
            tokio::select! {
                () = tries.wait() => {}
                // An attempt that was taken without our hearing of it ends with its lease.
                () = self.shutdown.draining() => return Err(Fate::GiveBack),
            }
        }
    }

    /// Renews a claim whose age is not known.
    async fn confirm(&self, owned: Owned, mut tries: Tries<'_>) -> Result<Owned, Fate> {
        let (task_id, attempt) = (owned.task.id, owned.attempt);
        loop {
            let sent_at = BootTime::now();
            let event = Event::Heartbeat {
                attempt,
                progress: None,
                message: None,
            };
            match self.act(task_id, event).await {
                Ok(_) => return Ok(Owned { sent_at, ..owned }),
                Err(ActError::NotFound | ActError::Refused(_)) => return Err(Fate::Acknowledge),
                Err(ActError::Store(error)) => {
                    tracing::warn!(task.id = %task_id, %error, "a claim could not be confirmed")
                }
            }
            tokio::select! {
                () = tries.wait() => {}
                () = self.shutdown.draining() => return Err(Fate::GiveBack),
            }
        }
    }

    async fn carry_out(&self, owned: Owned) -> Fate {
        let Owned {
            task,
            claimed,
            attempt,
            sent_at,
        } = owned;
        let (task_id, kind) = (task.id, task.kind.clone());
        let lease = self.lifecycle.lease();
        tracing::info!(task.id = %task_id, task.kind = kind, attempt, "claimed");
        let spec = JobSpec {
            task_id,
            attempt,
            kind: task.kind,
            queue: task.queue,
            title: claimed.title,
            payload: claimed.payload,
            timeout: claimed
                .timeout_s
                .and_then(|s| u64::try_from(s).ok())
                .map(Duration::from_secs),
        };
        let (job, reins) = Job::new(spec, trusted_until(sent_at, lease));
        let _keeping = self.renewal.keep(task_id, attempt, reins.clone(), sent_at);
        let ending = if self.shutdown.is_draining() {
            reins.stop(StopCause::Draining);
            Ending::Dropped
        } else if let Some(handler) = self.handlers.of(&kind) {
            attempt::run(handler.clone(), job, &reins, lease).await
        } else {
            // The message named another kind than the task has.
            Ending::Finished(Err(JobError::failed(format!(
                "the worker does not serve tasks of kind {kind}"
            ))))
        };
        let asked = self
            .asked(&ending, reins.stop_cause(), reins.trusted_until())
            .await;
        let outcome = match report(ending, asked, attempt, reins.log()) {
            Report::Event(event) => self.tell(task_id, attempt, event).await,
            Report::Nothing => "left",
        };
        metrics::counter!("unstuck_worker_attempts_total", "outcome" => outcome).increment(1);
        tracing::info!(task.id = %task_id, task.kind = kind, attempt, outcome, "ended");
        Fate::Acknowledge
    }

    /// Why the handler stopped, where it may know before the worker does.
    async fn asked(
        &self,
        ending: &Ending,
        asked: Option<StopCause>,
        trusted_until: BootTime,
    ) -> Option<StopCause> {
        let Ending::Finished(Err(error)) = ending else {
            return asked;
        };
        match (error.manner, asked) {
            // The guard's clock was quicker than the thread that looks at all leases.
            (Manner::Stopped, None) if trusted_until.is_over() => Some(StopCause::LeaseLost),
            (Manner::Terminated, None) => timeout(SAME_WISH, self.shutdown.draining())
                .await
                .ok()
                .map(|()| StopCause::Draining),
            _ => asked,
        }
    }

    /// Reports an attempt's end until the database answers, and says what came of it.
    async fn tell(&self, task_id: Uuid, attempt: i64, mut event: Event) -> &'static str {
        let mut tries = Tries::new(&self.gate);
        let mut defects = 0;
        loop {
            match self.act(task_id, event.clone()).await {
                Ok(_) => return word(&event),
                Err(ActError::NotFound) => return "gone",
                Err(ActError::Refused(refusal)) => {
                    tracing::warn!(task.id = %task_id, attempt, reason = %refusal, "the report came too late");
                    return "late";
                }
                Err(ActError::Store(error)) => {
                    tracing::warn!(task.id = %task_id, attempt, %error, "an attempt's end could not be reported");
                    if !error.store().is_unavailable() {
                        defects += 1;
                    }
                    if defects == DEFECTS {
                        event = unstorable(attempt, &error.to_string());
                    }
                }
            }
            tries.wait().await;
        }
    }

    async fn act(&self, task_id: Uuid, event: Event) -> Result<Acted, ActError> {
        let actor = format!("worker:{}", self.worker);
        self.lifecycle
            .act(Act {
                task_id,
                event,
                actor,
                audit: None,
            })
            .await
    }

    /// Puts a copy on the dead-letter queue and waits for its confirm. False when that can't be done any more: then
    /// the message comes again.
    async fn dead_letter(&self, queue: &str, raw: RawMessage, reason: &str, handle: &AckHandle) -> bool {
        let dead = format!("{queue}.dead");
        let mut tries = Tries::new(&self.gate);
        let copy = raw.dead_lettered(queue, reason);
        while handle.is_current() {
            match self.publisher.publish_raw(&dead, copy.clone()).await {
                PublishOutcome::Confirmed => {
                    metrics::counter!("unstuck_worker_messages_total", "outcome" => "dead_lettered")
                        .increment(1);
                    tracing::warn!(queue, reason, "a message was moved to the dead-letter queue");
                    return true;
                }
                outcome => tracing::warn!(
                    queue,
                    ?outcome,
                    "a message could not be moved to the dead-letter queue"
                ),
            }
            tokio::select! {
                () = tries.wait() => {}
                () = self.shutdown.draining() => return false,
            }
        }
        false
    }
}

fn unknown_task() -> Fate {
    Fate::DeadLetter("there is no such task".into())
}

fn refused(task_id: Uuid, refusal: &Refusal) -> Fate {
    let code = refusal.code.as_str();
    metrics::counter!("unstuck_worker_messages_total", "outcome" => code).increment(1);
    tracing::info!(task.id = %task_id, code, "a message was not needed: {refusal}");
    match refusal.disposal() {
        Disposal::Ack => Fate::Acknowledge,
        Disposal::DeadLetter => Fate::DeadLetter(refusal.to_string()),
    }
}

fn word(event: &Event) -> &'static str {
    match event {
        Event::Succeed { .. } => "succeeded",
        Event::Release { .. } => "released",
        _ => "failed",
    }
}
