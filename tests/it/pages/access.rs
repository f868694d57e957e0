//! The tables of docs/access.md against the router: no route without a row, and every row tried by everybody.

use std::{collections::BTreeSet, fs, path::Path};

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::Value;
use unstuck::{domain::access::Role, web::api};

use super::stage::{Furnished, furnish, location};
use crate::support::{browser::Browser, site::TestSite};

/// The rows of a table of docs/access.md below `heading`, each as its cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = include_str!("../../../docs/access.md");
    let (_, after) = text.split_once(heading).expect("the heading");
    let lines = after.lines().skip_while(|line| !line.starts_with("| method"));
    lines
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells
                .map(|cell| cell.trim().trim_matches('`').to_owned())
                .collect()
        })
        .collect()
}

/// Method and path of each row.
fn named(rows: &[Vec<String>]) -> BTreeSet<(String, String)> {
    let named: BTreeSet<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(named.len(), rows.len(), "a route stands in the table twice");
    named
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(fs::read_to_string(path).expect("readable"));
        }
    }
}

/// The routes that the code has besides the API's calls: axum's router does not list its own.
fn routes_in_code() -> BTreeSet<(String, String)> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web"), &mut files);
    let mut found = BTreeSet::new();
    for file in files {
        let code = file.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        for hidden in [
            ".route_service(",
            ".nest_service(",
            ".nest(\"",
            "routing::any",
            ".fallback_service(",
        ] {
            assert!(
                !code.contains(hidden),
                "{hidden} adds routes that this test does not see"
            );
        }
        for after in code.split(".route(").skip(1) {
            let (_, after) = after.split_once('"').expect("a path");
            let (path, after) = after.split_once('"').expect("its end");
            let mut depth = 1;
            let end = after.find(|c| {
                match c {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            let handlers = &after[..end.expect("the route's end")];
            let before = found.len();
            for method in ["get", "post", "put", "patch", "delete", "head", "options"] {
                let calls = handlers.match_indices(&format!("{method}(")).any(|(at, _)| {
                    handlers[..at]
                        .chars()
                        .next_back()
                        .is_none_or(|c| !c.is_alphanumeric() && c != '_')
                });
                if calls {
                    found.insert((method.to_uppercase(), path.to_owned()));
                }
            }
            assert!(found.len() > before, "no method is seen for {path}: {handlers}");
        }
    }
    found
}

#[test]
fn every_page_has_its_row_and_every_row_its_page() {
    assert_eq!(named(&rows("## Pages")), routes_in_code());
}

#[test]
fn every_call_has_its_row_with_its_scopes() {
    let document: Value = serde_json::from_str(api::openapi_json()).expect("JSON");
    let mut calls = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let security = operation["security"].as_array().expect("every call says who may");
            let scopes = security.iter().filter_map(|way| way["token"][0].as_str());
            calls.insert((
                method.to_uppercase(),
                path.clone(),
                scopes.collect::<Vec<_>>().join(", "),
            ));
        }
    }
    let rows = rows("## API");
    named(&rows);
    let told: BTreeSet<_> = rows
        .into_iter()
        .map(|row| {
            let scopes = match row[2].as_str() {
                "open" | "key" => "",
                "read, or a caller on this machine" => "read",
                scopes => scopes,
            };
            (row[0].clone(), row[1].clone(), scopes.to_owned())
        })
        .collect();
    assert_eq!(told, calls);
}

/// What somebody of the table's column is answered: the word of its cell.
async fn tried(site: &TestSite, request: Request<Body>) -> (String, u16) {
    // The stream of changes has no end: its head says enough.
    let response = site.begin("127.0.0.1:50000", request).await;
    let status = response.status().as_u16();
    let to = response.headers().get(header::LOCATION);
    let to_login = to.is_some_and(|to| to.as_bytes().starts_with(b"/login?next="));
    let word = match status {
        303 if to_login => "login",
        403 => "no",
        200 | 303 | 422 => "yes",
        404 => "nothing",
        other => panic!("{other}"),
    };
    (word.to_owned(), status)
}

