//! Whether a stream of bytes is text.

/// Whether a stream of bytes is UTF-8 text without NUL, wherever it is cut.
#[derive(Default)]
pub(super) struct Utf8Check {
    /// The start of a character that the next bytes must complete: at most three bytes.
    open: Vec<u8>,
    wrong: bool,
}

impl Utf8Check {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if self.wrong {
            return;
        }
        if bytes.contains(&0) {
            self.wrong = true;
            return;
        }
        let joined;
        let bytes = if self.open.is_empty() {
            bytes
        } else {
            joined = [self.open.as_slice(), bytes].concat();
            &joined
        };
        let open = match std::str::from_utf8(bytes) {
            Ok(_) => &[],
            Err(error) if error.error_len().is_none() => &bytes[error.valid_up_to()..],
            Err(_) => {
                self.wrong = true;
                &[]
            }
        };
        self.open = open.to_vec();
    }

    pub(super) fn is_text(&self) -> bool {
        !self.wrong && self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_wherever_the_stream_is_cut() {
        let text = "naïve 报告 \u{1F600} end".as_bytes();
        for step in 1..=text.len() {
            let mut check = Utf8Check::default();
            text.chunks(step).for_each(|chunk| check.add(chunk));
            assert!(check.is_text(), "in steps of {step}");
        }
    }

    #[test]
    fn what_is_cut_short_or_holds_a_nul_is_no_text() {
        for bytes in [
            &b"a\xe6\x8a"[..],
            b"a\0b",
            b"\xff\xfea",
            b"a\xc0\xafb",
            b"\xed\xa0\x80",
        ] {
            let mut check = Utf8Check::default();
            bytes.chunks(1).for_each(|chunk| check.add(chunk));
            assert!(!check.is_text(), "{bytes:?}");
        }
    }
}
