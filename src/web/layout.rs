//! What every page shows around its own content, and the few decisions that its shared parts need: which tone and
//! icon a word has, and how a flash travels from one answer to the next page.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Uri};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    assets, extract,
    i18n::{Arg, Lang, Text},
    links::Link,
};
use crate::domain::{access::Role, time::Time, words::words};

/// The entries of the staff navigation, and which of them a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nav {
    Overview,
    Stalls,
    Tasks,
    Queues,
    Tickets,
    Rules,
    Audit,
    /// A page that belongs to none.
    None,
}

impl Nav {
    pub const SHOWN: [Nav; 7] = [
        Nav::Overview,
        Nav::Stalls,
        Nav::Tasks,
        Nav::Queues,
        Nav::Tickets,
        Nav::Rules,
        Nav::Audit,
    ];

    pub const fn href(self) -> &'static str {
        match self {
            Self::Overview | Self::None => "/admin",
            Self::Stalls => "/admin/stalls",
            Self::Tasks => "/admin/tasks",
            Self::Queues => "/admin/queues",
            Self::Tickets => "/admin/tickets",
            Self::Rules => "/admin/rules",
            Self::Audit => "/admin/audit",
        }
    }

    pub const fn icon(self) -> &'static str {
        match self {
            Self::Overview | Self::None => "speedometer2",
            Self::Stalls => "exclamation-octagon",
            Self::Tasks => "list-task",
            Self::Queues => "inboxes",
            Self::Tickets => "life-preserver",
            Self::Rules => "bar-chart",
            Self::Audit => "journal-text",
        }
    }

    /// Its word in the catalogue's family `nav`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Overview | Self::None => "overview",
            Self::Stalls => "stalls",
            Self::Tasks => "tasks",
            Self::Queues => "queues",
            Self::Tickets => "tickets",
            Self::Rules => "rules",
            Self::Audit => "audit",
        }
    }
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub email: String,
    pub role: Role,
}

/// Figures beside the navigation's words; `None` is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open incidents and open stalls under none.
    pub stalls: Option<u64>,
    /// Tickets that wait for staff.
    pub tickets: Option<u64>,
}

/// The frame of a page: `c` in every template.
#[derive(Clone, Debug)]
pub struct Chrome {
    pub l: Lang,
    /// When the page was made: what `ago` counts from.
    pub now: Time,
    /// This page's own path and query: where the language switch and a login come back to.
    pub path: String,
    pub nav: Nav,
    pub who: Option<Who>,
    pub links: Vec<Link>,
    pub counts: Counts,
    pub flash: Option<Flash>,
    /// The address of the icons' file.
    pub sprite: String,
}

/// A figure in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub number: u64,
    pub tone: &'static str,
}

