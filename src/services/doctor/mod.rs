//! Looks an installation over, once: database, AMQP, management API, queues. Says what is wrong and the command that
//! mends it. Changes nothing, neither in the database nor in the broker.

mod broker;
mod queue;

use std::{collections::HashMap, time::Duration};

use self::queue::Cluster;
use crate::{
    broker::{
        BrokerConfig, Management, ManagementError, Probe, QueueSpec, QueueType, management::QueueDetail,
    },
    domain::{
        evidence::Arg,
        expectation::Slowest,
        lint::{Grade, Note, What, text},
    },
    store::{Inspection, Store, StoreError},
};

/// Queues read at once.
const PAGE: i64 = 500;
/// Kinds of one queue whose times are looked at.
const KINDS: i64 = 1_000;
/// How long the AMQP connection may take: a broker that accepts and then says nothing is given up after this.
const AMQP_PATIENCE: Duration = Duration::from_secs(15);
/// The clocks of the machine and of a SQLite file may differ by less than this.
const CLOCKS_APART_MS: i64 = 3_000;
/// Settings that are not listed are asked for so often, with this pause.
const SETTLE_TRIES: u32 = 11;
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

/// Looks at everything, in the order in which it should be mended.
///
/// Takes up to some 20 s while the broker does not answer. What can't be read is a note of its own, never an error, and
/// never counts as fine. Queues are those that the database knows.
pub async fn examine(database_url: &str, config: &BrokerConfig) -> Vec<Note> {
    let (mut notes, queues) = look_at_database(database_url).await;
    let probe = Probe::spawn(config.clone().named("unstuck doctor"));
    let (reached, said) = broker::amqp(&probe, config, AMQP_PATIENCE).await;
    notes.extend(said);
    let management = Management::new(config);
    let (overview, said) = broker::management(&management, config).await;
    notes.extend(said);
    let cluster = Cluster {
        vhost: config.vhost().to_owned(),
        version: overview.as_ref().and_then(|overview| overview.version.clone()),
        nodes: match &overview {
            Some(_) => management.nodes().await.ok(),
            None => None,
        },
    };
    for (spec, slowest) in queues {
        let presence = match reached {
            broker::Reached::Yes => probe.passive(&[spec.name.clone(), spec.dead_name()]).await,
            broker::Reached::No => HashMap::new(),
        };
        let detail = match overview {
            Some(_) => Some(settled(&management, &spec.name).await),
            None => None,
        };
        notes.extend(queue::examine(&spec, &presence, detail, slowest, &cluster));
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

/// A queue as it should be declared, and what of its tasks takes longest.
type Known = (QueueSpec, Option<Slowest>);

/// How the database is, and the queues that it knows.
async fn look_at_database(url: &str) -> (Vec<Note>, Vec<Known>) {
    let looked = async {
        let (inspection, store) = Store::inspect(url).await?;
        let mut notes = vec![database(inspection)];
        let Some(store) = store else {
            return Ok((notes, Vec::new()));
        };
        let ahead_ms = store.machine_ahead_ms().await;
        let queues = known_queues(&store).await;
        store.close().await;
        notes.extend(ahead_ms?.and_then(clock));
        Ok((notes, queues?))
    };
    match looked.await {
        Ok(looked) => looked,
        Err(error) => {
            let error: StoreError = error;
            let detail = [("detail", text(error.to_string()))];
            let down = Note::new("database", Grade::Wrong, What::DatabaseDown, detail);
            (vec![down], Vec::new())
        }
    }
}

/// The machine's clock was set, and the SQLite file's has not caught up with it.
fn clock(ahead_ms: i64) -> Option<Note> {
    if ahead_ms.saturating_abs() < CLOCKS_APART_MS {
        return None;
    }
    let what = if ahead_ms > 0 {
        What::ClockAhead
    } else {
        What::ClockBehind
    };
    let span = Arg::Span(ahead_ms.saturating_abs());
    Some(Note::new("database", Grade::Advice, what, [("span", span)]))
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

/// Every queue that the database knows.
async fn known_queues(store: &Store) -> Result<Vec<Known>, StoreError> {
    let now = store.now().await?;
    let mut known = Vec::new();
    let mut after = String::new();
    loop {
        let page = store.queues(&after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(known);
        };
        after.clone_from(&last.name);
        for row in &page {
            let spec = QueueSpec::new(&row.name, QueueType::of_word(&row.queue_type));
            let kinds = store.times_of_kinds(&row.name, now, KINDS).await?;
            known.push((spec, Slowest::of(&kinds)));
        }
    }
}
