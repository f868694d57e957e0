//! What a connection says when it can't be, and how it comes back.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use unstuck::broker::{BrokerConfig, DownCause, LinkState, Publisher, QueueSpec, QueueType};

use crate::support::broker::{amqp_url, management_url};
use crate::support::chaos::Chaos;
use crate::support::node::Node;
use crate::support::stub_http::{Answer, serve};

fn publisher(amqp_url: &str) -> Publisher {
    Publisher::spawn(BrokerConfig::parse(amqp_url, Some(&management_url())).unwrap())
}

async fn until(publisher: &Publisher, deadline: Duration, what: impl FnMut(&LinkState) -> bool) -> LinkState {
    let mut link = publisher.link();
    let found = timeout(deadline, link.wait_for(what)).await;
    found
        .unwrap_or_else(|_| panic!("the link stayed {:?}", *publisher.link().borrow()))
        .unwrap()
        .clone()
}

async fn until_down(publisher: &Publisher) -> (DownCause, String) {
    let down = until(publisher, Duration::from_secs(10), |state| {
        matches!(state, LinkState::Down { .. })
    })
    .await;
    let LinkState::Down { cause, detail, .. } = down else {
        unreachable!()
    };
    (cause, detail)
}

fn with_password(url: &str, user: &str, password: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some(password)).unwrap();
    url.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_is_told_without_credentials_and_tried_once_a_second_at_most() {
    let chaos = Chaos::before(&amqp_url()).await;
    let publisher = publisher(&with_password(&chaos.url(&amqp_url()), "somebody", "hunter2"));
    let (cause, detail) = until_down(&publisher).await;
    assert_eq!(cause, DownCause::AccessRefused);
    assert!(
        !detail.contains("somebody") && !detail.contains("hunter2"),
        "{detail}"
    );
    let began = Instant::now();
    let before = chaos.connections();
    until(&publisher, Duration::from_secs(20), |state| {
        matches!(state, LinkState::Down { attempts: 3.., .. })
    })
    .await;
    let tries = chaos.connections() - before;
    assert!(
        f64::from(tries) <= began.elapsed().as_secs_f64() + 1.0,
        "{tries} tries in {:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_virtual_host_is_named() {
    let mut url = url::Url::parse(&amqp_url()).unwrap();
    url.set_path("/nowhere");
    let (cause, detail) = until_down(&publisher(url.as_str())).await;
    assert_eq!(cause, DownCause::VhostNotFound);
    assert!(detail.contains("'nowhere'"), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_a_broker_is_told_apart_from_one_with_something_else() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(
        until_down(&publisher(&format!("amqp://{free}"))).await.0,
        DownCause::Unreachable
    );
    assert_eq!(
        until_down(&publisher("amqp://host.invalid")).await.0,
        DownCause::Unreachable
    );

    let other = serve(Answer::http("400 Bad Request", "", "no"))
        .await
        .replace("http://", "amqp://");
    assert_eq!(until_down(&publisher(&other)).await.0, DownCause::ProtocolError);
    let other_version = serve(Answer::Bytes(b"AMQP\x00\x01\x00\x00".to_vec()))
        .await
        .replace("http://", "amqp://");
    assert_eq!(
        until_down(&publisher(&other_version)).await.0,
        DownCause::ProtocolError
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_never_answers_costs_one_connection_at_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let publisher = publisher(&format!("amqp://{}", listener.local_addr().unwrap()));
    for attempt in 1..=3 {
        let (mut socket, _) = timeout(Duration::from_secs(10), listener.accept())
            .await
            .expect("another try")
            .unwrap();
        let began = Instant::now();
        let mut heard = Vec::new();
        timeout(Duration::from_secs(6), socket.read_to_end(&mut heard))
            .await
            .expect("it hangs up")
            .unwrap();
        assert!(heard.starts_with(b"AMQP"), "try {attempt}: {heard:?}");
        assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
        assert_eq!(until_down(&publisher).await.0, DownCause::Timeout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotated_credentials_and_a_deleted_virtual_host_are_survived() {
    let node = Node::start(&[]).await;
    node.ctl(&["add_user", "app", "first"]).await;
    node.ctl(&["set_permissions", "app", ".*", ".*", ".*"]).await;
    let url = with_password(&node.amqp_url().await, "app", "first");
    let config = BrokerConfig::parse(&url, Some(&node.management_url().await))
        .unwrap()
        .named("the-name");
    let publisher = Publisher::spawn(config);
    until(&publisher, Duration::from_secs(10), LinkState::is_connected).await;
    let seen = node
        .ctl(&["list_connections", "--silent", "timeout", "client_properties"])
        .await;
    assert!(
        seen.starts_with("10\t") && seen.contains("the-name"),
        "heartbeat and name: {seen}"
    );

    node.ctl(&["change_password", "app", "second"]).await;
    node.ctl(&["close_all_connections", "rotated"]).await;
    let refused = |state: &LinkState| {
        matches!(
            state,
            LinkState::Down {
                cause: DownCause::AccessRefused,
                ..
            }
        )
    };
    until(&publisher, Duration::from_secs(10), refused).await;
    node.ctl(&["change_password", "app", "first"]).await;
    until(&publisher, Duration::from_secs(10), LinkState::is_connected).await;

    node.ctl(&["clear_permissions", "app"]).await;
    let refused = publisher.declare(&QueueSpec::new("q", QueueType::Quorum)).await;
    assert!(refused.is_err(), "declared without permission");
    node.ctl(&["set_permissions", "app", ".*", ".*", ".*"]).await;

    node.ctl(&["delete_vhost", "/"]).await;
    let missing = |state: &LinkState| {
        matches!(
            state,
            LinkState::Down {
                cause: DownCause::VhostNotFound,
                ..
            }
        )
    };
    until(&publisher, Duration::from_secs(10), missing).await;
    node.ctl(&["add_vhost", "/"]).await;
    node.ctl(&["set_permissions", "app", ".*", ".*", ".*"]).await;
    until(&publisher, Duration::from_secs(10), LinkState::is_connected).await;
    publisher
        .declare(&QueueSpec::new("q", QueueType::Quorum))
        .await
        .unwrap();
}
