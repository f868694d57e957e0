//! What happened to a task, newest first, each event as a sentence.

use serde_json::Value;

use crate::{
    domain::{
        task::{HistoryEntry, State, Task},
        time::Time,
    },
    web::{i18n::Lang, layout::Chrome},
};

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) at: Time,
    pub(super) tone: &'static str,
    pub(super) icon: &'static str,
    pub(super) sentence: String,
    /// An error's text, or what a late report brought.
    pub(super) quote: Option<String>,
    /// Who did it, when that is worth saying.
    pub(super) actor: Option<String>,
    /// The entry is a report that was refused: kept, not applied.
    pub(super) late: bool,
    pub(super) id: i64,
}

/// More of a quoted text than this is not shown in the timeline.
const QUOTE_CHARS: usize = 600;

/// The lines of `history`, which is newest first. With `newest`, what the task's own fields add stands at its place:
/// when the broker confirmed the message of the present dispatch.
pub(super) fn tell(c: &Chrome, task: &Task, history: &[HistoryEntry], newest: bool) -> Vec<Line> {
    let mut lines: Vec<Line> = history.iter().map(|entry| line(c.l, entry)).collect();
    // The entry that put the present dispatch out: the confirm belongs above it, and below all that came later.
    let origin = history.iter().rposition(|entry| entry.dispatch == task.dispatch);
    if let (Some(at), Some(origin), true) = (task.published_at, origin, newest) {
        let older = lines.iter().position(|line| line.at < at);
        let confirmed = Line {
            at,
            tone: "wait",
            icon: "send",
            sentence: c.l.t("event-confirmed").a("dispatch", task.dispatch).to_string(),
            quote: None,
            actor: None,
            late: false,
            id: 0,
        };
        lines.insert(older.unwrap_or(origin).min(origin), confirmed);
    }
    lines
}

fn line(l: Lang, entry: &HistoryEntry) -> Line {
    let (tone, icon) = look(entry);
    let detail = |name: &str| entry.detail.get(name).and_then(Value::as_str);
    let worker = detail("worker").unwrap_or_default();
    let sentence = match entry.event.as_str() {
        "started" | "retry_scheduled" | "requeued" if is_later(entry) => {
            let at: Option<Time> = detail("available_at").and_then(|text| text.parse().ok());
            let due = at.map(|at| l.instant(at)).unwrap_or_default();
            l.of("event-later", &entry.event).a("due", due)
        }
        "cancelled" if entry.from_state == Some(State::Running) => l.t("event-cancelled-running"),
        "late_report" => l.of("event-late", detail("report").unwrap_or("succeeded")),
        known => l.of("event", known),
    };
    let sentence = sentence
        .a("worker", worker)
        .a("attempt", entry.attempt)
        .a("dispatch", entry.dispatch);
    let late = entry.event == "late_report";
    let result = entry
        .detail
        .get("result")
        .filter(|_| late)
        .map(|result| match result {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
    Line {
        at: entry.at,
        tone,
        icon,
        sentence: if sentence.exists() {
            sentence.to_string()
        } else {
            entry.event.clone()
        },
        quote: detail("error")
            .map(str::to_owned)
            .or(result)
            .map(|text| shorten(&text)),
        actor: actor(entry),
        late,
        id: entry.id,
    }
}

/// Whether what the entry put on the queue is due noticeably later than the entry itself.
fn is_later(entry: &HistoryEntry) -> bool {
    let due = entry.detail.get("available_at").and_then(Value::as_str);
    let due: Option<Time> = due.and_then(|text| text.parse().ok());
    due.is_some_and(|due| due.ms_since(entry.at) >= 1000)
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTE_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// People and programs by name; a worker's own events name it in the sentence already, and the system goes unsaid.
fn actor(entry: &HistoryEntry) -> Option<String> {
    match entry.actor.split_once(':') {
        Some(("worker", _)) => None,
        Some((_, name)) => Some(name.to_owned()),
        None => None,
    }
}

fn look(entry: &HistoryEntry) -> (&'static str, &'static str) {
    match entry.event.as_str() {
        "created" => ("mute", "plus-circle"),
        "started" | "resent" => ("wait", "send"),
        "claimed" | "taken_over" => ("run", "play-circle"),
        "attempt_lost" => ("warn", "plug"),
        "late_report" => ("warn", "clock-history"),
        "retry_scheduled" => ("warn", "arrow-repeat"),
        "requeued" => ("wait", "arrow-repeat"),
        "retried" | "rerun" => ("wait", "arrow-counterclockwise"),
        "released" => ("mute", "arrow-left"),
        "cancel_requested" | "cancelled" => ("mute", "slash-circle"),
        "succeeded" => ("ok", "check-circle"),
        "failed" => ("bad", "x-circle"),
        _ => ("mute", "circle"),
    }
}
