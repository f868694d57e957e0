//! What people say about a finding on its page: not now, not true; and the scorecard of its rule.

use std::time::Duration;

use unstuck::domain::{access::Role, finding::Confidence};

use super::stage::location;
use crate::support::{browser::Browser, finding::Finder, site::TestSite};

#[tokio::test]
async fn a_finding_is_snoozed_with_a_reason_and_not_counted_as_something_to_look_at() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let finder = Finder::of(&site.store.store).await;
        let id = finder.open("reports", Confidence::Proven, 3).await;
        let page = format!("/admin/stalls/{id}");
        let act = format!("{page}/snooze");
        let mut operator = Browser::signed_in(&site, Role::Operator).await;
        let overview = operator.get("/admin").await.text();
        assert!(overview.contains("1 thing needs attention."), "{overview}");

        for (span, until, reason, said) in [
            ("2h", "", " ", "reason"),
            ("until", "", "why", "at least a minute"),
            ("until", "2026-01-09T00:00", "why", "at least a minute"),
        ] {
            let form = [("span", span), ("until", until), ("reason", reason)];
            let answer = operator.post(&act, &form).await;
            assert_eq!(location(&answer), page);
            let shown = operator.get(&page).await.text();
            assert!(shown.contains(said), "{span} {until}: {shown}");
            assert!(
                !shown.contains("Snoozed until"),
                "{span} {until}: nothing was done"
            );
        }
        let form = [("span", "2h"), ("reason", "deployment <b>")];
        operator.post(&act, &form).await;
        let shown = operator.get(&page).await.text();
        for text in [
            "Snoozed until",
            "2026-01-01 02:00:00 UTC",
            "operator@example.org",
            "deployment &#60;b&#62;",
        ] {
            assert!(shown.contains(text), "{text} is not on {shown}");
        }
        let overview = operator.get("/admin").await.text();
        assert!(!overview.contains("needs attention"), "{overview}");
        assert!(overview.contains("1 finding is snoozed"), "{overview}");
        assert!(
            !overview.contains("Nothing is wrong"),
            "it is never well: {overview}"
        );
        assert!(
            overview.contains("Not every link is up"),
            "the broker of this site is away: {overview}"
        );
        let open = operator.get("/admin/stalls").await.text();
        assert!(!open.contains(&id.to_string()), "{open}");
        let snoozed = operator.get("/admin/stalls?view=snoozed").await.text();
        assert!(snoozed.contains(&format!("f-{id}")), "{snoozed}");

        operator.post(&format!("{act}/end"), &[]).await;
        let open = operator.get("/admin/stalls").await.text();
        assert!(open.contains(&format!("f-{id}")), "{open}");

        operator.post(&act, &[("span", "30m"), ("reason", "again")]).await;
        site.store.clock.advance(Duration::from_secs(1_801));
        // So long without a click, and one has to sign in again.
        let mut operator = Browser::signed_in(&site, Role::Operator).await;
        let open = operator.get("/admin/stalls").await.text();
        assert!(open.contains("its snooze is over"), "{open}");
        site.close().await;
    }
}

#[tokio::test]
async fn a_false_alarm_is_on_the_finding_and_on_the_scorecard_until_it_is_taken_back() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let finder = Finder::of(&site.store.store).await;
        let id = finder.open("reports", Confidence::Proven, 3).await;
        finder.close(id).await;
        let page = format!("/admin/stalls/{id}");
        let mut operator = Browser::signed_in(&site, Role::Operator).await;
        let act = format!("{page}/false-alarm");
        operator.post(&act, &[("reason", "the worker was paused")]).await;
        let shown = operator.get(&page).await.text();
        assert!(shown.contains("the worker was paused"), "{shown}");
        operator.post(&act, &[("reason", "twice")]).await;
        let shown = operator.get(&page).await.text();
        assert!(
            shown.contains("Nothing was done") && !shown.contains("twice"),
            "{shown}"
        );
        let mut viewer = Browser::signed_in(&site, Role::Viewer).await;
        let score = async |viewer: &mut Browser<'_>| {
            let page = viewer.get("/admin/rules").await.text();
            let (_, row) = page
                .split_once("r-cause-no_consumers-plain")
                .unwrap_or_else(|| panic!("no row: {page}"));
            row.split_once("</tr>").expect("its end").0.to_owned()
        };
        let row = score(&mut viewer).await;
        assert!(row.contains("#flag"), "{row}");
        assert!(row.contains("what it said is no longer so"), "{row}");
        operator.post(&format!("{act}/withdraw"), &[]).await;
        assert!(!score(&mut viewer).await.contains("#flag"));
        let log = operator.get("/admin/audit").await.text();
        assert!(log.contains("Mark a false alarm"), "{log}");
        site.close().await;
    }
}

#[tokio::test]
async fn whoever_may_only_look_is_offered_nothing_to_say() {
    let site = TestSite::sqlite().await;
    let finder = Finder::of(&site.store.store).await;
    let id = finder.open("reports", Confidence::Proven, 3).await;
    let mut viewer = Browser::signed_in(&site, Role::Viewer).await;
    let page = viewer.get(&format!("/admin/stalls/{id}")).await;
    let text = page.text();
    assert!(text.contains("Nobody has consumed"), "{text}");
    assert!(!text.contains(&format!("/admin/stalls/{id}/")), "{text}");
    assert_eq!(
        viewer
            .get("/admin/stalls/00000000-0000-0000-0000-000000000000")
            .await
            .status,
        404
    );
    site.close().await;
}
