//! A tracer as the detector writes it.

use std::time::Duration;

use unstuck::{domain::audit::AuditEntry, store::Store};
use uuid::Uuid;

/// Traces `queue`, which becomes known, and writes a tracer for it that nobody has sent yet.
pub async fn tracer_on(store: &Store, queue: &str) -> Uuid {
    store.add_queue(queue, "quorum").await.expect("a queue");
    let audit = AuditEntry::new("system", "trace", "queue", queue);
    store.set_traced(queue, true, &audit).await.expect("traced");
    let leadership = store
        .lead("tracers", "a test", Duration::from_secs(30))
        .await
        .expect("asked")
        .expect("elected");
    let id = Uuid::now_v7();
    let sent = store
        .write_tracers(&leadership, &[], &[(id, queue.to_owned())])
        .await;
    assert_eq!(sent.expect("written"), Some(vec![(id, queue.to_owned())]));
    id
}
