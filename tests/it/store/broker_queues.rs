//! What is kept of the broker's descriptions.

use serde_json::json;
use unstuck::domain::{
    broker_queue::{BrokerConsumer, BrokerQueue},
    queue_setup::QueueSetup,
    time::Time,
};

use crate::support::store::each_store;

fn described(consumers: &[&str]) -> BrokerQueue {
    let consumers = consumers.iter().map(|tag| BrokerConsumer {
        tag: (*tag).to_owned(),
        connection_name: None,
        prefetch: Some(4),
        active: Some(true),
    });
    BrokerQueue {
        setup: QueueSetup {
            queue_type: Some("quorum".into()),
            durable: Some(true),
            arguments: json!({ "x-delivery-limit": 10_000 }).as_object().cloned(),
            members: Some(3),
            ..QueueSetup::default()
        },
        consumers: Some(consumers.collect()),
        version: Some("3.10.8".into()),
        nodes: Some(1),
    }
}

#[tokio::test]
async fn the_newest_description_of_a_queue_takes_the_place_of_the_one_before() {
    each_store(async |store, _| {
        let (then, now) = (Time::from_ms(1_767_225_600_000), Time::from_ms(1_767_225_615_123));
        assert_eq!(store.broker_queue("orders").await.expect("read"), None);
        let first = [
            ("orders".to_owned(), then, described(&["a"])),
            ("mail".to_owned(), then, described(&[])),
        ];
        store.keep_broker_queues(&first).await.expect("kept");
        let second = [("orders".to_owned(), now, described(&["a", "b"]))];
        store.keep_broker_queues(&second).await.expect("kept");
        let orders = store.broker_queue("orders").await.expect("read");
        assert_eq!(orders, Some((now, described(&["a", "b"]))));
        let mail = store.broker_queue("mail").await.expect("read");
        assert_eq!(mail, Some((then, described(&[]))));
    })
    .await;
}
