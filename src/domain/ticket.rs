//! Problem reports and the tickets that staff make of them: the same row, seen from its two sides.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::{time::Time, words::words};

words! {
    /// Whose turn it is. `resolved` and `closed` need nobody.
    pub enum TicketStatus {
        /// Nobody has looked at it.
        New = "new",
        /// Staff's turn.
        Open = "open",
        /// The reporter's turn.
        Waiting = "waiting",
        /// Answered; the reporter may still say no.
        Resolved = "resolved",
        Closed = "closed",
    }
}

impl TicketStatus {
    /// Whether nobody's turn is left.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Resolved | Self::Closed)
    }

    /// What staff may set by hand: everything but `new`.
    pub const SETTABLE: [Self; 4] = [Self::Open, Self::Waiting, Self::Resolved, Self::Closed];

    /// The status after a message of the reporter: what waited for them is open again; what has ended stays so unless
    /// they reopen it.
    pub const fn after_reporter(self, reopen: Reopen) -> Self {
        match (self, reopen) {
            (Self::New, _) => Self::New,
            (Self::Open | Self::Waiting, _) => Self::Open,
            (Self::Resolved | Self::Closed, Reopen::Yes) => Self::Open,
            (Self::Resolved | Self::Closed, Reopen::No) => self,
        }
    }

    /// The status after an answer of staff that sets none itself: the reporter's turn, unless it has ended.
    pub const fn after_answer(self) -> Self {
        match self {
            Self::New | Self::Open | Self::Waiting => Self::Waiting,
            Self::Resolved | Self::Closed => self,
        }
    }
}

/// Whether a reporter's message also opens a ticket that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopen {
    Yes,
    No,
}

words! {
    /// Who sees a message.
    pub enum Visibility {
        /// The reporter and staff.
        Public = "public",
        /// Staff alone.
        Internal = "internal",
    }
}

/// Who wrote a message. Kept as `reporter`, or as the actor's own text such as `user:a@b.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    Reporter,
    Staff(String),
}

impl Author {
    const REPORTER: &'static str = "reporter";

    /// From the kept text.
    pub fn from_kept(text: String) -> Self {
        if text == Self::REPORTER {
            Self::Reporter
        } else {
            Self::Staff(text)
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Reporter => Self::REPORTER,
            Self::Staff(actor) => actor,
        }
    }
}

/// What people call a ticket: `OPS-7Q4M-2K`. Drawn at random, so that it tells nothing about how many there are; it
/// opens nothing without the ticket's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference(String);

/// A text that is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reference such as OPS-7Q4M-2K")]
pub struct NotAReference;

/// Crockford's base 32: no letter that reads as a digit, and no U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Reference {
    /// The reference of a random number; its lowest 30 bits count.
    pub fn from_random(number: u32) -> Self {
        let mut text = String::from("OPS-");
        for place in 0..6 {
            if place == 4 {
                text.push('-');
            }
            let digit = (number >> (5 * (5 - place))) & 31;
            text.push(char::from(ALPHABET[digit as usize]));
        }
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads what people type: small letters, no dashes, O for 0, I and L for 1.
impl FromStr for Reference {
    type Err = NotAReference;
    fn from_str(text: &str) -> Result<Self, NotAReference> {
        if text.len() > 64 {
            return Err(NotAReference);
        }
        let text: String = text
            .to_ascii_uppercase()
            .chars()
            .filter(|char| !matches!(char, '-' | ' ' | '_'))
            .collect();
        let digits = text.strip_prefix("OPS").unwrap_or(&text);
        let mut number = 0u32;
        if digits.chars().count() != 6 {
            return Err(NotAReference);
        }
        for char in digits.chars() {
            let char = match char {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let digit = ALPHABET
                .iter()
                .position(|digit| char::from(*digit) == char)
                .ok_or(NotAReference)?;
            number = number << 5 | u32::try_from(digit).map_err(|_| NotAReference)?;
        }
        Ok(Self::from_random(number))
    }
}

/// A ticket as staff see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    pub id: Uuid,
    pub reference: Reference,
    pub subject: String,
    pub email: Option<String>,
    /// As the reporter gave it: there need not be such a task.
    pub task_id: Option<Uuid>,
    pub status: TicketStatus,
    /// The e-mail address of the person who works on it.
    pub assignee: Option<String>,
    /// What was true when it was filed: the task's state and open stalls, the browser. For staff alone.
    pub context: serde_json::Value,
    /// The language that the reporter read.
    pub lang: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
    /// Since when it is resolved or closed.
    pub closed_at: Option<Time>,
}

/// One message on a ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketMessage {
    pub id: Uuid,
    pub at: Time,
    pub author: Author,
    pub visibility: Visibility,
    pub body: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_people_write_it() {
        let reference = Reference::from_random(0x1dc9_1153);
        let text = reference.to_string();
        assert_eq!(text.len(), 11, "{text}");
        for written in [
            text.clone(),
            text.to_lowercase(),
            text.replace('-', ""),
            text[4..].to_owned(),
        ] {
            assert_eq!(written.parse(), Ok(reference.clone()), "{written}");
        }
        assert_eq!("ops-oIl1-2k".parse(), "OPS-0111-2K".parse::<Reference>());
        for wrong in [
            "",
            "OPS-",
            "OPS-7Q4M-2",
            "OPS-7Q4M-2KX",
            "OPS-7Q4U-2K",
            "OPS-é Q4M-2K",
            "../../x",
        ] {
            assert_eq!(wrong.parse::<Reference>(), Err(NotAReference), "{wrong}");
        }
    }

    #[test]
    fn every_random_number_has_a_reference_that_reads_back() {
        for number in [0, 1, 31, 32, 0x3fff_ffff, u32::MAX] {
            let reference = Reference::from_random(number);
            assert_eq!(reference.as_str().parse(), Ok(reference.clone()));
        }
    }

    #[test]
    fn a_message_of_the_reporter_makes_it_staff_s_turn() {
        use TicketStatus::*;
        for (status, plain, reopened) in [
            (New, New, New),
            (Open, Open, Open),
            (Waiting, Open, Open),
            (Resolved, Resolved, Open),
            (Closed, Closed, Open),
        ] {
            assert_eq!(status.after_reporter(Reopen::No), plain);
            assert_eq!(status.after_reporter(Reopen::Yes), reopened);
        }
    }

    #[test]
    fn an_answer_makes_it_the_reporter_s_turn() {
        use TicketStatus::*;
        for (status, after) in [
            (New, Waiting),
            (Open, Waiting),
            (Waiting, Waiting),
            (Resolved, Resolved),
            (Closed, Closed),
        ] {
            assert_eq!(status.after_answer(), after);
        }
    }
}
