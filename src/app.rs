//! Puts the parts together: the only module that sees all of them.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::Publisher,
    config::Config,
    services::{lifecycle::Lifecycle, queues::QueueBook, recovery, relay::Relay, submit::Submit},
    store::{Lane, Store},
    telemetry,
    web::{self, Site, security::Origin, server::Limits},
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
    let publisher = Publisher::spawn(config.broker.clone().named("unstuck serve"));
    let queues = QueueBook::new(store.clone(), config.queue_type, config.open_queues);
    let relay = Relay::new(store.clone(), publisher.clone(), queues.clone());
    let acts = Lifecycle::spawn(store.clone(), Lane::Shared, config.lease);
    let site = Arc::new(Site {
        store: store.clone(),
        origin: Arc::new(origin(&config)),
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
