//! Puts the parts together: the only module that sees all of them.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::Publisher,
    config::Config,
    domain::finding::{About, Freshness, remedy, sentence},
    services::{
        accounts::Accounts,
        attachments::{Attachments, Quota},
        backlog::Backlog,
        demo::{self, CrewConfig},
        detector::{Announce, Detector},
        lifecycle::Lifecycle,
        pruner::{self, Pace, Retention},
        queues::QueueBook,
        recovery,
        relay::Relay,
        report_limits::{Rates, ReportLimits},
        submit::Submit,
        ticketing::Ticketing,
        webhook::Webhook,
    },
    store::{Lane, Store, findings::IncidentRow},
    telemetry,
    web::{
        self, BrokerPlace, Site, i18n::Lang, layout::Counts, links, live::Lookout, security::Origin,
        server::Limits,
    },
};

/// How often running tasks whose lease is over are looked after.
const RECOVER_EVERY: Duration = Duration::from_secs(1);

/// How long a pruner that failed waits.
const PRUNE_AGAIN: Duration = Duration::from_secs(60);
/// How often what waits for staff is counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// The parts that run side by side in one process.
pub struct App {
    pub store: Store,
    pub submit: Submit,
    pub publisher: Publisher,
    parts: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
}

impl App {
    /// Starts the site, the API, the relay, the recovery and the detector; they run until `stop`.
    ///
    /// The broker may be away: starts are recorded and go out when it comes back. Errors: the address is taken, or the
    /// database can't be opened.
    pub async fn start(config: &Config, stop: CancellationToken) -> anyhow::Result<Self> {
        let metrics = telemetry::start_metrics()?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("can't listen on {}", config.listen))?;
        let store = Store::open(&config.database_url).await?;
        let accounts = Accounts::new(store.clone(), config.api_token.as_deref());
        greet(&accounts, config).await?;
        let publisher = Publisher::spawn(config.broker.clone().named("unstuck serve"));
        let queues = QueueBook::new(store.clone(), config.queue_type, config.open_queues);
        let relay = Relay::new(store.clone(), publisher.clone(), queues.clone());
        let acts = Lifecycle::spawn(store.clone(), Lane::Shared, config.lease);
        let backlog = Backlog::new(config.outbox_max);
        let submit = Submit::spawn(store.clone(), acts, queues, relay.clone(), backlog.clone());
        let (lookout, changes) = Lookout::new(store.clone());
        let attachments = Attachments::open(store.clone(), &config.data_dir, Quota::default())
            .await
            .with_context(|| format!("attachments in {}", config.data_dir.display()))?;
        let limits = ReportLimits::new(Rates::default());
        let desk = Ticketing::open(store.clone(), attachments.clone(), limits).await?;
        let webhook = match &config.webhook_url {
            Some(url) => Some(
                Webhook::new(store.clone(), url.clone(), config.webhook_secret.as_deref())
                    .context("the webhook")?,
            ),
            None => None,
        };
        let announce = config
            .webhook_url
            .as_ref()
            .map(|_| Arc::new(announcement) as Announce);
        let detector = Detector::spawn(
            store.clone(),
            &config.broker.clone().named("unstuck detector"),
            publisher.clone(),
            config.detect_every,
            announce,
        );
        let counts = Arc::new(watch::Sender::new(Counts::default()));
        let numbers_fresh_for = 3 * config.detect_every;
        let site = Arc::new(Site {
            store: store.clone(),
            accounts,
            changes,
            origin: Arc::new(origin(config)),
            links: links::watched(publisher.link(), detector.management(), backlog.clone()),
            desk: desk.clone(),
            webhook_host: webhook.as_ref().map(Webhook::host),
            counts: counts.subscribe(),
            numbers_fresh_for,
            broker: BrokerPlace {
                vhost: config.broker.vhost().to_owned(),
                guest_over_network: config.broker.is_guest_over_network(),
            },
            submit: submit.clone(),
            work: Lifecycle::spawn(store.clone(), Lane::Reserved, config.lease),
            publisher: publisher.link(),
            metrics,
        });
        let limits = Limits::default();
        let mut app = Self {
            store: store.clone(),
            submit,
            publisher,
            parts: JoinSet::new(),
            stop: stop.clone(),
        };
        app.add(relay.clone().run(stop.clone()));
        app.add(backlog.watch(store.clone(), stop.clone()));
        let pace = recovery::Pace {
            lease: config.lease,
            fresh_for: numbers_fresh_for,
        };
        app.add(recover(store.clone(), pace, relay, stop.clone()));
        app.add(detector.run(stop.clone()));
        let retention = Retention::days(config.retention_days.get());
        app.add(prune(store.clone(), retention, stop.clone()));
        app.add(attachments.run(stop.clone()));
        app.add(look_after_desk(desk, counts.clone(), stop.clone()));
        app.add(count_findings(store.clone(), counts, stop.clone()));
        if let Some(webhook) = webhook {
            app.add(webhook.run(stop.clone()));
        }
        app.add(lookout.run(stop.clone()));
        app.add(web::server::serve(
            listener,
            web::router(site, limits),
            limits,
            stop,
        ));
        tracing::info!(address = %config.listen, database = store.engine(), "serving");
        Ok(app)
    }

    /// Adds a part that runs until `stop`.
    fn add(&mut self, part: impl Future<Output = ()> + Send + 'static) {
        self.add_fallible(async {
            part.await;
            Ok(())
        });
    }

    /// Adds a part whose error ends the process.
    pub fn add_fallible(&mut self, part: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.parts.spawn(part);
    }

    /// Waits for the end, in good order.
    ///
    /// A part ends only because it was told to. One that ends by itself is broken: then the process ends too, and
    /// whoever started it starts it again.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let ended = self.parts.join_next().await;
        let told = self.stop.is_cancelled();
        self.stop.cancel();
        while self.parts.join_next().await.is_some() {}
        self.store.close().await;
        match ended {
            Some(Err(error)) => Err(error).context("a part of the process broke"),
            Some(Ok(Err(error))) => Err(error),
            _ if told => Ok(()),
            _ => anyhow::bail!("a part of the process ended by itself"),
        }
    }
}

