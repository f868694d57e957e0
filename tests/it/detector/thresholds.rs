//! Thresholds that people set: in force at the next pass, and replayed over what was kept before they are saved.

use std::time::Duration;

use unstuck::{
    domain::{
        audit::AuditEntry,
        finding::{About, Scope, Subject, Verdict},
        observation::{Presence, QueueFacts, Sample, Window},
        replay::{Answer, Past, QueueReplay, detail, rebuild, would_be_said},
        rules::{
            Thresholds,
            fold::is_fold,
            thresholds::{Changed, Setting},
        },
    },
    services::backtest::{self, Backtest, Compared, Replayed, Sight, Way},
    store::{Store, ThresholdChange},
};

use super::{
    every_finding::every_finding,
    stage::{EVERY, Stage},
    support::{THRESHOLDS, at, consumers, found, judge, sample, window, with},
};
use crate::support::store::each_store;

const EVERY_MS: i64 = 5_000;

async fn set(store: &Store, setting: Setting, was: Option<i64>, becomes: Option<i64>) -> bool {
    let change = ThresholdChange {
        setting,
        was,
        becomes,
    };
    let audit = AuditEntry::new("user:a@b.example", "thresholds_set", "thresholds", "");
    store.set_thresholds(&[change], audit).await.expect("stored")
}

fn changed(setting: Setting, value: i64) -> Thresholds {
    Thresholds::with(EVERY_MS, &Changed::from([(setting, value)]))
}

/// Nobody consumes `q`, which holds a message.
fn desert(stage: &mut Stage) {
    stage.broker(1, 0);
    stage.queue(|queue| {
        if let Some(consumers) = &mut queue.numbers.consumers {
            consumers.value = 0;
        }
    });
}

#[tokio::test]
async fn a_changed_threshold_is_in_force_at_the_next_pass_and_named_by_what_is_found() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store.clone(), clock).await;
        stage.queued(1).await;
        desert(&mut stage);
        stage.passes(4).await;
        assert_eq!(stage.incident_verdicts().await, [], "15 s are not 60");
        assert!(set(&store, Setting::NoConsumers, None, Some(15_000)).await);
        stage.pass().await;
        let incidents = stage.incidents().await;
        assert_eq!(incidents[0].verdict, Verdict::NoConsumers);
        assert_eq!(incidents[0].evidence.threshold.value, 15_000);

        // Longer than readings are kept by default.
        stage.broker(1, 0);
        stage.passes(2).await;
        assert_eq!(stage.incident_verdicts().await, []);
        assert!(set(&store, Setting::NoConsumers, Some(15_000), Some(300_000)).await);
        desert(&mut stage);
        stage.passes(60).await;
        assert_eq!(stage.incident_verdicts().await, [], "295 s are not 300");
        stage.pass().await;
        assert_eq!(stage.incident_verdicts().await, [Verdict::NoConsumers]);
    })
    .await;
}

#[tokio::test]
async fn a_threshold_that_somebody_changed_meanwhile_is_left_alone() {
    each_store(async |store, _| {
        assert!(set(&store, Setting::CrashLoop, None, Some(5)).await);
        assert!(!set(&store, Setting::CrashLoop, None, Some(4)).await);
        assert!(!set(&store, Setting::CrashLoop, Some(6), Some(4)).await);
        assert!(!set(&store, Setting::CrashLoop, Some(6), None).await);
        let kept = store.thresholds().await.expect("read");
        assert_eq!(kept[&Setting::CrashLoop].value, 5);
        assert_eq!(kept[&Setting::CrashLoop].actor, "user:a@b.example");
        assert!(set(&store, Setting::CrashLoop, Some(5), None).await);
        assert_eq!(store.changed_thresholds().await.expect("read"), Changed::new());
        let log = store
            .audit_page(&Default::default(), None, 10)
            .await
            .expect("read");
        assert_eq!(log.items.len(), 2, "what was refused changed nothing");
        let after = log.items[1].entry.after.clone().expect("a picture");
        assert_eq!(after["crash_loop"], 5);
    })
    .await;
}

