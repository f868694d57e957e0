//! Tells one URL of each incident that opens and closes.
//!
//! Deliveries are rows (`store::webhooks`), written with the change they tell of; here they are sent, signed the way of
//! Standard Webhooks (standardwebhooks.com), and tried again for a day. The URL is the operator's own, from the
//! configuration: no redirect and no proxy leads a delivery anywhere else.
//!
//! Besides `broker`, this is the only module that names `reqwest`: the receiver is no broker.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{StatusCode, Url, redirect};
use serde_json::json;
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    broker::tls,
    domain::{report::one_line, time::Time},
    store::{
        Store, StoreError,
        webhooks::{Delivery, TryFailure},
    },
};

/// A receiver that has not answered by then has failed.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many deliveries one pass takes, and how many of them are under way at once.
const BATCH: i64 = 20;
const AT_ONCE: usize = 4;
/// A delivery that was taken belongs to its sender for so long: more than a whole pass can last.
const LEASE: Duration = Duration::from_secs(60);
/// How often deliveries that are due are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// From its making to the last try.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// The waits after the first tries; from then on the last one.
const WAITS_S: [u64; 9] = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800];
/// How much of an answer that refuses is kept for the log, in characters.
const ANSWER_KEPT: usize = 200;

/// A setting of the webhook that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error(
        "the webhook's URL must begin with http:// or https:// and name a host, without user or password"
    )]
    Url,
    #[error("the webhook's secret begins with whsec_, so the rest of it must be base64 of 24 to 64 bytes")]
    Secret,
    #[error("no HTTPS client could be made")]
    Client,
}

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub delivered: usize,
    pub failed: usize,
    /// Of the failed ones, those that are not tried again.
    pub given_up: usize,
}

/// The sender. Any number of processes may run one.
pub struct Webhook {
    store: Store,
    client: reqwest::Client,
    url: Url,
    /// Signs; without it deliveries are sent unsigned.
    key: Option<Vec<u8>>,
}

impl Webhook {
    /// A sender to `url`. `secret` is `whsec_` and base64 (as Standard Webhooks writes it), or any other text.
    pub fn new(store: Store, url: Url, secret: Option<&str>) -> Result<Self, WebhookError> {
        let named = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
        if !named || !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookError::Url);
        }
        tls::install();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("unstuck/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| WebhookError::Client)?;
        Ok(Self {
            store,
            client,
            url,
            key: secret.map(key).transpose()?,
        })
    }

    /// Whom it sends to: the host alone, because the rest of the address may be a secret.
    pub fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    /// Sends what is due, until `stop`. A database that is away is asked again.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.tick().await {
                warn!(error = %error, "webhook deliveries could not be looked up");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Makes one pass: up to 20 deliveries that are due, the longest due first.
    ///
    /// A receiver gets a delivery at least once: one that it took but whose answer was lost comes again, with the
    /// same `webhook-id`. Errors: the database's; what was sent and could not be noted comes again.
    pub async fn tick(&self) -> Result<Tally, StoreError> {
        let taken = self.store.take_deliveries(LEASE, BATCH).await?;
        let mut results = stream::iter(taken)
            .map(|delivery| self.deliver(delivery))
            .buffer_unordered(AT_ONCE);
        let mut tally = Tally::default();
        while let Some(result) = results.next().await {
            let Tally {
                delivered,
                failed,
                given_up,
            } = result?;
            tally.delivered += delivered;
            tally.failed += failed;
            tally.given_up += given_up;
        }
        Ok(tally)
    }

    async fn deliver(&self, delivery: Delivery) -> Result<Tally, StoreError> {
        let now = self.store.now().await?;
        match self.send(&delivery, now).await {
            Ok(status) => {
                self.store.delivery_done(&delivery, status).await?;
                info!(delivery.id = %delivery.id, event = %delivery.event, "webhook delivered");
                Ok(Tally {
                    delivered: 1,
                    ..Tally::default()
                })
            }
            Err(failure) => {
                let next = next_try_at(&delivery, now, rand::random());
                self.store.delivery_failed(&delivery, &failure, next).await?;
                warn!(delivery.id = %delivery.id, event = %delivery.event, error = failure.error,
                    given_up = next.is_none(), "webhook not delivered");
                Ok(Tally {
                    failed: 1,
                    given_up: usize::from(next.is_none()),
                    ..Tally::default()
                })
            }
        }
    }

    /// Posts one delivery; the status of an answer that took it.
    async fn send(&self, delivery: &Delivery, now: Time) -> Result<i64, TryFailure> {
        let id = format!("msg_{}", delivery.id.simple());
        let timestamp = (now.ms() / 1000).to_string();
        let body = json!({ "type": delivery.event, "timestamp": delivery.created_at, "data": delivery.body })
            .to_string();
        let mut request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", &timestamp);
        if let Some(key) = &self.key {
            request = request.header("webhook-signature", signature(key, &id, &timestamp, &body));
        }
        let mut answer = request.body(body).send().await.map_err(|error| TryFailure {
            status: None,
            error: unanswered(&error).to_owned(),
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(i64::from(status.as_u16()));
        }
        let said = match answer.chunk().await {
            Ok(Some(chunk)) => {
                String::from_utf8_lossy(&chunk[..chunk.len().min(4 * ANSWER_KEPT)]).into_owned()
            }
            Ok(None) | Err(_) => String::new(),
        };
        Err(TryFailure {
            status: Some(i64::from(status.as_u16())),
            error: refused(status, &said),
        })
    }
}

