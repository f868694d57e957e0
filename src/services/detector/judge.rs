//! One pass: count, read, judge, write. The broker's part is handed in, so that tests can say what it looks like.

mod counts;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use uuid::Uuid;

use super::{
    candidates::{Bench, compare, view},
    causes::Causes,
    dead::{Suspected, Suspects},
    memory::{Counts, Memory},
    snoozes,
};
use crate::{
    domain::{
        finding::{Scope, Subject, Verdict},
        observation::{BrokerSight, Presence},
        rules::{
            Ruled, Ruling, Thresholds, broker, fold::Split, judge_queue, messages::Loss,
            settings::queue_mismatch,
        },
        time::Time,
    },
    store::{
        Leadership, QueueRow, Store, StoreError,
        evidence::Cursor,
        findings::{Folded, IncidentRow, StallChanges},
    },
};

/// The name of the detector's election.
const ELECTION: &str = "detector";
/// A leader that stops renewing is replaced after this.
const LEASE: Duration = Duration::from_secs(10);
/// Beyond three intervals, a look may come so much later before the readings before it count as old.
const LATE_MS: i64 = 15_000;
/// Most open incidents that a pass knows.
const INCIDENTS: i64 = 10_000;
const TIDY_EVERY_MS: i64 = 60_000;
/// Most old rows that are deleted at a time.
const TIDIED: i64 = 2_000;

/// What the webhook's receiver reads about an incident.
pub type Announce = Arc<dyn Fn(&IncidentRow) -> Value + Send + Sync>;

/// What the detector is told at the start.
#[derive(Clone)]
pub struct Settings {
    /// The broker's address, without credentials: the name of incidents about it.
    pub broker: String,
    /// The time between two looks.
    pub every: Duration,
    /// Set when there is a webhook.
    pub announce: Option<Announce>,
}

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// This process leads. If it does not, nothing was done.
    pub leading: bool,
    pub queues: usize,
    pub incidents_opened: usize,
    pub incidents_closed: usize,
    pub stalls_opened: u64,
    pub stalls_closed: u64,
    /// Tasks whose message a policy put out again.
    pub resent: usize,
}

impl Tally {
    /// Whether a finding opened or closed.
    pub fn is_news(&self) -> bool {
        self.incidents_opened + self.incidents_closed > 0 || self.stalls_opened + self.stalls_closed > 0
    }
}

/// Judges what is read, and remembers what it needs from one pass to the next.
pub struct Judge {
    pub(super) store: Store,
    pub(super) settings: Settings,
    /// Between two looks.
    every_ms: i64,
    thresholds: Thresholds,
    /// New at each start of a process.
    holder: String,
    leadership: Option<Leadership>,
    pub(super) memory: Memory,
    /// Tracers that were written and are not sent yet.
    to_send: Vec<(Uuid, String)>,
}

impl Judge {
    pub fn new(store: Store, settings: Settings) -> Self {
        let every_ms = i64::try_from(settings.every.as_millis()).unwrap_or(i64::MAX / 8);
        Self {
            store,
            settings,
            every_ms,
            thresholds: Thresholds::new(every_ms),
            holder: Uuid::now_v7().to_string(),
            leadership: None,
            memory: Memory::default(),
            to_send: Vec::new(),
        }
    }

    /// The tracers that the last pass decided on, each with its queue. They are sent once: a second call gives none.
    pub fn take_tracers(&mut self) -> Vec<(Uuid, String)> {
        std::mem::take(&mut self.to_send)
    }

    /// Becomes or stays the leader; false while another process is. A new term begins with nothing remembered.
    pub async fn lead(&mut self) -> Result<bool, StoreError> {
        let leadership = self.store.lead(ELECTION, &self.holder, LEASE).await?;
        let term = |leadership: &Option<Leadership>| leadership.as_ref().map(|leadership| leadership.term);
        if term(&leadership) != term(&self.leadership) {
            self.memory = Memory::default();
            match &leadership {
                Some(Leadership { term, .. }) => {
                    tracing::info!(term, "this process looks for stalled tasks");
                    self.memory.sampled = self.store.last_sampled().await?.into_iter().collect();
                }
                None => tracing::info!("another process looks for stalled tasks"),
            }
        }
        self.leadership = leadership;
        Ok(self.leadership.is_some())
    }

    /// Lets another process lead at once.
    pub async fn resign(&mut self) -> Result<(), StoreError> {
        self.memory = Memory::default();
        match self.leadership.take() {
            Some(leadership) => self.store.resign(&leadership).await,
            None => Ok(()),
        }
    }

    /// Forgets every reading: what was read before says nothing about what will be.
    pub fn forget(&mut self) {
        let sampled = std::mem::take(&mut self.memory.sampled);
        self.memory = Memory {
            sampled,
            ..Memory::default()
        };
    }

    /// The database was away: nothing is said about workers before they had a moment to come back to it.
    pub fn unsettle(&mut self) {
        self.memory.steady_since = None;
    }

