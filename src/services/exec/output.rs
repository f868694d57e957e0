//! What a program writes: its result on standard output, its log and progress on standard error.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::services::worker::Job;

/// Most bytes of standard output that become a result.
pub(super) const RESULT_BYTES: usize = 1024 * 1024;
/// A longer line of standard error is taken as several.
const LINE_BYTES: usize = 32 * 1024;

/// The beginning of standard output, and how long it was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    head: Vec<u8>,
    total_bytes: usize,
}

/// Reads to the end; keeps the first `RESULT_BYTES`.
pub(super) async fn read_result(mut stdout: impl AsyncRead + Unpin) -> Output {
    let mut output = Output::default();
    let mut chunk = vec![0; 16 * 1024];
    while let Some(bytes) = next_chunk(&mut stdout, &mut chunk).await {
        let room = RESULT_BYTES - output.head.len();
        output.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        output.total_bytes += bytes.len();
    }
    output
}

/// Reads to the end: lines of progress are reported, all others go to the job's log.
pub(super) async fn read_log(mut stderr: impl AsyncRead + Unpin, job: &Job) {
    let mut chunk = vec![0; 16 * 1024];
    let mut line = Vec::new();
    while let Some(mut bytes) = next_chunk(&mut stderr, &mut chunk).await {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&bytes[..end]);
            note(&line, job);
            line.clear();
            bytes = &bytes[end + 1..];
        }
        line.extend_from_slice(bytes);
        if line.len() > LINE_BYTES {
            note(&line, job);
            line.clear();
        }
    }
    if !line.is_empty() {
        note(&line, job);
    }
}

/// `None` at the end. A pipe that can't be read any more has ended.
async fn next_chunk<'a>(from: &mut (impl AsyncRead + Unpin), chunk: &'a mut [u8]) -> Option<&'a [u8]> {
    let read = from.read(chunk).await.unwrap_or(0);
    (read > 0).then(|| &chunk[..read])
}

fn note(line: &[u8], job: &Job) {
    let line = String::from_utf8_lossy(line);
    match progress_of(&line) {
        Some((percent, message)) => job.report(Some(percent), message),
        None if line.is_empty() => job.log("\n"),
        None => job.log(&line),
    }
}

/// Reads `::progress 42 message`; the message may be missing, the number may end in `%`.
fn progress_of(line: &str) -> Option<(f64, Option<&str>)> {
    let rest = line.strip_prefix("::progress ")?.trim();
    let (number, message) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let percent: f64 = number.strip_suffix('%').unwrap_or(number).parse().ok()?;
    let message = message.trim();
    percent
        .is_finite()
        .then_some((percent, (!message.is_empty()).then_some(message)))
}

impl Output {
    /// As a task's result: JSON when it is JSON, else text; nothing is null. What is too long becomes text that says so.
    pub(super) fn into_result(self) -> Value {
        let missing = self.total_bytes - self.head.len();
        if missing > 0 {
            let head = String::from_utf8_lossy(&self.head);
            return Value::String(format!("{head}\n[cut: {missing} more bytes were written]"));
        }
        if self.head.iter().all(u8::is_ascii_whitespace) {
            return Value::Null;
        }
        serde_json::from_slice(&self.head).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&self.head);
            Value::String(text.trim_end_matches(['\n', '\r']).to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn result_of(bytes: &[u8]) -> Value {
        read_result(bytes).await.into_result()
    }

    #[tokio::test]
    async fn output_is_json_or_text_or_nothing() {
        assert_eq!(result_of(b"").await, Value::Null);
        assert_eq!(result_of(b" \n").await, Value::Null);
        assert_eq!(result_of(b"{\"a\": [1, 2]}\n").await, json!({"a": [1, 2]}));
        assert_eq!(result_of(b"42").await, json!(42));
        assert_eq!(result_of(b"done: 42\n").await, json!("done: 42"));
        assert_eq!(
            result_of(b"{\"a\": 1} {\"b\": 2}").await,
            json!("{\"a\": 1} {\"b\": 2}")
        );
        assert_eq!(result_of(b"caf\xe9").await, json!("caf\u{fffd}"));
        let deep = "[".repeat(10_000);
        assert_eq!(result_of(deep.as_bytes()).await, json!(deep));
    }

    #[tokio::test]
    async fn output_that_is_too_long_is_cut_and_says_so() {
        let result = result_of(&vec![b'1'; RESULT_BYTES + 7]).await;
        let text = result.as_str().unwrap();
        assert!(text.ends_with("[cut: 7 more bytes were written]") && text.len() < RESULT_BYTES + 100);
        assert!(
            result_of(format!("\"{}\"", "x".repeat(RESULT_BYTES - 2)).as_bytes())
                .await
                .is_string()
        );
    }

    #[test]
    fn a_line_of_progress_has_a_number_and_perhaps_a_message() {
        assert_eq!(
            progress_of("::progress 42 half way "),
            Some((42.0, Some("half way")))
        );
        assert_eq!(progress_of("::progress 12.5%"), Some((12.5, None)));
        for line in [
            "::progress",
            "::progress soon",
            "progress 42",
            " ::progress 42",
            "::progress nan",
            "::progressing 4",
        ] {
            assert_eq!(progress_of(line), None, "{line}");
        }
    }
}
