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
    let runs = runs(history);
    let mut lines: Vec<Line> = runs.iter().map(|run| line(c.l, run)).collect();
    // The entry that put the present dispatch out: the confirm belongs above it, and below all that came later.
    let origin = runs.iter().rposition(|run| run.newest.dispatch == task.dispatch);
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

/// An entry of the history, or several of the same that followed one another: a task that nobody takes is put out again
/// each lease, for days.
struct Entries<'a> {
    newest: &'a HistoryEntry,
    oldest: &'a HistoryEntry,
    count: i64,
}

fn runs(history: &[HistoryEntry]) -> Vec<Entries<'_>> {
    let mut runs: Vec<Entries<'_>> = Vec::with_capacity(history.len());
    for entry in history {
        match runs.last_mut() {
            Some(run)
                if entry.event == "resent"
                    && run.newest.event == "resent"
                    && (run.newest.dispatch, run.newest.attempt) == (entry.dispatch, entry.attempt) =>
            {
                run.oldest = entry;
                run.count += 1;
            }
            _ => runs.push(Entries {
                newest: entry,
                oldest: entry,
                count: 1,
            }),
        }
    }
    runs
}

fn line(l: Lang, run: &Entries<'_>) -> Line {
    let entry = run.newest;
    let (tone, icon) = look(entry);
    let detail = |name: &str| entry.detail.get(name).and_then(Value::as_str);
    let worker = detail("worker").unwrap_or_default();
    let sentence = match entry.event.as_str() {
        "started" | "retry_scheduled" | "requeued" if is_later(entry) => {
            let at: Option<Time> = detail("available_at").and_then(|text| text.parse().ok());
            let due = at.map(|at| l.instant(at)).unwrap_or_default();
            l.of("event-later", &entry.event).a("due", due)
        }
        "resent" if run.count > 1 => l
            .t("event-resent-often")
            .a("n", run.count)
            .a("from", l.instant(run.oldest.at)),
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
        "started" | "resent" | "republished" => ("wait", "send"),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(id: i64, event: &str, dispatch: i64) -> HistoryEntry {
        HistoryEntry {
            id,
            at: Time::from_ms(id * 1000),
            event: event.into(),
            from_state: Some(State::Running),
            to_state: State::Running,
            dispatch,
            attempt: 1,
            actor: "system".into(),
            detail: json!({ "worker": "w" }),
        }
    }

    #[test]
    fn what_was_put_out_again_and_again_is_one_line() {
        let history = [
            entry(6, "resent", 2),
            entry(5, "resent", 1),
            entry(4, "resent", 1),
            entry(3, "claimed", 1),
            entry(2, "claimed", 1),
            entry(1, "resent", 1),
        ];
        let told: Vec<(i64, i64, i64)> = runs(&history)
            .iter()
            .map(|run| (run.newest.id, run.oldest.id, run.count))
            .collect();
        assert_eq!(told, [(6, 6, 1), (5, 4, 2), (3, 3, 1), (2, 2, 1), (1, 1, 1)]);
    }
}
