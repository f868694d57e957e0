//! What strangers can do: report, follow, answer. And what they can't.

use std::time::Duration;

use axum::http::header;
use unstuck::{
    domain::{
        audit::AuditEntry,
        ticket::{TicketStatus, Visibility},
    },
    services::{report_limits::Rate, ticketing::StaffMessage},
    store::tickets::TicketFilter,
};
use uuid::Uuid;

use super::{
    stored_files,
    visitor::{Form, Visitor, location},
};
use crate::support::{
    site::{TestSite, no_limits},
    store::TestStore,
};

fn report(seal: &str) -> Form {
    Form::default()
        .text("seal", seal)
        .text("website", "")
        .text("subject", "<b>Import</b> hangs")
        .text("description", "Since noon.\r\nTwice.")
        .text("email", "")
        .text("task_id", "")
}

/// A form that was handed out some seconds ago.
async fn ripe(visitor: &Visitor<'_>) -> String {
    let seal = visitor.seal().await;
    visitor.site.store.clock.advance(Duration::from_secs(4));
    seal
}

async fn filed(visitor: &Visitor<'_>) -> String {
    let seal = ripe(visitor).await;
    location(&visitor.post_form("/report", report(&seal)).await)
}

async fn tickets(site: &TestSite) -> usize {
    site.store
        .store
        .list_tickets(&TicketFilter::default(), None, 100)
        .await
        .expect("listed")
        .items
        .len()
}

#[tokio::test]
async fn a_report_leads_to_its_page_which_shows_what_was_written_as_text() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let visitor = Visitor::stranger(&site);
        let seal = ripe(&visitor).await;
        let form = report(&seal).file("", b"").file("log.txt", b"line\n");
        let address = location(&visitor.post_form("/report", form).await);
        assert!(
            address.starts_with("/r/OPS-") && address.contains("?key="),
            "{address}"
        );
        let page = visitor.get(&address).await;
        let text = page.text();
        assert_eq!(page.status, 200);
        assert!(text.contains("&#60;b&#62;Import&#60;/b&#62; hangs"), "{text}");
        assert!(text.contains("Since noon.\nTwice."), "{text}");
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(page.headers["x-robots-tag"], "noindex, nofollow");
        assert_eq!(page.headers[header::REFERRER_POLICY], "same-origin");
        site.close().await;
    }
}

