//! A real RabbitMQ, seen from outside: what a test does to it, and what it checks there without Unstuck's code.

use std::time::Duration;

use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use unstuck::broker::BrokerConfig;

use super::wait::eventually;

/// The shared broker's AMQP URL.
pub fn amqp_url() -> String {
    from_environment("UNSTUCK_TEST_AMQP_URL")
}

/// The shared broker's management URL.
pub fn management_url() -> String {
    from_environment("UNSTUCK_TEST_MANAGEMENT_URL")
}

fn from_environment(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: `make test` starts a RabbitMQ node and sets it"))
}

/// The shared broker.
pub fn config() -> BrokerConfig {
    BrokerConfig::parse(&amqp_url(), Some(&management_url())).expect("the test URLs are right")
}

/// A name nobody else uses.
pub fn unique(name: &str) -> String {
    format!("it.{name}.{}", uuid::Uuid::new_v4().simple())
}

/// A client of the broker that is not Unstuck's.
pub struct Outside {
    connection: Connection,
}

impl Outside {
    pub async fn connect() -> Self {
        Self::connect_to(&amqp_url()).await
    }

    pub async fn connect_to(amqp_url: &str) -> Self {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default());
        let connection = tokio::time::timeout(Duration::from_secs(10), connection).await;
        Self {
            connection: connection
                .expect("the test broker answers")
                .expect("the test broker lets us in"),
        }
    }

    pub async fn channel(&self) -> Channel {
        self.connection.create_channel().await.expect("a channel")
    }

    /// Declares a durable queue with these arguments.
    pub async fn declare(&self, queue: &str, arguments: &[(&str, AMQPValue)]) {
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), value.clone());
        }
        let options = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        self.channel()
            .await
            .queue_declare(queue.into(), options, table)
            .await
            .expect("declared");
    }

    pub async fn publish(&self, queue: &str, properties: BasicProperties, body: &[u8]) {
        let channel = self.channel().await;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .expect("confirms");
        let sent = channel
            .basic_publish(
                "".into(),
                queue.into(),
                BasicPublishOptions::default(),
                body,
                properties,
            )
            .await;
        sent.expect("sent").await.expect("confirmed");
    }

    /// Ready messages and consumers; None when there is no such queue.
    pub async fn look(&self, queue: &str) -> Option<(u32, u32)> {
        let passive = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let seen = self
            .channel()
            .await
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await
            .ok()?;
        Some((seen.message_count(), seen.consumer_count()))
    }

    /// Waits until the queue holds that many ready messages.
    pub async fn until_ready(&self, queue: &str, count: u32) {
        eventually(
            Duration::from_secs(15),
            &format!("{queue} has {count} ready messages"),
            async || (self.look(queue).await?.0 == count).then_some(()),
        )
        .await;
    }

    /// Takes one message away; None when the queue is empty.
    pub async fn take(&self, queue: &str) -> Option<(BasicProperties, Vec<u8>)> {
        let got = self
            .channel()
            .await
            .basic_get(queue.into(), BasicGetOptions { no_ack: true })
            .await
            .expect("got")?;
        Some((got.delivery.properties.clone(), got.delivery.data.clone()))
    }

    /// Takes one message and refuses it for good; None when the queue is empty.
    pub async fn reject(&self, queue: &str) -> Option<()> {
        self.return_first(queue, false).await
    }

    /// Takes one message and gives it back; None when the queue is empty.
    pub async fn give_back(&self, queue: &str) -> Option<()> {
        self.return_first(queue, true).await
    }

    async fn return_first(&self, queue: &str, requeue: bool) -> Option<()> {
        let channel = self.channel().await;
        let got = channel
            .basic_get(queue.into(), BasicGetOptions { no_ack: false })
            .await
            .expect("got")?;
        let options = BasicRejectOptions { requeue };
        got.delivery.acker.reject(options).await.expect("rejected");
        channel.close(200, "done".into()).await.expect("closed");
        Some(())
    }

    pub async fn purge(&self, queue: &str) {
        self.channel()
            .await
            .queue_purge(queue.into(), QueuePurgeOptions::default())
            .await
            .expect("purged");
    }

    /// Deletes the queue and its dead-letter queue.
    pub async fn delete(&self, queue: &str) {
        for name in [queue, &format!("{queue}.dead")] {
            self.delete_only(name).await;
        }
    }

    /// Deletes the queue with its messages; its consumers are cancelled.
    pub async fn delete_only(&self, queue: &str) {
        self.channel()
            .await
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await
            .expect("deleted");
    }
}
