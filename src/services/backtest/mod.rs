//! Replays changed thresholds over what was kept, before they are saved: which findings would not have been said, and
//! which would have been besides.
//!
//! Bounded: the newest findings and readings up to a number, page by page, and says when that was not all. Changes nothing.

mod findings;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use self::findings::{Kept, findings};
use crate::{
    domain::{
        finding::{Scope, Verdict},
        replay::{Answer, Episode, FROM_READINGS, QueueReplay, rebuild, would_be_said},
        rules::{Thresholds, attempts::crash_loop, thresholds::Setting},
        time::Time,
        words::words,
    },
    store::{KeptFor, QueueRow, Store, StoreError, evidence::Cursor},
};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How far back findings are asked about.
pub const DAYS: i64 = 7;
/// Most findings, readings and lost attempts that one backtest looks at, and how many it reads at a time.
pub const FINDINGS_MOST: usize = 20_000;
pub const READINGS_MOST: usize = 100_000;
const ATTEMPTS_MOST: usize = 5_000;
const PAGE: i64 = 1_000;
/// Findings that differ and are shown, of each rule.
const SHOWN: usize = 10;

words! {
    /// What the replay of one rule rests on: how far it can see.
    pub enum Sight {
        /// How long each finding lasted.
        Findings = "findings",
        /// The same, and readings of the last hour, day or week.
        Hour = "hour",
        Day = "day",
        Week = "week",
        /// The same, and tasks that lost attempts, as they are now.
        Attempts = "attempts",
        /// What would be said sooner was over before anybody noticed, and was not kept.
        LaterOnly = "later_only",
        /// Nothing that its rule looks at was kept.
        Nothing = "nothing",
    }
}

words! {
    pub enum Way {
        /// It was said, and would not have been.
        Fewer = "fewer",
        /// It would have been said besides.
        More = "more",
    }
}

/// A finding, or a time that would have been one, about which the thresholds differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    pub way: Way,
    pub verdict: Verdict,
    /// The finding; `None` for one that was never said.
    pub finding_id: Option<Uuid>,
    /// The task, where it is about one.
    pub task_id: Option<Uuid>,
    /// The queue, the worker or the broker.
    pub name: String,
    pub since: Time,
    pub lasted_ms: i64,
    /// Somebody called it wrong.
    pub false_alarm: bool,
}

/// What the changed thresholds come to for one verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    pub verdict: Verdict,
    pub sight: Sight,
    /// How many findings were said.
    pub said: usize,
    /// How many of them would not have been, and how many of those somebody called wrong.
    pub fewer: usize,
    pub fewer_false: usize,
    /// How many would have been said besides, as far as that can be seen.
    pub more: usize,
    /// The first of those that differ.
    pub first: Vec<Differs>,
}

impl Replayed {
    /// How many would have been said, as far as that can be seen.
    pub fn would_be(&self) -> usize {
        self.said - self.fewer + self.more
    }
}

/// The answer of a backtest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backtest {
    pub rules: Vec<Replayed>,
    pub findings: usize,
    pub readings: usize,
    /// There were more findings or readings than were looked at.
    pub cut: bool,
}

/// Two sets of thresholds, and what is between them.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    pub present: &'a Thresholds,
    pub wanted: &'a Thresholds,
    /// Between two looks of the detector.
    pub every_ms: i64,
}

impl Compared<'_> {
    fn changed(&self) -> impl Iterator<Item = Setting> {
        let differs = |setting: &Setting| self.present.get(*setting) != self.wanted.get(*setting);
        Setting::ALL.iter().copied().filter(differs)
    }

    fn verdicts(&self) -> BTreeSet<Verdict> {
        self.changed().flat_map(Setting::verdicts).copied().collect()
    }

    /// The changed thresholds that the verdict's rules look at, as far as they can be replayed.
    fn replayed(&self, verdict: Verdict) -> impl Iterator<Item = Setting> {
        self.changed()
            .filter(move |setting| setting.verdicts().contains(&verdict) && setting.can_be_replayed())
    }

    fn sight(&self, verdict: Verdict) -> Sight {
        let sooner =
            |setting: Setting| setting.is_sooner(self.present.get(setting), self.wanted.get(setting));
        match verdict {
            _ if self.replayed(verdict).next().is_none() => Sight::Nothing,
            _ if !self.replayed(verdict).any(sooner) => Sight::Findings,
            Verdict::CrashLoop => Sight::Attempts,
            // Readings are counted: they must be those that the detector took.
            Verdict::ConsumersStuck => Sight::Hour,
            _ if FROM_READINGS.contains(&verdict) => {
                let shorter = |setting: Setting| self.wanted.get(setting).min(self.present.get(setting));
                match self.replayed(verdict).map(shorter).min().unwrap_or(0) {
                    ..60_000 => Sight::Hour,
                    60_000..600_000 => Sight::Day,
                    600_000.. => Sight::Week,
                }
            }
            _ => Sight::LaterOnly,
        }
    }
}

