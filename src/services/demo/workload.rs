//! A steady trickle of tasks, like a small company's.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{MAIL, REPORTS, VIDEO};
use crate::{
    domain::task::NewTask,
    services::submit::{Submit, SubmitError},
    store::tasks::Creation,
};

const CUSTOMERS: &[&str] = &[
    "Aster Ltd",
    "Birch & Sons",
    "Cedar GmbH",
    "Dahlia SA",
    "Elm 科技",
    "Fern Oy",
];

/// Creates and starts the demo's tasks.
pub(super) struct Workload {
    submit: Submit,
}

impl Workload {
    pub(super) fn new(submit: Submit) -> Self {
        Self { submit }
    }

    /// A report every few seconds, a letter a little less often, a video now and then; for ever.
    pub(super) async fn trickle(&self) {
        for round in 0usize.. {
            self.report(round).await;
            if round.is_multiple_of(2) {
                self.letter(round).await;
            }
            if round.is_multiple_of(4) {
                self.video(round).await;
            }
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
    }

    pub(super) async fn report(&self, round: usize) {
        let customer = CUSTOMERS[round % CUSTOMERS.len()];
        let payload = json!({ "customer": customer, "month": "2026-01", "format": "pdf" });
        self.start(
            REPORTS,
            "report",
            format!("Monthly report for {customer}"),
            payload,
        )
        .await;
    }

    /// Most letters arrive; every fifth finds a full mailbox, every ninth an address that does not exist.
    pub(super) async fn letter(&self, round: usize) {
        let customer = CUSTOMERS[round % CUSTOMERS.len()];
        let to = match round / 2 {
            n if n % 9 == 8 => "no-such-address",
            n if n % 5 == 4 => "mailbox-full@example.com",
            _ => "office@example.com",
        };
        let payload = json!({ "customer": customer, "to": to, "template": "invoice" });
        self.start(MAIL, "letter", format!("Invoice to {customer}"), payload)
            .await;
    }

    pub(super) async fn video(&self, round: usize) {
        let payload = json!({ "scene": round, "resolution": "1920x1080" });
        self.start(VIDEO, "render", format!("Render scene {round}"), payload)
            .await;
    }

    async fn start(&self, queue: &str, kind: &str, title: String, payload: Value) {
        let task = NewTask {
            id: Uuid::now_v7(),
            kind: kind.to_owned(),
            queue: queue.to_owned(),
            title: Some(title),
            owner: Some("demo".to_owned()),
            priority: 0,
            payload,
            timeout_s: None,
            max_attempts: 3,
            available_at: None,
            start: true,
            traceparent: None,
        };
        let creation = Creation {
            tasks: vec![task],
            principal: "system".to_owned(),
            idempotency: None,
        };
        if let Err(error) = self.submit.create(creation).await {
            log_refusal(&error);
        }
    }
}

fn log_refusal(error: &SubmitError) {
    tracing::warn!(%error, "the demo could not start a task; the next one may work");
}
