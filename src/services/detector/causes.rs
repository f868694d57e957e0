//! The incidents of one pass: which open, which stay, which close.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use uuid::Uuid;

use super::{judge::Announce, memory::new_id};
use crate::{
    domain::{
        finding::{CloseReason, Incident, Scope, Stall, Subject, Verdict},
        ledger::Health,
        observation::{Numbers, Presence},
        rules::{
            Ruled, Ruling,
            fold::{Fold, Split, is_fold},
        },
        time::Time,
    },
    store::{
        findings::{Folded, IncidentChanges, IncidentRow, StallChanges},
        webhooks::WebhookEvent,
    },
};

type Cause = (Verdict, Subject);
/// What the webhook is told.
type Told = (Uuid, WebhookEvent, Value);

/// What is open, and what this pass changes about it.
#[derive(Default)]
pub(super) struct Causes {
    /// Open before this pass.
    known: HashMap<Uuid, IncidentRow>,
    /// Open after it.
    open: HashMap<Cause, Uuid>,
    /// Open stalls by incident, before this pass.
    folded: HashMap<Uuid, i64>,
    /// The causes that this pass's stalls have in common.
    folds: HashMap<Cause, Fold>,
    /// Those that open with the first of their stalls, and how many those are.
    coming: HashMap<Uuid, (Fold, i64)>,
    pub(super) changes: IncidentChanges,
}

