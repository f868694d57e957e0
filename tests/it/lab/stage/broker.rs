//! What others do to the broker behind the site's back, and what the broker itself shows.

use std::{any::Any, time::Duration};

use lapin::{
    options::{BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::Stage;
use crate::support::{client::PATIENCE, policy, wait::eventually};

impl Stage {
    pub async fn until_ready(&mut self, queue: &'static str, count: u64) {
        let queue = self.queue(queue);
        let count = u32::try_from(count).expect("few");
        self.outside().await.until_ready(&queue, count).await;
    }

    /// A worker in another language: it holds the message of the task of that label, has claimed it over HTTP, and
    /// beats until `let_go(label)`.
    pub async fn foreign_worker(&mut self, label: &'static str, queue: &'static str) {
        let name = format!("{label}-{}", uuid::Uuid::new_v4().simple());
        let consuming = self.consume(queue, &name, 1).await;
        let task = self.ids(label)[0].clone();
        eventually(PATIENCE, "it has the message", async || {
            let row = self.plant.outside().await.look(&self.queues[queue]).await?;
            (row.0 == 0).then_some(())
        })
        .await;
        let claim = json!({"worker": name, "claim_id": name, "dispatch": 1});
        self.act(label, "claim", claim).await.done();
        let client = self.client.clone();
        let beating = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            loop {
                ticks.tick().await;
                let path = format!("/api/v1/tasks/{task}/attempts/1/heartbeat");
                let answer = client
                    .call(reqwest::Method::POST, &path, None, Some(&json!({})))
                    .await;
                if answer.is_ok_and(|reply| reply.status == 409) {
                    break;
                }
            }
        });
        self.hold(label, (consuming, AbortOnDropHandle::new(beating)));
    }

    /// A consumer that takes up to `prefetch` messages and does nothing with them, for as long as it is held.
    pub async fn consume(&mut self, queue: &'static str, tag: &str, prefetch: u16) -> impl Any + use<> {
        let queue = self.queue(queue);
        let outside = self.outside().await;
        let channel = outside.channel().await;
        channel
            .basic_qos(prefetch, BasicQosOptions::default())
            .await
            .expect("a prefetch");
        let consumer = channel
            .basic_consume(
                queue.into(),
                tag.into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .expect("consuming");
        (consumer, channel, outside)
    }

    /// Publishes the task's message once more, as it was.
    pub async fn copy(&mut self, task: &str, queue: &'static str, copies: u64) {
        let queue = self.queue(queue);
        let outside = self.outside().await;
        for _ in 0..copies {
            let mut headers = FieldTable::default();
            headers.insert("x-dispatch".into(), AMQPValue::LongLongInt(1));
            let properties = lapin::BasicProperties::default()
                .with_delivery_mode(2)
                .with_headers(headers);
            outside.publish(&queue, properties, task.as_bytes()).await;
        }
    }

    /// Takes the first waiting message away for good, and gives its task.
    pub async fn steal(&mut self, queue: &'static str) -> String {
        let queue = self.queue(queue);
        let (_, body) = self.outside().await.take(&queue).await.expect("a message");
        String::from_utf8(body).expect("an id")
    }

    /// Gives the queue alone a policy, whether it is there yet or not.
    pub async fn set_policy(&mut self, queue: &'static str, definition: Value) {
        let queue = self.queue(queue);
        policy::set(self.plant.management_url(), &queue, definition).await;
    }

    pub async fn delete_policy(&mut self, queue: &'static str) {
        let queue = self.queue(queue);
        policy::delete(self.plant.management_url(), &queue).await;
    }

    /// Waits until the queue's dead-letter queue holds so many.
    pub async fn until_dead(&mut self, queue: &'static str, count: u32) {
        let dead = format!("{}.dead", self.queue(queue));
        self.outside().await.until_ready(&dead, count).await;
    }
}