#[tokio::test]
async fn a_wrong_reference_and_a_wrong_key_get_the_same_answer() {
    let site = TestSite::sqlite().await;
    let visitor = Visitor::stranger(&site);
    let address = filed(&visitor).await;
    let (path, key) = address.split_once("?key=").expect("a key");
    let other = filed(&visitor).await;
    let (_, other_key) = other.split_once("?key=").expect("a key");
    let file = Uuid::now_v7();
    let mut answers = Vec::new();
    for wrong in [
        format!("{path}?key={other_key}"),
        format!("{path}?key="),
        path.to_owned(),
        format!("/r/OPS-0000-00?key={key}"),
        format!("/r/nonsense?key={key}"),
        format!("/r/nonsense?key={}", "k".repeat(5000)),
    ] {
        let answer = visitor.get(&wrong).await;
        assert_eq!(answer.status, 404, "{wrong}");
        let text = answer.text();
        // What differs is the request's id and its own path alone.
        let id = answer.headers["x-request-id"].to_str().expect("text").to_owned();
        let said: String = text
            .replace(&id, "")
            .lines()
            .filter(|line| !line.contains("name=\"next\""))
            .collect();
        answers.push(said);
        let answer = visitor
            .post_form(&wrong, Form::default().text("body", "Let me in"))
            .await;
        assert_eq!(answer.status, 404, "POST {wrong}");
        if wrong.contains("key=") && wrong.len() < 200 {
            let of_file = wrong.replace("?key", &format!("/files/{file}?key"));
            assert_eq!(visitor.get(&of_file).await.status, 404, "{of_file}");
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    site.close().await;
}

#[tokio::test]
async fn a_form_of_a_program_is_not_filed_and_says_what_to_do() {
    let site = TestSite::sqlite().await;
    let visitor = Visitor::stranger(&site);
    let quick = visitor.seal().await;
    let ripe = ripe(&visitor).await;
    for (what, form, said) in [
        ("too fast", report(&visitor.seal().await), "very quick"),
        ("no seal", report(""), "lay open too long"),
        (
            "a made-up seal",
            report(&format!("{quick}x")),
            "lay open too long",
        ),
        (
            "the trap",
            Form::default()
                .text("seal", &ripe)
                .text("website", "http://spam.example"),
            "hidden field",
        ),
    ] {
        let answer = visitor.post_form("/report", form).await;
        assert_eq!(answer.status, 422, "{what}");
        assert!(answer.text().contains(said), "{what}: {}", answer.text());
    }
    site.store.clock.advance(Duration::from_secs(2 * 86_400));
    let old = visitor.post_form("/report", report(&ripe)).await.text();
    assert!(
        old.contains("lay open too long") && old.contains("Since noon."),
        "its texts stay"
    );
    assert_eq!(tickets(&site).await, 0);
    let (_, fresh) = old.split_once("name=\"seal\" value=\"").expect("a new seal");
    let fresh = fresh.split('"').next().expect("its end");
    site.store.clock.advance(Duration::from_secs(4));
    location(&visitor.post_form("/report", report(fresh)).await);
    assert_eq!(tickets(&site).await, 1);
    site.close().await;
}

#[tokio::test]
async fn a_form_sent_twice_is_one_report() {
    let site = TestSite::sqlite().await;
    let visitor = Visitor::stranger(&site);
    let seal = ripe(&visitor).await;
    let first = location(
        &visitor
            .post_form("/report", report(&seal).file("a.log", b"x"))
            .await,
    );
    let again = location(
        &visitor
            .post_form("/report", report(&seal).file("a.log", b"x"))
            .await,
    );
    assert_eq!(first, again);
    assert_eq!(tickets(&site).await, 1);
    assert_eq!(stored_files(site.data_dir.path()).len(), 1);
    site.close().await;
}

#[tokio::test]
async fn a_task_id_tells_a_stranger_nothing_about_tasks() {
    let site = TestSite::sqlite().await;
    let visitor = Visitor::stranger(&site);
    let prefilled = visitor.get("/report?task=%3Cscript%3E").await.text();
    assert!(prefilled.contains("value=\"&#60;script&#62;\""), "{prefilled}");
    let send = async |task_id: &str| {
        let seal = ripe(&visitor).await;
        let form = Form::default()
            .text("seal", &seal)
            .text("subject", "About a task")
            .text("description", "It stands still.")
            .text("task_id", task_id);
        visitor.post_form("/report", form).await
    };
    assert_eq!(send("42").await.status, 422);
    location(&send(&Uuid::now_v7().to_string()).await);
    site.close().await;
}

#[tokio::test]
async fn strangers_are_slowed_down_and_told_when_to_come_back() {
    let once_an_hour = |burst| Rate {
        burst,
        one_every: Duration::from_secs(3600),
    };
    let rates = unstuck::services::report_limits::Rates {
        address: once_an_hour(3),
        ..no_limits()
    };
    let site = TestSite::with(TestStore::sqlite().await, true, rates).await;
    let at = |peer: &str| Visitor {
        peer: peer.into(),
        ..Visitor::stranger(&site)
    };
    let send = async |visitor: Visitor<'_>| visitor.post_form("/report", report("")).await;
    for host in 1..=3 {
        assert_eq!(send(at(&format!("[2001:db8:1:2::{host}]:1"))).await.status, 422);
    }
    let refused = send(at("[2001:db8:1:2:ffff::9]:1")).await;
    assert_eq!(refused.status, 429, "the same /64 is the same caller");
    let wait: u64 = refused.headers[header::RETRY_AFTER]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((3000..=3600).contains(&wait), "{wait}");
    assert_eq!(send(at("[2001:db8:1:3::1]:1")).await.status, 422);
    // Nobody's own header makes them somebody else.
    site.close().await;
}

#[tokio::test]
async fn a_reporter_sees_the_answer_but_no_note_and_opens_the_report_again() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let visitor = Visitor::stranger(&site);
        let address = filed(&visitor).await;
        let store = &site.store.store;
        let listed = store
            .list_tickets(&TicketFilter::default(), None, 1)
            .await
            .expect("listed");
        let ticket = listed.items[0].ticket.id;
        let write = async |visibility, body: &str, then| {
            let message = StaffMessage {
                ticket_id: ticket,
                actor: "user:s@staff.example".into(),
                visibility,
                body: body.into(),
                then,
                files: Vec::new(),
                audit: AuditEntry::new("user:s@staff.example", "reply", "ticket", ticket.to_string()),
            };
            site.site.desk.write(message).await.expect("written");
        };
        write(Visibility::Internal, "They are on the old plan.", None).await;
        write(Visibility::Public, "Mended.", Some(TicketStatus::Resolved)).await;
        let page = visitor.get(&address).await.text();
        assert!(page.contains("Mended.") && !page.contains("old plan"), "{page}");
        assert!(
            !page.contains("s@staff.example"),
            "who answered is nobody's business"
        );
        let form = Form::default()
            .text("body", "It is back.")
            .text("reopen", "yes")
            .file("b.log", b"again");
        assert_eq!(location(&visitor.post_form(&address, form).await), address);
        let page = visitor.get(&address).await.text();
        assert!(page.contains("It is back.") && page.contains("b.log"), "{page}");
        assert_eq!(
            store.ticket(ticket).await.expect("read").expect("there").status,
            TicketStatus::Open
        );
        let wrong = visitor
            .post_form(&address, Form::default().text("body", " "))
            .await;
        assert_eq!(wrong.status, 422);
        site.close().await;
    }
}

