//! Staff's side: who may look, who may act, and that every act is noted.

use axum::http::header;
use unstuck::{
    domain::{access::Role, report::ReportForm, ticket::TicketStatus},
    services::ticketing::Sending,
    store::{AuditFilter, tickets::TicketFilter},
};
use uuid::Uuid;

use super::{
    form, incoming, staged,
    visitor::{Form, Visitor, location},
};
use crate::support::site::TestSite;

async fn filed(site: &TestSite, report: ReportForm) -> Uuid {
    let desk = &site.site.desk;
    let file = staged(desk, "log.txt", b"line").await;
    let receipt = desk
        .file(incoming(report, Sending::Unnamed, vec![file]))
        .await
        .expect("filed");
    desk.follow(receipt.reference.as_str(), &receipt.key)
        .await
        .expect("there")
        .id
}

/// The verbs of the audit log about one thing, oldest first.
async fn audited(site: &TestSite, target: &str, id: Uuid) -> Vec<String> {
    let filter = AuditFilter {
        target: Some(target.to_owned()),
        target_id: Some(id.to_string()),
        ..AuditFilter::default()
    };
    let page = site
        .store
        .store
        .audit_page(&filter, None, 100)
        .await
        .expect("read");
    page.items.into_iter().rev().map(|row| row.entry.action).collect()
}

async fn status(site: &TestSite, id: Uuid) -> TicketStatus {
    site.store
        .store
        .ticket(id)
        .await
        .expect("read")
        .expect("there")
        .status
}

fn answer() -> Form {
    Form::default()
        .text("body", "We look into it.")
        .text("then", "")
        .text("visibility", "public")
}

#[tokio::test]
async fn only_staff_look_and_only_operators_act() {
    let site = TestSite::sqlite().await;
    let id = filed(&site, form("Secret subject")).await;
    let files = site
        .store
        .store
        .ticket_attachments(id, unstuck::domain::ticket::Visibility::Internal)
        .await;
    let file = files.expect("read")[0].id;
    let stranger = Visitor::stranger(&site);
    let viewer = Visitor::staff(&site, Role::Viewer).await;
    let operator = Visitor::staff(&site, Role::Operator).await;
    let ticket = format!("/admin/tickets/{id}");
    for path in [
        "/admin/tickets".to_owned(),
        ticket.clone(),
        format!("{ticket}/files/{file}"),
        "/admin/webhook".into(),
    ] {
        assert!(
            location(&stranger.get(&path).await).starts_with("/login?next="),
            "{path}"
        );
        assert_eq!(viewer.get(&path).await.status, 200, "{path}");
    }
    let change: &[(&str, &str)] = &[
        ("status_was", "new"),
        ("status", "closed"),
        ("assignee_was", ""),
        ("assignee", ""),
    ];
    for visitor in [&stranger, &viewer] {
        assert_eq!(visitor.post_fields(&ticket, change).await.status, 403);
        assert_eq!(
            visitor
                .post_form(&format!("{ticket}/messages"), answer())
                .await
                .status,
            403
        );
        assert_eq!(visitor.post_fields("/admin/webhook/test", &[]).await.status, 403);
    }
    assert_eq!(status(&site, id).await, TicketStatus::New);
    assert_eq!(
        operator.post_fields("/admin/webhook/test", &[]).await.status,
        403,
        "for administrators"
    );
    assert_eq!(location(&operator.post_fields(&ticket, change).await), ticket);
    assert_eq!(status(&site, id).await, TicketStatus::Closed);
    assert!(
        !viewer.get(&ticket).await.text().contains("name=\"body\""),
        "no form for who may not"
    );
    site.close().await;
}

#[tokio::test]
async fn an_answer_a_note_and_an_assignment_are_shown_and_noted() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let operator = Visitor::staff(&site, Role::Operator).await;
        let id = filed(&site, form("Import hangs")).await;
        let ticket = format!("/admin/tickets/{id}");
        let messages = format!("{ticket}/messages");
        let note = Form::default()
            .text("body", "They are on the old plan.")
            .text("then", "")
            .text("visibility", "internal")
            .file("inside.csv", b"a,b\n");
        assert_eq!(location(&operator.post_form(&messages, note).await), ticket);
        assert_eq!(status(&site, id).await, TicketStatus::New);
        location(&operator.post_form(&messages, answer()).await);
        assert_eq!(status(&site, id).await, TicketStatus::Waiting);
        let mine: &[(&str, &str)] = &[
            ("status_was", "waiting"),
            ("status", "open"),
            ("assignee_was", ""),
            ("assignee", "operator@staff.example"),
        ];
        location(&operator.post_fields(&ticket, mine).await);
        let late = operator.post_fields(&ticket, mine).await;
        assert_eq!(location(&late), ticket, "it is so already");
        let moved: &[(&str, &str)] = &[
            ("status_was", "new"),
            ("status", "closed"),
            ("assignee_was", ""),
            ("assignee", ""),
        ];
        let refused = operator.post_fields(&ticket, moved).await;
        assert_eq!(refused.status, 409);
        assert!(
            refused.text().contains("changed this ticket"),
            "{}",
            refused.text()
        );
        let page = operator.get(&ticket).await.text();
        for part in [
            "old plan",
            "inside.csv",
            "We look into it.",
            "log.txt",
            "operator@staff.example",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let list = operator
            .get("/admin/tickets?status=todo&assignee=me")
            .await
            .text();
        assert!(list.contains("Import hangs"), "{list}");
        assert!(
            !operator
                .get("/admin/tickets?status=waiting")
                .await
                .text()
                .contains("Import hangs")
        );
        let noted = audited(&site, "ticket", id).await;
        assert_eq!(noted, ["note", "reply", "update"]);
        site.close().await;
    }
}

