//! Open pages hear of changes.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::{Method, Response, header},
};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use unstuck::domain::access::Role;

use crate::support::{browser::Browser, site::TestSite};

const PATIENCE: Duration = Duration::from_secs(20);

async fn listen(site: &TestSite, browser: &Browser<'_>) -> Response<Body> {
    site.begin(browser.peer, browser.request(Method::GET, "/admin/live", None))
        .await
}

/// The next event's name; `None` when the stream has ended. An event without data would never reach a page's script.
async fn heard(stream: &mut BodyDataStream) -> Option<String> {
    let frame = timeout(PATIENCE, stream.next())
        .await
        .expect("an event or the end")?
        .expect("no error");
    let text = String::from_utf8(frame.to_vec()).expect("text");
    assert!(
        text.lines()
            .any(|line| line.strip_prefix("data: ").is_some_and(|data| !data.is_empty())),
        "{text:?}"
    );
    text.lines()
        .find_map(|line| line.strip_prefix("event: "))
        .map(str::to_owned)
}

#[tokio::test]
async fn a_change_is_told_and_nothing_is_told_without_one() {
    let site = TestSite::sqlite().await;
    let browser = Browser::signed_in(&site, Role::Viewer).await;
    let response = listen(&site, &browser).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    assert_eq!(
        heard(&mut stream).await.as_deref(),
        Some("beat"),
        "it begins with a sign of life"
    );
    assert!(
        site.lookout.tick().await.expect("looked"),
        "the first look finds everything new"
    );
    assert_eq!(heard(&mut stream).await.as_deref(), Some("changed"));
    assert!(!site.lookout.tick().await.expect("looked"));
    site.site
        .accounts
        .create_token("system", "ci", &[], None)
        .await
        .expect("an audited act");
    assert!(site.lookout.tick().await.expect("looked"));
    assert_eq!(heard(&mut stream).await.as_deref(), Some("changed"));
    drop(stream);
    assert!(
        !site.lookout.tick().await.expect("looked"),
        "nobody listens, nobody looks"
    );
    site.close().await;
}

#[tokio::test]
async fn a_thousand_pages_that_read_nothing_hold_one_change_each_however_many_there_were() {
    let site = TestSite::sqlite().await;
    let mut browser = Browser::signed_in(&site, Role::Viewer).await;
    let mut deaf = Vec::new();
    for _ in 0..1000 {
        deaf.push(listen(&site, &browser).await.into_body().into_data_stream());
    }
    for stream in &mut deaf {
        assert_eq!(heard(stream).await.as_deref(), Some("beat"));
    }
    for change in 0..20 {
        let token = format!("ci-{change}");
        site.site
            .accounts
            .create_token("system", &token, &[], None)
            .await
            .expect("an audited act");
        assert!(
            site.lookout.tick().await.expect("looked"),
            "one look serves them all"
        );
    }
    let page = browser.get("/admin").await;
    assert_eq!(page.status, 200, "who reads is served meanwhile");
    for stream in &mut deaf {
        assert_eq!(heard(stream).await.as_deref(), Some("changed"));
    }
    for stream in &mut deaf {
        let more = timeout(Duration::from_millis(1), stream.next()).await;
        assert!(more.is_err(), "nothing was kept for it: {more:?}");
    }
    drop(deaf);
    site.close().await;
}

#[tokio::test]
async fn nobody_listens_without_a_session() {
    let site = TestSite::sqlite().await;
    let response = listen(&site, &Browser::new(&site)).await;
    assert_eq!(response.status(), 303);
    site.close().await;
}

#[tokio::test]
async fn the_stream_ends_when_the_server_stops_looking() {
    let site = TestSite::sqlite().await;
    let browser = Browser::signed_in(&site, Role::Viewer).await;
    let mut stream = listen(&site, &browser).await.into_body().into_data_stream();
    assert_eq!(heard(&mut stream).await.as_deref(), Some("beat"));
    drop(site.lookout);
    assert_eq!(heard(&mut stream).await, None);
}