/// Readings like those that the rules about queues speak of, in one window each.
fn windows() -> Vec<Window> {
    let minute = |change: &dyn Fn(&mut Sample)| {
        window((0..13).map(|nr| {
            with(sample(nr * 5_000, false, 5, 0), |sample| {
                sample.facts = QueueFacts {
                    waiting: 5,
                    queued: 5,
                    in_flight: 0,
                    ..QueueFacts::default()
                };
                sample.activity.claimed = 7;
                change(sample);
            })
        }))
    };
    vec![
        minute(&|_| {}),
        minute(&|sample| consumers(sample, 0)),
        minute(&|sample| {
            if let Some(figure) = &mut sample.numbers.unacknowledged {
                figure.value = 1;
            }
        }),
        minute(&|sample| {
            sample.facts.live = 1;
            sample.expected_wait_ms = Some(900_001);
        }),
        minute(&|sample| {
            sample.facts.live = 1;
            sample.facts.oldest_published_at = Some(at(-900_001));
        }),
        minute(&|sample| sample.facts.waiting = 1),
        minute(&|sample| sample.numbers.presence = Presence::Missing),
        minute(&|sample| sample.numbers.unacknowledged = None),
    ]
}

#[test]
fn rules_say_of_rebuilt_readings_what_they_said_of_the_readings() {
    let mut spoken = 0;
    for original in windows() {
        let kept: Vec<_> = original
            .backwards()
            .map(|sample| (sample.at, detail(sample)))
            .collect();
        let rebuilt = kept
            .iter()
            .rev()
            .map(|(at, detail)| rebuild(*at, detail).expect("a reading of this version"));
        let rebuilt = window(rebuilt);
        let before = judge(&original).0;
        assert_eq!(judge(&rebuilt).0, before);
        spoken += found(&original).len();
    }
    assert!(spoken >= 7, "{spoken} findings");
}

#[test]
fn a_finding_of_every_replayed_rule_is_said_again_by_the_thresholds_it_was_found_by() {
    let mut asked = 0;
    for (about, verdict, evidence) in every_finding() {
        let about_task = about == About::Task;
        // Those that exist through their tasks are asked about by task.
        if !about_task && is_fold(verdict) {
            continue;
        }
        let subject = match &evidence.facts.broker {
            Some(broker) if !about_task => Subject {
                scope: Scope::Broker,
                name: broker.clone(),
            },
            _ => Subject::queue("q"),
        };
        let facts = &evidence.facts;
        let since = facts
            .due_at
            .or(facts.lease_expires_at.filter(|_| verdict != Verdict::AckDeadline));
        let past = Past {
            verdict,
            subject,
            about_task,
            since: since.unwrap_or(at(-150_000)),
            until: evidence.judged_at,
            evidence,
        };
        match would_be_said(&past, &THRESHOLDS, EVERY_MS) {
            Answer::Said => asked += 1,
            Answer::NotSaid => panic!("{past:?}"),
            Answer::CantTell => assert!(
                matches!(
                    verdict,
                    Verdict::MessageLost
                        | Verdict::DeadLettered
                        | Verdict::Overdue
                        | Verdict::DoubleRun
                        | Verdict::LedgerShort
                        | Verdict::Unknown
                ),
                "{verdict} can be replayed"
            ),
        }
    }
    assert!(asked > 20, "{asked} were asked about");
}

#[test]
fn a_finding_that_did_not_last_is_not_said_by_a_longer_threshold() {
    let deserted =
        window((0..13).map(|nr| with(sample(nr * 5_000, false, 5, 0), |sample| consumers(sample, 0))));
    let incident = found(&deserted)
        .into_iter()
        .find(|incident| incident.verdict == Verdict::NoConsumers)
        .expect("nobody consumed for a minute");
    let past = |seconds: i64| Past {
        verdict: incident.verdict,
        subject: incident.subject.clone(),
        about_task: false,
        since: incident.since,
        until: at(seconds * 1_000),
        evidence: incident.evidence.clone(),
    };
    let longer = changed(Setting::NoConsumers, 90_000);
    assert_eq!(would_be_said(&past(89), &longer, EVERY_MS), Answer::NotSaid);
    assert_eq!(would_be_said(&past(90), &longer, EVERY_MS), Answer::Said);
    assert_eq!(would_be_said(&past(600), &longer, EVERY_MS), Answer::Said);
}

#[test]
fn only_what_the_new_thresholds_find_and_the_present_ones_do_not_is_an_episode() {
    let shorter = changed(Setting::NoConsumers, 20_000);
    let mut replay = QueueReplay::new("q", 900_000, &THRESHOLDS, &shorter, 30_000);
    let deserted = |from: i64, seconds: i64| (from..=from + seconds).step_by(5);
    let times: Vec<(i64, bool)> = deserted(0, 30)
        .map(|second| (second, true))
        .chain([(35, false), (40, false)])
        .chain(deserted(45, 90).map(|second| (second, true)))
        .chain([(140, false)])
        // Nobody looked for a while: what comes before and after does not belong together.
        .chain(deserted(200, 10).map(|second| (second, true)))
        .chain(deserted(300, 15).map(|second| (second, true)))
        .collect();
    for (second, deserted) in times {
        replay.push(with(sample(second * 1_000, false, 5, 0), |sample| {
            consumers(sample, i64::from(!deserted))
        }));
    }
    let episodes = replay.finish();
    assert_eq!(episodes.len(), 1, "{episodes:?}");
    let episode = &episodes[0];
    assert_eq!((episode.since, episode.until), (at(0), at(30_000)));
}

