//! What people say about findings, and the counters of their rules.

use std::time::Duration;

use unstuck::{
    domain::{
        audit::AuditEntry,
        finding::{About, CloseReason, Confidence, Variant, Verdict},
        scorecard::Rule,
        snooze::End,
        time::Time,
    },
    store::{AuditFilter, Store, findings::SaidNow},
};
use uuid::Uuid;

use crate::support::{finding::Finder, store::each_store};

fn audit(action: &str, id: Uuid) -> AuditEntry {
    AuditEntry {
        reason: Some("we know".into()),
        ..AuditEntry::new("user:a@b.example", action, "", id.to_string())
    }
}

/// What was done to a finding, oldest first.
async fn audited(store: &Store, id: Uuid) -> Vec<(String, String)> {
    let filter = AuditFilter {
        target: Some("incident".into()),
        target_id: Some(id.to_string()),
        ..AuditFilter::default()
    };
    let page = store.audit_page(&filter, None, 100).await.expect("read");
    let rows = page.items.into_iter().rev();
    rows.map(|row| (row.entry.actor, row.entry.action)).collect()
}

async fn later(store: &Store, seconds: u64) -> Time {
    store.now().await.expect("a time") + Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_snoozed_finding_is_open_and_not_counted_until_its_time_is_over_or_it_is_taken_back() {
    each_store(async |store, clock| {
        let finder = Finder::of(&store).await;
        let id = finder.open("q", Confidence::Proven, 3).await;
        let counted = async || store.count_findings().await.expect("counted");
        let ends_at = later(&store, 1_800).await;
        let done = store.snooze(id, ends_at, audit("snooze", id)).await;
        assert_eq!(done.expect("stored"), SaidNow::Done);
        assert_eq!(counted().await, 0);
        let now = store.now().await.expect("a time");
        let (incidents, _) = store.snoozed(now).await.expect("read");
        assert_eq!(incidents[0].id, id);
        let open = store.open_incidents(10).await.expect("read");
        assert!(open[0].closed_at.is_none(), "it stays open");
        let snooze = store.said_of(&[id]).await.expect("read").remove(&id);
        let snooze = snooze.and_then(|said| said.snooze).expect("put off");
        assert_eq!((snooze.ends_at, snooze.reason.as_str()), (ends_at, "we know"));
        assert_eq!(
            (snooze.actor.as_str(), snooze.weight.tasks),
            ("user:a@b.example", 3)
        );

        clock.advance(Duration::from_secs(1_800));
        assert_eq!(counted().await, 1, "its time is over");
        let ends_at = later(&store, 60).await;
        store
            .snooze(id, ends_at, audit("snooze", id))
            .await
            .expect("stored");
        assert_eq!(counted().await, 0);
        let back = async || store.take_snooze_back(id, audit("snooze_end", id)).await;
        assert_eq!(back().await.expect("stored"), SaidNow::Done);
        assert_eq!(back().await.expect("stored"), SaidNow::Same, "once");
        assert_eq!(counted().await, 1);
        let said = store.said_of(&[id]).await.expect("read").remove(&id);
        let ended = said.and_then(|said| said.snooze?.ended).expect("over");
        assert_eq!(ended.1, End::TakenBack);
        let actions: Vec<String> = audited(&store, id).await.into_iter().map(|row| row.1).collect();
        assert_eq!(actions, ["snooze", "snooze", "snooze_end"]);

        finder.close(id).await;
        let closed = store
            .snooze(id, later(&store, 60).await, audit("snooze", id))
            .await;
        assert_eq!(closed.expect("stored"), SaidNow::Closed);
        let nobody = Uuid::now_v7();
        let none = store
            .snooze(nobody, later(&store, 60).await, audit("snooze", nobody))
            .await;
        assert_eq!(none.expect("stored"), SaidNow::NoFinding);
    })
    .await;
}

#[tokio::test]
async fn a_rule_s_findings_are_counted_by_how_they_ended_and_one_mark_each() {
    each_store(async |store, clock| {
        let finder = Finder::of(&store).await;
        let rule = Rule {
            about: About::Cause,
            verdict: Verdict::NoConsumers,
            variant: Variant::Plain,
        };
        let before = store.now().await.expect("a time") - Duration::from_secs(86_400);
        let first = finder.open("q", Confidence::Proven, 1).await;
        clock.advance(Duration::from_secs(7));
        finder.close(first).await;
        let second = finder.open("q", Confidence::Proven, 1).await;
        clock.advance(Duration::from_secs(40));
        finder.close(second).await;
        finder.close(second).await;
        finder.open("q", Confidence::Proven, 1).await;
        let mark = async |id| store.mark_false_alarm(id, audit("false_alarm", id)).await;
        assert_eq!(mark(first).await.expect("stored"), SaidNow::Done, "a closed one");
        assert_eq!(
            mark(first).await.expect("stored"),
            SaidNow::Same,
            "one mark for each"
        );
        let scores = store.scores(before).await.expect("read");
        let score = &scores[&rule];
        assert_eq!((score.opened, score.ended(), score.false_alarms), (3, 2, 1));
        assert_eq!(score.closed[&CloseReason::Cleared], 2);
        assert_eq!(score.half_upto(), Some(10_000), "7 s and 40 s");
        assert_eq!(
            store
                .scores(store.now().await.expect("a time"))
                .await
                .expect("read")
                .len(),
            0,
            "of no day"
        );

        let withdraw = async || {
            let audit = audit("false_alarm_withdraw", first);
            store.withdraw_false_alarm(first, audit).await.expect("stored")
        };
        assert_eq!(
            (withdraw().await, withdraw().await),
            (SaidNow::Done, SaidNow::Same)
        );
        let scores = store.scores(before).await.expect("read");
        assert_eq!(scores[&rule].false_alarms, 0);
        let actions: Vec<String> = audited(&store, first)
            .await
            .into_iter()
            .map(|row| row.1)
            .collect();
        assert_eq!(actions, ["false_alarm", "false_alarm_withdraw"]);
    })
    .await;
}