/// Why there was no answer. Never the URL: it may carry a secret.
fn unanswered(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer within 5 s"
    } else if error.is_connect() {
        "the receiver can't be reached: its name is not known, nothing listens there, or TLS failed"
    } else {
        "the connection broke before an answer came"
    }
}

fn refused(status: StatusCode, said: &str) -> String {
    let said: String = one_line(said).chars().take(ANSWER_KEPT).collect();
    if status.is_redirection() {
        format!(
            "answered {}: redirects are not followed, set the final address",
            status.as_u16()
        )
    } else if said.is_empty() {
        format!("answered {}", status.as_u16())
    } else {
        format!("answered {}: {said}", status.as_u16())
    }
}

/// When a delivery that failed is tried again; `None` a day after its making. `jitter` is 0 to 1.
fn next_try_at(delivery: &Delivery, now: Time, jitter: f64) -> Option<Time> {
    let failed = usize::try_from(delivery.tries.max(1) - 1).unwrap_or(usize::MAX);
    let wait = Duration::from_secs(WAITS_S[failed.min(WAITS_S.len() - 1)]);
    let next = now + wait.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0));
    (next <= delivery.created_at + GIVE_UP_AFTER).then_some(next)
}

fn key(secret: &str) -> Result<Vec<u8>, WebhookError> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => match BASE64_STANDARD.decode(encoded) {
            Ok(key) if (24..=64).contains(&key.len()) => Ok(key),
            Ok(_) | Err(_) => Err(WebhookError::Secret),
        },
        None => Ok(secret.as_bytes().to_vec()),
    }
}

/// `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.
fn signature(key: &[u8], id: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::webhooks::WebhookEvent;

    fn delivery(tries: i64) -> Delivery {
        Delivery {
            id: Uuid::nil(),
            incident_id: Uuid::nil(),
            event: WebhookEvent::Opened,
            body: json!({}),
            created_at: Time::from_ms(0),
            next_try_at: None,
            tries,
            last_status: None,
            last_error: None,
            delivered_at: None,
        }
    }

    #[test]
    fn a_delivery_is_signed_as_standard_webhooks_says() {
        // The example of the specification (github.com/standard-webhooks/standard-webhooks, spec, "Signature scheme").
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a key");
        let body = r#"{"test": 2432232314}"#;
        assert_eq!(
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_delivery_is_tried_for_a_day_and_then_given_up() {
        let mut now = Time::from_ms(0);
        let mut tries = 1;
        while let Some(next) = next_try_at(&delivery(tries), now, 0.5) {
            assert!(next > now);
            now = next;
            tries += 1;
        }
        assert!((10..=12).contains(&tries), "{tries} tries");
        assert!(now.ms() > 12 * 3_600_000, "gave up after {} s", now.ms() / 1000);
        assert_eq!(
            next_try_at(&delivery(1), Time::from_ms(0), 0.5),
            Some(Time::from_ms(5000))
        );
        assert_eq!(
            next_try_at(&delivery(i64::MAX), Time::from_ms(86_400_000), 0.0),
            None
        );
    }

    #[test]
    fn a_secret_that_claims_to_be_base64_must_be() {
        assert_eq!(key("plain words"), Ok(b"plain words".to_vec()));
        assert_eq!(key("whsec_%%"), Err(WebhookError::Secret));
        assert_eq!(key("whsec_c2hvcnQ="), Err(WebhookError::Secret));
    }

    #[test]
    fn an_answer_is_noted_on_one_line_and_short() {
        let said = format!("no\r\nsuch\u{1b}[31m {}", "x".repeat(1000));
        let noted = refused(StatusCode::NOT_FOUND, &said);
        assert!(noted.starts_with("answered 404: no such [31m xxx"), "{noted}");
        assert!(noted.chars().count() < 230);
    }
}
