//! Queues and their consumers, as the management API lists them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{Management, ManagementError};
use crate::domain::{
    broker_queue::{BrokerConsumer, BrokerQueue},
    queue_setup::QueueSetup,
};

/// Largest page RabbitMQ gives.
const PAGE: usize = 500;
/// Most queues asked for by name in one request: the names are part of its URL, of which RabbitMQ reads 8 KB.
const NAMES_BYTES_MAX: usize = 3000;
/// Requests at once.
const AT_ONCE: usize = 3;
/// Longest wait for a list in several requests.
const LIST: Duration = Duration::from_secs(10);

const TOTALS: [(&str, &str); 2] = [("disable_stats", "true"), ("enable_queue_totals", "true")];
const COLUMNS: &str = "name,type,durable,auto_delete,exclusive,arguments,policy,effective_policy_definition,members,state,\
    consumers,messages_ready,messages_unacknowledged,head_message_timestamp,message_stats.publish,message_stats.ack,\
    message_stats.deliver_get,message_stats.deliver_no_ack,message_stats.get_no_ack,message_stats.redeliver";
const CONSUMER_COLUMNS: &str =
    "queue.name,consumer_tag,prefetch_count,active,activity_status,channel_details.connection_name";

/// A queue's counts without statistics: live for a classic queue, up to 5 s old for a quorum queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueTotals {
    /// `classic`, `quorum` or `stream`.
    pub queue_type: Option<String>,
    pub state: Option<String>,
    pub messages_ready: Option<u64>,
    pub messages_unacknowledged: Option<u64>,
}

/// A queue's settings and statistics. Counts in it are up to 10 s old, and absent for some seconds after a declaration
/// or a broker restart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueueDetail {
    pub setup: QueueSetup,
    pub state: Option<String>,
    pub consumers: Option<u64>,
    pub messages_ready: Option<u64>,
    pub messages_unacknowledged: Option<u64>,
    /// The `timestamp` its publisher gave to the oldest message, unacknowledged ones included, in Unix seconds. Classic
    /// queues only.
    pub head_message_timestamp: Option<u64>,
    pub counters: Counters,
    /// None when the answer did not list them; `consumers` may then still be known.
    pub consumer_details: Option<Vec<ConsumerDetail>>,
}

/// Messages counted since the queue was declared or the broker started, whichever is later: absent or smaller than
/// before means that one of the two happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub publish: Option<u64>,
    pub ack: Option<u64>,
    /// All deliveries, by consuming and by getting, first ones and repeated ones.
    pub deliver_get: Option<u64>,
    pub deliver_no_ack: Option<u64>,
    pub get_no_ack: Option<u64>,
    pub redeliver: Option<u64>,
}

/// One consumer on a queue. Gone from the list 0.3 s after its death, on it up to 5 s after its birth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerDetail {
    pub queue: String,
    /// The worker's id, for a worker of ours.
    pub tag: String,
    pub prefetch: Option<u64>,
    /// False for one that waits for another (single active consumer).
    pub active: Option<bool>,
    pub activity_status: Option<String>,
    /// RabbitMQ's name of its connection: `client:port -> server:port`.
    pub connection_name: Option<String>,
}

impl Management {
    /// Counts of these queues. A queue that is not in the answer was not listed: it may be missing, or just made.
    ///
    /// Queues of others cost next to nothing: either only these names are asked for, or the list is read page by page,
    /// whichever takes fewer requests. Errors when any of the requests failed.
    pub async fn totals(&self, names: &[String]) -> Result<HashMap<String, QueueTotals>, ManagementError> {
        let listed = self.list(names, &TOTALS).await?;
        Ok(listed
            .into_iter()
            .map(|(name, item)| (name, QueueTotals::of(&item)))
            .collect())
    }

    /// Settings and statistics of these queues, without their consumers.
    pub async fn details(&self, names: &[String]) -> Result<HashMap<String, QueueDetail>, ManagementError> {
        let listed = self.list(names, &[("columns", COLUMNS)]).await?;
        Ok(listed
            .into_iter()
            .map(|(name, item)| (name, QueueDetail::of(&item)))
            .collect())
    }

    /// Settings and statistics of one queue, consumers included. Errors: `NotFound` when there is no such queue.
    pub async fn queue(&self, name: &str) -> Result<QueueDetail, ManagementError> {
        let item = self.get(&["queues", self.vhost(), name], &[]).await?;
        if !item.is_object() {
            return Err(garbage("the queue is not an object"));
        }
        let mut detail = QueueDetail::of(&item);
        detail.consumer_details = item
            .get("consumer_details")
            .and_then(Value::as_array)
            .map(|consumers| {
                consumers
                    .iter()
                    .filter_map(|consumer| ConsumerDetail::of(consumer, name))
                    .collect()
            });
        Ok(detail)
    }

