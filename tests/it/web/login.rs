//! Signing in, staying, and signing out.

use std::time::Duration;

use axum::http::{Method, header};
use unstuck::domain::access::Role;

use crate::support::{
    browser::{Browser, PASSWORD},
    site::{Answer, TestSite},
};

fn cookies(answer: &Answer) -> Vec<&str> {
    answer
        .headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect()
}

fn location(answer: &Answer) -> &str {
    answer
        .headers
        .get(header::LOCATION)
        .and_then(|path| path.to_str().ok())
        .unwrap_or_default()
}

async fn site_with_owner() -> TestSite {
    let site = TestSite::sqlite().await;
    let added = site
        .site
        .accounts
        .add_user("system", "owner@example.org", Role::Admin, Some(PASSWORD))
        .await;
    added.expect("added");
    site
}

#[tokio::test]
async fn the_right_password_opens_a_session_and_goes_where_one_wanted() {
    let site = site_with_owner().await;
    let mut browser = Browser::new(&site);
    let sent_away = browser.get("/admin/tasks?state=failed").await;
    assert_eq!(sent_away.status, 303);
    assert_eq!(
        location(&sent_away),
        "/login?next=%2Fadmin%2Ftasks%3Fstate%3Dfailed"
    );
    assert!(
        browser
            .get(location(&sent_away))
            .await
            .text()
            .contains("value=\"/admin/tasks?state=failed\"")
    );
    let form = [
        ("email", " Owner@Example.org "),
        ("password", PASSWORD),
        ("next", "/admin/tasks?state=failed"),
    ];
    let entered = browser.post("/login", &form).await;
    assert_eq!(
        (entered.status.as_u16(), location(&entered)),
        (303, "/admin/tasks?state=failed")
    );
    let line = cookies(&entered)
        .into_iter()
        .find(|line| line.starts_with("unstuck_session="))
        .expect("a session");
    assert!(
        line.contains("HttpOnly") && line.contains("SameSite=Lax") && line.contains("Path=/;"),
        "{line}"
    );
    assert_eq!(browser.get("/admin/tasks").await.status, 200);
    assert_eq!(
        browser.get("/login").await.status,
        303,
        "whoever is in needs no door"
    );
    site.close().await;
}

#[tokio::test]
async fn a_login_never_leads_to_another_site() {
    let site = site_with_owner().await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
    ] {
        let mut browser = Browser::new(&site);
        let form = [
            ("email", "owner@example.org"),
            ("password", PASSWORD),
            ("next", next),
        ];
        assert_eq!(location(&browser.post("/login", &form).await), "/admin", "{next}");
    }
    site.close().await;
}

#[tokio::test]
async fn unknown_mistyped_and_disabled_look_the_same() {
    let site = site_with_owner().await;
    let accounts = &site.site.accounts;
    accounts
        .add_user("system", "gone@example.org", Role::Viewer, Some(PASSWORD))
        .await
        .expect("added");
    accounts
        .disable_user("system", "gone@example.org")
        .await
        .expect("disabled");
    let mut pages = Vec::new();
    for (email, password) in [
        ("nobody@example.org", PASSWORD),
        ("owner@example.org", "not it"),
        ("gone@example.org", PASSWORD),
    ] {
        let mut browser = Browser::new(&site);
        let answer = browser.log_in(email, password).await;
        assert_eq!(answer.status, 422);
        assert!(cookies(&answer).is_empty());
        pages.push(answer.text().replace(email, "—"));
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
    assert!(pages[0].contains("role=\"alert\""));
    site.close().await;
}

#[tokio::test]
async fn guessing_is_slowed_and_the_owner_still_gets_in() {
    let site = site_with_owner().await;
    let mut owner = Browser::new(&site);
    owner.log_in("owner@example.org", PASSWORD).await;
    owner.post("/logout", &[]).await;
    let mut guesser = Browser::new(&site);
    guesser.peer = "203.0.113.9:50000";
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(guesser.log_in("owner@example.org", "a guess of many words").await);
    }
    let slowed: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!slowed.is_empty());
    assert!(slowed[0].headers.contains_key(header::RETRY_AFTER));
    let mut stranger = Browser::new(&site);
    stranger.peer = "203.0.113.10:50000";
    let answer = stranger
        .log_in("owner@example.org", "another guess of words")
        .await;
    assert_eq!(answer.status, 429, "another address shares the account's limit");
    assert_eq!(
        owner.log_in("owner@example.org", PASSWORD).await.status,
        303,
        "a known device has its own"
    );
    site.close().await;
}