impl Causes {
    pub(super) fn new(rows: Vec<IncidentRow>, folded: Vec<(Uuid, i64)>) -> Self {
        let open = rows
            .iter()
            .map(|row| ((row.verdict, row.subject.clone()), row.id))
            .collect();
        let known = rows.into_iter().map(|row| (row.id, row)).collect();
        Self {
            known,
            open,
            folded: folded.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(super) fn id(&self, cause: &Cause) -> Option<Uuid> {
        self.open.get(cause).copied()
    }

    pub(super) fn has(&self, verdict: Verdict, subject: &Subject) -> bool {
        self.open.contains_key(&(verdict, subject.clone()))
    }

    /// Applies what a rule says about a cause.
    pub(super) fn rule(&mut self, ruled: Ruled) {
        let Ruled {
            verdict,
            subject,
            ruling,
        } = ruled;
        let cause = (verdict, subject);
        match (ruling, self.id(&cause)) {
            (Ruling::Found(incident), Some(id)) => {
                let tasks = incident.tasks.max(self.folded.get(&id).copied().unwrap_or(0));
                self.changes.kept.push((id, Incident { tasks, ..*incident }));
            }
            (Ruling::Found(incident), None) => self.open(cause, *incident),
            (Ruling::Clear, Some(id)) if !self.is_needed(&cause, id) => {
                let reason = match verdict {
                    Verdict::Unknown => CloseReason::SeenAgain,
                    _ => CloseReason::Cleared,
                };
                self.close(&cause, id, reason);
            }
            (Ruling::Clear | Ruling::Undecided, _) => {}
        }
    }

    /// Lost messages do not come back: their cause stays until the tasks moved on, or are told under another one.
    fn is_needed(&self, (verdict, subject): &Cause, id: Uuid) -> bool {
        let folded = self.folded.get(&id).is_some_and(|count| *count > 0);
        match verdict {
            Verdict::LedgerShort => folded,
            Verdict::QueueMissing => folded && !self.has(Verdict::LedgerShort, subject),
            _ => false,
        }
    }

    fn open(&mut self, cause: Cause, incident: Incident) {
        let id = new_id();
        self.open.insert(cause, id);
        self.changes.opened.push((id, incident));
    }

    fn close(&mut self, cause: &Cause, id: Uuid, reason: CloseReason) {
        self.open.remove(cause);
        self.changes.closed.push((id, reason));
    }

    /// Closes what is about queues that are not ours any more, and about another broker.
    pub(super) fn forget(&mut self, names: &HashSet<&str>, broker: &str) {
        let gone: Vec<(Cause, Uuid)> = self
            .open
            .iter()
            .filter(|((_, subject), _)| match subject.scope {
                Scope::Queue => !names.contains(subject.name.as_str()),
                Scope::Broker => subject.name != broker,
                Scope::Worker => false,
            })
            .map(|(cause, id)| (cause.clone(), *id))
            .collect();
        for (cause, id) in gone {
            self.close(&cause, id, CloseReason::Forgotten);
        }
    }

    /// Takes the causes in that live through their stalls. A new one opens once a stall of it is written.
    pub(super) fn fold(&mut self, stalls: &[Stall]) {
        for fold in stalls.iter().filter_map(Fold::of) {
            let cause = (fold.verdict, fold.subject.clone());
            match self.folds.get_mut(&cause) {
                Some(known) => known.join(fold),
                None => {
                    self.folds.insert(cause, fold);
                }
            }
        }
        for (cause, fold) in &self.folds {
            if !self.open.contains_key(cause) {
                let id = new_id();
                self.open.insert(cause.clone(), id);
                self.coming.insert(id, (fold.clone(), 0));
            }
        }
    }

    /// Counts the stalls that are about to be written under the incidents that open with them.
    pub(super) fn expect(&mut self, changes: &StallChanges) {
        let opened = changes.opened.iter().filter_map(|(_, _, id)| *id);
        let updated = changes.updated.iter().filter_map(|update| update.incident_id);
        for id in opened.chain(updated) {
            if let Some((_, stalled)) = self.coming.get_mut(&id) {
                *stalled += 1;
            }
        }
    }

    /// What opens with these stalls, and what the webhook is told of it.
    pub(super) fn under(
        &mut self,
        folded: &[Folded],
        announce: Option<&Announce>,
        now: Time,
    ) -> IncidentChanges {
        let mut changes = IncidentChanges::default();
        for Folded {
            incident_id,
            tried,
            written,
        } in folded
        {
            let Some((_, stalled)) = self.coming.get_mut(incident_id) else {
                continue;
            };
            *stalled -= tried - written;
            if *written > 0
                && let Some((fold, stalled)) = self.coming.remove(incident_id)
            {
                let split = Split {
                    stalled,
                    ..Split::default()
                };
                changes.opened.push((*incident_id, fold.incident(split, now)));
            }
        }
        if let Some(announce) = announce {
            changes.told = told_opened(&changes.opened, announce, now);
        }
        changes
    }

    /// The incidents that live through their stalls.
    pub(super) fn folding(&self) -> Vec<Uuid> {
        let folding = self.open.iter().filter(|((verdict, _), _)| is_fold(*verdict));
        folding.map(|(_, id)| *id).collect()
    }

    /// Puts on its way what the webhook is told of the incidents that open and close.
    pub(super) fn tell(&mut self, announce: Option<&Announce>, now: Time) {
        let Some(announce) = announce else {
            return;
        };
        let mut told = told_opened(&self.changes.opened, announce, now);
        told.extend(self.told_closed(&self.changes.closed, announce, now));
        self.changes.told = told;
    }

    fn told_closed(&self, closed: &[(Uuid, CloseReason)], announce: &Announce, now: Time) -> Vec<Told> {
        let rows = closed.iter().filter_map(|(id, reason)| {
            let row = self.known.get(id)?.clone();
            Some(IncidentRow {
                closed_at: Some(now),
                closed_reason: Some(*reason),
                ..row
            })
        });
        rows.map(|row| (row.id, WebhookEvent::Closed, announce(&row)))
            .collect()
    }

    /// After the stalls were written: brings those incidents up to date, and closes the ones without a stall.
    pub(super) fn settle(
        mut self,
        folded: &HashMap<Uuid, i64>,
        ends: &HashMap<Uuid, Split>,
        announce: Option<&Announce>,
        now: Time,
    ) -> IncidentChanges {
        let mut changes = IncidentChanges::default();
        for (cause, id) in self.open.iter().filter(|((verdict, _), _)| is_fold(*verdict)) {
            let known = self.known.get(id);
            let stalled = folded.get(id).copied().unwrap_or(0);
            let split = Split {
                stalled,
                ..ends.get(id).copied().unwrap_or_default()
            };
            if stalled == 0 {
                // One that this pass found has had no stall, and is not open.
                if known.is_some() {
                    changes.closed.push((*id, CloseReason::Settled));
                }
                continue;
            }
            let incident = match (self.folds.remove(cause), known) {
                (Some(fold), _) => fold.incident(split, now),
                (None, Some(row)) => again(row, split),
                (None, None) => continue,
            };
            if known.is_none_or(|row| differs(row, &incident)) {
                changes.kept.push((*id, incident));
            }
        }
        if let Some(announce) = announce {
            changes.told = self.told_closed(&changes.closed, announce, now);
        }
        changes
    }

    /// How the queue is doing, with everything that is open about it.
    pub(super) fn health(&self, queue: &str, numbers: &Numbers, stalled: bool, warned: bool) -> Health {
        let subject = Subject::queue(queue);
        let any = |verdicts: &[Verdict]| verdicts.iter().any(|verdict| self.has(*verdict, &subject));
        if numbers.presence == Presence::Missing && any(&[Verdict::QueueMissing]) {
            Health::Stalled
        } else if !numbers.is_complete() {
            Health::Unknown
        } else if stalled
            || any(&[
                Verdict::LedgerShort,
                Verdict::NoConsumers,
                Verdict::ConsumersStuck,
            ])
        {
            Health::Stalled
        } else if warned || any(&[Verdict::Backlog, Verdict::QueueMismatch]) {
            Health::Warning
        } else {
            Health::Ok
        }
    }
}

fn told_opened(opened: &[(Uuid, Incident)], announce: &Announce, now: Time) -> Vec<Told> {
    let rows = opened.iter().map(|(id, incident)| row(*id, incident, now));
    rows.map(|row| (row.id, WebhookEvent::Opened, announce(&row)))
        .collect()
}

/// The row that an incident gets.
fn row(id: Uuid, incident: &Incident, now: Time) -> IncidentRow {
    let Incident {
        verdict,
        subject,
        confidence,
        since,
        tasks,
        evidence,
    } = incident.clone();
    IncidentRow {
        id,
        verdict,
        subject,
        confidence,
        tasks,
        since,
        seen_at: now,
        evidence,
        closed_at: None,
        closed_reason: None,
    }
}

/// The incident as it was kept, with what became of its tasks since.
fn again(row: &IncidentRow, split: Split) -> Incident {
    let mut evidence = row.evidence.clone();
    evidence.facts.stalled = Some(split.stalled);
    evidence.facts.moved_on = Some(split.moved_on);
    evidence.facts.ended = Some(split.ended);
    Incident {
        verdict: row.verdict,
        subject: row.subject.clone(),
        confidence: row.confidence,
        since: row.since,
        tasks: split.stalled,
        evidence,
    }
}

fn differs(row: &IncidentRow, incident: &Incident) -> bool {
    row.tasks != incident.tasks
        || row.confidence != incident.confidence
        || row.evidence.variant != incident.evidence.variant
        || row.evidence.facts != incident.evidence.facts
}