    /// Every consumer of the virtual host. Errors: `Disabled` when the broker keeps no statistics.
    pub async fn consumers(&self) -> Result<Vec<ConsumerDetail>, ManagementError> {
        let answer = self
            .get(&["consumers", self.vhost()], &[("columns", CONSUMER_COLUMNS)])
            .await?;
        let listed = answer
            .as_array()
            .ok_or_else(|| garbage("the consumers are not a list"))?;
        Ok(listed
            .iter()
            .filter_map(|item| ConsumerDetail::of(item, item.pointer("/queue/name")?.as_str()?))
            .collect())
    }

    async fn list(
        &self,
        names: &[String],
        what: &[(&str, &str)],
    ) -> Result<HashMap<String, Value>, ManagementError> {
        let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
        let patterns = patterns(names);
        let listing = async {
            let mut pages = Vec::new();
            let Some((first, rest)) = patterns.split_first() else {
                return Ok(pages);
            };
            pages.push(self.page(1, Some(first), what).await?);
            let page_count = pages[0].total.div_ceil(PAGE);
            let by_name = rest.len() <= page_count;
            let requests: Vec<(usize, Option<&str>)> = if by_name {
                rest.iter().map(|pattern| (1, Some(pattern.as_str()))).collect()
            } else {
                (1..=page_count).map(|number| (number, None)).collect()
            };
            // A list of futures, not of closures: with those in it, a reading could not be sent to another thread.
            let requests: Vec<_> = requests
                .into_iter()
                .map(|(number, pattern)| self.page(number, pattern, what))
                .collect();
            let mut answers = stream::iter(requests).buffer_unordered(AT_ONCE);
            while let Some(page) = answers.next().await {
                pages.push(page?);
            }
            Ok(pages)
        };
        let pages = timeout(LIST, listing)
            .await
            .map_err(|_| ManagementError::TimedOut)??;
        let mut found = HashMap::with_capacity(names.len());
        for item in pages.into_iter().flat_map(|page| page.items) {
            let name = item
                .get("name")
                .and_then(Value::as_str)
                .ok_or_else(|| garbage("a queue without a name"))?;
            if wanted.contains(name) {
                found.insert(name.to_owned(), item);
            }
        }
        Ok(found)
    }

    async fn page(
        &self,
        number: usize,
        pattern: Option<&str>,
        what: &[(&str, &str)],
    ) -> Result<Page, ManagementError> {
        let (number, size) = (number.to_string(), PAGE.to_string());
        let mut query = vec![("page", number.as_str()), ("page_size", &size), ("sort", "name")];
        query.extend_from_slice(what);
        if let Some(pattern) = pattern {
            query.extend([("use_regex", "true"), ("name", pattern)]);
        }
        let mut answer = self.get(&["queues", self.vhost()], &query).await?;
        let total = answer
            .get("total_count")
            .and_then(Value::as_u64)
            .and_then(|total| usize::try_from(total).ok());
        match (answer.get_mut("items").map(Value::take), total) {
            (Some(Value::Array(items)), Some(total)) => Ok(Page { items, total }),
            _ => Err(garbage("the queues are not a page of a list")),
        }
    }
}

struct Page {
    items: Vec<Value>,
    /// Queues of the virtual host, ours and others'.
    total: usize,
}

