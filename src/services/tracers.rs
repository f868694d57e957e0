//! Tracers on their way: sent by the detector, noted by whichever worker gets them.

use serde_json::json;
use uuid::Uuid;

use crate::{
    broker::{PublishOutcome, Publisher},
    domain::{audit::AuditEntry, tracer::GivenUp},
    store::{Store, StoreError, TracerDelivery},
};

/// Says whether tracers are sent to a queue; false when it was so already. `audit` says who said it.
pub(crate) async fn switch(
    store: &Store,
    queue: &str,
    traced: bool,
    mut audit: AuditEntry,
) -> Result<bool, StoreError> {
    audit.before = Some(json!({ "traced": !traced }));
    audit.after = Some(json!({ "traced": traced }));
    store.set_traced(queue, traced, &audit).await
}

/// Publishes a tracer that was written before, and writes what the broker says about it.
///
/// At most about 10 s. Published once: what has no answer is given up, not tried again. A process that dies in between
/// leaves one that nobody confirmed; the detector gives it up a minute later.
pub(crate) async fn send(store: Store, publisher: Publisher, queue: String, id: Uuid) {
    let outcome = match publisher.publish_tracer(&queue, id).await {
        PublishOutcome::Confirmed => Ok(()),
        PublishOutcome::Returned { .. } | PublishOutcome::Nacked | PublishOutcome::NotSent { .. } => {
            Err(GivenUp::Unpublished)
        }
        PublishOutcome::Unknown { .. } => Err(GivenUp::Unconfirmed),
    };
    metrics::counter!("unstuck_tracers_total", "outcome" => word(outcome)).increment(1);
    if let Err(error) = store.settle_tracer(id, outcome).await {
        tracing::warn!(queue, tracer.id = %id, %error, "what became of a tracer could not be written");
    }
}

/// Notes that a worker got a tracer; false when there is none of this id. The first to tell is believed.
pub(crate) async fn note(store: &Store, delivery: &TracerDelivery) -> Result<bool, StoreError> {
    let id = delivery.id;
    let Some(queue) = store.note_tracer(delivery).await? else {
        return store.is_tracer(id).await;
    };
    metrics::counter!("unstuck_tracers_total", "outcome" => "delivered").increment(1);
    tracing::debug!(queue, tracer.id = %id, worker = delivery.worker, "a tracer came out");
    Ok(true)
}

fn word(outcome: Result<(), GivenUp>) -> &'static str {
    match outcome {
        Ok(()) => "confirmed",
        Err(why) => why.as_str(),
    }
}
