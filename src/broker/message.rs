//! What travels through a queue: a task's id as text, and around it what says which dispatch of the task it is.

use std::time::{SystemTime, UNIX_EPOCH};

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The header that carries the dispatch.
const DISPATCH: &str = "x-dispatch";
const TRACEPARENT: &str = "traceparent";
/// The header that makes a message a tracer: its id, which is the body, too.
const TRACER: &str = "x-tracer";
const TRACER_TYPE: &str = "unstuck.tracer";
/// Stands instead of all properties when they could not be read, and says why.
pub(crate) const UNREADABLE: &str = "x-unstuck-unreadable";
/// Why a copy lies on a dead-letter queue, the queue it came from, and when (Unix time in ms).
pub(crate) const DEAD_REASON: &str = "x-unstuck-reason";
const DEAD_QUEUE: &str = "x-unstuck-queue";
pub(crate) const DEAD_AT: &str = "x-unstuck-at";
/// RabbitMQ: text in a property is at most this long.
const SHORT_TEXT_BYTES: usize = 255;
/// Longest preview of a malformed body.
const PREVIEW_BYTES: usize = 4096;
/// Headers are sent in one frame, which may be 128 KiB long; more than this of foreign headers is not copied.
const COPIED_HEADERS_BYTES: usize = 64 * 1024;

/// A task's message on its way to its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskMessage {
    pub task_id: Uuid,
    /// Number of this intent; the fence. Positive.
    pub dispatch: i64,
    /// Also the routing key: the default exchange brings it there.
    pub queue: String,
    pub kind: String,
    /// 0 is normal, higher goes first, where the queue knows priorities.
    pub priority: u8,
    /// W3C trace context, passed on as it is.
    pub traceparent: Option<String>,
}

impl TaskMessage {
    pub(crate) fn body(&self) -> String {
        self.task_id.hyphenated().to_string()
    }

    /// Errors: what is too long for RabbitMQ.
    pub(crate) fn properties(&self) -> Result<BasicProperties, &'static str> {
        let kind = short(&self.kind).ok_or("the kind is longer than 255 bytes")?;
        let mut headers = FieldTable::default();
        headers.insert(DISPATCH.into(), AMQPValue::LongLongInt(self.dispatch));
        if let Some(traceparent) = &self.traceparent {
            headers.insert(
                TRACEPARENT.into(),
                AMQPValue::LongString(traceparent.as_str().into()),
            );
        }
        Ok(BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_delivery_mode(2)
            .with_priority(self.priority)
            .with_message_id(self.body().into())
            .with_timestamp(unix_time().as_secs())
            .with_type(kind)
            .with_app_id("unstuck".into())
            .with_headers(headers))
    }
}

/// A message that names a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    pub task_id: Uuid,
    /// None when the message does not say: then it counts as the current one.
    pub dispatch: Option<i64>,
    pub kind: Option<String>,
    pub priority: Option<u8>,
    pub traceparent: Option<String>,
}

/// A message that can't be one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, one sentence without a full stop.
    pub reason: String,
    /// The body's beginning, at most 4 KiB: text as it is, everything else as `\xNN`, a backslash doubled. Safe to store
    /// as text, still to be escaped for HTML.
    pub preview: String,
    /// Of the whole body, in hexadecimal.
    pub sha256: String,
    pub size_bytes: usize,
}

