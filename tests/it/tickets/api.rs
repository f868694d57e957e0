//! Reports filed by programs.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::{Value, json};
use unstuck::{domain::access::Scope, store::tickets::TicketFilter};

use super::{
    stored_files,
    visitor::{BOUNDARY, Form},
};
use crate::support::site::{Answer, TestSite};

async fn post(site: &TestSite, path: &str, token: Option<&str>, key: Option<&str>, body: Value) -> Answer {
    let mut request =
        Request::post(format!("/api/v1{path}")).header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    site.send(request.body(Body::from(body.to_string())).expect("a request"))
        .await
}

async fn post_form(site: &TestSite, path: &str, token: Option<&str>, form: Form) -> Answer {
    let mut request = Request::post(format!("/api/v1{path}")).header(
        header::CONTENT_TYPE,
        format!("multipart/form-data; boundary={BOUNDARY}"),
    );
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    site.send(request.body(Body::from(form.end())).expect("a request"))
        .await
}

fn report() -> Value {
    json!({ "subject": "Import hangs", "description": "Since noon." })
}

#[tokio::test]
async fn a_program_files_a_report_and_its_user_adds_to_it_with_the_key() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let token = site.token(&[Scope::Report]).await;
        let receipt = post(&site, "/reports", Some(&token), None, report())
            .await
            .expect(201);
        let (reference, key) = (
            receipt["ref"].as_str().expect("a reference"),
            receipt["key"].as_str().expect("a key"),
        );
        let url = receipt["url"].as_str().expect("a URL");
        assert_eq!(url, format!("http://127.0.0.1:8080/r/{reference}?key={key}"));
        let page = site
            .send(Request::get(&url[21..]).body(Body::empty()).expect("a request"))
            .await;
        assert!(page.text().contains("Import hangs"));
        let messages = format!("/reports/{reference}/messages");
        let added = post(
            &site,
            &messages,
            None,
            None,
            json!({ "key": key, "body": "Still so." }),
        )
        .await;
        assert_eq!(added.expect(201), json!({ "ref": reference, "status": "new" }));
        let form = Form::default()
            .text("key", key)
            .text("body", "With a log.")
            .file("a.log", b"x");
        post_form(&site, &messages, None, form).await.expect(201);
        assert_eq!(stored_files(site.data_dir.path()).len(), 1);
        for (path, key) in [
            (messages.as_str(), "wrong"),
            ("/reports/OPS-0000-00/messages", key),
        ] {
            let refused = post(&site, path, None, None, json!({ "key": key, "body": "x" }))
                .await
                .expect(404);
            assert_eq!(refused["type"], "urn:unstuck:problem:not-found");
        }
        site.close().await;
    }
}

#[tokio::test]
async fn a_report_with_files_is_a_form_and_a_refused_file_refuses_all_of_it() {
    let site = TestSite::sqlite().await;
    let token = site.token(&[Scope::Report]).await;
    let form = Form::default()
        .text("subject", "Import hangs")
        .text("description", "Since noon.");
    post_form(
        &site,
        "/reports",
        Some(&token),
        form.clone().file("a.csv", b"a,b\n"),
    )
    .await
    .expect(201);
    let refused = post_form(&site, "/reports", Some(&token), form.file("a.exe", b"MZ"))
        .await
        .expect(422);
    assert_eq!(refused["errors"][0]["field"], "attachments");
    assert_eq!(
        refused["errors"][0]["detail"],
        "a.exe: Files of this type are not taken."
    );
    assert_eq!(stored_files(site.data_dir.path()).len(), 1);
    site.close().await;
}

#[tokio::test]
async fn every_wrong_field_is_named_and_nothing_else_is_taken() {
    let site = TestSite::sqlite().await;
    let token = site.token(&[Scope::Report]).await;
    let wrong = json!({ "subject": "", "email": "nobody", "task_id": "42" });
    let refused = post(&site, "/reports", Some(&token), None, wrong)
        .await
        .expect(422);
    let fields: Vec<&str> = refused["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .filter_map(|one| one["field"].as_str())
        .collect();
    assert_eq!(fields, ["subject", "description", "email", "task_id"]);
    for extra in ["status", "assignee", "ref", "context"] {
        let mut body = report();
        body[extra] = json!("closed");
        assert_eq!(
            post(&site, "/reports", Some(&token), None, body).await.status,
            400,
            "{extra}"
        );
    }
    assert_eq!(post(&site, "/reports", None, None, report()).await.status, 401);
    let other = site
        .token(&[Scope::Produce, Scope::Work, Scope::Read, Scope::Operate])
        .await;
    assert_eq!(
        post(&site, "/reports", Some(&other), None, report()).await.status,
        403
    );
    site.close().await;
}

#[tokio::test]
async fn a_report_sent_again_with_its_key_is_filed_once() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let token = site.token(&[Scope::Report]).await;
        let send =
            async |token: &str, body: Value| post(&site, "/reports", Some(token), Some("k-1"), body).await;
        let first = send(&token, report()).await.expect(201);
        assert_eq!(send(&token, report()).await.expect(201), first);
        let mut other = report();
        other["subject"] = json!("Something else");
        assert_eq!(send(&token, other).await.status, 409);
        let somebody = site.token(&[Scope::Report]).await;
        assert_ne!(
            send(&somebody, report()).await.expect(201),
            first,
            "another principal's key is another one"
        );
        let listed = site
            .store
            .store
            .list_tickets(&TicketFilter::default(), None, 9)
            .await
            .expect("listed");
        assert_eq!(listed.items.len(), 2);
        site.close().await;
    }
}
