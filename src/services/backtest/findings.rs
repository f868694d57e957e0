//! The findings of the last days, open and closed, newest first; as many as a backtest looks at.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{DAY_MS, DAYS, FINDINGS_MOST, PAGE};
use crate::{
    domain::{
        finding::{Subject, Verdict},
        replay::Past,
        time::Time,
    },
    store::{
        Store, StoreError,
        findings::{ClosedCursor, IncidentRow, StallFilter, StallRow},
    },
};

/// A finding as it was kept, and what it was about.
pub(super) struct Kept {
    pub(super) id: Uuid,
    pub(super) task_id: Option<Uuid>,
    pub(super) past: Past,
}

impl Kept {
    fn of_stall(row: StallRow, now: Time) -> Self {
        Self {
            id: row.id,
            task_id: Some(row.task_id),
            past: Past {
                verdict: row.verdict,
                subject: Subject::queue(&row.queue),
                about_task: true,
                since: row.since,
                until: row.closed_at.unwrap_or(now),
                evidence: row.evidence,
            },
        }
    }

    /// A cause was so until the rules last found it so; it closed some looks later.
    fn of_incident(row: IncidentRow) -> Self {
        Self {
            id: row.id,
            task_id: None,
            past: Past {
                verdict: row.verdict,
                subject: row.subject,
                about_task: false,
                since: row.since,
                until: row.seen_at,
                evidence: row.evidence,
            },
        }
    }
}

/// Whether findings of this verdict are counted by task: their causes exist through them.
fn is_of_tasks(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Unpublished
            | Verdict::WorkerLost
            | Verdict::WorkerSilent
            | Verdict::CrashLoop
            | Verdict::CancelIgnored
            | Verdict::AckDeadline
            | Verdict::MessageLost
            | Verdict::DeadLettered
    )
}

/// The findings of these verdicts that were open in the last days, and whether there were more than are looked at.
pub(super) async fn findings(
    store: &Store,
    verdicts: &BTreeSet<Verdict>,
    now: Time,
) -> Result<(Vec<Kept>, bool), StoreError> {
    let from = Time::from_ms(now.ms() - DAYS * DAY_MS);
    let mut kept = Vec::new();
    let mut cut = false;
    if verdicts.iter().any(|verdict| !is_of_tasks(*verdict)) {
        let wanted = |row: &IncidentRow| verdicts.contains(&row.verdict) && !is_of_tasks(row.verdict);
        let open = store.open_incidents(PAGE).await?;
        kept.extend(open.into_iter().filter(wanted).map(Kept::of_incident));
        let (mut after, mut read) = (ClosedCursor::START, 0);
        loop {
            let page = store.closed_incidents(None, None, after, PAGE).await?;
            let more = next(&page, from, &mut after, |row| (row.closed_at, row.id));
            read += page.len();
            let recent = page.into_iter().filter(|row| row.closed_at >= Some(from));
            kept.extend(recent.filter(wanted).map(Kept::of_incident));
            if !more || read >= FINDINGS_MOST {
                cut |= more;
                break;
            }
        }
    }
    if verdicts.iter().any(|verdict| is_of_tasks(*verdict)) {
        let wanted = |row: &StallRow| verdicts.contains(&row.verdict) && is_of_tasks(row.verdict);
        let mut read = 0;
        for verdict in verdicts.iter().filter(|verdict| is_of_tasks(**verdict)) {
            let filter = StallFilter {
                verdict: Some(*verdict),
                ..StallFilter::default()
            };
            let mut before = None;
            loop {
                let page = store.open_stalls(&filter, before, PAGE).await?;
                let more = page.len() as i64 == PAGE;
                before = page.last().map(|last| last.id);
                read += page.len();
                kept.extend(page.into_iter().map(|row| Kept::of_stall(row, now)));
                if !more || read >= FINDINGS_MOST {
                    cut |= more;
                    break;
                }
            }
        }
        let mut after = ClosedCursor::START;
        while read < FINDINGS_MOST {
            let page = store.closed_stalls(&StallFilter::default(), after, PAGE).await?;
            let more = next(&page, from, &mut after, |row| (row.closed_at, row.id));
            read += page.len();
            let recent = page.into_iter().filter(|row| row.closed_at >= Some(from));
            kept.extend(recent.filter(wanted).map(|row| Kept::of_stall(row, now)));
            if !more {
                break;
            }
            cut |= read >= FINDINGS_MOST;
        }
    }
    kept.sort_by_key(|kept| std::cmp::Reverse((kept.past.since, kept.id)));
    Ok((kept, cut))
}

/// Where a list of closed findings goes on; false at its end, or when it went past `from`.
fn next<T>(
    page: &[T],
    from: Time,
    after: &mut ClosedCursor,
    place: impl Fn(&T) -> (Option<Time>, Uuid),
) -> bool {
    let Some((Some(closed_at), id)) = page.last().map(place) else {
        return false;
    };
    *after = ClosedCursor { closed_at, id };
    page.len() as i64 == PAGE && closed_at >= from
}
