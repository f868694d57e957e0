//! Whether consumers are there, work and keep up; whether the broker can be seen.

use unstuck::domain::{
    finding::{Scope, Variant, Verdict},
    observation::{Blind, Blindness, BrokerSight, Presence, Publishing, Sample},
    rules::{Ruled, Ruling, broker},
};

use super::support::{THRESHOLDS, at, clear_sight, consumers, found, ruling, sample, verdicts, window, with};

/// Readings every 5 s, each with 5 messages ready and changed by `change`.
fn waiting(count: i64, change: impl Fn(i64, &mut Sample)) -> unstuck::domain::observation::Window {
    window((0..count).map(|nr| {
        with(sample(nr * 5_000, true, 5, 0), |sample| {
            sample.facts.queued = 5;
            sample.facts.waiting = 5;
            change(nr, sample);
        })
    }))
}

#[test]
fn nobody_consumes_for_a_minute() {
    let deserted = |_: i64, sample: &mut Sample| consumers(sample, 0);
    assert_eq!(verdicts(&waiting(12, deserted)), [], "55 s: a deployment");
    let found = found(&waiting(13, deserted));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].verdict, found[0].tasks, found[0].since),
        (Verdict::NoConsumers, 5, at(0))
    );
    assert_eq!(
        ruling(&waiting(3, |_, _| {}), Verdict::NoConsumers),
        Ruling::Clear,
        "there is one again"
    );
}

#[test]
fn a_consumer_in_between_begins_the_minute_anew() {
    let blink = waiting(20, |nr, sample| consumers(sample, i64::from(nr == 10)));
    assert_eq!(verdicts(&blink), []);
}

#[test]
fn somebody_who_fetches_without_consuming_is_somebody() {
    let polled = waiting(20, |nr, sample| {
        consumers(sample, 0);
        sample.activity.claimed = nr / 4;
    });
    assert_eq!(verdicts(&polled), []);
}

#[test]
fn no_consumers_is_left_as_it_is_while_the_number_is_unknown() {
    let blind = waiting(13, |nr, sample| {
        consumers(sample, 0);
        if nr == 12 {
            sample.numbers.consumers = None;
        }
    });
    assert_eq!(ruling(&blind, Verdict::NoConsumers), Ruling::Undecided);
}

#[test]
fn consumers_that_hold_messages_and_move_nothing_are_stuck() {
    let hung = |_: i64, sample: &mut Sample| {
        if let Some(figure) = &mut sample.numbers.unacknowledged {
            figure.value = 1;
        }
        sample.facts.waiting = 6;
    };
    assert_eq!(verdicts(&waiting(5, hung)), [], "five readings");
    assert_eq!(verdicts(&waiting(6, hung)), [Verdict::ConsumersStuck]);
    let alive = |nr: i64, sample: &mut Sample| {
        hung(nr, sample);
        sample.facts.live = i64::from(nr == 5);
    };
    assert_eq!(verdicts(&waiting(6, alive)), [], "a lease is alive: a long task");
    let moving = |nr: i64, sample: &mut Sample| {
        hung(nr, sample);
        sample.activity.ended = i64::from(nr > 2);
    };
    assert_eq!(verdicts(&waiting(6, moving)), [], "a task ended in between");
}

#[test]
fn six_quick_readings_are_not_enough_to_call_consumers_stuck() {
    let quick =
        window((0..20).map(|nr| with(sample(nr * 1_000, false, 5, 1), |sample| sample.facts.waiting = 6)));
    assert_eq!(verdicts(&quick), []);
}

#[test]
fn a_queue_that_would_take_longer_than_its_target_is_behind() {
    let busy = |wait: i64| {
        move |_: i64, sample: &mut Sample| {
            sample.facts.live = 1;
            sample.expected_wait_ms = Some(wait);
        }
    };
    assert_eq!(verdicts(&waiting(13, busy(900_000))), [], "at the target");
    assert_eq!(verdicts(&waiting(12, busy(900_001))), [], "not for a minute yet");
    let behind = found(&waiting(13, busy(900_001)));
    assert_eq!(
        (behind[0].verdict, behind[0].evidence.variant),
        (Verdict::Backlog, Variant::Slow)
    );
    let idle = waiting(13, |_, sample| sample.expected_wait_ms = None);
    assert_eq!(verdicts(&idle), [], "nobody works: that is another finding");
}

