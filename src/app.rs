//! Puts the parts together: the only module that sees all of them.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{LinkState, Publisher},
    config::Config,
    services::{
        accounts::Accounts, lifecycle::Lifecycle, queues::QueueBook, recovery, relay::Relay, submit::Submit,
    },
    store::{Lane, Store},
    telemetry,
    web::{
        self, Site,
        layout::{Counts, Link, LinkHealth, LinkName},
        security::Origin,
        server::Limits,
    },
};

/// How often running tasks whose lease is over are looked after.
const RECOVER_EVERY: Duration = Duration::from_secs(1);

/// Runs the site, the API, the relay, the recovery and the detector until `stop`.
///
/// The broker may be away: starts are recorded and go out when it comes back. Errors: the address is taken, or the
/// database can't be opened.
pub async fn serve(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics()?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("can't listen on {}", config.listen))?;
    let store = Store::open(&config.database_url).await?;
    let accounts = Accounts::new(store.clone(), config.api_token.as_deref());
    greet(&accounts, &config).await?;
    let publisher = Publisher::spawn(config.broker.clone().named("unstuck serve"));
    let queues = QueueBook::new(store.clone(), config.queue_type, config.open_queues);
    let relay = Relay::new(store.clone(), publisher.clone(), queues.clone());
    let acts = Lifecycle::spawn(store.clone(), Lane::Shared, config.lease);
    let site = Arc::new(Site {
        store: store.clone(),
        accounts,
        origin: Arc::new(origin(&config)),
        links: links(publisher.link()),
        counts: watch::channel(Counts::default()).1,
        submit: Submit::spawn(store.clone(), acts, queues, relay.clone()),
        work: Lifecycle::spawn(store.clone(), Lane::Reserved, config.lease),
        publisher: publisher.link(),
        metrics,
    });
    let limits = Limits::default();
    let mut parts = JoinSet::new();
    parts.spawn(relay.clone().run(stop.clone()));
    parts.spawn(recover(store.clone(), config.lease, relay, stop.clone()));
    parts.spawn(web::server::serve(
        listener,
        web::router(site, limits),
        limits,
        stop.clone(),
    ));
    tracing::info!(address = %config.listen, database = store.engine(), "serving");
    // A part ends only because it was told to. One that ends by itself has panicked: then the process ends too, and
    // whoever started it starts it again.
    let ended = parts.join_next().await;
    let told = stop.is_cancelled();
    stop.cancel();
    while parts.join_next().await.is_some() {}
    store.close().await;
    match ended {
        Some(Err(error)) => Err(error).context("a part of the server broke"),
        _ if told => Ok(()),
        _ => anyhow::bail!("a part of the server ended by itself"),
    }
}

/// Makes the first administrator when there is no user; a password made for them is printed here and nowhere else.
async fn greet(accounts: &Accounts, config: &Config) -> anyhow::Result<()> {
    let (email, password) = (config.admin_email.as_deref(), config.admin_password.as_deref());
    let added = accounts.first_administrator(email, password).await.context("the first administrator")?;
    if let Some(added) = added {
        match added.password {
            Some(password) => {
                println!("First administrator: {}\nPassword, shown only now: {password}", added.email);
            }
            None => println!("First administrator: {}", added.email),
        }
    }
    Ok(())
}

/// What pages show of the links. A page that is shown has reached the database.
fn links(publisher: watch::Receiver<LinkState>) -> Arc<dyn Fn() -> Vec<Link> + Send + Sync> {
    Arc::new(move || {
        let health = match *publisher.borrow() {
            LinkState::Up { .. } => LinkHealth::Up,
            LinkState::Connecting => LinkHealth::Connecting,
            LinkState::Blocked { .. } => LinkHealth::Blocked,
            LinkState::Down { .. } => LinkHealth::Down,
        };
        vec![
            Link { name: LinkName::Database, health: LinkHealth::Up },
            Link { name: LinkName::Publisher, health },
        ]
    })
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
async fn recover(store: Store, lease: Duration, relay: Relay, stop: CancellationToken) {
    loop {
        match recovery::tick(&store, lease).await {
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