#[tokio::test]
async fn a_ticket_shows_its_task_or_says_that_there_is_none() {
    let site = TestSite::sqlite().await;
    let viewer = Visitor::staff(&site, Role::Viewer).await;
    let task_id = Uuid::now_v7();
    let report = ReportForm {
        task_id: task_id.to_string(),
        ..form("About a task")
    };
    let id = filed(&site, report).await;
    let page = viewer.get(&format!("/admin/tickets/{id}")).await.text();
    assert!(
        page.contains(&task_id.to_string()) && page.contains("no task of this id"),
        "{page}"
    );
    let list = viewer.get(&format!("/admin/tickets?task={task_id}")).await.text();
    assert!(list.contains("About a task"), "{list}");
    assert_eq!(
        viewer
            .get(&format!("/admin/tickets/{}", Uuid::now_v7()))
            .await
            .status,
        404
    );
    assert_eq!(viewer.get("/admin/tickets/1").await.status.as_u16() / 100, 4);
    site.close().await;
}

#[tokio::test]
async fn a_wrong_answer_comes_back_with_its_text_and_nothing_is_written() {
    let site = TestSite::sqlite().await;
    let operator = Visitor::staff(&site, Role::Operator).await;
    let id = filed(&site, form("Import hangs")).await;
    let messages = format!("/admin/tickets/{id}/messages");
    let refused = operator.post_form(&messages, answer().file("a.exe", b"MZ")).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("We look into it."), "{}", refused.text());
    for form in [
        Form::default().text("body", "x").text("visibility", "everybody"),
        Form::default().text("body", "x"),
        answer().text("status", "closed"),
        Form::default()
            .text("body", "x")
            .text("visibility", "public")
            .text("then", "new"),
    ] {
        assert_eq!(operator.post_form(&messages, form).await.status, 400);
    }
    let lines = site
        .store
        .store
        .list_tickets(&TicketFilter::default(), None, 1)
        .await
        .expect("listed");
    assert_eq!(lines.items[0].messages, 1);
    site.close().await;
}

#[tokio::test]
async fn the_list_is_paged_by_links() {
    let site = TestSite::sqlite().await;
    let viewer = Visitor::staff(&site, Role::Viewer).await;
    for number in 0..51 {
        filed(&site, form(&format!("Number {number:02}"))).await;
    }
    let first = viewer.get("/admin/tickets").await.text();
    assert!(first.contains("Number 50") && !first.contains("Number 00"));
    let (_, after) = first.split_once("rel=\"next\" href=\"").expect("a link");
    let next = after.split('"').next().expect("its end").replace("&#38;", "&");
    let second = viewer.get(&next).await.text();
    assert!(
        second.contains("Number 00") && !second.contains("Number 01"),
        "{second}"
    );
    site.close().await;
}

#[tokio::test]
async fn a_form_from_another_site_is_refused() {
    let site = TestSite::sqlite().await;
    let operator = Visitor::staff(&site, Role::Operator).await;
    let id = filed(&site, form("Import hangs")).await;
    let request = axum::http::Request::post(format!("/admin/tickets/{id}"))
        .header(header::COOKIE, operator.cookie.as_deref().expect("signed in"))
        .header("sec-fetch-site", "cross-site")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(axum::body::Body::from(
            "status_was=new&status=closed&assignee_was=&assignee=",
        ));
    assert_eq!(site.send(request.expect("a request")).await.status, 403);
    assert_eq!(status(&site, id).await, TicketStatus::New);
    site.close().await;
}

#[tokio::test]
async fn the_webhook_s_log_is_shown_and_a_delivery_sent_again() {
    let site = TestSite::sqlite().await;
    let admin = Visitor::staff(&site, Role::Admin).await;
    assert!(admin.get("/admin/webhook").await.text().contains("hooks.example"));
    assert_eq!(
        location(&admin.post_fields("/admin/webhook/test", &[]).await),
        "/admin/webhook"
    );
    let store = &site.store.store;
    let taken = store
        .take_deliveries(std::time::Duration::from_secs(60), 9)
        .await
        .expect("taken")
        .remove(0);
    let failure = unstuck::store::webhooks::TryFailure {
        status: Some(500),
        error: "answered 500: <b>no".into(),
    };
    store
        .delivery_failed(&taken, &failure, None)
        .await
        .expect("noted");
    let page = admin.get("/admin/webhook").await.text();
    assert!(
        page.contains("Given up") && page.contains("answered 500: &#60;b&#62;no"),
        "{page}"
    );
    let again = format!("/admin/webhook/{}/send-again", taken.id);
    assert_eq!(location(&admin.post_fields(&again, &[]).await), "/admin/webhook");
    assert!(
        store.deliveries(None, 1).await.expect("listed")[0]
            .next_try_at
            .is_some()
    );
    let missing = format!("/admin/webhook/{}/send-again", Uuid::now_v7());
    assert_eq!(admin.post_fields(&missing, &[]).await.status, 404);
    assert_eq!(audited(&site, "webhook", taken.id).await, ["send_again"]);
    site.close().await;
}
