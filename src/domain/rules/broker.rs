//! Whether the broker can be seen, and whether it takes publishes.

use super::{Ruled, Ruling, Thresholds, evidence, queue::QueueView};
use crate::domain::{
    evidence::{Evidence, Facts, ThresholdName},
    finding::{Confidence, Incident, Scope, Subject, Variant, Verdict},
    observation::{Blind, BrokerSight, Presence, Publishing, Sample},
    time::Time,
};

/// What is remembered of the readings before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerMemory {
    /// Since when the management API, or its consumer details, have not been there.
    blind_since: Option<Time>,
    /// Readings in a row that showed an alarm, and when the first of them was.
    alarmed: Option<(i64, Time)>,
}

/// Judges one reading, taken at `now`, of the broker called `broker`.
pub fn judge(
    memory: &mut BrokerMemory,
    broker: &str,
    sight: &BrokerSight,
    now: Time,
    thresholds: &Thresholds,
) -> [Ruled; 2] {
    let subject = Subject {
        scope: Scope::Broker,
        name: broker.to_owned(),
    };
    let ruled = |verdict, ruling| Ruled {
        verdict,
        subject: subject.clone(),
        ruling,
    };
    let found = |verdict, since, evidence: Evidence| {
        Ruling::Found(Box::new(Incident {
            verdict,
            subject: subject.clone(),
            confidence: Confidence::Proven,
            since,
            tasks: 0,
            evidence,
        }))
    };
    let facts = |detail: &str| Facts {
        broker: Some(broker.to_owned()),
        detail: Some(detail.to_owned()),
        ..Facts::default()
    };

    let unknown = match sight.blind.as_ref().or(sight.statistics.as_ref()) {
        None => {
            memory.blind_since = None;
            Ruling::Clear
        }
        Some(Blind { why, detail }) => {
            let since = *memory.blind_since.get_or_insert(now);
            if now.ms_since(since) >= thresholds.blind_ms {
                let facts = Facts {
                    blind_since: Some(since),
                    ..facts(detail)
                };
                let (name, value) = (ThresholdName::Blind, thresholds.blind_ms);
                let evidence = evidence(now, why.variant(), name, value, facts);
                found(Verdict::Unknown, since, evidence)
            } else {
                Ruling::Undecided
            }
        }
    };

    let alarm = match (&sight.alarms, &sight.publishing) {
        (Some(alarms), _) if !alarms.is_empty() => Some((Variant::Alarm, alarms.join(", "))),
        (_, Publishing::Blocked(reason)) => Some((Variant::Blocked, reason.clone())),
        _ => None,
    };
    let alarm = match alarm {
        Some((variant, detail)) => {
            let (readings, since) = memory.alarmed.map_or((1, now), |(n, since)| (n + 1, since));
            memory.alarmed = Some((readings, since));
            if readings >= thresholds.alarm_readings {
                let facts = Facts {
                    readings: Some(readings),
                    ..facts(&detail)
                };
                let (name, value) = (ThresholdName::AlarmReadings, thresholds.alarm_readings);
                let evidence = evidence(now, variant, name, value, facts);
                found(Verdict::BrokerAlarm, since, evidence)
            } else {
                Ruling::Undecided
            }
        }
        None if sight.alarms.is_none() => Ruling::Undecided,
        None => {
            memory.alarmed = None;
            Ruling::Clear
        }
    };
    [
        ruled(Verdict::Unknown, unknown),
        ruled(Verdict::BrokerAlarm, alarm),
    ]
}

/// A queue's numbers have been missing for a while although the broker answers about others.
pub fn queue_unknown(queue: &QueueView<'_>, broker_blind: bool, thresholds: &Thresholds) -> Ruling {
    let Some(newest) = queue.window.newest() else {
        return Ruling::Undecided;
    };
    let unseen =
        |sample: &Sample| sample.numbers.presence != Presence::Missing && !sample.numbers.is_complete();
    let Some(since) = queue.window.since(unseen) else {
        return Ruling::Clear;
    };
    if broker_blind {
        // One card for the broker, not one for each of its queues.
        return Ruling::Clear;
    }
    if newest.at.ms_since(since) < thresholds.blind_ms {
        return Ruling::Undecided;
    }
    let facts = Facts {
        blind_since: Some(since),
        ..queue.facts(newest)
    };
    let (name, value) = (ThresholdName::Blind, thresholds.blind_ms);
    let evidence = evidence(newest.at, Variant::Absent, name, value, facts);
    let tasks = newest.facts.queued + newest.facts.running;
    queue.incident(Verdict::Unknown, Confidence::Proven, since, tasks, evidence)
}
