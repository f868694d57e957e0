//! A finding with what it is about, as overview, stalls, queue and task pages show it.

use std::collections::HashMap;

use uuid::Uuid;

use crate::{
    domain::finding::{Scope, Verdict},
    store::findings::{IncidentRow, Said, StallRow},
    web::{
        Site,
        error::AppError,
        findings::{Finding, Seen},
        layout::Chrome,
        pages::{
            address,
            tasks::row::{name, short},
        },
    },
};

/// A finding, what it is about and where that is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Card {
    pub(crate) finding: Finding,
    pub(crate) about: About,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum About {
    /// A cause: a queue, a worker, or the broker.
    Cause {
        scope: Scope,
        name: String,
        /// The queue's page.
        href: Option<String>,
        /// How many tasks it touches, and where they are listed.
        tasks: i64,
        tasks_href: String,
    },
    Task {
        id: Uuid,
        /// What was judged: another dispatch is another story.
        dispatch: i64,
        short: String,
        name: String,
        queue: String,
        queue_href: String,
    },
}

impl Card {
    /// The cards of `rows`, with what people said about them.
    pub(crate) async fn of_incidents(
        site: &Site,
        c: &Chrome,
        rows: &[IncidentRow],
    ) -> Result<Vec<Self>, AppError> {
        let seen = Seen::for_incidents(site, rows).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let said = site.store.said_of(&ids).await?;
        let card = |row: &IncidentRow| Self::of_incident(c, row, &seen, said.get(&row.id));
        Ok(rows.iter().map(card).collect())
    }

    fn of_incident(c: &Chrome, row: &IncidentRow, seen: &Seen, said: Option<&Said>) -> Self {
        let subject = &row.subject;
        let queue = match subject.scope {
            Scope::Queue => Some(subject.name.as_str()),
            Scope::Worker | Scope::Broker => None,
        };
        let tasks_href = match (row.verdict, queue) {
            // These stand for stalls of their own, which name the tasks; the others touch whatever waits in the queue.
            (
                Verdict::NoConsumers
                | Verdict::ConsumersStuck
                | Verdict::Backlog
                | Verdict::LedgerOver
                | Verdict::QueueMismatch,
                Some(queue),
            ) => address::unfinished(queue),
            _ => address::stalls_of(row.id),
        };
        Self {
            finding: Finding::of_incident(c.l, row, c.now, seen).with(said),
            about: About::Cause {
                scope: subject.scope,
                name: subject.name.clone(),
                href: queue.map(address::queue),
                tasks: row.tasks,
                tasks_href,
            },
        }
    }

    /// The cards of `rows`, with the tasks' names and what people said. A task that was deleted since is called by its id.
    pub(crate) async fn of_stalls(site: &Site, c: &Chrome, rows: &[StallRow]) -> Result<Vec<Self>, AppError> {
        let seen = Seen::for_stalls(site, rows).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.task_id).collect();
        let names: HashMap<Uuid, String> = site
            .store
            .heads_by_id(&ids)
            .await?
            .iter()
            .map(|head| (head.task.id, name(head.title.as_deref(), &head.task.kind)))
            .collect();
        let stalls: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let said = site.store.said_of(&stalls).await?;
        Ok(rows
            .iter()
            .map(|row| Self {
                finding: Finding::of_stall(c.l, row, c.now, &seen).with(said.get(&row.id)),
                about: About::Task {
                    id: row.task_id,
                    dispatch: row.dispatch,
                    short: short(row.task_id),
                    name: names
                        .get(&row.task_id)
                        .cloned()
                        .unwrap_or_else(|| short(row.task_id)),
                    queue_href: address::queue(&row.queue),
                    queue: row.queue.clone(),
                },
            })
            .collect())
    }
}
