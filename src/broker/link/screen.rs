//! Keeps what lapin can't read away from it.
//!
//! RabbitMQ passes a message's properties on without looking at them, so anybody who may publish can write some that
//! are not UTF-8 (lapin 4.12 gives the connection up, again at every redelivery) or tables nested thousands deep (it
//! overflows its stack, which ends the process). Such properties are replaced by one header that says so, before lapin
//! sees them; the message is then malformed like any other.

use crate::broker::message::UNREADABLE;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const FRAME_END: u8 = 0xce;
/// Kind, channel and size.
const FRAME_HEAD: usize = 7;
/// Class, weight and body size, before the properties.
const CONTENT_HEAD: usize = 12;
const BASIC: [u8; 2] = [0, 60];
/// RabbitMQ's own headers nest three deep.
const DEPTH_MAX: usize = 32;
/// Longest frame that is looked at. RabbitMQ's limit is 128 KiB unless configured otherwise.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// A frame that no broker sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Oversized;

/// What comes from the broker, frame by frame.
#[derive(Default)]
pub(super) struct Screen {
    /// The frame being collected: methods and content headers are looked at as a whole.
    held: Vec<u8>,
    /// Bytes still to be passed on unseen: bodies and heartbeats.
    passing: usize,
}

impl Screen {
    /// Takes the next bytes from the broker and appends what lapin may see to `out`.
    pub(super) fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Oversized> {
        while !input.is_empty() {
            if self.passing > 0 {
                let (pass, rest) = input.split_at(self.passing.min(input.len()));
                out.extend_from_slice(pass);
                self.passing -= pass.len();
                input = rest;
                continue;
            }
            let wanted = match self.frame_size() {
                None => FRAME_HEAD,
                Some(size) => FRAME_HEAD + size + 1,
            };
            let (taken, rest) = input.split_at((wanted - self.held.len()).min(input.len()));
            self.held.extend_from_slice(taken);
            input = rest;
            if self.held.len() < wanted {
                continue;
            }
            match self.frame_size() {
                Some(size) if wanted == FRAME_HEAD => {
                    if !matches!(self.held[0], METHOD | HEADER) {
                        out.append(&mut self.held);
                        // A broker of another version answers with its protocol header, then hangs up.
                        self.passing = if out.ends_with(b"AMQP") {
                            usize::MAX
                        } else {
                            size + 1
                        };
                    } else if size > FRAME_BYTES_MAX {
                        return Err(Oversized);
                    }
                }
                _ => screen(&mut self.held, out),
            }
        }
        Ok(())
    }

    /// Size of the held frame's payload, once its head is there.
    fn frame_size(&self) -> Option<usize> {
        let head = self.held.get(3..FRAME_HEAD)?;
        usize::try_from(u32::from_be_bytes(head.try_into().ok()?)).ok()
    }
}

/// Moves one whole frame to `out`, made readable.
fn screen(frame: &mut Vec<u8>, out: &mut Vec<u8>) {
    let payload = FRAME_HEAD..frame.len() - 1;
    match frame[0] {
        METHOD => clean_names(&mut frame[payload]),
        HEADER if frame[payload.clone()].starts_with(&BASIC) => {
            if let Err(reason) = check_properties(frame[payload].get(CONTENT_HEAD..).unwrap_or_default()) {
                replace_properties(frame, reason);
            }
        }
        _ => {}
    }
    out.append(frame);
}

/// The names that come with a message are of its publisher's choosing: bytes in them that are not UTF-8 become `?`.
/// Nothing of ours reads them.
fn clean_names(method: &mut [u8]) {
    // What comes before the exchange and the routing key: basic.return, basic.deliver, basic.get-ok.
    let before: &[Field] = match method.get(..4) {
        Some([0, 60, 0, 50]) => &[Field::Fixed(2), Field::Short],
        Some([0, 60, 0, 60]) => &[Field::Short, Field::Fixed(9)],
        Some([0, 60, 0, 71]) => &[Field::Fixed(9)],
        _ => return,
    };
    let mut at = 4;
    for field in before.iter().chain(&[Field::Short, Field::Short]) {
        let Some(length) = (match field {
            Field::Fixed(length) => Some(*length),
            Field::Short => method.get(at).map(|length| usize::from(*length) + 1),
        }) else {
            return;
        };
        if matches!(field, Field::Short)
            && let Some(text) = method.get_mut(at + 1..at + length)
            && std::str::from_utf8(text).is_err()
        {
            text.iter_mut()
                .filter(|byte| !byte.is_ascii())
                .for_each(|byte| *byte = b'?');
        }
        at += length;
    }
}

enum Field {
    Fixed(usize),
    Short,
}