impl Chrome {
    /// The frame of a page for somebody unknown: the language from its cookie or the browser, nothing else.
    pub fn bare(headers: &HeaderMap, uri: &Uri, nav: Nav) -> Self {
        Self {
            l: extract::lang(headers, None),
            now: extract::wall_clock(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            nav,
            who: None,
            links: Vec::new(),
            counts: Counts::default(),
            flash: Flash::read(headers),
            sprite: assets::address("vendor/icons.svg"),
        }
    }

    /// The entries of the staff navigation.
    pub fn entries(&self) -> [Nav; 7] {
        Nav::SHOWN
    }

    /// The languages to choose from.
    pub fn languages(&self) -> [Lang; 2] {
        Lang::ALL
    }

    /// The figure beside a navigation entry; none when there is nothing to look at.
    pub fn count(&self, entry: &Nav) -> Option<Count> {
        let (number, tone) = match entry {
            Nav::Stalls => (self.counts.stalls?, "bad"),
            Nav::Tickets => (self.counts.tickets?, "run"),
            Nav::Overview | Nav::Tasks | Nav::Queues | Nav::Rules | Nav::Audit | Nav::None => return None,
        };
        (number > 0).then_some(Count { number, tone })
    }

    /// The text of `key`; give its variables with `.a("name", value)`.
    pub fn t<'a>(&self, key: &'a str) -> Text<'a> {
        self.l.t(key)
    }

    /// The text of `key` about `n` things: its plural.
    pub fn n<'a>(&self, key: &'a str, n: impl Arg) -> Text<'a> {
        self.l.t(key).a("n", n)
    }

    /// The text of a word of the domain, `<family>-<word>`.
    pub fn of(&self, family: &str, word: impl AsRef<str>) -> Text<'static> {
        self.l.of(family, word)
    }

    /// Who an actor such as `user:a@b.example` is.
    pub fn actor<'a>(&self, actor: &'a str) -> &'a str {
        actor.strip_prefix("user:").unwrap_or(actor)
    }

    pub fn asset(&self, path: &str) -> String {
        assets::address(path)
    }

    /// Whether the signed-in person may do what `role` may; templates hide the rest, the handlers refuse it.
    pub fn may(&self, role: &str) -> bool {
        let needed: Option<Role> = role.parse().ok();
        matches!((&self.who, needed), (Some(who), Some(needed)) if who.role >= needed)
    }

    /// A task's state as a pill.
    pub fn state(&self, state: impl AsRef<str>) -> Pill {
        let word = state.as_ref();
        let (tone, icon) = match word {
            "queued" => ("wait", "hourglass-split"),
            "running" => ("run", "play-circle"),
            "succeeded" => ("ok", "check-circle"),
            "failed" => ("bad", "x-circle"),
            "cancelled" => ("mute", "slash-circle"),
            _ => ("mute", "circle"),
        };
        self.pill("state", word, tone, icon)
    }

    /// How an attempt ended, or that it still runs.
    pub fn outcome(&self, outcome: impl AsRef<str>) -> Pill {
        let word = outcome.as_ref();
        let (tone, icon) = match word {
            "running" => ("run", "play-circle"),
            "succeeded" => ("ok", "check-circle"),
            "failed" => ("bad", "x-circle"),
            "lost" => ("warn", "plug"),
            _ => ("mute", "slash-circle"),
        };
        self.pill("outcome", word, tone, icon)
    }

    /// A finding's verdict as a pill. What proves nothing is never painted as bad, nor as well.
    pub fn verdict(&self, verdict: impl AsRef<str>) -> Pill {
        let word = verdict.as_ref();
        let (tone, icon) = match word {
            "unknown" => ("mute", "question-circle"),
            "backlog" | "overdue" | "ledger_over" | "crash_loop" | "cancel_ignored" | "double_run"
            | "ack_deadline" | "queue_mismatch" => ("warn", "exclamation-triangle"),
            _ => ("bad", "exclamation-octagon"),
        };
        self.pill("verdict", word, tone, icon)
    }

    /// A queue's health as a pill.
    pub fn health(&self, health: impl AsRef<str>) -> Pill {
        let word = health.as_ref();
        let (tone, icon) = match word {
            "ok" => ("ok", "check-circle"),
            "warning" => ("warn", "exclamation-triangle"),
            "stalled" => ("bad", "exclamation-octagon"),
            _ => ("mute", "question-circle"),
        };
        self.pill("health", word, tone, icon)
    }

    /// A ticket's status as a pill.
    pub fn ticket_status(&self, status: impl AsRef<str>) -> Pill {
        let word = status.as_ref();
        let (tone, icon) = match word {
            "new" => ("bad", "envelope"),
            "open" => ("run", "envelope-open"),
            "waiting" => ("wait", "hourglass-split"),
            "resolved" => ("ok", "check-circle"),
            _ => ("mute", "archive"),
        };
        self.pill("ticket-status", word, tone, icon)
    }

    /// A link's health as a pill.
    pub fn link(&self, health: impl AsRef<str>) -> Pill {
        let word = health.as_ref();
        let (tone, icon) = match word {
            "up" => ("ok", "check-circle-fill"),
            "connecting" => ("warn", "arrow-repeat"),
            "blocked" | "down" => ("bad", "x-octagon-fill"),
            _ => ("mute", "question-circle"),
        };
        self.pill("link-health", word, tone, icon)
    }

    fn pill(&self, family: &str, word: &str, tone: &'static str, icon: &'static str) -> Pill {
        Pill {
            tone,
            icon,
            text: self.of(family, word).to_string(),
        }
    }
}

/// A word with its tone and icon: never the colour alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pill {
    pub tone: &'static str,
    pub icon: &'static str,
    pub text: String,
}

/// What the next page says about what was just done. It travels in a short-lived cookie, as a key of the catalogue
/// and its variables: what somebody writes into that cookie is escaped, and shown to nobody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flash {
    pub tone: Tone,
    pub key: String,
    pub args: BTreeMap<String, Value>,
}

words! {
    pub enum Tone {
        Ok = "ok",
        Warn = "warn",
        Bad = "bad",
    }
}

impl Flash {
    pub const COOKIE: &'static str = "unstuck_flash";

    pub fn new(tone: Tone, key: &str) -> Self {
        Self {
            tone,
            key: key.to_owned(),
            args: BTreeMap::new(),
        }
    }

    pub fn done(key: &str) -> Self {
        Self::new(Tone::Ok, key)
    }

    pub fn refused(key: &str) -> Self {
        Self::new(Tone::Bad, key)
    }

    pub fn a(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.args.insert(name.to_owned(), value.into());
        self
    }

    /// The text in the reader's language; empty for a key that no catalogue has.
    pub fn text(&self, l: &Lang) -> String {
        let mut text = l.t(&self.key);
        for (name, value) in &self.args {
            text = match value {
                Value::Number(number) if number.is_i64() => {
                    text.a(name.clone(), number.as_i64().unwrap_or_default())
                }
                Value::String(string) => text.a(name.clone(), string),
                other => text.a(name.clone(), other.to_string()),
            };
        }
        if text.exists() {
            text.to_string()
        } else {
            String::new()
        }
    }

    pub fn icon(&self) -> &'static str {
        match self.tone {
            Tone::Ok => "check-circle",
            Tone::Warn => "exclamation-triangle",
            Tone::Bad => "x-circle",
        }
    }

    /// The flash as its cookie's value.
    pub fn cookie_value(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::json!(self).to_string())
    }

    /// The flash that the request brought; `None` for one that isn't ours.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let value = extract::cookie(headers, Self::COOKIE)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