#[tokio::test]
async fn a_session_ends_for_good_at_logout_and_when_idle() {
    let site = site_with_owner().await;
    let mut browser = Browser::new(&site);
    browser.log_in("owner@example.org", PASSWORD).await;
    let stolen = browser.cookies.clone();
    let left = browser.post("/logout", &[]).await;
    assert_eq!((left.status.as_u16(), location(&left)), (303, "/login"));
    assert!(left.headers.contains_key("clear-site-data"));
    assert!(
        browser
            .get("/login")
            .await
            .text()
            .contains("You have signed out.")
    );
    assert!(
        !browser
            .get("/login")
            .await
            .text()
            .contains("You have signed out."),
        "a flash shows once"
    );
    browser.cookies = stolen;
    assert_eq!(browser.get("/admin/tasks").await.status, 303);
    browser.log_in("owner@example.org", PASSWORD).await;
    site.store.clock.advance(Duration::from_secs(31 * 60));
    assert_eq!(browser.get("/admin/tasks").await.status, 303);
    site.close().await;
}

#[tokio::test]
async fn a_page_that_renews_itself_keeps_no_absent_reader_signed_in() {
    let site = site_with_owner().await;
    let mut browser = Browser::new(&site);
    browser.log_in("owner@example.org", PASSWORD).await;
    for (sight, status) in [("active", 200), ("idle", 200), ("idle", 303)] {
        site.store.clock.advance(Duration::from_secs(20 * 60));
        let mut request = browser.request(Method::GET, "/admin/tasks", None);
        request
            .headers_mut()
            .insert("x-live", sight.parse().expect("a value"));
        assert_eq!(site.send(request).await.status, status, "{sight}");
    }
    site.close().await;
}

#[tokio::test]
async fn without_a_session_a_form_is_refused_and_nothing_is_kept_for_later() {
    let site = site_with_owner().await;
    let mut browser = Browser::new(&site);
    let answer = browser
        .post("/admin/tasks/act", &[("id", "1"), ("action", "cancel")])
        .await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.text().contains("Your session has ended"),
        "{}",
        answer.text()
    );
    site.close().await;
}

#[tokio::test]
async fn over_https_the_cookies_are_bound_to_the_host_and_a_lost_one_is_explained() {
    let site = TestSite::at("https://unstuck.example").await;
    let added = site
        .site
        .accounts
        .add_user("system", "owner@example.org", Role::Admin, Some(PASSWORD))
        .await;
    added.expect("added");
    let mut browser = Browser::new(&site);
    let entered = browser.log_in("owner@example.org", PASSWORD).await;
    let lines = cookies(&entered);
    let session = lines
        .iter()
        .find(|line| line.starts_with("__Host-unstuck="))
        .expect("a session");
    assert!(
        session.contains("; Secure") && session.contains("Path=/;") && !session.contains("Domain"),
        "{session}"
    );
    // Over plain HTTP a browser drops what is Secure.
    browser.cookies.retain(|name, _| {
        lines
            .iter()
            .any(|line| line.starts_with(name.as_str()) && !line.contains("Secure"))
    });
    let sent_back = browser.get("/admin/tasks").await;
    let page = browser.get(location(&sent_back)).await.text();
    assert!(
        page.contains("https://unstuck.example/login") && page.contains("plain HTTP"),
        "{page}"
    );
    site.close().await;
}

