//! What is suggested, on every page and by the API, while the broker's numbers are fresh, and once they are old. On both
//! databases.

use serde_json::Value;
use unstuck::{
    domain::{
        access::Role,
        evidence::{Evidence, Facts, Figure, Source, Threshold, ThresholdName},
        finding::{Confidence, Incident, Scope, Subject, Variant, Verdict},
    },
    store::findings::IncidentChanges,
};
use uuid::Uuid;

use crate::{
    api::{Program, findings::Finder},
    support::browser::Browser,
};

const SILENCE: &str = "Nothing is suggested now: the broker’s numbers are old or missing";

/// A cause that is open, with a remedy that takes something from somebody.
fn cause(finder: &Finder, verdict: Verdict, subject: Subject, variant: Variant) -> (Uuid, Incident) {
    let nothing = Some(Figure {
        value: 0,
        source: Source::Declare,
        read_at: finder.now,
    });
    let incident = Incident {
        verdict,
        confidence: Confidence::Proven,
        since: finder.now,
        tasks: 1,
        evidence: Evidence {
            variant,
            threshold: Threshold {
                name: ThresholdName::LostStable,
                value: 3_000,
            },
            judged_at: finder.now,
            facts: Facts {
                queue: Some(subject.name.clone()),
                worker: Some(subject.name.clone()),
                missing: Some(1),
                queued: Some(1),
                messages_ready: nothing,
                messages_unacknowledged: nothing,
                stalled: Some(1),
                moved_on: Some(0),
                ended: Some(0),
                ..Facts::default()
            },
        },
        subject,
    };
    (Uuid::now_v7(), incident)
}

/// Everything that a person or a program is told about these findings.
async fn told(program: &Program, task: &str) -> Vec<(String, String)> {
    let mut browser = Browser::signed_in(&program.site, Role::Operator).await;
    let mut told = Vec::new();
    for page in [
        "/admin".to_owned(),
        "/admin/stalls".to_owned(),
        "/admin/stalls?verdict=message_lost".to_owned(),
        "/admin/queues/reports".to_owned(),
        format!("/admin/tasks/{task}"),
    ] {
        let answer = browser.get(&page).await;
        assert_eq!(answer.status, 200, "{page}");
        let text = answer.text();
        assert!(!text.contains(" checked"), "{page}: nothing is ticked beforehand");
        told.push((page, text));
    }
    for path in [
        "/stalls".to_owned(),
        "/incidents".to_owned(),
        format!("/tasks/{task}"),
        "/tasks?verdict=message_lost".to_owned(),
    ] {
        let body: Value = program.get(&path).await.expect(200);
        told.push((path, body.to_string()));
    }
    told
}

#[tokio::test]
async fn nothing_is_taken_from_anybody_because_of_old_numbers() {
    for program in Program::on_each().await {
        let task = program.started("reports").await;
        let finder = Finder::of(&program).await;
        let worker = Subject {
            scope: Scope::Worker,
            name: "w1".into(),
        };
        let short = cause(
            &finder,
            Verdict::LedgerShort,
            Subject::queue("reports"),
            Variant::All,
        );
        let silent = cause(&finder, Verdict::WorkerSilent, worker, Variant::Recovering);
        finder.lost(&task, None).await;
        let opened = vec![short, silent];
        finder
            .write(IncidentChanges {
                opened,
                ..IncidentChanges::default()
            })
            .await;
        let suggestions = ["Requeue the task.", "Requeue them.", "Restart the worker"];
        let suggested = |told: &[(String, String)]| -> Vec<String> {
            let suggests = |text: &str| suggestions.iter().any(|words| text.contains(words));
            told.iter()
                .filter(|(_, text)| suggests(text))
                .map(|(place, _)| place.clone())
                .collect()
        };

        // Sixteen seconds are more than three intervals; the last reading did not say everything.
        finder.sample("reports", 16, Some(0)).await;
        finder.sample("reports", 1, None).await;
        let old = told(&program, &task).await;
        assert_eq!(suggested(&old), Vec::<String>::new());
        for (place, text) in &old {
            assert!(text.contains(SILENCE), "{place}");
        }
        let stalls = program.get("/stalls").await.expect(200);
        assert_eq!(stalls["items"][0]["numbers_are_old"], true);

        finder.sample("reports", 15, Some(0)).await;
        let fresh = told(&program, &task).await;
        let places: Vec<String> = fresh.iter().map(|(place, _)| place.clone()).collect();
        assert_eq!(suggested(&fresh), places);
        for (place, text) in &fresh {
            assert!(!text.contains(SILENCE), "{place}");
        }
        program.site.close().await;
    }
}
