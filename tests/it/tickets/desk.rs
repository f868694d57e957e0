//! Filing, following, answering, working on tickets: on both databases.

use serde_json::json;
use tempfile::TempDir;
use unstuck::{
    domain::{
        audit::AuditEntry,
        report::{Fault, ReportForm},
        task::NewTask,
        ticket::{Author, Reopen, Ticket, TicketStatus, Visibility},
    },
    services::{
        attachments::Quota,
        ticketing::{Sending, StaffMessage, TicketError, Ticketing},
    },
    store::{
        Store,
        tasks::Creation,
        tickets::{TicketChange, TicketFilter},
    },
};
use uuid::Uuid;

use super::{desk, form, incoming, staged, stored_files};
use crate::support::store::{TestClock, each_store};

fn audit(action: &str, ticket: Uuid) -> AuditEntry {
    AuditEntry::new("user:s@b.example", action, "ticket", ticket.to_string())
}

async fn filed(desk: &Ticketing, subject: &str) -> Ticket {
    let receipt = desk
        .file(incoming(form(subject), Sending::Unnamed, Vec::new()))
        .await
        .expect("filed");
    desk.follow(receipt.reference.as_str(), &receipt.key)
        .await
        .expect("followed")
}

fn staff(ticket: Uuid, visibility: Visibility, body: &str) -> StaffMessage {
    StaffMessage {
        ticket_id: ticket,
        actor: "user:s@b.example".into(),
        visibility,
        body: body.into(),
        then: None,
        files: Vec::new(),
        audit: audit("reply", ticket),
    }
}

fn change(ticket: Uuid, from: TicketStatus, to: TicketStatus) -> TicketChange {
    TicketChange {
        ticket_id: ticket,
        status: (from, to),
        assignee: (None, None),
        audit: audit("update", ticket),
    }
}

async fn status(store: &Store, id: Uuid) -> TicketStatus {
    store.ticket(id).await.expect("read").expect("there").status
}