#[test]
fn an_old_task_in_a_working_queue_is_a_backlog() {
    let old = |nr: i64, sample: &mut Sample| {
        sample.facts.live = 1;
        sample.facts.oldest_published_at = Some(at(nr * 5_000 - 900_001));
    };
    let found = found(&waiting(13, old));
    assert_eq!(
        (found[0].verdict, found[0].evidence.variant),
        (Verdict::Backlog, Variant::Old)
    );
}

#[test]
fn a_task_without_a_message_makes_no_backlog() {
    let lost = waiting(13, |nr, sample| {
        sample.facts.live = 1;
        sample.facts.oldest_published_at = Some(at(nr * 5_000 - 900_001));
        sample.facts.settled = 9;
    });
    assert_eq!(verdicts(&lost), [Verdict::LedgerShort]);
}

#[test]
fn a_queue_whose_numbers_stay_away_is_unknown() {
    let absent = |_: i64, sample: &mut Sample| sample.numbers.unacknowledged = None;
    assert_eq!(verdicts(&waiting(3, absent)), [], "10 s: it was just declared");
    assert_eq!(verdicts(&waiting(4, absent)), [Verdict::Unknown]);
    let missing = waiting(4, |_, sample| {
        sample.numbers.presence = Presence::Missing;
        sample.numbers.ready = None;
    });
    assert_eq!(verdicts(&missing), [Verdict::QueueMissing]);
}

/// The verdicts about a broker that was seen like this, every 5 s.
fn broker_verdicts(sights: &[BrokerSight]) -> Vec<(Verdict, Variant)> {
    let mut memory = broker::BrokerMemory::default();
    let mut last = Vec::new();
    for (nr, sight) in sights.iter().enumerate() {
        let now = at(nr as i64 * 5_000);
        last = broker::judge(&mut memory, "rabbit:5672", sight, now, &THRESHOLDS).to_vec();
    }
    last.into_iter()
        .filter_map(|Ruled { subject, ruling, .. }| match ruling {
            Ruling::Found(incident) => {
                assert_eq!((subject.scope, incident.subject), (Scope::Broker, subject));
                Some((incident.verdict, incident.evidence.variant))
            }
            Ruling::Clear | Ruling::Undecided => None,
        })
        .collect()
}

#[test]
fn a_broker_that_can_not_be_seen_for_three_intervals_is_unknown() {
    let blind = |why| BrokerSight {
        blind: Some(Blind {
            why,
            detail: "why".into(),
        }),
        alarms: None,
        ..clear_sight()
    };
    let refused = blind(Blindness::Refused);
    assert_eq!(broker_verdicts(&vec![refused.clone(); 3]), []);
    assert_eq!(
        broker_verdicts(&vec![refused.clone(); 4]),
        [(Verdict::Unknown, Variant::Refused)]
    );
    let blink = [
        refused.clone(),
        refused.clone(),
        clear_sight(),
        refused.clone(),
        refused,
    ];
    assert_eq!(broker_verdicts(&blink), [], "seen in between");
    let off = BrokerSight {
        statistics: Some(Blind {
            why: Blindness::StatisticsOff,
            detail: "why".into(),
        }),
        ..clear_sight()
    };
    assert_eq!(
        broker_verdicts(&vec![off; 4]),
        [(Verdict::Unknown, Variant::StatisticsOff)]
    );
}

#[test]
fn an_alarm_needs_two_readings_and_outlasts_a_blind_one() {
    let alarm = BrokerSight {
        alarms: Some(vec!["memory on rabbit@a".into()]),
        ..clear_sight()
    };
    let blind = BrokerSight {
        alarms: None,
        ..clear_sight()
    };
    assert_eq!(broker_verdicts(std::slice::from_ref(&alarm)), []);
    assert_eq!(
        broker_verdicts(&[alarm.clone(), alarm.clone()]),
        [(Verdict::BrokerAlarm, Variant::Alarm)]
    );
    assert_eq!(
        broker_verdicts(&[alarm.clone(), alarm.clone(), blind.clone()]),
        []
    );
    assert_eq!(
        broker_verdicts(&[alarm.clone(), blind, alarm]),
        [(Verdict::BrokerAlarm, Variant::Alarm)]
    );
    let blocked = BrokerSight {
        publishing: Publishing::Blocked("low on disk".into()),
        ..clear_sight()
    };
    assert_eq!(
        broker_verdicts(&[blocked.clone(), blocked]),
        [(Verdict::BrokerAlarm, Variant::Blocked)]
    );
}
