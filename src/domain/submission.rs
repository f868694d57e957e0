//! A request to record a task, checked once: past `Submission::parse` everything in a `NewTask` is as the store and the
//! broker need it. The limits are here, and nowhere else in code; the OpenAPI document repeats them and a test compares.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{task::NewTask, time::Time};

/// The longest kind or queue name.
pub const NAME_CHARS: usize = 100;
/// The longest title or owner.
pub const TEXT_CHARS: usize = 200;
/// The longest reason of an action.
pub const REASON_CHARS: usize = 500;
/// The largest payload or result, as compact JSON text.
pub const DOCUMENT_BYTES: usize = 256 * 1024;
pub const PRIORITY_MAX: i64 = 9;
pub const ATTEMPTS_MAX: i64 = 100;
pub const ATTEMPTS_DEFAULT: i64 = 3;
/// A year.
pub const TIMEOUT_S_MAX: i64 = 31_536_000;
/// How far ahead a task may be scheduled: ten years.
pub const SCHEDULE_MS_MAX: i64 = 10 * 366 * 86_400_000;

/// One field of a request as it came. JSON null is `Absent`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Given<T> {
    #[default]
    Absent,
    /// Of another type than the field has.
    Wrong,
    Is(T),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::Absent,
            value => serde_json::from_value(value).map_or(Self::Wrong, Self::Is),
        })
    }
}

impl<T> From<T> for Given<T> {
    fn from(value: T) -> Self {
        Self::Is(value)
    }
}

/// A field that can't be taken as it came, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub field: String,
    pub detail: String,
}

/// Every wrong field of a request, found in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrongs(Vec<Wrong>);

impl Wrongs {
    pub fn add(&mut self, field: &str, detail: impl Into<String>) {
        let (field, detail) = (field.to_owned(), detail.into());
        self.0.push(Wrong { field, detail });
    }

    /// `value` when nothing was wrong.
    pub fn or<T>(self, value: T) -> Result<T, Vec<Wrong>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }

    /// The field's value if `check` takes it; `None` when it is absent or wrong.
    pub fn take<T, U>(
        &mut self,
        field: &str,
        given: Given<T>,
        right: &str,
        check: impl FnOnce(T) -> Option<U>,
    ) -> Option<U> {
        let checked = match given {
            Given::Absent => return None,
            Given::Wrong => None,
            Given::Is(value) => check(value),
        };
        if checked.is_none() {
            self.add(field, right);
        }
        checked
    }

    /// The name of a kind or queue.
    pub fn name(&mut self, field: &str, given: Given<String>) -> Option<String> {
        let right = format!(
            "must be 1 to {NAME_CHARS} of the characters A-Z a-z 0-9 . _ -, not beginning with \"amq.\" and not ending \
             in \".dead\""
        );
        self.take(field, given, &right, |name| is_name(&name).then_some(name))
    }

    /// A line of text of 1 to `longest` characters.
    pub fn line(&mut self, field: &str, given: Given<String>, longest: usize) -> Option<String> {
        let right = format!("must be a text of 1 to {longest} characters without control characters");
        self.take(field, given, &right, |text| {
            let fits = (1..=longest).contains(&text.chars().count());
            (fits && !text.chars().any(char::is_control)).then_some(text)
        })
    }

    /// Why an action is asked for: 1 to `REASON_CHARS` characters besides white space at either end.
    pub fn reason(&mut self, field: &str, given: Given<String>) -> Option<String> {
        let right = format!("must be a text of 1 to {REASON_CHARS} characters");
        self.take(field, given, &right, |text| {
            let text = text.trim();
            let fits = (1..=REASON_CHARS).contains(&text.chars().count());
            (fits && !text.contains('\0')).then(|| text.to_owned())
        })
    }

    /// A whole number from `least` to `most`.
    pub fn number(&mut self, field: &str, given: Given<i64>, least: i64, most: i64) -> Option<i64> {
        let right = format!("must be a whole number from {least} to {most}");
        self.take(field, given, &right, |number| {
            (least..=most).contains(&number).then_some(number)
        })
    }

    /// An instant between 1970 and ten years after `now`.
    pub fn schedule(&mut self, field: &str, given: Given<String>, now: Time) -> Option<Time> {
        let right =
            "must be an RFC 3339 time such as 2026-01-31T09:30:00Z, between 1970 and ten years from now";
        self.take(field, given, right, |text| {
            let at: Time = text.parse().ok()?;
            (at.ms() >= 0 && at.ms() - now.ms() <= SCHEDULE_MS_MAX).then_some(at)
        })
    }

    /// A document: any JSON of at most `DOCUMENT_BYTES`, without the character U+0000, which PostgreSQL can't hold.
    pub fn document(&mut self, field: &str, given: Given<Value>) -> Option<Value> {
        let value = match given {
            Given::Absent | Given::Wrong => return None,
            Given::Is(value) => value,
        };
        let size_bytes = value.to_string().len();
        if size_bytes > DOCUMENT_BYTES {
            self.add(
                field,
                format!("must be at most {DOCUMENT_BYTES} bytes of JSON; this one has {size_bytes}"),
            );
            return None;
        }
        if has_nul(&value) {
            self.add(field, "must not contain the character U+0000");
            return None;
        }
        Some(value)
    }
}