/// Tells what a message from a queue means.
///
/// Any id that is a UUID is a task's, be it of another version: whether the task exists is for the database to say.
/// Errors: the message names no task, or says its dispatch in a way that can't be one.
pub(crate) fn parse(properties: &BasicProperties, body: &[u8]) -> Result<Incoming, Malformed> {
    read(properties, body).map_err(|reason| Malformed {
        reason,
        preview: preview(body),
        sha256: Sha256::digest(body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        size_bytes: body.len(),
    })
}

/// The tracer's id, if the message is a tracer: it names itself in its header and in its body.
pub(crate) fn tracer_id(properties: &BasicProperties, body: &[u8]) -> Option<Uuid> {
    let header = properties.headers().as_ref()?.inner().get(TRACER)?;
    let AMQPValue::LongString(header) = header else {
        return None;
    };
    let id = Uuid::try_parse_ascii(header.as_bytes()).ok()?;
    (Uuid::try_parse_ascii(body.trim_ascii()) == Ok(id)).then_some(id)
}

fn read(properties: &BasicProperties, body: &[u8]) -> Result<Incoming, String> {
    let headers = properties.headers().as_ref();
    if let Some(reason) = headers.and_then(|headers| headers.inner().get(UNREADABLE)) {
        let reason = match reason {
            AMQPValue::LongString(reason) => reason.to_string(),
            _ => "nobody knows why".to_owned(),
        };
        return Err(format!("its properties can't be read: {reason}"));
    }
    if let Some(encoding) = properties.content_encoding() {
        let known = ["", "utf-8", "utf8", "us-ascii", "identity", "binary"];
        if !known.contains(&encoding.as_str().to_ascii_lowercase().as_str()) {
            return Err(format!(
                "its content encoding is {encoding}, which no task's message has"
            ));
        }
    }
    let body = body.trim_ascii();
    if body.is_empty() {
        return Err("its body is empty".to_owned());
    }
    // 36 bytes: Uuid also reads forms without hyphens, in braces and as a URN.
    let task_id = (body.len() == 36)
        .then(|| Uuid::try_parse_ascii(body).ok())
        .flatten();
    let Some(task_id) = task_id else {
        return Err("its body is not a UUID".to_owned());
    };
    let dispatch = match headers.and_then(|headers| headers.inner().get(DISPATCH)) {
        None | Some(AMQPValue::Void) => None,
        Some(value) => Some(read_dispatch(value)?),
    };
    let traceparent = match headers.and_then(|headers| headers.inner().get(TRACEPARENT)) {
        Some(AMQPValue::LongString(text)) => std::str::from_utf8(text.as_bytes()).ok().map(str::to_owned),
        _ => None,
    };
    let kind = properties
        .kind()
        .as_ref()
        .map(|kind| kind.as_str().to_owned())
        .filter(|kind| !kind.is_empty());
    if kind
        .as_deref()
        .is_some_and(|kind| kind.contains(char::is_control))
    {
        return Err("its type has control characters".to_owned());
    }
    Ok(Incoming {
        task_id,
        dispatch,
        kind,
        priority: *properties.priority(),
        traceparent,
    })
}

fn read_dispatch(value: &AMQPValue) -> Result<i64, String> {
    let number = match value {
        AMQPValue::ShortShortInt(number) => i64::from(*number),
        AMQPValue::ShortShortUInt(number) => i64::from(*number),
        AMQPValue::ShortInt(number) => i64::from(*number),
        AMQPValue::ShortUInt(number) => i64::from(*number),
        AMQPValue::LongInt(number) => i64::from(*number),
        AMQPValue::LongUInt(number) => i64::from(*number),
        AMQPValue::LongLongInt(number) => *number,
        _ => return Err(format!("its header {DISPATCH} is not an integer")),
    };
    // 2^63 and above arrive as negative numbers: RabbitMQ knows signed 64-bit integers only.
    if number < 0 {
        Err(format!("its header {DISPATCH} is negative"))
    } else {
        Ok(number)
    }
}

fn preview(body: &[u8]) -> String {
    let mut shown = String::new();
    let fits = |shown: &String, more: &str| shown.len() + more.len() <= PREVIEW_BYTES;
    for chunk in body.utf8_chunks() {
        for character in chunk.valid().chars() {
            let more = match character {
                '\\' => "\\\\".to_owned(),
                control if control.is_control() => control
                    .to_string()
                    .bytes()
                    .map(|byte| format!("\\x{byte:02x}"))
                    .collect(),
                plain => plain.to_string(),
            };
            if !fits(&shown, &more) {
                return shown;
            }
            shown.push_str(&more);
        }
        for byte in chunk.invalid() {
            let more = format!("\\x{byte:02x}");
            if !fits(&shown, &more) {
                return shown;
            }
            shown.push_str(&more);
        }
    }
    shown
}

/// A message as it came, properties and all, to be published again elsewhere.
#[derive(Debug, Clone)]
pub struct RawMessage {
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

impl RawMessage {
    pub(crate) fn new(properties: BasicProperties, body: Vec<u8>) -> Self {
        Self { properties, body }
    }

    /// A tracer: persistent, of priority 0, with an id for a body, as a task's message has one.
    pub(crate) fn tracer(id: Uuid) -> Self {
        let text = id.hyphenated().to_string();
        let mut headers = FieldTable::default();
        headers.insert(TRACER.into(), AMQPValue::LongString(text.as_str().into()));
        let properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_delivery_mode(2)
            .with_priority(0)
            .with_message_id(text.as_str().into())
            .with_timestamp(unix_time().as_secs())
            .with_type(TRACER_TYPE.into())
            .with_app_id("unstuck".into())
            .with_headers(headers);
        Self::new(properties, text.into_bytes())
    }

    /// This message as a copy for a dead-letter queue, saying why it lies there and where it came from.
    ///
    /// Persistent, and without the expiration it may have had. Foreign headers that would not fit are left out.
    #[must_use]
    pub fn dead_lettered(mut self, queue: &str, reason: &str) -> Self {
        let mut headers = match self.properties.headers() {
            Some(headers) if table_bytes(headers) <= COPIED_HEADERS_BYTES => headers.clone(),
            _ => FieldTable::default(),
        };
        let text = |text: &str| AMQPValue::LongString(text.into());
        headers.insert(DEAD_REASON.into(), text(truncated(reason, 1024)));
        headers.insert(DEAD_QUEUE.into(), text(queue));
        headers.insert(
            DEAD_AT.into(),
            AMQPValue::LongLongInt(unix_time().as_millis().try_into().unwrap_or(i64::MAX)),
        );
        let old = self.properties;
        let mut properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_headers(headers);
        // A user id other than our own would be refused, and an expiration would end the copy: both stay behind.
        if let Some(value) = old.content_type() {
            properties = properties.with_content_type(value.clone());
        }
        if let Some(value) = old.content_encoding() {
            properties = properties.with_content_encoding(value.clone());
        }
        if let Some(value) = old.priority() {
            properties = properties.with_priority(*value);
        }
        if let Some(value) = old.correlation_id() {
            properties = properties.with_correlation_id(value.clone());
        }
        if let Some(value) = old.reply_to() {
            properties = properties.with_reply_to(value.clone());
        }
        if let Some(value) = old.message_id() {
            properties = properties.with_message_id(value.clone());
        }
        if let Some(value) = old.timestamp() {
            properties = properties.with_timestamp(*value);
        }
        if let Some(value) = old.kind() {
            properties = properties.with_type(value.clone());
        }
        if let Some(value) = old.app_id() {
            properties = properties.with_app_id(value.clone());
        }
        self.properties = properties;
        self
    }
}

/// What names a publish within a window: RabbitMQ gives a returned message back with all three.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PublishKey {
    queue: String,
    message_id: String,
    dispatch: i64,
}

impl PublishKey {
    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    pub(crate) fn of(message: &TaskMessage) -> Self {
        Self {
            queue: message.queue.clone(),
            message_id: message.body(),
            dispatch: message.dispatch,
        }
    }

    /// None when the message is not one that `TaskMessage` made.
    pub(crate) fn of_returned(queue: &ShortString, properties: &BasicProperties) -> Option<Self> {
        let message_id = properties.message_id().as_ref()?.as_str().to_owned();
        let dispatch = match properties.headers().as_ref()?.inner().get(DISPATCH)? {
            AMQPValue::LongLongInt(dispatch) => *dispatch,
            _ => return None,
        };
        Some(Self {
            queue: queue.as_str().to_owned(),
            message_id,
            dispatch,
        })
    }
}

/// The text as RabbitMQ's short string; None when it is too long for one.
pub(crate) fn short(text: &str) -> Option<ShortString> {
    ShortString::try_new(text)
        .ok()
        .filter(|short| short.as_str().len() <= SHORT_TEXT_BYTES)
}

fn truncated(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// About how long a table is on the wire.
fn table_bytes(table: &FieldTable) -> usize {
    table
        .inner()
        .iter()
        .map(|(key, value)| key.as_str().len() + 2 + value_bytes(value))
        .sum::<usize>()
        + 4
}

fn value_bytes(value: &AMQPValue) -> usize {
    match value {
        AMQPValue::LongString(text) => text.len() + 4,
        AMQPValue::ByteArray(bytes) => bytes.len() + 4,
        AMQPValue::ShortString(text) => text.as_str().len() + 1,
        AMQPValue::FieldTable(table) => table_bytes(table),
        AMQPValue::FieldArray(array) => {
            array
                .as_slice()
                .iter()
                .map(|value| value_bytes(value) + 1)
                .sum::<usize>()
                + 4
        }
        _ => 8,
    }
}

fn unix_time() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