async fn everybody(site: &TestSite) -> [Browser<'_>; 4] {
    [
        Browser::new(site),
        Browser::signed_in(site, Role::Viewer).await,
        Browser::signed_in(site, Role::Operator).await,
        Browser::signed_in(site, Role::Admin).await,
    ]
}

fn method(row: &[String]) -> Method {
    row[0].parse().expect("a method")
}

#[tokio::test]
async fn everybody_may_what_the_table_says_and_nothing_else() {
    let site = TestSite::sqlite().await;
    let there = furnish(&site).await;
    let who = everybody(&site).await;
    let mut rows = rows("## Pages");
    // This ends the session with which the others are tried.
    rows.sort_by_key(|row| row[1] == "/logout");
    let mut wrong = Vec::new();
    for row in &rows {
        for (column, browser) in who.iter().enumerate() {
            let request = there.request(browser, &method(row), &row[1]);
            let (word, status) = tried(&site, request).await;
            let wanted = match row[column + 2].as_str() {
                "key" => "yes",
                word => word,
            };
            if word != wanted {
                wrong.push(format!(
                    "{} {} by {}: {status}, not {wanted}",
                    row[0], row[1], column
                ));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    site.close().await;
}

#[tokio::test]
async fn a_report_opens_to_its_key_alone() {
    let site = TestSite::sqlite().await;
    let there = furnish(&site).await;
    let keyed: Vec<_> = rows("## Pages")
        .into_iter()
        .filter(|row| row[2] == "key")
        .collect();
    assert_eq!(keyed.len(), 3);
    let mut key = there.key.clone();
    let last = key.pop().expect("a key");
    key.push(if last == 'A' { 'B' } else { 'A' });
    let other = Furnished {
        key,
        ..furnish(&site).await
    };
    let none = Furnished {
        key: String::new(),
        ..furnish(&site).await
    };
    for row in &keyed {
        for browser in &everybody(&site).await {
            for (what, there) in [("wrong key", &other), ("no key", &none)] {
                let (word, _) = tried(&site, there.request(browser, &method(row), &row[1])).await;
                assert_eq!(word, "nothing", "{row:?} with {what}");
            }
        }
    }
    // A file opens with its own report's key only.
    let theirs = furnish(&site).await;
    let mixed = Furnished {
        file: theirs.file,
        ..there
    };
    let file = mixed.request(&Browser::new(&site), &Method::GET, "/r/{ref}/files/{id}");
    assert_eq!(tried(&site, file).await.0, "nothing");
    site.close().await;
}

#[tokio::test]
async fn a_role_that_is_taken_away_is_gone_at_the_next_request() {
    let site = TestSite::sqlite().await;
    let mut admin = Browser::signed_in(&site, Role::Admin).await;
    assert_eq!(admin.get("/admin").await.status, 200);
    let accounts = &site.site.accounts;
    let other = accounts
        .add_user("system", "other@example.org", Role::Admin, None)
        .await;
    other.expect("the last administrator can't be disabled");
    let disabled = accounts.disable_user("system", "admin@example.org").await;
    disabled.expect("disabled");
    let answer = admin.get("/admin").await;
    assert!(location(&answer).starts_with("/login"), "{}", answer.status);
    site.close().await;
}

#[tokio::test]
async fn a_login_opens_no_call_and_a_token_opens_no_page() {
    let site = TestSite::sqlite().await;
    let admin = Browser::signed_in(&site, Role::Admin).await;
    let call = admin.request(Method::GET, "/api/v1/tasks", None);
    assert_eq!(site.send(call).await.status, 401);
    let token = site.token(unstuck::domain::access::Scope::ALL).await;
    let page = Request::get("/admin")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .expect("a request");
    assert!(location(&site.send(page).await).starts_with("/login?next="));
    site.close().await;
}
