//! The whole site in this process, asked without a network: every layer, a fresh database, no broker.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Request, Response, StatusCode, header},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;
use unstuck::{
    broker::{BrokerConfig, Publisher, QueueType},
    domain::access::Scope,
    services::{
        accounts::Accounts,
        attachments::{Attachments, Quota},
        backlog::Backlog,
        lifecycle::Lifecycle,
        queues::QueueBook,
        relay::Relay,
        report_limits::{Rate, Rates, ReportLimits},
        submit::Submit,
        ticketing::Ticketing,
    },
    store::Lane,
    web::{
        self, BrokerPlace, Site,
        layout::Counts,
        links::{Link, LinkCause, LinkHealth, LinkName},
        live::Lookout,
        security::Origin,
        server::Limits,
    },
};

use super::store::TestStore;

/// How long a claim or heartbeat keeps an attempt alive on a test's site.
pub const LEASE: Duration = Duration::from_secs(30);

/// A site of the test's own.
pub struct TestSite {
    pub site: Arc<Site>,
    pub store: TestStore,
    /// Looks for changes when the test tells it to.
    pub lookout: Lookout,
    /// Where its attachments are.
    pub data_dir: TempDir,
    router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("an answer in UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The JSON of an answer that must have this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self.json()
    }
}

/// Rates that no test runs into by itself.
pub fn no_limits() -> Rates {
    let free = Rate {
        burst: 1_000_000,
        one_every: Duration::from_millis(1),
    };
    Rates {
        address: free,
        token: free,
        total: free,
        upload_kib: free,
    }
}

impl TestSite {
    pub async fn sqlite() -> Self {
        Self::on(TestStore::sqlite().await, true).await
    }

    pub async fn postgres() -> Self {
        Self::on(TestStore::postgres().await, true).await
    }

    /// A site on `store` whose broker can't be reached. `open_queues`: tasks may name new queues.
    pub async fn on(store: TestStore, open_queues: bool) -> Self {
        Self::build(store, open_queues, None, no_limits()).await
    }

    /// A site that people reach at `public_url`.
    pub async fn at(public_url: &str) -> Self {
        Self::build(TestStore::sqlite().await, true, Some(public_url), no_limits()).await
    }

    /// A site with these rates for reports.
    pub async fn with(store: TestStore, open_queues: bool, rates: Rates) -> Self {
        Self::build(store, open_queues, None, rates).await
    }

    async fn build(store: TestStore, open_queues: bool, public_url: Option<&str>, rates: Rates) -> Self {
        let data_dir = TempDir::new().expect("a folder");
        let attachments = Attachments::open(store.store.clone(), data_dir.path(), Quota::default()).await;
        let attachments = attachments.expect("a folder for attachments");
        let desk = Ticketing::open(store.store.clone(), attachments, ReportLimits::new(rates)).await;
        let public_url = public_url.map(|url| url.parse().expect("a URL"));
        let (lookout, changes) = Lookout::new(store.store.clone());
        let nowhere =
            BrokerConfig::parse("amqp://guest:guest@127.0.0.1:1/%2f", None).expect("a broker's URL");
        let publisher = Publisher::spawn(nowhere);
        let queues = QueueBook::new(store.store.clone(), QueueType::Quorum, open_queues);
        let relay = Relay::new(store.store.clone(), publisher.clone(), queues.clone());
        let acts = Lifecycle::spawn(store.store.clone(), Lane::Shared, LEASE);
        let listen: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        let links = || {
            let detail = Some("nobody listens there <b>".to_owned());
            vec![
                Link::up(LinkName::Database),
                Link::not_up(
                    LinkName::Publisher,
                    LinkHealth::Down,
                    LinkCause::Unreachable,
                    detail,
                ),
                Link::not_up(
                    LinkName::Management,
                    LinkHealth::Unknown,
                    LinkCause::Unasked,
                    None,
                ),
            ]
        };
        let site = Arc::new(Site {
            store: store.store.clone(),
            accounts: Accounts::new(store.store.clone(), None),
            origin: Arc::new(Origin::new(public_url, listen, None, Vec::new())),
            submit: Submit::spawn(store.store.clone(), acts, queues, relay, Backlog::new(100_000)),
            work: Lifecycle::spawn(store.store.clone(), Lane::Reserved, LEASE),
            publisher: publisher.link(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            links: Arc::new(links),
            counts: watch::channel(Counts::default()).1,
            desk: desk.expect("a desk"),
            webhook_host: Some("hooks.example".into()),
            changes,
            numbers_fresh_for: Duration::from_secs(15),
            broker: BrokerPlace {
                vhost: "/".into(),
                guest_over_network: false,
            },
        });
        let router = web::router(site.clone(), Limits::default());
        Self {
            site,
            store,
            lookout,
            data_dir,
            router,
        }
    }

    /// A new token with these scopes.
    pub async fn token(&self, scopes: &[Scope]) -> String {
        let made = self
            .site
            .accounts
            .create_token("system", "test", scopes, None)
            .await;
        made.expect("a token").secret
    }

    /// Sends a request from this machine.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from("127.0.0.1:50000", request).await
    }

    /// Sends a request as if it came from `peer`. A missing Host is added.
    pub async fn send_from(&self, peer: &str, request: Request<Body>) -> Answer {
        let (parts, body) = self.begin(peer, request).await.into_parts();
        let body = to_bytes(body, 64 * 1024 * 1024).await.expect("a whole body");
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_vec(),
        }
    }

    /// The same, as far as the answer's head.
    pub async fn begin(&self, peer: &str, mut request: Request<Body>) -> Response<Body> {
        let peer: SocketAddr = peer.parse().expect("an address");
        request.extensions_mut().insert(ConnectInfo(peer));
        request
            .headers_mut()
            .entry(header::HOST)
            .or_insert(header::HeaderValue::from_static("localhost:8080"));
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Ends the site and its database.
    pub async fn close(self) {
        drop((self.site, self.router));
        self.store.close().await;
    }
}