/// The frame with the same body size, and one header instead of its properties.
fn replace_properties(frame: &mut Vec<u8>, reason: &str) {
    let mut entry = vec![u8::try_from(UNREADABLE.len()).unwrap_or(u8::MAX)];
    entry.extend_from_slice(UNREADABLE.as_bytes());
    entry.push(b'S');
    entry.extend_from_slice(&length(reason.len()));
    entry.extend_from_slice(reason.as_bytes());
    let mut content: Vec<u8> = frame[FRAME_HEAD..].iter().copied().take(CONTENT_HEAD).collect();
    content.resize(CONTENT_HEAD, 0);
    content.extend_from_slice(&(1u16 << 13).to_be_bytes());
    content.extend_from_slice(&length(entry.len()));
    content.append(&mut entry);
    frame.truncate(FRAME_HEAD);
    frame[3..].copy_from_slice(&length(content.len()));
    frame.append(&mut content);
    frame.push(FRAME_END);
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// Why lapin could not read these properties (flags and values).
fn check_properties(bytes: &[u8]) -> Result<(), &'static str> {
    let mut at = Cursor(bytes);
    let [high, low] = at.fixed()?;
    let flags = u16::from_be_bytes([high, low]);
    if flags & 0b11 != 0 {
        return Err("they have flags that AMQP does not know");
    }
    // In the order of their flags, the highest bit first.
    let texts = |at: &mut Cursor<'_>, bits: std::ops::RangeInclusive<u16>| {
        bits.rev()
            .filter(|bit| flags & (1 << bit) != 0)
            .try_for_each(|_| at.text())
    };
    texts(&mut at, 14..=15)?;
    if flags & (1 << 13) != 0 {
        at.table(0)?;
    }
    at.skip(usize::from(flags & (1 << 12) != 0) + usize::from(flags & (1 << 11) != 0))?;
    texts(&mut at, 7..=10)?;
    if flags & (1 << 6) != 0 {
        at.skip(8)?;
    }
    texts(&mut at, 2..=5)?;
    if at.0.is_empty() {
        Ok(())
    } else {
        Err("they are longer than they say")
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("they end too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.try_into().map_err(|_| "they end too early")
    }

    fn skip(&mut self, length: usize) -> Result<(), &'static str> {
        self.take(length).map(|_| ())
    }

    fn text(&mut self) -> Result<(), &'static str> {
        let [length] = self.fixed()?;
        let text = self.take(length.into())?;
        std::str::from_utf8(text)
            .map(|_| ())
            .map_err(|_| "a text in them is not UTF-8")
    }

    /// Bytes with their length before them.
    fn long(&mut self) -> Result<&'a [u8], &'static str> {
        let length = u32::from_be_bytes(self.fixed()?);
        self.take(usize::try_from(length).map_err(|_| "they end too early")?)
    }

    fn table(&mut self, depth: usize) -> Result<(), &'static str> {
        let mut entries = Cursor(self.long()?);
        while !entries.0.is_empty() {
            entries.text()?;
            entries.value(depth + 1)?;
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), &'static str> {
        let mut values = Cursor(self.long()?);
        while !values.0.is_empty() {
            values.value(depth + 1)?;
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<(), &'static str> {
        if depth > DEPTH_MAX {
            return Err("their headers are nested too deep");
        }
        let [kind] = self.fixed()?;
        match kind {
            b'V' => Ok(()),
            b't' | b'b' | b'B' => self.skip(1),
            b's' | b'U' | b'u' => self.skip(2),
            b'I' | b'i' | b'f' => self.skip(4),
            b'D' => self.skip(5),
            b'l' | b'L' | b'd' | b'T' => self.skip(8),
            b'S' | b'x' => self.long().map(|_| ()),
            b'A' => self.array(depth),
            b'F' => self.table(depth),
            _ => Err("a header has a type that AMQP does not know"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![kind, 0, 1];
        frame.extend_from_slice(&length(payload.len()));
        frame.extend_from_slice(payload);
        frame.push(FRAME_END);
        frame
    }

    fn content(flags: u16, properties: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 36];
        payload.extend_from_slice(&flags.to_be_bytes());
        payload.extend_from_slice(properties);
        frame(HEADER, &payload)
    }

    fn nested(depth: usize) -> Vec<u8> {
        let mut table = Vec::new();
        for _ in 0..depth {
            let mut outer = vec![1, b'a', b'F'];
            outer.extend_from_slice(&length(table.len()));
            outer.append(&mut table);
            table = outer;
        }
        let mut whole = length(table.len()).to_vec();
        whole.append(&mut table);
        whole
    }

    fn screened(input: &[u8], step: usize) -> Vec<u8> {
        let (mut screen, mut out) = (Screen::default(), Vec::new());
        for part in input.chunks(step) {
            screen.feed(part, &mut out).unwrap();
        }
        out
    }

    /// Every property, with headers of every type.
    fn all_properties() -> Vec<u8> {
        let mut table = Vec::new();
        for (kind, size) in [
            (b'V', 0),
            (b't', 1),
            (b'b', 1),
            (b'B', 1),
            (b's', 2),
            (b'U', 2),
            (b'u', 2),
            (b'I', 4),
            (b'i', 4),
            (b'f', 4),
            (b'D', 5),
            (b'l', 8),
            (b'L', 8),
            (b'd', 8),
            (b'T', 8),
        ] {
            table.extend_from_slice(&[1, kind, kind]);
            table.extend(std::iter::repeat_n(0, size));
        }
        table.extend_from_slice(&[
            1, b'S', b'S', 0, 0, 0, 2, 0xff, 0xfe, 1, b'x', b'x', 0, 0, 0, 1, 0,
        ]);
        table.extend_from_slice(&[
            1, b'A', b'A', 0, 0, 0, 2, b't', 1, 1, b'F', b'F', 0, 0, 0, 3, 1, b'k', b'V',
        ]);
        let mut properties = vec![1, b'c', 1, b'e'];
        properties.extend_from_slice(&length(table.len()));
        properties.append(&mut table);
        properties.extend_from_slice(&[
            2, 0, 1, b'c', 1, b'r', 1, b'x', 1, b'm', 0, 0, 0, 0, 0, 0, 0, 9, 1, b't', 1, b'u', 1, b'a', 1,
            b'z',
        ]);
        properties
    }

    #[test]
    fn what_can_be_read_passes_unchanged_however_it_is_cut() {
        let mut input = content(0xfffc, &all_properties());
        input.extend(frame(3, &[7; 300]));
        input.extend(frame(8, &[]));
        input.extend(content(1 << 13, &nested(DEPTH_MAX)));
        input.extend(frame(
            METHOD,
            &[0, 60, 0, 60, 1, b'w', 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0xc3, 0xa9],
        ));
        for step in [1, 2, 3, 7, 8, 100, 4096] {
            assert_eq!(screened(&input, step), input, "in steps of {step}");
        }
    }

    #[test]
    fn properties_that_cannot_be_read_become_one_header_that_says_why() {
        for (flags, properties, reason) in [
            (1 << 5, vec![2, 0xff, 0xfe], "a text in them is not UTF-8"),
            (
                1 << 13,
                nested(DEPTH_MAX + 1),
                "their headers are nested too deep",
            ),
            (1 << 13, nested(15_000), "their headers are nested too deep"),
            (
                1 << 13,
                vec![0, 0, 0, 3, 1, b'a', b'?'],
                "a header has a type that AMQP does not know",
            ),
            (
                1 << 13,
                vec![0, 0, 0, 3, 1, 0xff, b'V'],
                "a text in them is not UTF-8",
            ),
            (1 << 13, vec![0, 0, 1, 0, 1], "they end too early"),
            (1 << 6, vec![0; 9], "they are longer than they say"),
            (1, Vec::new(), "they have flags that AMQP does not know"),
        ] {
            let out = screened(&content(flags, &properties), 5);
            let at = FRAME_HEAD + CONTENT_HEAD;
            assert_eq!(
                out[FRAME_HEAD..at],
                content(0, &[])[FRAME_HEAD..at],
                "the body size stays"
            );
            assert!(
                out.windows(reason.len()).any(|part| part == reason.as_bytes()),
                "{reason}"
            );
            assert_eq!(check_properties(&out[at..out.len() - 1]), Ok(()), "{reason}");
            assert_eq!(screened(&out, 64), out, "what came out is a whole frame");
        }
    }

    #[test]
    fn names_that_are_not_utf8_keep_their_length() {
        for before in [
            &[0, 60, 0, 60, 1, b'w', 0, 0, 0, 0, 0, 0, 0, 1, 0][..],
            &[0, 60, 0, 50, 1, 56, 1, b'n'],
            &[0, 60, 0, 71, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        ] {
            let method = |names: &[u8]| frame(METHOD, &[before, names].concat());
            assert_eq!(
                screened(&method(&[1, 0xff, 3, b'a', 0xfe, b'b']), 9),
                method(&[1, b'?', 3, b'a', b'?', b'b'])
            );
            let cut_short = method(&[9, 0xff]);
            assert_eq!(screened(&cut_short, 9), cut_short);
        }
    }

    #[test]
    fn a_foreign_protocol_header_passes() {
        assert_eq!(
            screened(b"AMQP\x00\x01\x00\x00 and more", 3),
            b"AMQP\x00\x01\x00\x00 and more"
        );
    }

    #[test]
    fn a_frame_of_absurd_size_is_refused_before_it_is_collected() {
        let mut screen = Screen::default();
        assert_eq!(
            screen.feed(&[HEADER, 0, 1, 0xff, 0xff, 0xff, 0xff], &mut Vec::new()),
            Err(Oversized)
        );
    }
}
