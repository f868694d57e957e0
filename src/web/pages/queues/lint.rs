//! What is not as it should be about a queue's settings, by the broker's last description of it.

use crate::{
    domain::{
        broker_queue::BrokerQueue,
        expectation::Slowest,
        lint::{Grade, Note, Surroundings, guest, lint},
        observation::Presence,
        queue_spec::{QueueSpec, QueueType},
    },
    store::QueueRow,
    web::{
        Site,
        layout::{Chrome, Pill},
    },
};

/// One thing about the settings, and the command that mends it.
pub(super) struct Line {
    pub(super) grade: Pill,
    pub(super) sentence: String,
    pub(super) command: Option<String>,
}

/// What `unstuck doctor` would say of the queue as it was `described`; whether its dead-letter queue is there is not known here.
pub(super) fn lines(
    site: &Site,
    c: &Chrome,
    queue: &QueueRow,
    described: &BrokerQueue,
    slowest: Option<Slowest>,
) -> Vec<Line> {
    let spec = QueueSpec::new(&queue.name, QueueType::of_word(&queue.queue_type));
    let around = Surroundings {
        vhost: site.broker.vhost.clone(),
        dead_queue: Presence::Unseen,
        slowest,
    };
    let mut notes = lint(&spec, described, &around);
    if site.broker.guest_over_network {
        notes.push(guest(&site.broker.vhost));
    }
    notes.into_iter().map(|note| line(c, note)).collect()
}

fn line(c: &Chrome, note: Note) -> Line {
    let (tone, icon) = match note.grade {
        Grade::Fine => ("ok", "check-circle"),
        Grade::Advice => ("warn", "info-circle"),
        Grade::Wrong => ("bad", "exclamation-octagon"),
    };
    Line {
        grade: Pill {
            tone,
            icon,
            text: c.of("grade", note.grade).to_string(),
        },
        sentence: c.l.phrase(&note.sentence()).to_string(),
        command: note.command,
    }
}