/// `serve` with the demo's workload, workers and troubles beside it. `environment` is handed to its workers.
pub async fn demo(
    config: &Config,
    environment: Vec<(String, String)>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let store = Store::open(&config.database_url).await?;
    demo::claim_database(&store).await?;
    store.close().await;
    let mut app = App::start(config, stop.clone()).await?;
    let program = std::env::current_exe().context("can't find this program's own file")?;
    let crew = CrewConfig { program, environment };
    let run = demo::run(
        app.store.clone(),
        app.submit.clone(),
        app.publisher.clone(),
        crew,
        stop,
    );
    app.add_fallible(async { Ok(run.await?) });
    app.run().await
}

/// What the webhook's receiver reads about an incident, in English.
fn announcement(row: &IncidentRow) -> Value {
    let say = |phrase| Lang::En.phrase(&phrase).to_string();
    json!({
        "id": row.id,
        "verdict": row.verdict,
        "scope": row.subject.scope,
        "name": row.subject.name,
        "tasks": row.tasks,
        "confidence": row.confidence,
        "since": row.since,
        "sentence": say(sentence(About::Cause, row.verdict, &row.evidence)),
        "remedy": say(remedy(About::Cause, row.verdict, &row.evidence, Freshness::Fresh)),
        "evidence": row.evidence,
        "closed_at": row.closed_at,
        "closed_reason": row.closed_reason,
    })
}

/// Makes the first administrator when there is no user; a password made for them is printed here and nowhere else.
async fn greet(accounts: &Accounts, config: &Config) -> anyhow::Result<()> {
    let (email, password) = (config.admin_email.as_deref(), config.admin_password.as_deref());
    let added = accounts
        .first_administrator(email, password)
        .await
        .context("the first administrator")?;
    if let Some(added) = added {
        match added.password {
            Some(password) => {
                println!(
                    "First administrator: {}\nPassword, shown only now: {password}",
                    added.email
                );
            }
            None => println!("First administrator: {}", added.email),
        }
    }
    Ok(())
}

fn origin(config: &Config) -> Origin {
    let machine = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    Origin::new(
        config.public_url.clone(),
        config.listen,
        machine,
        config.trusted_proxies.clone(),
    )
}

/// Looks after running tasks whose lease is over, until `stop`.
async fn recover(store: Store, pace: recovery::Pace, relay: Relay, stop: CancellationToken) {
    loop {
        match recovery::tick(&store, pace).await {
            Ok(tally) if tally != recovery::Tally::default() => {
                tracing::info!(
                    resent = tally.resent,
                    ended = tally.ended,
                    "looked after tasks whose lease was over"
                );
                relay.nudge();
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "tasks whose lease is over can't be looked after; trying again")
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RECOVER_EVERY) => {}
        }
    }
}

/// Deletes what is kept no longer, until `stop`.
async fn prune(store: Store, retention: Retention, stop: CancellationToken) {
    loop {
        let pass = async { pruner::tick(&store, retention, Pace::default(), store.now().await?).await };
        let wait = match pass.await {
            Ok(tally) => {
                if tally.any() {
                    tracing::info!(?tally, "deleted what is kept no longer");
                }
                tally.wait()
            }
            Err(error) => {
                tracing::warn!(%error, "what is kept no longer can't be deleted; trying again");
                PRUNE_AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Counts the open findings for every page's badge.
async fn count_findings(store: Store, counts: Arc<watch::Sender<Counts>>, stop: CancellationToken) {
    loop {
        let stalls = match store.count_findings().await {
            Ok(count) => u64::try_from(count).ok(),
            Err(error) => {
                tracing::debug!(%error, "the findings can't be counted");
                None
            }
        };
        counts.send_modify(|counts| counts.stalls = stalls);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COUNT_EVERY) => {}
        }
    }
}

/// Counts the tickets that wait for staff, and forgets callers that the desk has not heard of for a while.
async fn look_after_desk(desk: Ticketing, counts: Arc<watch::Sender<Counts>>, stop: CancellationToken) {
    loop {
        let tickets = match desk.to_do().await {
            Ok(tickets) => Some(tickets),
            Err(error) => {
                tracing::debug!(%error, "the tickets can't be counted");
                None
            }
        };
        counts.send_modify(|counts| counts.tickets = tickets);
        desk.limits.forget_idle();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COUNT_EVERY) => {}
        }
    }
}
