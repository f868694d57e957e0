//! Addresses and forms that no browser sends: none costs a 5xx, on either database.

use axum::http::{Method, header};
use unstuck::domain::access::{Role, Scope};

use crate::support::{browser::Browser, site::TestSite};

/// Values for every parameter of every address.
fn wild() -> Vec<String> {
    let mut values: Vec<String> = [
        "",
        " ",
        "%00",
        "a%00b",
        "%ff",
        "%c3%28",
        "%E2%80%AE",
        "%0d%0aSet-Cookie:+a=b",
        "'",
        "\"",
        "%3Cscript%3E",
        "..",
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "-1",
        "0",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1e999",
        "NaN",
        "null",
        "[]",
        "{}",
        "%25",
        "_",
        "*",
        "2026-01-01T00:00:00Z",
        "-262143-01-01T00:00:00Z",
        "+262143-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999Z",
        "0000-01-01T00:00:00Z",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "open",
        "closed",
        "all",
        "me",
        "queued",
        "cancel",
        "%F0%9F%92%A9",
        "a&a=b",
        "x%5B%5D=1",
    ]
    .map(str::to_owned)
    .to_vec();
    values.push("x".repeat(201));
    values.push("%F0%9F%92%A9".repeat(200));
    values.push("x".repeat(20_000));
    values
}

#[tokio::test]
async fn no_address_costs_a_5xx() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let there = super::stage::furnish(&site).await;
        let admin = Browser::signed_in(&site, Role::Admin).await;
        let parameters: &[(&str, &[&str])] = &[
            ("/", &["x"]),
            ("/r", &["ref", "key"]),
            ("/login", &["next"]),
            ("/report", &["task"]),
            (
                "/admin/audit",
                &["actor", "action", "target", "target_id", "request_id", "before"],
            ),
            ("/admin/queues", &["after"]),
            ("/admin/queues/report.render", &["range"]),
            (
                "/admin/stalls",
                &["view", "verdict", "queue", "incident", "before", "closed_before"],
            ),
            (
                "/admin/tasks",
                &[
                    "q",
                    "state",
                    "kind",
                    "queue",
                    "owner",
                    "verdict",
                    "created_after",
                    "created_before",
                    "payload_path",
                    "payload_value",
                    "before",
                ],
            ),
            ("/admin/tickets", &["status", "assignee", "task", "before"]),
            ("/admin/webhook", &["before"]),
            ("/api/v1/queues", &["cursor", "limit", "x"]),
            (
                "/api/v1/queues/report.render/samples",
                &["from", "since", "until", "cursor", "limit"],
            ),
            (
                "/api/v1/stalls",
                &["state", "verdict", "queue", "cursor", "limit"],
            ),
            (
                "/api/v1/incidents",
                &["state", "verdict", "queue", "cursor", "limit"],
            ),
            (
                "/api/v1/tasks",
                &[
                    "state",
                    "kind",
                    "queue",
                    "owner",
                    "verdict",
                    "q",
                    "created_after",
                    "created_before",
                    "payload.a",
                    "cursor",
                    "limit",
                ],
            ),
        ];
        let token = site.token(Scope::ALL).await;
        let bearer: header::HeaderValue = format!("Bearer {token}").parse().expect("a header");
        let mut paths: Vec<String> = Vec::new();
        for value in wild() {
            for (path, names) in parameters {
                paths.extend(names.iter().map(|name| format!("{path}?{name}={value}")));
            }
            paths.push(format!(
                "/admin/stalls?view=closed&before=ffffffff-ffff-ffff-ffff-ffffffffffff&closed_before={value}"
            ));
            paths.push(format!(
                "/admin/tasks/{}?history_before={value}&attempts_before={value}",
                there.task
            ));
            paths.push(format!(
                "/admin/tasks/outcome/{}?asked={value}&unclear={value}&back={value}",
                there.request_id
            ));
            paths.push(format!("/admin/tasks?payload_path=a&payload_value={value}"));
            paths.push(format!("/r/{}?key={value}", there.reference));
            let segment = value.replace(['&', '='], "").replace("../", "").replace("..", "");
            for route in [
                "/admin/tasks/X",
                "/admin/tasks/X/payload",
                "/admin/tasks/outcome/X",
                "/admin/queues/X",
                "/admin/tickets/X",
                "/r/X",
                "/static/X",
                "/X",
                "/admin/X",
                "/api/v1/tasks/X",
                "/api/v1/queues/X",
                "/api/v1/queues/X/samples",
            ] {
                paths.push(route.replace('X', &segment));
            }
            paths.push(format!("/admin/tickets/{}/files/{segment}", there.ticket));
            paths.push(format!(
                "/r/{}/files/{segment}?key={}",
                there.reference, there.key
            ));
        }
        let mut wrong = Vec::new();
        for path in paths {
            if path.parse::<axum::http::Uri>().is_err() {
                // No client and no server of HTTP gets this far.
                continue;
            }
            let mut request = admin.request(Method::GET, &path, None);
            if path.starts_with("/api/") {
                request
                    .headers_mut()
                    .insert(header::AUTHORIZATION, bearer.clone());
            }
            let answer = site.send(request).await;
            let short: String = path.chars().take(200).collect();
            if answer.status.is_server_error() {
                wrong.push(format!("{short}: {}", answer.status));
            }
            assert!(
                !answer
                    .headers
                    .iter()
                    .any(|(name, value)| name == "set-cookie" && value.as_bytes().starts_with(b"a=b")),
                "{short}"
            );
        }
        assert_eq!(wrong, Vec::<String>::new());
        site.close().await;
    }
}

