//! Thresholds are replayed before they are saved, saved by an administrator with a reason, and never over somebody else's.

use unstuck::domain::{access::Role, rules::thresholds::Setting};

use super::stage::location;
use crate::support::{browser::Browser, site::TestSite};

#[tokio::test]
async fn a_threshold_is_saved_from_its_backtest_with_a_reason() {
    for site in [TestSite::sqlite().await, TestSite::postgres().await] {
        let store = &site.store.store;
        let mut admin = Browser::signed_in(&site, Role::Admin).await;
        let page = admin.get("/admin/rules").await.text();
        assert!(page.contains("name=\"no_consumers_ms\""), "{page}");
        let backtest = admin.get("/admin/rules/backtest?no_consumers_ms=90").await.text();
        for text in [
            "In the last 7 days, findings said: 0.",
            "name=\"no_consumers_ms\" value=\"90\"",
            "name=\"was_no_consumers_ms\" value=\"60\"",
        ] {
            assert!(backtest.contains(text), "{text} is not on {backtest}");
        }
        assert!(!backtest.contains("data-live=\"/admin/live\""), "it is made once");
        assert!(store.thresholds().await.expect("read").is_empty(), "nothing yet");
        let form = |reason| {
            [
                ("no_consumers_ms", "90"),
                ("was_no_consumers_ms", "60"),
                ("reason", reason),
            ]
        };
        let save = "/admin/rules/thresholds";
        admin.post(save, &form("")).await;
        assert!(
            store.thresholds().await.expect("read").is_empty(),
            "a reason is needed"
        );
        let answer = admin.post(save, &form("deployments take longer")).await;
        assert_eq!(location(&answer), "/admin/rules");
        let page = admin.get("/admin/rules").await.text();
        assert!(page.contains("1 threshold is saved."), "{page}");
        assert!(page.contains("admin@example.org"), "who set it: {page}");
        let set = store.thresholds().await.expect("read");
        assert_eq!(set[&Setting::NoConsumers].value, 90_000);
        admin.post(save, &form("again")).await;
        let page = admin.get("/admin/rules").await.text();
        assert!(page.contains("somebody has changed"), "{page}");
        let log = admin.get("/admin/audit").await.text();
        for text in ["deployments take longer", "Set thresholds", "no_consumers_ms"] {
            assert!(log.contains(text), "{text} is not on {log}");
        }
        let back = [
            ("no_consumers_ms", "60"),
            ("was_no_consumers_ms", "90"),
            ("reason", "as it was"),
        ];
        admin.post(save, &back).await;
        assert!(
            store.thresholds().await.expect("read").is_empty(),
            "a default is no row"
        );
        site.close().await;
    }
}

#[tokio::test]
async fn a_value_outside_its_bounds_is_shown_as_wrong_and_not_replayed() {
    let site = TestSite::sqlite().await;
    let mut admin = Browser::signed_in(&site, Role::Admin).await;
    for wrong in ["9", "601", "x", ""] {
        let answer = admin
            .get(&format!("/admin/rules/backtest?no_consumers_ms={wrong}"))
            .await;
        assert_eq!(answer.status, 422, "{wrong}");
        assert!(answer.text().contains("aria-invalid"), "{wrong}");
    }
    let answer = admin.get("/admin/rules/backtest?no_consumers_ms=60").await;
    assert_eq!(location(&answer), "/admin/rules", "nothing would change");
    let mut operator = Browser::signed_in(&site, Role::Operator).await;
    let page = operator.get("/admin/rules").await.text();
    assert!(page.contains("No consumers for") && !page.contains("name=\"no_consumers_ms\""));
    site.close().await;
}
