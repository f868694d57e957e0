//! A policy of RabbitMQ for one queue.

use serde_json::{Value, json};

use super::{client::PATIENCE, wait::eventually};

/// The address of the policy that `queue` alone has.
fn address(management_url: &str, queue: &str) -> String {
    format!(
        "{}/api/policies/%2f/{queue}",
        management_url.trim_end_matches('/')
    )
}

/// Gives the queue, now or once it is there, this policy.
pub async fn set(management_url: &str, queue: &str, definition: Value) {
    let policy = json!({
        "pattern": format!("^{}$", queue.replace('.', "\\.")), "apply-to": "queues", "definition": definition,
    });
    let put = reqwest::Client::new()
        .put(address(management_url, queue))
        .json(&policy);
    let set = put.send().await.expect("answered");
    assert!(set.status().is_success(), "{}", set.status());
}

/// Waits until the queue has taken its policy on, which it does by itself.
pub async fn until_it_holds(management_url: &str, queue: &str) {
    let url = format!("{}/api/queues/%2f/{queue}", management_url.trim_end_matches('/'));
    let http = reqwest::Client::new();
    eventually(PATIENCE, "the policy holds", async || {
        let row = http.get(&url).send().await.ok()?.text().await.ok()?;
        let row: Value = serde_json::from_str(&row).ok()?;
        row["policy"].is_string().then_some(())
    })
    .await;
}

pub async fn delete(management_url: &str, queue: &str) {
    let deleted = reqwest::Client::new()
        .delete(address(management_url, queue))
        .send()
        .await;
    assert!(deleted.expect("answered").status().is_success());
}