async fn replayed(store: &Store, setting: Setting, value: i64) -> (Backtest, Replayed) {
    let present = Thresholds::with(EVERY_MS, &store.changed_thresholds().await.expect("read"));
    let wanted = changed(setting, value);
    let compared = Compared {
        present: &present,
        wanted: &wanted,
        every_ms: EVERY_MS,
    };
    let now = store.now().await.expect("a time");
    let backtest = backtest::run(store, compared, now).await.expect("replayed");
    assert_eq!(backtest.rules.len(), 1, "{backtest:?}");
    let rule = backtest.rules[0].clone();
    (backtest, rule)
}

#[tokio::test]
async fn a_backtest_counts_what_would_not_have_been_said_and_what_would_besides() {
    each_store(async |store, clock| {
        let mut stage = Stage::new(store.clone(), clock).await;
        stage.queued(1).await;
        // Deserted for 40 s, 80 s and 120 s: two findings at 60 s.
        for passes in [9, 17, 25] {
            desert(&mut stage);
            stage.passes(passes).await;
            stage.broker(1, 0);
            stage.passes(2).await;
        }
        let open = store.open_incidents(10).await.expect("read");
        assert_eq!(open, [], "all are over");
        let (_, longer) = replayed(&store, Setting::NoConsumers, 100_000).await;
        assert_eq!((longer.said, longer.fewer, longer.more), (2, 1, 0));
        assert_eq!((longer.would_be(), longer.sight), (1, Sight::Findings));
        assert_eq!(
            (longer.first[0].way, longer.first[0].lasted_ms),
            (Way::Fewer, 80_000)
        );
        let mut audit = AuditEntry::new("user:a@b.example", "false_alarm", "", "");
        audit.reason = Some("a deployment".into());
        let id = longer.first[0].finding_id.expect("a finding");
        store.mark_false_alarm(id, audit).await.expect("stored");
        let (_, again) = replayed(&store, Setting::NoConsumers, 100_000).await;
        assert_eq!(again.fewer_false, 1);

        let (backtest, shorter) = replayed(&store, Setting::NoConsumers, 30_000).await;
        assert_eq!((shorter.said, shorter.fewer, shorter.more), (2, 0, 1));
        assert_eq!((shorter.would_be(), shorter.sight), (3, Sight::Hour));
        assert_eq!(
            (shorter.first[0].way, shorter.first[0].lasted_ms),
            (Way::More, 40_000)
        );
        assert!(backtest.readings > 50 && !backtest.cut, "{backtest:?}");

        // A day later the fine readings are gone, and the findings are not.
        stage.clock.advance(Duration::from_secs(86_400));
        let now = store.now().await.expect("a time");
        store.thin_samples(now, 10_000).await.expect("thinned");
        let (_, shorter) = replayed(&store, Setting::NoConsumers, 30_000).await;
        assert_eq!((shorter.said, shorter.more), (2, 0));
        let (_, other) = replayed(&store, Setting::CancelGrace, 60_000).await;
        assert_eq!((other.said, other.sight), (0, Sight::LaterOnly));
    })
    .await;
}

#[tokio::test]
async fn tasks_that_lost_fewer_attempts_are_counted_as_they_are_now() {
    use unstuck::domain::transition::{Claim, Event};
    each_store(async |store, clock| {
        let stage = Stage::new(store.clone(), clock).await;
        let id = stage.start_attempts(1, 5).await[0];
        stage.confirm().await;
        // Claimed three times, each time when the lease before was over: two attempts are lost.
        for n in 0..3 {
            let claim = Claim {
                claim_id: format!("c{n}"),
                dispatch: None,
                worker: "w".into(),
            };
            stage.act(id, Event::Claim(claim)).await;
            stage.clock.advance(super::stage::LEASE + EVERY);
        }
        let (_, lower) = replayed(&store, Setting::CrashLoop, 2).await;
        assert_eq!((lower.said, lower.more, lower.sight), (0, 1, Sight::Attempts));
        assert_eq!(lower.first[0].task_id, Some(id));
        let (_, higher) = replayed(&store, Setting::CrashLoop, 4).await;
        assert_eq!((higher.said, higher.more), (0, 0));
    })
    .await;
}