    /// Of which queues the dead letters are to be read at the next look.
    pub(super) fn suspects(&self) -> Suspects {
        self.memory.suspects.clone()
    }

    /// Every queue that carries tasks.
    pub async fn queues(&self) -> Result<Vec<QueueRow>, StoreError> {
        const PAGE: i64 = 500;
        let mut queues: Vec<QueueRow> = Vec::new();
        loop {
            let after = queues.last().map(|queue| queue.name.clone()).unwrap_or_default();
            let page = self.store.queues(&after, PAGE).await?;
            let full = page.len() as i64 == PAGE;
            queues.extend(page);
            if !full {
                return Ok(queues);
            }
        }
    }

    /// Judges one look at the broker. `now` is the database's time before it was asked.
    ///
    /// The database is counted after the broker was read, and only tasks count that were, by their own times, in the
    /// same state since before: so nothing that moved in between is judged. Does nothing without the leadership, and
    /// writes nothing once it is lost.
    pub async fn pass(
        &mut self,
        now: Time,
        queues: &[QueueRow],
        sight: &BrokerSight,
    ) -> Result<Tally, StoreError> {
        let Some(leadership) = self.leadership.clone() else {
            return Ok(Tally::default());
        };
        self.take_thresholds().await?;
        let names: HashSet<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
        let gap_ms = self.every_ms.saturating_mul(3).saturating_add(LATE_MS);
        self.memory.begin(now, gap_ms, &names, sight);
        self.memory.turn = self.memory.turn.wrapping_add(1);
        let tags = self.memory.note_tags(now, sight);
        if !tags.is_empty() {
            self.store.note_consumer_tags(now, &tags).await?;
        }
        let dead = self
            .memory
            .letters
            .match_up(&self.store, sight, now, &self.thresholds)
            .await?;
        let counts = self.count(now, queues, sight, &dead).await?;
        let open = self.store.open_incidents(INCIDENTS).await?;
        let mut causes = Causes::new(open, self.store.folded().await?);
        causes.forget(&names, &self.settings.broker);
        let losses = self.rule(now, queues, sight, &counts, &mut causes);

        let bench = Bench {
            store: &self.store,
            thresholds: &self.thresholds,
            broker: &self.settings.broker,
            now,
            queues,
            sight,
            losses: &losses,
        };
        self.memory.follow_tracers(&bench, &counts);
        let tracers = bench.trace(&mut self.memory, &counts).await?;
        let stalls = bench.stalls(&mut self.memory, &causes, dead).await?;
        self.memory.suspects.close(now);
        causes.fold(&stalls);
        causes.changes.samples = self.samples(now, queues, &counts, &causes);
        causes.tell(self.settings.announce.as_ref(), now);
        if !self
            .store
            .write_incidents(&leadership, now, &causes.changes)
            .await?
        {
            return Ok(self.deposed());
        }
        let mut tally = Tally {
            leading: true,
            queues: queues.len(),
            incidents_opened: causes.changes.opened.len(),
            incidents_closed: causes.changes.closed.len(),
            ..Tally::default()
        };
        self.memory
            .sampled
            .extend(queues.iter().map(|queue| (queue.name.clone(), now)));

        let task_ids: Vec<Uuid> = stalls.iter().map(|stall| stall.task_id).collect();
        let known = if task_ids.is_empty() {
            Vec::new()
        } else {
            self.store.known_stalls(&task_ids).await?
        };
        let over = bench.over(&mut self.memory, &causes, &stalls).await?;
        let changes = compare(stalls, known, &causes);
        causes.expect(&changes);
        for changes in [over, changes] {
            if !self
                .write(&leadership, now, &changes, &mut causes, &mut tally)
                .await?
            {
                return Ok(self.deposed());
            }
        }
        match self.carry_out(&leadership, now, sight, &causes).await? {
            Some(resent) => tally.resent = resent,
            None => return Ok(self.deposed()),
        }
        if !tracers.is_empty() {
            match self
                .store
                .write_tracers(&leadership, &tracers.given_up, &tracers.new)
                .await?
            {
                Some(sent) => self.to_send.extend(sent),
                None => return Ok(self.deposed()),
            }
        }
        self.settle(&leadership, now, causes, &mut tally).await?;
        if !snoozes::end(&self.store, &leadership, self.settings.announce.as_ref(), now).await? {
            return Ok(self.deposed());
        }
        self.tidy(now).await?;
        Ok(tally)
    }

    /// Takes over the thresholds that were set since the last pass.
    async fn take_thresholds(&mut self) -> Result<(), StoreError> {
        let thresholds = Thresholds::with(self.every_ms, &self.store.changed_thresholds().await?);
        if thresholds != self.thresholds {
            tracing::info!("the thresholds of the rules have changed");
            self.thresholds = thresholds;
            // Another number of lost attempts may find what was passed by.
            self.memory.cursors.crashed = Cursor::START;
        }
        Ok(())
    }