/// Whether `text` can name a kind or a queue: RabbitMQ keeps `amq.` for itself, and `.dead` are the dead-letter queues.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_CHARS).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !text
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("amq."))
        && !text.ends_with(".dead")
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A request to record a task, as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Submission {
    pub kind: Given<String>,
    pub queue: Given<String>,
    pub payload: Given<Value>,
    pub title: Given<String>,
    pub owner: Given<String>,
    pub priority: Given<i64>,
    pub available_at: Given<String>,
    pub timeout_s: Given<i64>,
    pub max_attempts: Given<i64>,
    pub start: Given<bool>,
}

impl Submission {
    /// The task `id` that is asked for, with the defaults for what is absent: its queue is its kind, its payload `{}`,
    /// 3 attempts, priority 0, no timeout, not started.
    ///
    /// Errors: every field that is wrong, in the order of the fields.
    pub fn parse(self, id: Uuid, now: Time, traceparent: Option<String>) -> Result<NewTask, Vec<Wrong>> {
        let mut wrongs = Wrongs::default();
        if self.kind == Given::Absent {
            wrongs.add("kind", "is required: the name of what runs this task");
        }
        let kind = wrongs.name("kind", self.kind).unwrap_or_default();
        let queue = wrongs.name("queue", self.queue);
        let payload = wrongs.document("payload", self.payload);
        let title = wrongs.line("title", self.title, TEXT_CHARS);
        let owner = wrongs.line("owner", self.owner, TEXT_CHARS);
        let priority = wrongs.number("priority", self.priority, 0, PRIORITY_MAX);
        let available_at = wrongs.schedule("available_at", self.available_at, now);
        let timeout_s = wrongs.number("timeout_s", self.timeout_s, 1, TIMEOUT_S_MAX);
        let max_attempts = wrongs.number("max_attempts", self.max_attempts, 1, ATTEMPTS_MAX);
        let start = wrongs.take("start", self.start, "must be true or false", Some);
        wrongs.or(NewTask {
            id,
            queue: queue.unwrap_or_else(|| kind.clone()),
            kind,
            title,
            owner,
            priority: priority.unwrap_or(0),
            payload: payload.unwrap_or_else(|| Value::Object(Map::new())),
            timeout_s,
            max_attempts: max_attempts.unwrap_or(ATTEMPTS_DEFAULT),
            available_at,
            start: start.unwrap_or(false),
            traceparent,
        })
    }
}

/// A W3C `traceparent` that may travel on with the task; `None` for anything else.
pub fn traceparent(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let hexadecimal = |part: &&str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let wanted = lengths == [2, 32, 16, 2] && parts.iter().all(hexadecimal) && parts.first() != Some(&"ff");
    wanted.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Time = Time::from_ms(1_767_225_600_000);

    fn parse(submission: Submission) -> Result<NewTask, Vec<Wrong>> {
        submission.parse(Uuid::nil(), NOW, None)
    }

    fn of(kind: &str) -> Submission {
        Submission {
            kind: kind.to_owned().into(),
            ..Submission::default()
        }
    }

    fn wrong_fields(submission: Submission) -> Vec<String> {
        let wrongs = parse(submission).expect_err("refused");
        wrongs.into_iter().map(|wrong| wrong.field).collect()
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let task = parse(of("report")).expect("taken");
        assert_eq!(task.queue, "report");
        assert_eq!(task.payload, json!({}));
        assert_eq!((task.priority, task.max_attempts, task.timeout_s), (0, 3, None));
        assert_eq!((task.start, task.available_at), (false, None));
    }

    #[test]
    fn every_wrong_field_is_named_in_one_answer() {
        let submission = Submission {
            priority: Given::Wrong,
            max_attempts: 0.into(),
            title: String::new().into(),
            ..Submission::default()
        };
        assert_eq!(
            wrong_fields(submission),
            ["kind", "title", "priority", "max_attempts"]
        );
    }

    #[test]
    fn a_name_is_one_that_the_broker_lets_us_have() {
        for name in ["a", "pdf.render-2_x", "x".repeat(100).as_str(), "dead", "amq"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "x".repeat(101).as_str(),
            "a b",
            "amq.q",
            "AMQ.q",
            "q.dead",
            "naïve",
            "a\0",
            "a/b",
            "a\n",
        ] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_schedule_lies_within_ten_years() {
        let at = |text: &str| Submission {
            available_at: text.to_owned().into(),
            ..of("k")
        };
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-01-01T09:30:00+08:00",
            "2035-12-31T00:00:00Z",
        ] {
            assert!(parse(at(text)).is_ok(), "{text}");
        }
        for text in [
            "1969-12-31T23:59:59Z",
            "2037-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "tomorrow",
            "",
        ] {
            assert_eq!(wrong_fields(at(text)), ["available_at"], "{text}");
        }
    }

    #[test]
    fn a_payload_has_its_bound_and_no_nul() {
        let with = |payload: Value| Submission {
            payload: payload.into(),
            ..of("k")
        };
        assert!(parse(with(json!("x".repeat(DOCUMENT_BYTES - 2)))).is_ok());
        assert_eq!(
            wrong_fields(with(json!("x".repeat(DOCUMENT_BYTES - 1)))),
            ["payload"]
        );
        assert_eq!(wrong_fields(with(json!({ "a": [{ "b\0": 1 }] }))), ["payload"]);
        assert_eq!(wrong_fields(with(json!(["\0"]))), ["payload"]);
    }

    #[test]
    fn only_a_well_formed_traceparent_travels_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(good).as_deref(), Some(good));
        for bad in [
            "",
            "00-xyz",
            &good.to_uppercase(),
            &format!("{good}-1"),
            &good.replacen("00", "ff", 1),
        ] {
            assert_eq!(traceparent(bad), None, "{bad}");
        }
    }
}