#[tokio::test]
async fn no_form_costs_a_5xx() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let there = super::stage::furnish(&site).await;
        let admin = Browser::signed_in(&site, Role::Admin).await;
        let task = format!("/admin/tasks/{}/cancel", there.task);
        let ticket = format!("/admin/tickets/{}", there.ticket);
        let forms: &[(&str, &[&str])] = &[
            ("/login", &["email", "next"]),
            ("/lang", &["lang", "next"]),
            ("/admin/tasks/act", &["action", "reason", "task", "back"]),
            (&task, &["dispatch", "reason", "force"]),
            (&ticket, &["status_was", "status", "assignee_was", "assignee"]),
            ("/admin/account/password", &["present", "new"]),
        ];
        let whole: &[(&str, &str)] = &[
            ("email", "a@b.example"),
            ("lang", "en"),
            ("action", "cancel"),
            ("reason", "why"),
            ("task", &there.task),
            ("dispatch", "1"),
            ("status_was", "new"),
            ("status", "open"),
            ("assignee_was", ""),
            ("assignee", ""),
            ("present", "not it at all, no"),
            ("new", "x"),
        ];
        // A hash is made for each password that is looked at: a few will do.
        for (number, value) in wild().iter().enumerate() {
            for (path, names) in forms {
                if *path == "/admin/account/password" && number % 12 != 2 {
                    continue;
                }
                for name in *names {
                    let rest = whole
                        .iter()
                        .filter(|(field, _)| names.contains(field) && field != name);
                    let mut form: Vec<String> =
                        rest.map(|(field, value)| format!("{field}={value}")).collect();
                    form.push(format!("{name}={value}"));
                    if *path == "/login" && number % 12 != 2 {
                        form.push("password=".into());
                        continue;
                    }
                    if *path == "/login" {
                        form.push("password=wrong".into());
                    }
                    let request = admin.request(Method::POST, path, Some(form.join("&")));
                    let answer = site.send(request).await;
                    assert!(
                        !answer.status.is_server_error(),
                        "{path} with {form:?}: {}",
                        answer.status
                    );
                }
            }
        }
        site.close().await;
    }
}
