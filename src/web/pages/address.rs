//! Addresses of pages that are about something with a name.

use url::form_urlencoded::Serializer;
use uuid::Uuid;

/// A queue's page. Queue names may hold any character.
pub(super) fn queue(name: &str) -> String {
    format!("/admin/queues/{}", segment(name))
}

/// The list of tasks that have `value` in the filter `name`.
pub(super) fn tasks(name: &str, value: &str) -> String {
    format!(
        "/admin/tasks?{}",
        Serializer::new(String::new()).append_pair(name, value).finish()
    )
}

/// The list of the queue's tasks that wait or run.
pub(super) fn unfinished(queue: &str) -> String {
    format!("{}&state=queued&state=running", tasks("queue", queue))
}

/// The stalls of an incident.
pub(super) fn stalls_of(incident_id: Uuid) -> String {
    format!("/admin/stalls?incident={incident_id}")
}

/// A finding's own page.
pub(super) fn finding(id: Uuid) -> String {
    format!("/admin/stalls/{id}")
}

/// The open stalls of a queue.
pub(super) fn stalls_of_queue(queue: &str) -> String {
    format!(
        "/admin/stalls?{}",
        Serializer::new(String::new())
            .append_pair("queue", queue)
            .finish()
    )
}

fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_queue_name_makes_one_path_segment() {
        assert_eq!(queue("orders.v2"), "/admin/queues/orders.v2");
        assert_eq!(
            queue("a/b?c#d e%ü<b>"),
            "/admin/queues/a%2Fb%3Fc%23d%20e%25%C3%BC%3Cb%3E"
        );
    }
}
