//! What is not as it should be about the broker and its queues, and the exact command that mends it: for `unstuck doctor`,
//! which asks the broker, and for the queue's page, which reads the stored description.

mod differences;
mod queue;

use super::{evidence::Arg, finding::Phrase, words::words};

pub use differences::differences;
pub use queue::{Surroundings, lint};

words! {
    /// How much a note matters.
    pub enum Grade {
        Fine = "ok",
        /// It works; this would be better.
        Advice = "advice",
        /// It does not work, or tasks can be lost by it.
        Wrong = "wrong",
    }
}

words! {
    /// What a note says; its text is `doctor-<word>`.
    pub enum What {
        DatabaseUp = "database_up",
        DatabaseAbsent = "database_absent",
        DatabaseBehind = "database_behind",
        DatabaseNewer = "database_newer",
        DatabaseDown = "database_down",
        ClockAhead = "clock_ahead",
        ClockBehind = "clock_behind",
        AmqpUp = "amqp_up",
        AmqpSilent = "amqp_silent",
        AmqpUnreachable = "amqp_unreachable",
        AmqpRefused = "amqp_refused",
        AmqpNoVhost = "amqp_no_vhost",
        AmqpNoAmqp = "amqp_no_amqp",
        AmqpGuest = "amqp_guest",
        ManagementUp = "management_up",
        ManagementUnreachable = "management_unreachable",
        ManagementRefused = "management_refused",
        ManagementStrange = "management_strange",
        StatisticsOff = "statistics_off",
        BrokerOld = "broker_old",
        Alarm = "alarm",
        QueueFine = "queue_fine",
        QueueAbsent = "queue_absent",
        QueueUnread = "queue_unread",
        QueueUnknown = "queue_unknown",
        QueueUnsettled = "queue_unsettled",
        NotDurable = "not_durable",
        AutoDelete = "auto_delete",
        Exclusive = "exclusive",
        Stream = "stream",
        OtherType = "other_type",
        NoDeadLetter = "no_dead_letter",
        OtherDeadLetter = "other_dead_letter",
        DeadLetterElsewhere = "dead_letter_elsewhere",
        Ttl = "ttl",
        Expires = "expires",
        DropHead = "drop_head",
        RejectPublish = "reject_publish",
        DeliveryLimit = "delivery_limit",
        AckTimeout = "ack_timeout",
        NoPriority = "no_priority",
        OtherArgument = "other_argument",
        NoDeadQueue = "no_dead_queue",
        Hoarding = "hoarding",
        OneMember = "one_member",
        NeverTimesOut = "never_times_out",
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// `database`, `amqp`, `management`, or `queue` and its name.
    pub subject: String,
    pub grade: Grade,
    pub what: What,
    /// The variables of its sentence.
    pub args: Vec<(&'static str, Arg)>,
    /// What mends it, to be typed into a shell on the broker's machine or this one.
    pub command: Option<String>,
}

impl Note {
    pub fn new(
        subject: impl Into<String>,
        grade: Grade,
        what: What,
        args: impl Into<Vec<(&'static str, Arg)>>,
    ) -> Self {
        Self {
            subject: subject.into(),
            grade,
            what,
            args: args.into(),
            command: None,
        }
    }

    /// Its sentence, for a catalogue.
    pub fn sentence(&self) -> Phrase {
        Phrase {
            key: format!("doctor-{}", self.what),
            args: self.args.clone(),
        }
    }

    /// The same with the command that mends it.
    #[must_use]
    pub fn mended_by(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }
}

pub(crate) fn text(text: impl Into<String>) -> Arg {
    Arg::Text(text.into())
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-%@:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The user that everybody knows is used for a broker on another machine. `vhost` is the virtual host it uses.
pub fn guest(vhost: &str) -> Note {
    let vhost = quoted(vhost);
    let add = format!(
        "rabbitmqctl add_user unstuck && rabbitmqctl set_permissions -p {vhost} unstuck '.*' '.*' '.*'"
    );
    Note::new("amqp", Grade::Advice, What::AmqpGuest, []).mended_by(add)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_reaches_the_shell_as_it_is() {
        for (word, shown) in [
            ("jobs.mail", "jobs.mail"),
            ("/", "/"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's; rm -rf /", r"'it'\''s; rm -rf /'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
