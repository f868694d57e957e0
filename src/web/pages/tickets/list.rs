//! `/admin/tickets`: the list, its filters as its address.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::{
    domain::{
        ticket::{Author, TicketStatus},
        words::words,
    },
    store::tickets::{TicketFilter, TicketLine},
    web::{
        Site,
        error::AppError,
        html,
        layout::{Chrome, Nav},
        session::Viewer,
    },
};

/// Tickets on one page.
const PAGE: usize = 50;

words! {
    /// The tabs above the list.
    pub enum Tab {
        /// Staff's turn: the new and the open ones.
        Todo = "todo",
        Waiting = "waiting",
        Resolved = "resolved",
        Closed = "closed",
        All = "all",
    }
}

impl Tab {
    fn statuses(self) -> Vec<TicketStatus> {
        match self {
            Self::Todo => vec![TicketStatus::New, TicketStatus::Open],
            Self::Waiting => vec![TicketStatus::Waiting],
            Self::Resolved => vec![TicketStatus::Resolved],
            Self::Closed => vec![TicketStatus::Closed],
            Self::All => Vec::new(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Filters {
    status: Option<Tab>,
    /// `me`: only those that the reader works on.
    assignee: Option<String>,
    /// Only those about this task.
    task: Option<Uuid>,
    before: Option<Uuid>,
}

impl Filters {
    fn tab(&self) -> Tab {
        // About one task, all of them are of interest.
        self.status
            .unwrap_or(if self.task.is_some() { Tab::All } else { Tab::Todo })
    }

    fn mine(&self) -> bool {
        self.assignee.as_deref() == Some("me")
    }

    fn address(&self, tab: Tab, mine: bool, before: Option<Uuid>) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("status", tab.as_str());
        if mine {
            query.append_pair("assignee", "me");
        }
        if let Some(task) = self.task {
            query.append_pair("task", &task.to_string());
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        format!("/admin/tickets?{}", query.finish())
    }
}

#[derive(Template)]
#[template(path = "tickets/list.html")]
struct TicketsPage {
    c: Chrome,
    filters: Filters,
    tabs: &'static [Tab],
    lines: Vec<TicketLine>,
    /// The address of the first page, when this is another one.
    newer: Option<String>,
    older: Option<String>,
}

impl TicketsPage {
    fn tab(&self, tab: &Tab) -> String {
        self.filters.address(*tab, self.filters.mine(), None)
    }

    fn turned(&self) -> String {
        self.filters
            .address(self.filters.tab(), !self.filters.mine(), None)
    }

    /// Whether the newest message is the reporter's and nobody has answered it.
    fn unanswered(&self, line: &TicketLine) -> bool {
        line.last_author == Author::Reporter
    }
}

/// The tickets that the address asks for, newest first.
pub(super) async fn show(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    Query(filters): Query<Filters>,
) -> Result<Response, AppError> {
    let filter = TicketFilter {
        statuses: filters.tab().statuses(),
        assignee: filters.mine().then(|| viewer.user.email.clone()),
        task_id: filters.task,
    };
    let page = site.store.list_tickets(&filter, filters.before, PAGE).await?;
    let address = |before| filters.address(filters.tab(), filters.mine(), before);
    html(&TicketsPage {
        c: viewer.chrome(Nav::Tickets),
        tabs: Tab::ALL,
        lines: page.items,
        newer: filters.before.map(|_| address(None)),
        older: page.next.map(|before| address(Some(before))),
        filters,
    })
}
