//! What the site says and said: every finding, open and closed, as the API tells it.

use serde_json::Value;
use uuid::Uuid;

use crate::support::client::{Client, text};

/// What a finding is about, by its real name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    Task(String),
    Queue(String),
    Worker(String),
    Broker,
}

#[derive(Clone, Debug)]
pub struct Said {
    pub id: String,
    pub verdict: String,
    pub about: Subject,
    pub proven: bool,
    pub variant: String,
    pub sentence: String,
    /// When it was first said: its id tells. Unix time.
    pub opened_ms: i64,
    pub closed_ms: Option<i64>,
    pub incident: Option<String>,
}

/// Everything said so far. None while the site can't be asked.
pub async fn said(client: &Client) -> Option<Vec<Said>> {
    let mut all = Vec::new();
    for list in ["stalls", "incidents"] {
        for state in ["open", "closed"] {
            let mut next = String::new();
            loop {
                let path = format!("/api/v1/{list}?state={state}&limit=200{next}");
                let reply = client.call(reqwest::Method::GET, &path, None, None).await.ok()?;
                if reply.status >= 500 {
                    return None;
                }
                let page = reply.done();
                all.extend(page["items"].as_array().expect("a page").iter().map(one));
                match page["next"].as_str() {
                    Some(cursor) => next = format!("&cursor={cursor}"),
                    None => break,
                }
            }
        }
    }
    // A finding that closed between two pages is in both lists.
    all.sort_by(|a: &Said, b: &Said| (&a.id, b.closed_ms).cmp(&(&b.id, a.closed_ms)));
    all.dedup_by(|later, first| later.id == first.id);
    all.sort_by_key(|said| said.opened_ms);
    Some(all)
}

fn one(finding: &Value) -> Said {
    let id = text(&finding["id"]);
    let about = match finding["scope"].as_str() {
        None => Subject::Task(text(&finding["task_id"])),
        Some("queue") => Subject::Queue(text(&finding["name"])),
        Some("worker") => Subject::Worker(text(&finding["name"])),
        Some(_) => Subject::Broker,
    };
    let closed = finding["closed_at"].as_str().map(|at| {
        let at: jiff::Timestamp = at.parse().expect("a time");
        at.as_millisecond()
    });
    Said {
        verdict: text(&finding["verdict"]),
        about,
        proven: finding["confidence"] == "proven",
        variant: text(&finding["evidence"]["variant"]),
        sentence: text(&finding["sentence"]),
        opened_ms: opened_ms(&id),
        closed_ms: closed,
        incident: finding["incident_id"].as_str().map(str::to_owned),
        id,
    }
}

/// The time in an id of version 7.
fn opened_ms(id: &str) -> i64 {
    let id: Uuid = id.parse().expect("an id");
    let (seconds, nanos) = id.get_timestamp().expect("an id of version 7").to_unix();
    i64::try_from(seconds).expect("our time") * 1000 + i64::from(nanos) / 1_000_000
}

/// Unix time in milliseconds.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
