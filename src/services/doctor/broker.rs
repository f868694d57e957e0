//! The broker as a whole: the connection for messages, and the management API.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    broker::{BrokerConfig, DownCause, LinkState, Management, ManagementError, Probe, management::Overview},
    domain::{
        broker_version::BrokerVersion,
        evidence::Arg,
        lint::{Grade, Note, What, guest, quoted, text},
    },
};

/// The oldest RabbitMQ that Unstuck is tested with.
const OLDEST: BrokerVersion = BrokerVersion::new(3, 10);

/// Whether the broker can be asked over AMQP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    Yes,
    No,
}

/// Waits until the connection is up or was refused.
pub(super) async fn amqp(probe: &Probe, config: &BrokerConfig, patience: Duration) -> (Reached, Vec<Note>) {
    let mut link = probe.link();
    let settled = timeout(patience, link.wait_for(|state| *state != LinkState::Connecting)).await;
    let state = match settled {
        Ok(Ok(state)) => state.clone(),
        Ok(Err(_)) | Err(_) => LinkState::Connecting,
    };
    let address = ("address", text(config.redacted()));
    let mut notes = Vec::new();
    let reached = match state {
        LinkState::Up { .. } | LinkState::Blocked { .. } => {
            notes.push(Note::new("amqp", Grade::Fine, What::AmqpUp, [address]));
            Reached::Yes
        }
        LinkState::Connecting => {
            notes.push(Note::new("amqp", Grade::Wrong, What::AmqpSilent, [address]));
            Reached::No
        }
        LinkState::Down { cause, detail, .. } => {
            let detail = ("detail", text(detail));
            let wrong = |what: What| Note::new("amqp", Grade::Wrong, what, [address, detail]);
            notes.push(match cause {
                DownCause::Unreachable | DownCause::Closed => wrong(What::AmqpUnreachable),
                DownCause::AccessRefused => wrong(What::AmqpRefused),
                DownCause::VhostNotFound => {
                    let add = format!("rabbitmqctl add_vhost {}", quoted(config.vhost()));
                    wrong(What::AmqpNoVhost).mended_by(add)
                }
                DownCause::ProtocolError => wrong(What::AmqpNoAmqp),
                DownCause::Timeout => wrong(What::AmqpSilent),
            });
            Reached::No
        }
    };
    if config.is_guest_over_network() {
        notes.push(guest(config.vhost()));
    }
    (reached, notes)
}

/// Asks the management API. `None` when it does not answer as one should.
pub(super) async fn management(
    management: &Management,
    config: &BrokerConfig,
) -> (Option<Overview>, Vec<Note>) {
    let address = || ("address", text(config.management_redacted()));
    let overview = match management.overview().await {
        Ok(overview) => overview,
        Err(error) => return (None, vec![refused(&error, address)]),
    };
    let version = overview.version.clone().unwrap_or_default();
    let args = [address(), ("version", text(&version))];
    let mut notes = vec![match BrokerVersion::parse(&version) {
        Some(found) if found < OLDEST => Note::new("management", Grade::Wrong, What::BrokerOld, args),
        Some(_) | None => Note::new("management", Grade::Fine, What::ManagementUp, args),
    }];
    if overview.statistics_disabled == Some(true) {
        let enable = "in advanced.config: {management_agent, [{disable_metrics_collector, false}]}";
        notes.push(Note::new("management", Grade::Advice, What::StatisticsOff, []).mended_by(enable));
    }
    match management.alarms().await {
        Ok(alarms) => notes.extend(alarms.into_iter().map(|alarm| {
            let args = [("resource", text(alarm.resource)), ("node", text(alarm.node))];
            Note::new("management", Grade::Wrong, What::Alarm, args).mended_by("rabbitmq-diagnostics alarms")
        })),
        Err(error) => notes.push(refused(&error, address)),
    }
    (Some(overview), notes)
}

fn refused(error: &ManagementError, address: impl Fn() -> (&'static str, Arg)) -> Note {
    let wrong = |what: What| {
        let detail = ("detail", text(error.to_string()));
        Note::new("management", Grade::Wrong, what, [address(), detail])
    };
    match error {
        ManagementError::Unreachable { .. } | ManagementError::TimedOut => {
            wrong(What::ManagementUnreachable).mended_by("rabbitmq-plugins enable rabbitmq_management")
        }
        ManagementError::Refused { .. } => {
            wrong(What::ManagementRefused).mended_by("rabbitmqctl set_user_tags USER monitoring")
        }
        ManagementError::NotFound
        | ManagementError::Disabled
        | ManagementError::Garbage { .. }
        | ManagementError::TooLarge => wrong(What::ManagementStrange),
    }
}