/// Which readings a sight looks at: how far back, which of them, and how far apart they may be.
fn readings(sight: Sight, every_ms: i64) -> Option<(i64, KeptFor, i64)> {
    match sight {
        Sight::Hour => Some((HOUR_MS, KeptFor::Hour, 3 * every_ms + 15_000)),
        Sight::Day => Some((DAY_MS, KeptFor::Day, 95_000)),
        Sight::Week => Some((DAYS * DAY_MS, KeptFor::Week, 900_000)),
        Sight::Findings | Sight::Attempts | Sight::LaterOnly | Sight::Nothing => None,
    }
}

/// Replays `compared` over the last seven days before `now`.
pub async fn run(store: &Store, compared: Compared<'_>, now: Time) -> Result<Backtest, StoreError> {
    let verdicts = compared.verdicts();
    let mut backtest = Backtest {
        rules: verdicts
            .iter()
            .map(|verdict| Replayed {
                verdict: *verdict,
                sight: compared.sight(*verdict),
                said: 0,
                fewer: 0,
                fewer_false: 0,
                more: 0,
                first: Vec::new(),
            })
            .collect(),
        ..Backtest::default()
    };
    if verdicts.is_empty() {
        return Ok(backtest);
    }
    let (kept, cut) = findings(store, &verdicts, now).await?;
    backtest.findings = kept.len();
    backtest.cut |= cut;
    for rule in &mut backtest.rules {
        let of_rule: Vec<&Kept> = kept
            .iter()
            .filter(|kept| kept.past.verdict == rule.verdict)
            .collect();
        rule.said = of_rule.len();
        fewer(store, rule, &of_rule, compared).await?;
    }
    for sight in [Sight::Hour, Sight::Day, Sight::Week] {
        let wanted: Vec<Verdict> = backtest
            .rules
            .iter()
            .filter(|rule| rule.sight == sight)
            .map(|rule| rule.verdict)
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let room = READINGS_MOST.saturating_sub(backtest.readings);
        let (episodes, read, cut) = episodes(store, sight, compared, now, room).await?;
        backtest.readings += read;
        backtest.cut |= cut;
        for rule in backtest.rules.iter_mut().filter(|rule| rule.sight == sight) {
            more(rule, &episodes, &kept);
        }
    }
    if let Some(rule) = backtest
        .rules
        .iter_mut()
        .find(|rule| rule.sight == Sight::Attempts)
    {
        backtest.cut |= crashes(store, rule, compared, now).await?;
    }
    Ok(backtest)
}

/// Counts the findings that the new thresholds would not have said, though the present ones would.
///
/// One that even the present ones would not say again, because it was found by others, is left out of the difference.
async fn fewer(
    store: &Store,
    rule: &mut Replayed,
    kept: &[&Kept],
    compared: Compared<'_>,
) -> Result<(), StoreError> {
    let every_ms = compared.every_ms;
    let unsaid: Vec<&&Kept> = kept
        .iter()
        .filter(|kept| {
            would_be_said(&kept.past, compared.wanted, every_ms) == Answer::NotSaid
                && would_be_said(&kept.past, compared.present, every_ms) == Answer::Said
        })
        .collect();
    rule.fewer = unsaid.len();
    for page in unsaid.chunks(PAGE as usize) {
        let ids: Vec<Uuid> = page.iter().map(|kept| kept.id).collect();
        let said = store.said_of(&ids).await?;
        for kept in page {
            let false_alarm = said.get(&kept.id).is_some_and(|said| said.false_alarm.is_some());
            rule.fewer_false += usize::from(false_alarm);
            if rule.first.len() < SHOWN {
                rule.first.push(Differs {
                    way: Way::Fewer,
                    verdict: rule.verdict,
                    finding_id: Some(kept.id),
                    task_id: kept.task_id,
                    name: kept.past.subject.name.clone(),
                    since: kept.past.since,
                    lasted_ms: kept.past.until.ms_since(kept.past.since),
                    false_alarm,
                });
            }
        }
    }
    Ok(())
}

