//! Looks every few seconds for tasks that the database and the broker disagree about, in one elected process.

mod attempts;
mod candidates;
mod causes;
mod dead;
mod described;
mod judge;
mod look;
mod memory;
mod policies;
mod snoozes;
mod trails;
mod unusual;

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use judge::{Announce, Judge, Settings, Tally};

use self::look::Eyes;
use crate::{
    broker::{
        BrokerConfig, BrokerReader, LinkState, Management, Probe, Publisher, management::ManagementLink,
    },
    domain::time::Time,
    services::tracers,
    store::{Change, Drift, Store, StoreError},
};

/// How often the leadership is renewed, or tried for.
const WAKE_EVERY: Duration = Duration::from_secs(3);
/// Settings, counters and consumers are read at every pass, but not more often than this.
const DETAILS_EVERY_MIN: Duration = Duration::from_millis(4_500);
/// The database's clock may differ by so much from the time that passed here before it counts as set anew.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// The detector of this process.
pub struct Detector {
    store: Store,
    judge: Judge,
    eyes: Eyes,
    every: Duration,
    /// Sends the tracers.
    publisher: Publisher,
    sending: TaskTracker,
}

impl Detector {
    /// Connects to the broker in the background; needs a running runtime. `publisher` sends the tracers, over this
    /// process's publishing connection; `every` is the time between two looks;
    /// `announce` writes what the webhook is told of an incident, when there is one.
    pub fn spawn(
        store: Store,
        broker: &BrokerConfig,
        publisher: Publisher,
        every: Duration,
        announce: Option<Announce>,
    ) -> Self {
        let probe = Probe::spawn(broker.clone());
        let probe_link = probe.link();
        let details_every = if every < DETAILS_EVERY_MIN {
            DETAILS_EVERY_MIN
        } else {
            Duration::ZERO
        };
        let reader = BrokerReader::new(probe, Management::new(broker)).with_details_every(details_every);
        let settings = Settings {
            broker: broker.to_string(),
            every,
            announce,
        };
        Self {
            judge: Judge::new(store.clone(), settings),
            eyes: Eyes::new(reader, publisher.link(), probe_link, every),
            store,
            every,
            publisher,
            sending: TaskTracker::new(),
        }
    }

    /// How the connection that the broker is looked at through is doing.
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.eyes.link()
    }

    /// How the management API is doing, as of this process's last look; unasked while another process looks.
    pub fn management(&self) -> watch::Receiver<ManagementLink> {
        self.eyes.management()
    }

    /// Looks once and writes what it finds, if this process leads or comes to lead.
    ///
    /// Takes up to some 10 s while the broker does not answer. Errors: the database; what was committed stays, and the
    /// next look goes on from there.
    pub async fn tick(&mut self, now: Time) -> Result<Tally, StoreError> {
        if !self.judge.lead().await? {
            self.eyes.close();
            return Ok(Tally::default());
        }
        if self.keep_time().await? == Change::Set {
            // `now` is of another time: what is read by it would count as the newest, or as long past.
            return Ok(Tally::default());
        }
        let queues = self.judge.queues().await?;
        let suspects = self.judge.suspects();
        let mut look = Box::pin(self.eyes.look(&queues, &suspects, now));
        // A broker that does not answer must not cost the leadership.
        let mut renew = tokio::time::interval(WAKE_EVERY);
        renew.tick().await;
        let sight = loop {
            tokio::select! {
                sight = &mut look => break sight,
                _ = renew.tick() => if !self.judge.lead().await? {
                    return Ok(Tally::default());
                },
            }
        };
        drop(look);
        let described = self.eyes.described(now);
        if !described.is_empty() {
            self.store.keep_broker_queues(&described).await?;
        }
        let tally = self.judge.pass(now, &queues, &sight).await?;
        for (id, queue) in self.judge.take_tracers() {
            let (store, publisher) = (self.store.clone(), self.publisher.clone());
            self.sending.spawn(tracers::send(store, publisher, queue, id));
        }
        Ok(tally)
    }

    /// Lets the clock of a SQLite file follow the machine's, and says when that was set.
    async fn keep_time(&self) -> Result<Change, StoreError> {
        let Some(Drift { ahead_ms, change }) = self.store.follow_machine_clock().await? else {
            return Ok(Change::None);
        };
        match change {
            Change::None => {}
            Change::Paced => tracing::warn!(
                ahead_ms,
                "the machine's clock is not the database's: that follows it slowly while tasks are open"
            ),
            Change::Set => tracing::warn!(ahead_ms, "the database's clock was set by the machine's"),
        }
        Ok(change)
    }

    /// Looks every few seconds until `stop`, and hands the leadership on at the end.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut next = Instant::now();
        let mut clock = None;
        loop {
            match self.wake(&mut next, &mut clock).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "can't look for stalled tasks; trying again");
                    self.judge.unsettle();
                }
            }
            let wait = next.saturating_duration_since(Instant::now()).min(WAKE_EVERY);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.sending.close();
        self.sending.wait().await;
        if let Err(error) = self.judge.resign().await {
            tracing::debug!(%error, "another process takes over when the lease ends");
        }
    }

    async fn wake(
        &mut self,
        next: &mut Instant,
        clock: &mut Option<(Instant, Time)>,
    ) -> Result<(), StoreError> {
        let now = self.store.now().await?;
        let here = Instant::now();
        if let Some((then, time)) = clock.replace((here, now)) {
            let passed = here.duration_since(then).as_millis() as i64;
            let step_ms = now.ms() - time.ms() - passed;
            if step_ms.unsigned_abs() > CLOCK_STEP.as_millis() as u64 {
                tracing::warn!(
                    step_ms,
                    "the database's clock was set anew; nothing is judged by older readings"
                );
                self.judge.forget();
            }
        }
        if here < *next {
            self.judge.lead().await?;
            return Ok(());
        }
        *next = here + self.every;
        let tally = self.tick(now).await?;
        if tally.is_news() {
            tracing::info!(
                incidents_opened = tally.incidents_opened,
                incidents_closed = tally.incidents_closed,
                stalls_opened = tally.stalls_opened,
                stalls_closed = tally.stalls_closed,
                resent = tally.resent,
                "findings changed"
            );
        }
        Ok(())
    }
}