#[tokio::test]
async fn a_report_is_followed_with_its_reference_and_key_together() {
    each_store(async |store: Store, _: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let [one, other] = ["One", "Other"];
        let one = desk
            .file(incoming(form(one), Sending::Unnamed, Vec::new()))
            .await
            .expect("filed");
        let other = desk
            .file(incoming(form(other), Sending::Unnamed, Vec::new()))
            .await
            .expect("filed");
        assert_eq!(one.key.len(), 22, "128 bits in base64");
        let ticket = desk
            .follow(&one.reference.as_str().to_lowercase(), &one.key)
            .await
            .expect("followed");
        assert_eq!(
            (ticket.subject.as_str(), ticket.status),
            ("One", TicketStatus::New)
        );
        for (reference, key) in [
            (one.reference.as_str(), other.key.as_str()),
            (other.reference.as_str(), one.key.as_str()),
            (one.reference.as_str(), ""),
            ("OPS-0000-00", one.key.as_str()),
            ("nonsense", one.key.as_str()),
        ] {
            let refused = desk.follow(reference, key).await;
            assert!(matches!(refused, Err(TicketError::NotFound)), "{reference} {key}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_same_form_sent_twice_is_one_report_and_a_changed_one_is_another() {
    each_store(async |store: Store, _: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let sending = Sending::Form([7; 16]);
        let send = async |subject: &str, file: &str| {
            let files = vec![staged(&desk, "a.log", file.as_bytes()).await];
            desk.file(incoming(form(subject), sending.clone(), files))
                .await
                .expect("filed")
        };
        let first = send("Import hangs", "line").await;
        assert_eq!(send("Import hangs", "line").await, first);
        assert_ne!(send("Import hangs again", "line").await, first);
        assert_ne!(send("Import hangs", "another line").await, first);
        let listed = store
            .list_tickets(&TicketFilter::default(), None, 10)
            .await
            .expect("listed");
        assert_eq!(listed.items.len(), 3);
        assert_eq!(
            stored_files(folder.path()).len(),
            3,
            "the repeated one's file is gone"
        );
    })
    .await;
}

#[tokio::test]
async fn a_wrong_report_names_its_fields_and_leaves_nothing() {
    each_store(async |store: Store, _: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let mut files = Vec::new();
        for _ in 0..6 {
            files.push(staged(&desk, "a.txt", b"x").await);
        }
        let refused = desk
            .file(incoming(ReportForm::default(), Sending::Unnamed, files))
            .await
            .expect_err("wrong");
        let TicketError::Invalid(faults) = refused else {
            panic!("{refused}")
        };
        let faults: Vec<Fault> = faults.iter().map(|fault| fault.fault).collect();
        assert_eq!(faults, [Fault::Missing, Fault::Missing, Fault::TooManyFiles]);
        assert_eq!(stored_files(folder.path()), Vec::<String>::new());
        let listed = store
            .list_tickets(&TicketFilter::default(), None, 10)
            .await
            .expect("listed");
        assert!(listed.items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_report_keeps_how_its_task_stood_and_takes_an_id_that_nobody_knows() {
    each_store(async |store: Store, _: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let id = Uuid::now_v7();
        let task = NewTask {
            id,
            kind: "import".into(),
            queue: "import".into(),
            title: None,
            owner: None,
            priority: 0,
            payload: json!({}),
            timeout_s: None,
            max_attempts: 3,
            available_at: None,
            start: true,
            traceparent: None,
        };
        let creation = Creation {
            tasks: vec![task],
            principal: "token:t".into(),
            idempotency: None,
        };
        store.create(&[creation]).await.expect("stored")[0]
            .clone()
            .expect("created");
        for (task_id, context) in [
            (
                id,
                json!({ "kind": "import", "queue": "import", "state": "queued", "dispatch": 1, "attempt": 0,
                    "stalls": [] }),
            ),
            (Uuid::now_v7(), json!(null)),
        ] {
            let form = ReportForm {
                task_id: task_id.to_string(),
                ..form("About a task")
            };
            let receipt = desk
                .file(incoming(form, Sending::Unnamed, Vec::new()))
                .await
                .expect("filed");
            let ticket = desk
                .follow(receipt.reference.as_str(), &receipt.key)
                .await
                .expect("there");
            assert_eq!(ticket.task_id, Some(task_id));
            assert_eq!(ticket.context["task"], context);
            let about = TicketFilter {
                task_id: Some(task_id),
                ..TicketFilter::default()
            };
            assert_eq!(
                store
                    .list_tickets(&about, None, 10)
                    .await
                    .expect("listed")
                    .items
                    .len(),
                1
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_reporter_never_sees_an_internal_note_nor_its_file() {
    each_store(async |store: Store, _: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let ticket = filed(&desk, "Secret").await;
        let note = StaffMessage {
            files: vec![staged(&desk, "internal.txt", b"inside").await],
            ..staff(ticket.id, Visibility::Internal, "They are on the old plan.")
        };
        desk.write(note).await.expect("noted");
        assert_eq!(
            status(&store, ticket.id).await,
            TicketStatus::New,
            "a note is no answer"
        );
        desk.write(staff(ticket.id, Visibility::Public, "We look into it."))
            .await
            .expect("answered");
        assert_eq!(status(&store, ticket.id).await, TicketStatus::Waiting);
        let seen = store
            .ticket_messages(ticket.id, Visibility::Public)
            .await
            .expect("read");
        let bodies: Vec<&str> = seen.iter().map(|message| message.body.as_str()).collect();
        assert_eq!(bodies, ["It stands still since noon.", "We look into it."]);
        assert_eq!(seen[1].author, Author::Staff("user:s@b.example".into()));
        assert_eq!(
            store
                .ticket_messages(ticket.id, Visibility::Internal)
                .await
                .expect("read")
                .len(),
            3
        );
        assert!(
            store
                .ticket_attachments(ticket.id, Visibility::Public)
                .await
                .expect("read")
                .is_empty()
        );
        let all = store
            .ticket_attachments(ticket.id, Visibility::Internal)
            .await
            .expect("read");
        let found = async |ticket: Uuid, up_to: Visibility| {
            store
                .ticket_attachment(ticket, all[0].id, up_to)
                .await
                .expect("read")
                .is_some()
        };
        assert!(found(ticket.id, Visibility::Internal).await);
        assert!(!found(ticket.id, Visibility::Public).await);
        assert!(
            !found(Uuid::now_v7(), Visibility::Internal).await,
            "of another ticket"
        );
    })
    .await;
}

#[tokio::test]
async fn a_message_pressed_twice_is_added_once() {
    each_store(async |store: Store, clock: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let ticket = filed(&desk, "Twice").await;
        let answer = async |files| desk.answer(ticket.id, "Still so.", Reopen::No, files).await;
        answer(Vec::new()).await.expect("added");
        answer(Vec::new()).await.expect("the same again");
        let count = async || {
            store
                .ticket_messages(ticket.id, Visibility::Public)
                .await
                .expect("read")
                .len()
        };
        assert_eq!(count().await, 2);
        answer(vec![staged(&desk, "a.txt", b"1").await])
            .await
            .expect("another: it has a file");
        answer(vec![staged(&desk, "b.txt", b"1").await])
            .await
            .expect("the same file again");
        assert_eq!(count().await, 3);
        clock.advance(std::time::Duration::from_secs(61));
        answer(vec![staged(&desk, "a.txt", b"1").await])
            .await
            .expect("meant so, after a minute");
        assert_eq!(count().await, 4);
    })
    .await;
}

#[tokio::test]
async fn a_reporter_reopens_what_was_resolved() {
    each_store(async |store: Store, clock: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let ticket = filed(&desk, "Resolved?").await;
        let solved = StaffMessage {
            then: Some(TicketStatus::Resolved),
            ..staff(ticket.id, Visibility::Public, "Mended.")
        };
        desk.write(solved).await.expect("answered");
        let closed_at = store
            .ticket(ticket.id)
            .await
            .expect("read")
            .expect("there")
            .closed_at;
        assert!(closed_at.is_some());
        clock.advance(std::time::Duration::from_secs(5));
        desk.answer(ticket.id, "Thank you.", Reopen::No, Vec::new())
            .await
            .expect("added");
        let kept = store.ticket(ticket.id).await.expect("read").expect("there");
        assert_eq!((kept.status, kept.closed_at), (TicketStatus::Resolved, closed_at));
        let lines = store
            .list_tickets(&TicketFilter::default(), None, 10)
            .await
            .expect("listed")
            .items;
        assert_eq!((&lines[0].last_author, lines[0].messages), (&Author::Reporter, 3));
        desk.answer(ticket.id, "It is back.", Reopen::Yes, Vec::new())
            .await
            .expect("added");
        let open = store.ticket(ticket.id).await.expect("read").expect("there");
        assert_eq!((open.status, open.closed_at), (TicketStatus::Open, None));
    })
    .await;
}

#[tokio::test]
async fn a_change_is_refused_when_the_ticket_moved_meanwhile() {
    each_store(async |store: Store, _: TestClock| {
        use TicketStatus::*;
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let id = filed(&desk, "Moved").await.id;
        desk.change(change(id, New, Open)).await.expect("changed");
        let late = desk.change(change(id, New, Closed)).await;
        assert!(matches!(late, Err(TicketError::Moved)), "{late:?}");
        desk.change(change(id, New, Open))
            .await
            .expect("it is so already");
        assert_eq!(status(&store, id).await, Open);
        let nobody = TicketChange {
            assignee: (None, Some("nobody@b.example".into())),
            ..change(id, Open, Open)
        };
        assert!(matches!(desk.change(nobody).await, Err(TicketError::NoAssignee)));
        let missing = desk.change(change(Uuid::now_v7(), Open, Closed)).await;
        assert!(matches!(missing, Err(TicketError::NotFound)), "{missing:?}");
    })
    .await;
}

#[tokio::test]
async fn the_list_is_filtered_and_paged_without_gap_or_repeat() {
    each_store(async |store: Store, _: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let mut ids = Vec::new();
        for number in 0..7 {
            ids.push(filed(&desk, &format!("Number {number}")).await.id);
        }
        for id in &ids[..3] {
            desk.change(change(*id, TicketStatus::New, TicketStatus::Closed))
                .await
                .expect("closed");
        }
        assert_eq!(store.tickets_to_do().await.expect("counted"), 4);
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = store
                .list_tickets(&TicketFilter::default(), before, 3)
                .await
                .expect("listed");
            seen.extend(page.items.iter().map(|line| line.ticket.id));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        ids.reverse();
        assert_eq!(seen, ids);
        let closed = TicketFilter {
            statuses: vec![TicketStatus::Closed],
            ..TicketFilter::default()
        };
        let closed = store.list_tickets(&closed, None, 10).await.expect("listed").items;
        assert_eq!(
            closed.iter().map(|line| line.ticket.id).collect::<Vec<_>>(),
            ids[4..]
        );
    })
    .await;
}