/// Counts what only the new thresholds find, but for what was a finding all the same: that would be said sooner.
fn more(rule: &mut Replayed, episodes: &[Episode], kept: &[Kept]) {
    let known = |episode: &Episode| {
        kept.iter().any(|kept| {
            let past = &kept.past;
            past.verdict == episode.verdict
                && past.subject.scope == Scope::Queue
                && past.subject.name == episode.queue
                && past.since <= episode.until
                && episode.since <= past.until
        })
    };
    let of_rule = episodes.iter().filter(|episode| episode.verdict == rule.verdict);
    for episode in of_rule.filter(|episode| !known(episode)) {
        rule.more += 1;
        if rule.first.len() < 2 * SHOWN {
            rule.first.push(Differs {
                way: Way::More,
                verdict: rule.verdict,
                finding_id: None,
                task_id: None,
                name: episode.queue.clone(),
                since: episode.since,
                lasted_ms: episode.until.ms_since(episode.since),
                false_alarm: false,
            });
        }
    }
}

/// What only the new thresholds find in the readings of every queue; how many were read, and whether there were more.
async fn episodes(
    store: &Store,
    sight: Sight,
    compared: Compared<'_>,
    now: Time,
    most: usize,
) -> Result<(Vec<Episode>, usize, bool), StoreError> {
    let Some((back_ms, every, gap_ms)) = readings(sight, compared.every_ms) else {
        return Ok((Vec::new(), 0, false));
    };
    let (mut found, mut read) = (Vec::new(), 0);
    let mut after_queue = String::new();
    loop {
        let queues: Vec<QueueRow> = store.queues(&after_queue, PAGE).await?;
        let Some(last) = queues.last() else {
            return Ok((found, read, false));
        };
        after_queue = last.name.clone();
        for queue in &queues {
            let target_ms = queue.backlog_target_s.saturating_mul(1_000);
            let (present, wanted) = (compared.present, compared.wanted);
            let mut replay = QueueReplay::new(&queue.name, target_ms, present, wanted, gap_ms);
            let mut after = Time::from_ms(now.ms() - back_ms);
            loop {
                if read >= most {
                    found.extend(replay.finish());
                    return Ok((found, read, true));
                }
                let page = store.samples(&queue.name, after, now, every, PAGE).await?;
                read += page.len();
                let more = page.len() as i64 == PAGE;
                for sample in page {
                    after = sample.at;
                    if let Some(sample) = rebuild(sample.at, &sample.detail) {
                        replay.push(sample);
                    }
                }
                if !more {
                    break;
                }
            }
            found.extend(replay.finish());
        }
    }
}

/// Counts the tasks that the new thresholds call a crash loop and the present ones don't, as they are now; whether there
/// were more than are looked at.
async fn crashes(
    store: &Store,
    rule: &mut Replayed,
    compared: Compared<'_>,
    now: Time,
) -> Result<bool, StoreError> {
    let mut after = Cursor {
        at: Time::from_ms(now.ms() - DAYS * DAY_MS),
        id: Uuid::nil(),
    };
    let mut found: BTreeMap<Uuid, Differs> = BTreeMap::new();
    let mut read = 0;
    loop {
        let page = store
            .crashed_tasks(after, compared.wanted.crash_loop, PAGE)
            .await?;
        read += page.len();
        let more = page.len() as i64 == PAGE;
        for (at, task) in page {
            after = Cursor {
                at,
                id: task.suspect.task_id,
            };
            if crash_loop(task.clone(), now, compared.present).is_some() {
                continue;
            }
            if let Some(stall) = crash_loop(task, now, compared.wanted) {
                found.insert(
                    stall.task_id,
                    Differs {
                        way: Way::More,
                        verdict: rule.verdict,
                        finding_id: None,
                        task_id: Some(stall.task_id),
                        name: stall.queue,
                        since: stall.since,
                        lasted_ms: now.ms_since(stall.since),
                        false_alarm: false,
                    },
                );
            }
        }
        if !more || read >= ATTEMPTS_MOST {
            rule.more += found.len();
            rule.first.extend(found.into_values().take(SHOWN));
            return Ok(more);
        }
    }
}