#[tokio::test]
async fn a_chosen_language_stays_with_browser_and_account() {
    let site = site_with_owner().await;
    let mut browser = Browser::new(&site);
    browser.language = "zh-CN,zh;q=0.9";
    assert!(
        browser.get("/login").await.text().contains("lang=\"zh-CN\">"),
        "as the browser asks"
    );
    let chosen = browser
        .post("/lang", &[("lang", "en"), ("next", "/login?next=/admin")])
        .await;
    assert_eq!(
        (chosen.status.as_u16(), location(&chosen)),
        (303, "/login?next=/admin")
    );
    assert!(browser.get("/login").await.text().contains("<html lang=\"en\">"));
    browser.log_in("owner@example.org", PASSWORD).await;
    browser.post("/lang", &[("lang", "zh-CN")]).await;
    let mut elsewhere = Browser::new(&site);
    elsewhere.log_in("owner@example.org", PASSWORD).await;
    assert!(
        elsewhere
            .get("/admin/tasks")
            .await
            .text()
            .contains("<html lang=\"zh-CN\">"),
        "as the account says"
    );
    assert_eq!(browser.post("/lang", &[("lang", "xx")]).await.status, 400);
    site.close().await;
}

#[tokio::test]
async fn the_first_administrator_is_made_once_and_may_have_a_short_configured_password() {
    let site = TestSite::sqlite().await;
    let accounts = &site.site.accounts;
    assert!(
        accounts
            .first_administrator(Some("a@example.org"), Some("short"))
            .await
            .is_err()
    );
    let added = accounts
        .first_administrator(Some("a@example.org"), Some("8 chars!"))
        .await
        .expect("made");
    assert_eq!(added.expect("the first").password, None);
    assert_eq!(
        accounts.first_administrator(None, None).await.expect("looked"),
        None
    );
    assert_eq!(
        Browser::new(&site)
            .log_in("a@example.org", "8 chars!")
            .await
            .status,
        303
    );
    site.close().await;
}

#[tokio::test]
async fn a_reset_password_ends_sessions_and_lets_in_again() {
    let site = site_with_owner().await;
    let mut browser = Browser::new(&site);
    browser.log_in("owner@example.org", PASSWORD).await;
    let made = site
        .site
        .accounts
        .reset_password("system", "owner@example.org")
        .await
        .expect("reset");
    assert_eq!(browser.get("/admin/tasks").await.status, 303);
    assert_eq!(browser.log_in("owner@example.org", PASSWORD).await.status, 422);
    assert_eq!(browser.log_in("owner@example.org", &made).await.status, 303);
    site.close().await;
}

#[tokio::test]
async fn one_s_own_password_is_changed_with_the_present_one_and_ends_every_session() {
    let site = site_with_owner().await;
    let mut browser = Browser::new(&site);
    browser.log_in("owner@example.org", PASSWORD).await;
    let change = "/admin/account/password";
    let wrong = browser
        .post(
            change,
            &[("present", "not it"), ("new", "other words to remember")],
        )
        .await;
    assert!(
        wrong.status == 422 && wrong.text().contains("not your present password"),
        "{}",
        wrong.text()
    );
    let short = browser
        .post(change, &[("present", PASSWORD), ("new", "too short")])
        .await;
    assert!(
        short.status == 422 && short.text().contains("at least 15"),
        "{}",
        short.text()
    );
    let done = browser
        .post(
            change,
            &[("present", PASSWORD), ("new", "other words to remember")],
        )
        .await;
    assert_eq!((done.status.as_u16(), location(&done)), (303, "/login"));
    assert_eq!(browser.get("/admin/account").await.status, 303);
    assert_eq!(browser.log_in("owner@example.org", PASSWORD).await.status, 422);
    assert_eq!(
        browser
            .log_in("owner@example.org", "other words to remember")
            .await
            .status,
        303
    );
    site.close().await;
}

#[tokio::test]
async fn one_s_other_sessions_can_be_ended() {
    let site = site_with_owner().await;
    let (mut here, mut there) = (Browser::new(&site), Browser::new(&site));
    for browser in [&mut here, &mut there] {
        browser.log_in("owner@example.org", PASSWORD).await;
    }
    assert!(
        here.get("/admin/account")
            .await
            .text()
            .contains("Sign out everywhere else")
    );
    here.post("/admin/account/sessions/end", &[]).await;
    assert!(
        here.get("/admin/account")
            .await
            .text()
            .contains("One other session is ended.")
    );
    assert_eq!(there.get("/admin/account").await.status, 303);
    site.close().await;
}
