//! What is deleted when, and what stays.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use unstuck::{
    domain::{audit::AuditEntry, report::ReportForm, task::NewTask, ticket::TicketStatus, transition::Event},
    services::{
        attachments::Quota,
        pruner::{self, Pace, Retention, Tally},
        ticketing::Sending,
    },
    store::{
        Lane, Store,
        tasks::{Act, Creation, TaskFilter},
        tickets::{TicketChange, TicketFilter},
    },
};
use uuid::Uuid;

use super::{desk, form, incoming};
use crate::support::store::{TestClock, each_store};

const DAY: Duration = Duration::from_secs(86_400);
const KEPT: Duration = Duration::from_secs(90 * 86_400);

fn pace(batch: i64, batches: usize) -> Pace {
    Pace {
        batch,
        batches,
        pause: Duration::ZERO,
    }
}

async fn created(store: &Store, count: usize, event: Option<fn() -> Event>) -> Vec<Uuid> {
    let tasks: Vec<NewTask> = (0..count)
        .map(|_| NewTask {
            id: Uuid::now_v7(),
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
        })
        .collect();
    let ids: Vec<Uuid> = tasks.iter().map(|task| task.id).collect();
    let creation = Creation {
        tasks,
        principal: "token:t".into(),
        idempotency: None,
    };
    store.create(&[creation]).await.expect("stored")[0]
        .clone()
        .expect("created");
    if let Some(event) = event {
        let acts: Vec<Act> = ids
            .iter()
            .map(|id| Act {
                task_id: *id,
                event: event(),
                actor: "user:s@b.example".into(),
                audit: None,
            })
            .collect();
        for outcome in store
            .apply(&acts, Lane::Shared, Duration::from_secs(30))
            .await
            .expect("applied")
        {
            outcome.expect("allowed");
        }
    }
    ids
}

async fn left(store: &Store) -> Vec<Uuid> {
    let page = store
        .list_tasks(&TaskFilter::default(), None, 1000)
        .await
        .expect("listed");
    page.items.iter().map(|view| view.task.id).collect()
}

async fn tick(store: &Store, pace: Pace) -> Tally {
    let now = store.now().await.expect("a time");
    pruner::tick(store, Retention::days(90), pace, now)
        .await
        .expect("a pass")
}

#[tokio::test]
async fn finished_tasks_go_with_all_that_is_theirs_and_open_ones_never() {
    each_store(async |store: Store, clock: TestClock| {
        let open = created(&store, 3, None).await;
        let ended = created(&store, 3, Some(|| Event::Cancel)).await;
        clock.advance(KEPT - DAY);
        assert_eq!(tick(&store, pace(100, 9)).await.tasks, 0);
        let young = created(&store, 2, Some(|| Event::Cancel)).await;
        clock.advance(DAY * 2);
        let tally = tick(&store, pace(100, 9)).await;
        assert_eq!((tally.tasks, tally.more), (3, false));
        let left = left(&store).await;
        assert_eq!(left.len(), 5);
        assert!(open.iter().chain(&young).all(|id| left.contains(id)));
        for id in ended {
            assert!(store.task(id).await.expect("read").is_none());
            assert!(store.history(id, 0, 10).await.expect("read").is_empty());
            assert!(store.attempts(id, 0, 10).await.expect("read").is_empty());
        }
        for id in open {
            assert!(!store.history(id, 0, 10).await.expect("read").is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn a_pass_is_bounded_and_says_that_there_is_more() {
    each_store(async |store: Store, clock: TestClock| {
        created(&store, 25, Some(|| Event::Cancel)).await;
        clock.advance(KEPT + DAY);
        let tally = tick(&store, pace(5, 2)).await;
        assert_eq!((tally.tasks, tally.more), (10, true));
        assert!(tally.wait() < Duration::from_secs(5));
        let tally = tick(&store, pace(5, 9)).await;
        assert_eq!((tally.tasks, tally.more), (15, false));
        assert!(left(&store).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_task_stays_while_its_ticket_is_worked_on() {
    each_store(async |store: Store, clock: TestClock| {
        let folder = TempDir::new().expect("a folder");
        let desk = desk(&store, folder.path(), Quota::default()).await;
        let id = created(&store, 1, Some(|| Event::Cancel)).await[0];
        let form = ReportForm {
            task_id: id.to_string(),
            ..form("Why was it cancelled?")
        };
        desk.file(incoming(form, Sending::Unnamed, Vec::new()))
            .await
            .expect("filed");
        clock.advance(KEPT + DAY);
        assert_eq!(tick(&store, pace(100, 9)).await.tasks, 0);
        let ticket = store
            .list_tickets(&TicketFilter::default(), None, 1)
            .await
            .expect("listed")
            .items[0]
            .ticket
            .id;
        let change = TicketChange {
            ticket_id: ticket,
            status: (TicketStatus::New, TicketStatus::Closed),
            assignee: (None, None),
            audit: AuditEntry::new("user:s@b.example", "update", "ticket", ticket.to_string()),
        };
        desk.change(change).await.expect("closed");
        assert_eq!(tick(&store, pace(100, 9)).await.tasks, 1);
    })
    .await;
}

#[tokio::test]
async fn old_counters_and_deliveries_that_are_done_go_by_their_age() {
    each_store(async |store: Store, clock: TestClock| {
        created(&store, 1, None).await;
        let audit = AuditEntry::new("user:s@b.example", "test", "webhook", "");
        store.enqueue_test(&audit).await.expect("enqueued");
        clock.advance(DAY * 9);
        let tally = tick(&store, pace(100, 9)).await;
        assert_eq!((tally.throughput, tally.webhook_deliveries), (1, 0));
        clock.advance(DAY * 30);
        assert_eq!(
            tick(&store, pace(100, 9)).await.webhook_deliveries,
            0,
            "it is still to be sent"
        );
        let taken = store
            .take_deliveries(Duration::from_secs(1), 1)
            .await
            .expect("taken")
            .remove(0);
        store.delivery_done(&taken, 200).await.expect("noted");
        assert_eq!(tick(&store, pace(100, 9)).await.webhook_deliveries, 1);
    })
    .await;
}