/// Regular expressions that together match exactly these names, few enough in each to be a page and to fit into a URL.
fn patterns(names: &[String]) -> Vec<String> {
    let mut patterns: Vec<String> = Vec::new();
    let mut count = 0;
    for name in names {
        let mut escaped = String::with_capacity(name.len());
        for character in name.chars() {
            if character.is_ascii() && !character.is_ascii_alphanumeric() {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        match patterns.last_mut() {
            Some(last) if last.len() + escaped.len() < NAMES_BYTES_MAX && count < PAGE => {
                last.push('|');
                last.push_str(&escaped);
                count += 1;
            }
            _ => {
                patterns.push(escaped);
                count = 1;
            }
        }
    }
    patterns
        .into_iter()
        .map(|pattern| format!("^({pattern})$"))
        .collect()
}

impl QueueTotals {
    fn of(item: &Value) -> Self {
        Self {
            queue_type: text(item, "type"),
            state: text(item, "state"),
            messages_ready: number(item, "messages_ready"),
            messages_unacknowledged: number(item, "messages_unacknowledged"),
        }
    }
}

impl QueueDetail {
    fn of(item: &Value) -> Self {
        let flag = |key: &str| item.get(key).and_then(Value::as_bool);
        // An empty Erlang list can be an empty object as well as an empty array.
        let object = |key: &str| match item.get(key) {
            Some(Value::Object(map)) => Some(map.clone()),
            Some(Value::Array(list)) if list.is_empty() => Some(Map::new()),
            _ => None,
        };
        let statistics = item.get("message_stats").unwrap_or(&Value::Null);
        Self {
            setup: QueueSetup {
                queue_type: text(item, "type"),
                durable: flag("durable"),
                auto_delete: flag("auto_delete"),
                exclusive: flag("exclusive"),
                arguments: object("arguments"),
                policy: text(item, "policy"),
                policy_definition: object("effective_policy_definition"),
                members: item.get("members").and_then(Value::as_array).map(Vec::len),
            },
            state: text(item, "state"),
            consumers: number(item, "consumers"),
            messages_ready: number(item, "messages_ready"),
            messages_unacknowledged: number(item, "messages_unacknowledged"),
            head_message_timestamp: number(item, "head_message_timestamp"),
            counters: Counters {
                publish: number(statistics, "publish"),
                ack: number(statistics, "ack"),
                deliver_get: number(statistics, "deliver_get"),
                deliver_no_ack: number(statistics, "deliver_no_ack"),
                get_no_ack: number(statistics, "get_no_ack"),
                redeliver: number(statistics, "redeliver"),
            },
            consumer_details: None,
        }
    }
}

impl QueueDetail {
    /// As it is kept, with its `consumers`. What is true of the broker as a whole is left out.
    pub fn described(&self, consumers: Option<&[ConsumerDetail]>) -> BrokerQueue {
        let consumers = consumers.map(|consumers| {
            let mut consumers: Vec<BrokerConsumer> = consumers
                .iter()
                .map(|consumer| BrokerConsumer {
                    tag: consumer.tag.clone(),
                    connection_name: consumer.connection_name.clone(),
                    prefetch: consumer.prefetch,
                    active: consumer.active,
                })
                .collect();
            consumers.sort_by(|a, b| a.tag.cmp(&b.tag));
            consumers
        });
        BrokerQueue {
            setup: self.setup.clone(),
            consumers,
            ..BrokerQueue::default()
        }
    }
}

impl ConsumerDetail {
    /// None when it has no tag: then it can't be told from others.
    fn of(item: &Value, queue: &str) -> Option<Self> {
        Some(Self {
            queue: queue.to_owned(),
            tag: text(item, "consumer_tag")?,
            prefetch: number(item, "prefetch_count"),
            active: item.get("active").and_then(Value::as_bool),
            activity_status: text(item, "activity_status"),
            connection_name: item
                .pointer("/channel_details/connection_name")
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
    }
}

fn number(item: &Value, key: &str) -> Option<u64> {
    item.get(key).and_then(Value::as_u64)
}

fn text(item: &Value, key: &str) -> Option<String> {
    item.get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn garbage(detail: &str) -> ManagementError {
    ManagementError::Garbage {
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_absent_or_wrong_field_is_none_and_never_zero() {
        for item in [
            json!({"name": "q"}),
            json!({"messages_ready": null, "consumers": "", "message_stats": []}),
            json!({"messages_ready": -1, "consumers": {}}),
        ] {
            let detail = QueueDetail::of(&item);
            assert_eq!(
                (detail.messages_ready, detail.consumers, detail.counters.publish),
                (None, None, None),
                "{item}"
            );
            assert_eq!(QueueTotals::of(&item), QueueTotals::default(), "{item}");
        }
    }

    #[test]
    fn patterns_match_the_names_literally_and_stay_short() {
        let one = patterns(&["a.b+c[".to_owned(), "d-e".to_owned()]);
        assert_eq!(one, [r"^(a\.b\+c\[|d\-e)$"]);
        let many: Vec<String> = (0..1000).map(|n| format!("queue.of.some.length.{n}")).collect();
        let patterns = patterns(&many);
        assert!(
            patterns
                .iter()
                .all(|pattern| pattern.len() <= NAMES_BYTES_MAX + 4)
        );
        assert_eq!(
            patterns
                .iter()
                .map(|pattern| pattern.matches('|').count() + 1)
                .sum::<usize>(),
            1000
        );
    }
}