#[tokio::test]
async fn a_file_is_only_ever_a_download_and_only_of_its_own_report() {
    let site = TestSite::sqlite().await;
    let visitor = Visitor::stranger(&site);
    let seal = ripe(&visitor).await;
    let html = b"<script>alert(1)</script>";
    let form = report(&seal).file("r\u{e9}sum\u{e9} \u{1F600}.txt", html);
    let address = location(&visitor.post_form("/report", form).await);
    let page = visitor.get(&address).await.text();
    let (_, after) = page.split_once("/files/").expect("a link");
    let id = after.split('?').next().expect("an id");
    let (path, query) = address.split_once('?').expect("a query");
    let file = visitor.get(&format!("{path}/files/{id}?{query}")).await;
    assert_eq!(
        (file.status.as_u16(), file.body.as_slice()),
        (200, html.as_slice())
    );
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        (
            "content-disposition",
            "attachment; filename*=UTF-8''r%C3%A9sum%C3%A9%20%F0%9F%98%80.txt",
        ),
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "sandbox; default-src 'none'; frame-ancestors 'none'",
        ),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("content-length", "25"),
    ] {
        assert_eq!(file.headers[name], value, "{name}");
    }
    let other = filed(&visitor).await;
    let (other_path, other_query) = other.split_once('?').expect("a query");
    for foreign in [
        format!("{other_path}/files/{id}?{other_query}"),
        format!("{path}/files/{id}?{other_query}"),
        format!("{path}/files/{id}"),
        format!("{path}/files/{}?{query}", Uuid::now_v7()),
        format!("{path}/files/..%2f{id}?{query}"),
    ] {
        assert!(
            matches!(visitor.get(&foreign).await.status.as_u16(), 400 | 404),
            "{foreign}"
        );
    }
    site.close().await;
}
