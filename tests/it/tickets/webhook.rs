//! The webhook: delivered, signed, tried again, given up, sent again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use unstuck::{
    domain::audit::AuditEntry,
    services::webhook::{Tally, Webhook, WebhookError},
    store::Store,
};

use crate::support::store::{TestClock, TestStore, each_store};

/// What a receiver was sent, and what it answers next (200 when nothing is left).
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> (Self, String) {
        let receiver = Self {
            answers: Arc::new(Mutex::new(answers.to_vec())),
            ..Self::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!(
            "http://{}/hook?token=s3cret",
            listener.local_addr().expect("an address")
        );
        let routes = Router::new().fallback(Self::take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
        (receiver, url)
    }

    async fn take(State(receiver): State<Self>, headers: HeaderMap, body: Bytes) -> Response {
        let body = serde_json::from_slice(&body).expect("JSON");
        receiver.got.lock().expect("a lock").push((headers, body));
        let mut answers = receiver.answers.lock().expect("a lock");
        let status = if answers.is_empty() {
            200
        } else {
            answers.remove(0)
        };
        let status = StatusCode::from_u16(status).expect("a status");
        (status, [(header::LOCATION, "/elsewhere")], "no such hook").into_response()
    }

    fn got(&self) -> Vec<(HeaderMap, Value)> {
        self.got.lock().expect("a lock").clone()
    }
}

fn audit(action: &str) -> AuditEntry {
    AuditEntry::new("user:s@b.example", action, "webhook", "")
}

fn sender(store: &Store, url: &str, secret: Option<&str>) -> Webhook {
    Webhook::new(store.clone(), url.parse().expect("a URL"), secret).expect("a sender")
}

#[tokio::test]
async fn a_delivery_arrives_once_signed_and_is_noted() {
    each_store(async |store: Store, _: TestClock| {
        let (receiver, url) = Receiver::start(&[]).await;
        let secret = format!("whsec_{}", BASE64_STANDARD.encode([9u8; 32]));
        let webhook = sender(&store, &url, Some(&secret));
        store.enqueue_test(&audit("test")).await.expect("enqueued");
        assert_eq!(
            webhook.tick().await.expect("sent"),
            Tally {
                delivered: 1,
                ..Tally::default()
            }
        );
        assert_eq!(webhook.tick().await.expect("nothing left"), Tally::default());
        let got = receiver.got();
        assert_eq!(got.len(), 1);
        let (headers, body) = &got[0];
        assert_eq!(body["type"], "test");
        assert_eq!(body["data"], json!({ "by": "user:s@b.example" }));
        let of = |name: &str| headers[name].to_str().expect("text").to_owned();
        let mut mac = Hmac::<Sha256>::new_from_slice(&[9; 32]).expect("a key");
        mac.update(format!("{}.{}.{body}", of("webhook-id"), of("webhook-timestamp")).as_bytes());
        let expected = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(of("webhook-signature"), format!("v1,{expected}"));
        let delivery = store.deliveries(None, 10).await.expect("listed").remove(0);
        assert_eq!((delivery.tries, delivery.last_status), (1, Some(200)));
        assert!(delivery.delivered_at.is_some() && delivery.next_try_at.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_refused_delivery_is_tried_again_with_the_same_id_and_no_redirect_is_followed() {
    each_store(async |store: Store, clock: TestClock| {
        let (receiver, url) = Receiver::start(&[500, 307]).await;
        let webhook = sender(&store, &url, None);
        store.enqueue_test(&audit("test")).await.expect("enqueued");
        let failed = Tally {
            failed: 1,
            ..Tally::default()
        };
        for (wait_s, error) in [
            (6, "answered 500: no such hook"),
            (
                34,
                "answered 307: redirects are not followed, set the final address",
            ),
        ] {
            assert_eq!(webhook.tick().await.expect("sent"), failed);
            assert_eq!(webhook.tick().await.expect("not due yet"), Tally::default());
            let delivery = store.deliveries(None, 10).await.expect("listed").remove(0);
            assert_eq!(delivery.last_error.as_deref(), Some(error));
            clock.advance(Duration::from_secs(wait_s));
        }
        assert_eq!(
            webhook.tick().await.expect("sent"),
            Tally {
                delivered: 1,
                ..Tally::default()
            }
        );
        let ids: Vec<_> = receiver
            .got()
            .iter()
            .map(|(headers, _)| headers["webhook-id"].clone())
            .collect();
        assert_eq!(ids.len(), 3);
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert!(
            receiver.got()[0].0.get("webhook-signature").is_none(),
            "no secret, no signature"
        );
        let delivery = store.deliveries(None, 10).await.expect("listed").remove(0);
        assert_eq!(
            (delivery.tries, delivery.last_status, delivery.last_error),
            (3, Some(200), None)
        );
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_receiver_is_given_up_after_a_day_and_can_be_sent_again() {
    each_store(async |store: Store, clock: TestClock| {
        let webhook = sender(&store, "http://127.0.0.1:1/?token=s3cret", None);
        store.enqueue_test(&audit("test")).await.expect("enqueued");
        let mut tries = 0;
        loop {
            let tally = webhook.tick().await.expect("tried");
            tries += tally.failed;
            if tally.given_up == 1 {
                break;
            }
            assert!(tries < 20, "never given up");
            clock.advance(Duration::from_secs(9 * 3600));
        }
        let delivery = store.deliveries(None, 10).await.expect("listed").remove(0);
        assert!(delivery.next_try_at.is_none() && delivery.delivered_at.is_none());
        let error = delivery.last_error.expect("a reason");
        assert!(
            error.contains("can't be reached") && !error.contains("s3cret"),
            "{error}"
        );
        clock.advance(Duration::from_secs(30 * 3600));
        assert_eq!(webhook.tick().await.expect("nothing due"), Tally::default());
        let (_, url) = Receiver::start(&[]).await;
        assert!(
            store
                .send_again(delivery.id, &audit("send_again"))
                .await
                .expect("due again")
        );
        let webhook = sender(&store, &url, None);
        assert_eq!(
            webhook.tick().await.expect("sent"),
            Tally {
                delivered: 1,
                ..Tally::default()
            }
        );
        assert!(
            !store
                .send_again(uuid::Uuid::now_v7(), &audit("send_again"))
                .await
                .expect("answered")
        );
    })
    .await;
}

#[tokio::test]
async fn two_senders_never_take_the_same_delivery() {
    each_store(async |store: Store, _: TestClock| {
        let (receiver, url) = Receiver::start(&[]).await;
        for _ in 0..30 {
            store.enqueue_test(&audit("test")).await.expect("enqueued");
        }
        let [one, other] = [sender(&store, &url, None), sender(&store, &url, None)];
        let mut delivered = 0;
        while delivered < 30 {
            let (first, second) = tokio::join!(one.tick(), other.tick());
            let sum = first.expect("sent").delivered + second.expect("sent").delivered;
            assert!(sum > 0, "{delivered} of 30 delivered, and nothing more is due");
            delivered += sum;
        }
        assert_eq!(receiver.got().len(), 30);
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_never_answers_fails_within_seconds() {
    let test = TestStore::sqlite().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let webhook = sender(&test.store, &url, None);
    test.store.enqueue_test(&audit("test")).await.expect("enqueued");
    let began = std::time::Instant::now();
    assert_eq!(webhook.tick().await.expect("tried").failed, 1);
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    let error = test
        .store
        .deliveries(None, 1)
        .await
        .expect("listed")
        .remove(0)
        .last_error;
    assert_eq!(error.as_deref(), Some("no answer within 5 s"));
    test.close().await;
}

#[tokio::test]
async fn a_url_that_no_webhook_has_is_refused() {
    let test = TestStore::sqlite().await;
    for url in [
        "ftp://host/",
        "file:///etc/passwd",
        "http://user:pass@host/",
        "mailto:a@b.example",
    ] {
        let made = Webhook::new(test.store.clone(), url.parse().expect("a URL"), None);
        assert!(matches!(made, Err(WebhookError::Url)), "{url}");
    }
    test.close().await;
}
