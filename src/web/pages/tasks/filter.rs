//! The filters of the task list: the address is their only memory, so every view of the list can be shared.

use serde::Deserialize;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::{
    domain::{task::State, time::Time},
    store::tasks::TaskFilter,
    web::error::{AppError, Problem},
};

/// The longest value of a filter.
const VALUE_CHARS: usize = 200;

/// The filters as they stand in the address. An empty text is no filter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filters {
    pub(super) state: Vec<State>,
    pub(super) q: String,
    pub(super) kind: String,
    pub(super) queue: String,
    pub(super) owner: String,
    pub(super) verdict: String,
    pub(super) created_after: String,
    pub(super) created_before: String,
    pub(super) payload_path: String,
    pub(super) payload_value: String,
    /// The id that the page before ended with.
    pub(super) before: Option<Uuid>,
}

/// A view of the list by state: the tabs above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tab {
    /// The word of its name in the family `task-tab`.
    pub(super) word: &'static str,
    pub(super) states: &'static [State],
}

impl Tab {
    pub(super) const ALL: [Tab; 7] = [
        Tab::new("all", &[]),
        Tab::new("unfinished", &[State::New, State::Queued, State::Running]),
        Tab::new("queued", &[State::Queued]),
        Tab::new("running", &[State::Running]),
        Tab::new("failed", &[State::Failed]),
        Tab::new("succeeded", &[State::Succeeded]),
        Tab::new("cancelled", &[State::Cancelled]),
    ];

    const fn new(word: &'static str, states: &'static [State]) -> Self {
        Self { word, states }
    }
}

/// A filter that can't be read: the field's name and the key of what would be right.
pub(super) type Wrong = (&'static str, &'static str);

impl Filters {
    /// What the store is asked for, and the fields that can't be read.
    pub(super) fn read(&self) -> Result<(TaskFilter, Vec<Wrong>), AppError> {
        let texts = self.pairs();
        if texts
            .iter()
            .any(|(_, value)| value.chars().count() > VALUE_CHARS || value.contains('\0'))
        {
            return Err(AppError::new(Problem::BadRequest)
                .detail(format!("a filter has at most {VALUE_CHARS} characters"))
                .explain("task-filter-too-long"));
        }
        let mut wrong = Vec::new();
        let mut time = |name: &'static str, text: &str| match text.trim() {
            "" => None,
            text => read_time(text).or_else(|| {
                wrong.push((name, "task-filter-wrong-time"));
                None
            }),
        };
        let created_after = time("created_after", &self.created_after);
        let created_before = time("created_before", &self.created_before);
        let payload = match (read_path(&self.payload_path), self.payload_path.trim().is_empty()) {
            (_, true) => Vec::new(),
            (Some(path), false) => vec![(path, self.payload_value.trim().to_owned())],
            (None, false) => {
                wrong.push(("payload_path", "task-filter-wrong-path"));
                Vec::new()
            }
        };
        let filter = TaskFilter {
            states: self.state.clone(),
            kind: text(&self.kind),
            queue: text(&self.queue),
            owner: text(&self.owner),
            verdict: text(&self.verdict),
            q: text(&self.q),
            created_after,
            created_before,
            payload,
        };
        Ok((filter, wrong))
    }

    /// Every filter that is set, as the address has it.
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let states = self.state.iter().map(|state| ("state", state.as_str()));
        let texts = [
            ("q", &self.q),
            ("kind", &self.kind),
            ("queue", &self.queue),
            ("owner", &self.owner),
            ("verdict", &self.verdict),
            ("created_after", &self.created_after),
            ("created_before", &self.created_before),
            ("payload_path", &self.payload_path),
            ("payload_value", &self.payload_value),
        ];
        let texts = texts.into_iter().map(|(name, value)| (name, value.trim()));
        states
            .chain(texts.filter(|(_, value)| !value.is_empty()))
            .collect()
    }

    /// Whether the list is narrowed at all.
    pub(super) fn any(&self) -> bool {
        !self.pairs().is_empty()
    }

    /// Whether one of the filters that are folded away is set.
    pub(super) fn any_folded(&self) -> bool {
        self.pairs()
            .iter()
            .any(|(name, _)| !matches!(*name, "state" | "q"))
    }

    /// The address of the first page with these filters and the states of `tab`.
    pub(super) fn with_tab(&self, tab: &Tab) -> String {
        Self {
            state: tab.states.to_vec(),
            before: None,
            ..self.clone()
        }
        .address()
    }

    pub(super) fn is_tab(&self, tab: &Tab) -> bool {
        self.state == tab.states
    }

    /// The address of the first page with these filters.
    pub(super) fn first(&self) -> String {
        Self {
            before: None,
            ..self.clone()
        }
        .address()
    }

    /// The address of the page after the task `before`.
    pub(super) fn after(&self, before: Uuid) -> String {
        Self {
            before: Some(before),
            ..self.clone()
        }
        .address()
    }

    pub(super) fn address(&self) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.pairs());
        if let Some(before) = self.before {
            query.append_pair("before", &before.to_string());
        }
        match query.finish() {
            query if query.is_empty() => "/admin/tasks".to_owned(),
            query => format!("/admin/tasks?{query}"),
        }
    }
}

