//! One queue, as the broker tells it now.

use std::collections::HashMap;

use crate::{
    broker::{ManagementError, Probed, QueueSpec, management::QueueDetail},
    domain::{
        broker_queue::BrokerQueue,
        expectation::Slowest,
        lint::{Grade, Note, Surroundings, What, lint, text},
        observation::Presence,
    },
};

/// What the queues have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    pub(super) vhost: String,
    pub(super) version: Option<String>,
    /// `None` when that can't be read.
    pub(super) nodes: Option<usize>,
}

/// Everything there is to say about the queue of `spec`. `presence` is what a passive declaration said of it and of its
/// dead-letter queue; `detail` what the management API said, absent when it was not asked.
pub(super) fn examine(
    spec: &QueueSpec,
    presence: &HashMap<String, Probed>,
    detail: Option<Result<QueueDetail, ManagementError>>,
    slowest: Option<Slowest>,
    cluster: &Cluster,
) -> Vec<Note> {
    let note = |grade, what: What, detail: Option<String>| {
        let mut args = vec![("queue", text(&spec.name))];
        args.extend(detail.map(|detail| ("detail", text(detail))));
        vec![Note::new(format!("queue {}", spec.name), grade, what, args)]
    };
    let found = |name: &str| match presence.get(name) {
        Some(Probed::Missing) => Presence::Missing,
        Some(_) => Presence::Here,
        None => Presence::Unseen,
    };
    if found(&spec.name) == Presence::Missing {
        return note(Grade::Advice, What::QueueAbsent, None);
    }
    let detail = match detail {
        Some(Ok(detail)) => detail,
        Some(Err(ManagementError::NotFound)) => return note(Grade::Advice, What::QueueAbsent, None),
        Some(Err(error)) => return note(Grade::Wrong, What::QueueUnread, Some(error.to_string())),
        None => return note(Grade::Wrong, What::QueueUnknown, None),
    };
    let queue = BrokerQueue {
        version: cluster.version.clone(),
        nodes: cluster.nodes,
        ..detail.described(detail.consumer_details.as_deref())
    };
    let around = Surroundings {
        vhost: cluster.vhost.clone(),
        dead_queue: found(&spec.dead_name()),
        slowest,
    };
    lint(spec, &queue, &around)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{broker::QueueType, domain::queue_setup::QueueSetup};

    #[test]
    fn a_queue_that_could_not_be_read_is_never_fine() {
        let spec = QueueSpec::new("q", QueueType::Quorum);
        let bare = QueueDetail {
            setup: QueueSetup {
                queue_type: Some("quorum".to_owned()),
                ..QueueSetup::default()
            },
            ..QueueDetail::default()
        };
        for detail in [None, Some(Err(ManagementError::TimedOut)), Some(Ok(bare))] {
            let notes = examine(&spec, &HashMap::new(), detail, None, &Cluster::default());
            assert!(notes.iter().all(|note| note.grade == Grade::Wrong), "{notes:?}");
        }
    }
}
