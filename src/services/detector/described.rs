//! What is kept, for pages, of how the broker describes our queues.

use std::{collections::HashMap, time::Duration};

use crate::{
    broker::BrokerReading,
    domain::{broker_queue::BrokerQueue, time::Time},
};

/// A description that did not change is kept again this often, so that its age says how fresh it is.
const AGAIN_AFTER: Duration = Duration::from_secs(15);

/// The descriptions of the last look, and what was kept before.
#[derive(Default)]
pub(super) struct Descriptions {
    read: Vec<(String, Duration, BrokerQueue)>,
    kept: HashMap<String, (Time, BrokerQueue)>,
}

impl Descriptions {
    /// Takes over what `reading` says about settings and consumers. Queues of which it says nothing are left out.
    pub(super) fn note(&mut self, reading: &BrokerReading) {
        self.read = reading
            .queues
            .iter()
            .filter_map(|(name, queue)| {
                let read_at = queue.detail_at?;
                let age = reading.at.instant.saturating_duration_since(read_at.instant);
                let consumers = queue.consumer_details.as_deref().map(Vec::as_slice);
                let described = BrokerQueue {
                    version: reading.version.clone(),
                    nodes: reading.nodes,
                    ..queue.detail.as_ref()?.described(consumers)
                };
                Some((name.clone(), age, described))
            })
            .collect();
    }

    /// What changed, or was kept a while ago. `now` is the database's time at the beginning of the look.
    pub(super) fn take(&mut self, now: Time) -> Vec<(String, Time, BrokerQueue)> {
        let mut fresh = Vec::new();
        for (name, age, queue) in std::mem::take(&mut self.read) {
            let read_at = now - age;
            let worth = match self.kept.get(&name) {
                Some((before, same)) => *same != queue || *before + AGAIN_AFTER <= read_at,
                None => true,
            };
            if worth {
                self.kept.insert(name.clone(), (read_at, queue.clone()));
                fresh.push((name, read_at, queue));
            }
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant, time::SystemTime};

    use super::*;
    use crate::broker::{
        QueueReading,
        management::{ConsumerDetail, QueueDetail},
        reading::ReadAt,
    };

    fn reading(tags: &[&str]) -> BrokerReading {
        let at = ReadAt {
            instant: Instant::now(),
            wall: SystemTime::now(),
        };
        let consumers = tags.iter().map(|tag| ConsumerDetail {
            queue: "q".into(),
            tag: (*tag).to_owned(),
            prefetch: Some(4),
            active: Some(true),
            activity_status: None,
            connection_name: None,
        });
        let queue = QueueReading {
            detail: Some(Arc::new(QueueDetail::default())),
            detail_at: Some(at),
            consumer_details: Some(Arc::new(consumers.collect())),
            consumer_details_at: Some(at),
            ..QueueReading::default()
        };
        BrokerReading {
            at,
            queues: HashMap::from([("q".to_owned(), queue)]),
            alarms: None,
            problems: Vec::new(),
            version: None,
            nodes: None,
            statistics_disabled: None,
        }
    }

    #[test]
    fn a_description_is_kept_when_it_changes_and_now_and_then() {
        let mut descriptions = Descriptions::default();
        let mut kept = |tags: &[&str], seconds: i64| {
            descriptions.note(&reading(tags));
            descriptions.take(Time::from_ms(seconds * 1000)).len()
        };
        assert_eq!(kept(&["a"], 100), 1, "new");
        assert_eq!(kept(&["a"], 105), 0, "the same");
        assert_eq!(kept(&["b"], 110), 1, "changed");
        assert_eq!(kept(&["b"], 125), 1, "old");
    }

    #[test]
    fn a_queue_that_was_not_described_is_left_out() {
        let mut nothing = reading(&[]);
        nothing.queues.insert("r".into(), QueueReading::default());
        let mut descriptions = Descriptions::default();
        descriptions.note(&nothing);
        let names: Vec<String> = descriptions
            .take(Time::from_ms(0))
            .into_iter()
            .map(|(name, ..)| name)
            .collect();
        assert_eq!(names, ["q"]);
    }
}
