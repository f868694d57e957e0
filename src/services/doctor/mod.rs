//! Looks an installation over, once: database, AMQP, management API, queues. Says what is wrong and the command that
//! mends it. Changes nothing, neither in the database nor in the broker.

mod broker;
mod queue;

use std::{collections::HashMap, time::Duration};

use self::queue::Surroundings;
use crate::{
    broker::{
        BrokerConfig, Management, ManagementError, Probe, QueueSpec, QueueType, management::QueueDetail,
    },
    domain::{evidence::Arg, finding::Phrase, words::words},
    store::{Inspection, Store, StoreError},
};

/// Queues read at once.
const PAGE: i64 = 500;
/// How long the AMQP connection may take: a broker that accepts and then says nothing is given up after this.
const AMQP_PATIENCE: Duration = Duration::from_secs(15);
/// Settings that are not listed are asked for so often, with this pause.
const SETTLE_TRIES: u32 = 11;
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

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
    fn new(
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

    fn mended_by(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }
}

fn text(text: impl Into<String>) -> Arg {
    Arg::Text(text.into())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-%@:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Looks at everything, in the order in which it should be mended.
///
/// Takes up to some 20 s while the broker does not answer. What can't be read is a note of its own, never an error, and
/// never counts as fine. Queues are those that the database knows.
pub async fn examine(database_url: &str, config: &BrokerConfig) -> Vec<Note> {
    let (note, queues) = look_at_database(database_url).await;
    let mut notes = vec![note];
    let probe = Probe::spawn(config.clone().named("unstuck doctor"));
    let (reached, said) = broker::amqp(&probe, config, AMQP_PATIENCE).await;
    notes.extend(said);
    let management = Management::new(config);
    let (overview, said) = broker::management(&management, config).await;
    notes.extend(said);
    let surroundings = Surroundings {
        vhost: config.vhost().to_owned(),
        version: overview.as_ref().and_then(|overview| overview.version.clone()),
        nodes: match &overview {
            Some(_) => management.nodes().await.ok(),
            None => None,
        },
    };
    for spec in queues {
        let presence = match reached {
            broker::Reached::Yes => probe.passive(&[spec.name.clone(), spec.dead_name()]).await,
            broker::Reached::No => HashMap::new(),
        };
        let detail = match overview {
            Some(_) => Some(settled(&management, &spec.name).await),
            None => None,
        };
        notes.extend(queue::examine(&spec, &presence, detail, &surroundings));
    }
    notes
}

/// The queue with its settings, which the management API leaves out for some seconds after a declaration.
async fn settled(management: &Management, queue: &str) -> Result<QueueDetail, ManagementError> {
    let mut tries = SETTLE_TRIES;
    loop {
        let detail = management.queue(queue).await?;
        tries -= 1;
        if detail.setup.is_whole() || tries == 0 {
            return Ok(detail);
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// How the database is, and the queues that it knows.
async fn look_at_database(url: &str) -> (Note, Vec<QueueSpec>) {
    let looked = async {
        let (inspection, store) = Store::inspect(url).await?;
        let Some(store) = store else {
            return Ok((inspection, Vec::new()));
        };
        let queues = known_queues(&store).await;
        store.close().await;
        Ok((inspection, queues?))
    };
    match looked.await {
        Ok((inspection, queues)) => (database(inspection), queues),
        Err(error) => {
            let error: StoreError = error;
            let detail = [("detail", text(error.to_string()))];
            (
                Note::new("database", Grade::Wrong, What::DatabaseDown, detail),
                Vec::new(),
            )
        }
    }
}

fn database(inspection: Inspection) -> Note {
    match inspection {
        Inspection::Absent => Note::new("database", Grade::Advice, What::DatabaseAbsent, []),
        Inspection::Behind { engine, missing } => {
            let args = [("engine", text(engine)), ("count", Arg::Number(missing))];
            Note::new("database", Grade::Advice, What::DatabaseBehind, args).mended_by("unstuck migrate")
        }
        Inspection::Newer { engine, migration } => {
            let args = [
                ("engine", text(engine)),
                ("migration", Arg::Text(migration.to_string())),
            ];
            Note::new("database", Grade::Wrong, What::DatabaseNewer, args)
        }
        Inspection::UpToDate { engine } => Note::new(
            "database",
            Grade::Fine,
            What::DatabaseUp,
            [("engine", text(engine))],
        ),
    }
}

/// Every queue that the database knows, as it should be declared.
async fn known_queues(store: &Store) -> Result<Vec<QueueSpec>, StoreError> {
    let mut known = Vec::new();
    let mut after = String::new();
    loop {
        let page = store.queues(&after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(known);
        };
        after.clone_from(&last.name);
        known.extend(
            page.iter()
                .map(|row| QueueSpec::new(&row.name, QueueType::of_word(&row.queue_type))),
        );
    }
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