    fn deposed(&mut self) -> Tally {
        tracing::warn!("another process has taken over; this look is not written");
        self.leadership = None;
        self.memory = Memory::default();
        Tally::default()
    }

    /// Adds the readings to the windows and applies every rule about causes.
    fn rule(
        &mut self,
        now: Time,
        queues: &[QueueRow],
        sight: &BrokerSight,
        counts: &Counts,
        causes: &mut Causes,
    ) -> HashMap<String, Loss> {
        let broker = &self.settings.broker;
        for ruled in broker::judge(&mut self.memory.broker, broker, sight, now, &self.thresholds) {
            causes.rule(ruled);
        }
        let subject = Subject {
            scope: Scope::Broker,
            name: broker.clone(),
        };
        // The cause of missing numbers is the broker's even before it has lasted long enough to be a finding.
        let blind = sight.blind.is_some() || causes.has(Verdict::Unknown, &subject);
        let mut losses = HashMap::new();
        for queue in queues {
            let track = self.memory.queues.entry(queue.name.clone()).or_default();
            let (kept_ms, kept) = self.thresholds.reach();
            track.window.keep(kept_ms, kept);
            track.note(&queue.name, now, sight, counts);
            let seen = view(queue, &track.window);
            let (mut rulings, loss) = judge_queue(&seen, blind, &self.thresholds);
            let settings = sight
                .queues
                .get(&queue.name)
                .and_then(|queue| queue.settings.as_ref());
            let found = settings.map(|settings| settings.mismatches.as_slice());
            rulings.push(Ruled {
                verdict: Verdict::QueueMismatch,
                subject: Subject::queue(&queue.name),
                // There is nothing to compare with any more.
                ruling: match seen.window.newest().map(|newest| newest.numbers.presence) {
                    Some(Presence::Missing) => Ruling::Clear,
                    _ => queue_mismatch(&mut track.mismatch, &seen, found, now, &self.thresholds),
                },
            });
            let short = |ruled: &Ruled| {
                ruled.verdict == Verdict::LedgerShort && matches!(ruled.ruling, Ruling::Found(_))
            };
            let suspected = loss.is_some() || rulings.iter().any(short);
            let suspects = &mut self.memory.suspects;
            let told = !suspected || suspects.suspect(&queue.name, sight, now) != Suspected::Wait;
            for mut ruled in rulings {
                if !told && short(&ruled) && !causes.has(ruled.verdict, &ruled.subject) {
                    ruled.ruling = Ruling::Undecided;
                }
                causes.rule(ruled);
            }
            losses.extend(loss.filter(|_| told).map(|loss| (queue.name.clone(), loss)));
        }
        losses
    }

    async fn write(
        &self,
        leadership: &Leadership,
        now: Time,
        changes: &StallChanges,
        causes: &mut Causes,
        tally: &mut Tally,
    ) -> Result<bool, StoreError> {
        let announce = self.settings.announce.as_ref();
        let under = |folded: &[Folded]| causes.under(folded, announce, now);
        let Some(written) = self.store.write_stalls(leadership, now, changes, under).await? else {
            return Ok(false);
        };
        tally.incidents_opened += usize::try_from(written.incidents).unwrap_or(usize::MAX);
        tally.stalls_opened += written.opened;
        tally.stalls_closed += written.closed;
        Ok(true)
    }

    /// Brings the incidents that live through their stalls up to date.
    async fn settle(
        &mut self,
        leadership: &Leadership,
        now: Time,
        causes: Causes,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        let folding = causes.folding();
        if folding.is_empty() {
            return Ok(());
        }
        let folded: HashMap<Uuid, i64> = self.store.folded().await?.into_iter().collect();
        let mut ends: HashMap<Uuid, Split> = HashMap::new();
        for (id, part) in self.store.splits(&folding).await? {
            let split = ends.entry(id).or_default();
            split.moved_on += part.moved_on;
            split.ended += part.ended;
        }
        let changes = causes.settle(&folded, &ends, self.settings.announce.as_ref(), now);
        tally.incidents_closed += changes.closed.len();
        if !self.store.write_incidents(leadership, now, &changes).await? {
            self.deposed();
        }
        Ok(())
    }

    /// Thins old samples, forgets old consumer tags and adds up what processes measured, now and then.
    async fn tidy(&mut self, now: Time) -> Result<(), StoreError> {
        if self
            .memory
            .tidied_at
            .is_some_and(|at| now.ms_since(at) < TIDY_EVERY_MS)
        {
            return Ok(());
        }
        self.memory.tidied_at = Some(now);
        self.store.thin_samples(now, TIDIED).await?;
        self.store.forget_consumer_tags(now, TIDIED).await?;
        self.store.fold_durations(now, TIDIED).await?;
        self.store.forget_tracers(now, TIDIED).await?;
        Ok(())
    }
}
