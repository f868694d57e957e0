//! The end of what an attempt wrote.

use std::collections::VecDeque;

/// Most bytes of an attempt's log that are kept.
pub(crate) const LOG_BYTES: usize = 64 * 1024;

/// The last `LOG_BYTES` of a log, whole lines as far as they fit.
#[derive(Default)]
pub(crate) struct LogTail {
    lines: VecDeque<String>,
    bytes: usize,
    dropped_bytes: usize,
}

impl LogTail {
    /// Adds one line, without its end. A line that is too long loses its beginning.
    pub(crate) fn push(&mut self, line: &str) {
        let line = last_bytes(line, LOG_BYTES - 1);
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > LOG_BYTES
            && let Some(first) = self.lines.pop_front()
        {
            self.bytes -= first.len() + 1;
            self.dropped_bytes += first.len() + 1;
        }
    }

    /// The last line that is not blank.
    pub(crate) fn last_words(&self) -> Option<&str> {
        self.lines
            .iter()
            .rev()
            .map(|line| line.trim())
            .find(|line| !line.is_empty())
    }

    /// The kept text, with a first line that says how much is missing; `None` when nothing was written.
    pub(crate) fn text(&self) -> Option<String> {
        if self.lines.is_empty() {
            return None;
        }
        let mut text = String::with_capacity(self.bytes + 64);
        if self.dropped_bytes > 0 {
            text.push_str(&format!(
                "[{} bytes before this are not kept]\n",
                self.dropped_bytes
            ));
        }
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        Some(text)
    }
}

/// At most the last `limit` bytes of `text`, cut between characters.
fn last_bytes(text: &str, limit: usize) -> &str {
    let mut start = text.len().saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_kept_and_what_is_missing_is_said() {
        let mut log = LogTail::default();
        assert_eq!(log.text(), None);
        for n in 0..20_000 {
            log.push(&format!("line {n}"));
        }
        let text = log.text().unwrap();
        assert!(text.len() < LOG_BYTES + 100);
        assert!(
            text.starts_with('[') && text.ends_with("line 19999\n"),
            "{}",
            &text[..80]
        );
        assert_eq!(log.last_words(), Some("line 19999"));
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let mut log = LogTail::default();
        log.push(&"é".repeat(LOG_BYTES));
        log.push("  ");
        let text = log.text().unwrap();
        assert!(text.len() <= LOG_BYTES + 64, "{}", text.len());
        assert_eq!(
            log.bytes,
            log.lines.iter().map(|line| line.len() + 1).sum::<usize>()
        );
    }
}
