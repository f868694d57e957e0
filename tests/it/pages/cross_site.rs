//! A form that another site made a browser send changes nothing, whoever is signed in.

use axum::http::{HeaderName, HeaderValue, Method, header};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use unstuck::domain::access::Role;

use super::stage::furnish;
use crate::support::{browser::Browser, site::TestSite};

/// Everything in the database, as one text.
async fn everything(url: &str) -> String {
    let mut db = SqliteConnection::connect(url).await.expect("the database");
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .fetch_all(&mut db)
            .await
            .expect("its tables");
    let mut text = String::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
            .bind(&table)
            .fetch_all(&mut db)
            .await
            .expect("its columns");
        let columns: Vec<String> = columns
            .iter()
            .map(|column| format!("quote(\"{column}\")"))
            .collect();
        let read = format!(
            "SELECT {} AS line FROM \"{table}\" ORDER BY 1",
            columns.join("||' '||")
        );
        let lines = sqlx::query(AssertSqlSafe(read))
            .fetch_all(&mut db)
            .await
            .expect("its rows");
        for line in lines {
            text.push_str(&format!("{table} {}\n", line.get::<String, _>("line")));
        }
    }
    text
}

/// The pages that take a form.
fn forms() -> Vec<String> {
    let text = include_str!("../../../docs/access.md");
    let lines = text.lines().filter_map(|line| line.strip_prefix("| POST | `/"));
    let paths = lines.filter_map(|line| Some(format!("/{}", line.split_once('`')?.0)));
    paths.filter(|path| !path.starts_with("/api/")).collect()
}

/// Headers as a browser sets them, which a page can't change.
const FOREIGN: &[&[(&str, &str)]] = &[
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site")],
    &[
        ("sec-fetch-site", "cross-site"),
        ("origin", "http://localhost:8080"),
    ],
    &[("origin", "https://evil.example")],
    &[("origin", "http://localhost:8081")],
    &[("origin", "http://localhost.evil.example:8080")],
    &[("origin", "null")],
    &[("sec-fetch-site", "cross-site"), ("content-type", "text/plain")],
];

#[tokio::test]
async fn a_form_of_another_site_is_refused_everywhere_and_changes_nothing() {
    let site = TestSite::sqlite().await;
    let there = furnish(&site).await;
    let admin = Browser::signed_in(&site, Role::Admin).await;
    let nobody = Browser::new(&site);
    let before = everything(&site.store.url).await;
    let forms = forms();
    assert!(forms.len() > 10, "{forms:?}");
    for path in &forms {
        for headers in FOREIGN {
            for browser in [&admin, &nobody] {
                let mut request = there.request(browser, &Method::POST, path);
                request.headers_mut().remove("sec-fetch-site");
                for (name, value) in *headers {
                    request
                        .headers_mut()
                        .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
                }
                let answer = site.send(request).await;
                assert_eq!(answer.status, 403, "{path} with {headers:?}: {}", answer.text());
                assert!(
                    answer.text().contains("another site"),
                    "{path} says why: {}",
                    answer.text()
                );
                assert!(answer.headers.get(header::SET_COOKIE).is_none(), "{path}");
            }
        }
    }
    assert_eq!(everything(&site.store.url).await, before);
    // The same requests from our own pages, and from programs, which say nothing, are taken: what was refused was refused
    // for its origin alone.
    for said in [
        Some(("sec-fetch-site", "same-origin")),
        Some(("origin", "http://localhost:8080")),
        None,
    ] {
        for path in forms.iter().filter(|path| *path != "/logout") {
            let mut request = there.request(&admin, &Method::POST, path);
            request.headers_mut().remove("sec-fetch-site");
            if let Some((name, value)) = said {
                request
                    .headers_mut()
                    .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let answer = site.send(request).await;
            assert!(
                matches!(answer.status.as_u16(), 303 | 422),
                "{path}: {}",
                answer.status
            );
        }
    }
    assert_ne!(everything(&site.store.url).await, before);
    site.close().await;
}

#[tokio::test]
async fn looking_changes_nothing() {
    let site = TestSite::sqlite().await;
    let there = furnish(&site).await;
    let mut admin = Browser::signed_in(&site, Role::Admin).await;
    admin.get("/admin").await;
    let before = everything(&site.store.url).await;
    let text = include_str!("../../../docs/access.md");
    let gets = text
        .lines()
        .filter_map(|line| line.strip_prefix("| GET | `/")?.split_once('`'));
    for (path, _) in gets.filter(|(path, _)| !path.starts_with("api/v1") && *path != "admin/live") {
        let path = format!("/{path}");
        for method in [Method::GET, Method::HEAD] {
            let answer = site.send(there.request(&admin, &method, &path)).await;
            assert!(
                answer.status.as_u16() < 400 || path == "/metrics",
                "{method} {path}: {}",
                answer.status
            );
        }
    }
    assert_eq!(everything(&site.store.url).await, before);
    site.close().await;
}

#[tokio::test]
async fn a_slash_too_many_leads_to_the_page_and_never_to_another_site() {
    let site = TestSite::sqlite().await;
    let mut nobody = Browser::new(&site);
    for (asked, leads_to) in [
        ("/login/", Some("/login")),
        ("/login///", Some("/login")),
        ("/admin/tasks/?state=failed", Some("/admin/tasks?state=failed")),
        ("//evil.example/", Some("/")),
        ("/\\evil.example/", Some("/")),
        ("/nothing", None),
        ("/api/v1/tasks/", None),
    ] {
        let answer = nobody.get(asked).await;
        let location = answer
            .headers
            .get(header::LOCATION)
            .and_then(|to| to.to_str().ok());
        assert_eq!(location, leads_to, "{asked}: {}", answer.status);
    }
    site.close().await;
}