fn text(given: &str) -> Option<String> {
    Some(given.trim().to_owned()).filter(|text| !text.is_empty())
}

/// An instant as RFC 3339, or as a browser's date field gives it, which is then in UTC.
pub(crate) fn read_time(text: &str) -> Option<Time> {
    let seconds = if text.len() == "2026-01-31T09:30".len() {
        ":00Z"
    } else {
        "Z"
    };
    text.parse()
        .ok()
        .or_else(|| format!("{text}{seconds}").parse().ok())
}

/// `a.b.c` as its segments: letters, digits, `_` and `-`.
fn read_path(text: &str) -> Option<Vec<String>> {
    let segments: Vec<&str> = text.trim().split('.').collect();
    let fine = |segment: &&str| {
        !segment.is_empty()
            && segment
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-'))
    };
    (segments.len() <= 16 && segments.iter().all(fine))
        .then(|| segments.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_view_gives_the_view_again() {
        let filters = Filters {
            state: vec![State::Failed, State::Cancelled],
            q: "a&b=c d".into(),
            created_after: "2026-01-31T09:30".into(),
            payload_path: "order.id".into(),
            payload_value: "7".into(),
            ..Filters::default()
        };
        let address = filters.address();
        let query = address.split_once('?').expect("a query").1;
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let expected: Vec<(String, String)> = filters
            .pairs()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(pairs, expected);
        let (filter, wrong) = filters.read().expect("short enough");
        assert_eq!(wrong, []);
        assert_eq!(
            filter.created_after.map(|at| at.to_string()).as_deref(),
            Some("2026-01-31T09:30:00.000Z")
        );
        assert_eq!(
            filter.payload,
            [(vec!["order".to_owned(), "id".to_owned()], "7".to_owned())]
        );
    }

    #[test]
    fn a_filter_that_can_t_be_read_is_named() {
        let filters = Filters {
            created_before: "yesterday".into(),
            payload_path: "a..b".into(),
            ..Filters::default()
        };
        let (_, wrong) = filters.read().expect("short enough");
        let fields: Vec<&str> = wrong.iter().map(|(field, _)| *field).collect();
        assert_eq!(fields, ["created_before", "payload_path"]);
    }

    #[test]
    fn a_date_field_of_a_browser_is_read_as_utc() {
        for (text, is) in [
            ("2026-01-31T09:30", Some("2026-01-31T09:30:00.000Z")),
            ("2026-01-31T09:30:05", Some("2026-01-31T09:30:05.000Z")),
            ("2026-01-31T09:30:05+02:00", Some("2026-01-31T07:30:05.000Z")),
            ("2026-01-31", None),
            ("", None),
        ] {
            assert_eq!(read_time(text).map(|at| at.to_string()).as_deref(), is, "{text}");
        }
    }
}
