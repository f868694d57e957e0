//! The ledger, stalls and incidents, as the detector left them.

use std::time::Duration;

use serde_json::{Value, json};
use unstuck::{
    domain::{
        evidence::{Evidence, Facts, Figure, Source, Threshold, ThresholdName},
        finding::{CloseReason, Confidence, Incident, Stall, Subject, Variant, Verdict},
        ledger::{Health, Ledger},
        time::Time,
    },
    store::{
        KeptFor, Leadership, LedgerSample, Store,
        findings::{IncidentChanges, StallChanges},
    },
};
use uuid::Uuid;

use super::{Program, wrong_fields};

/// A detector that writes what a test found.
pub struct Finder {
    store: Store,
    leadership: Leadership,
    pub now: Time,
}

impl Finder {
    pub async fn of(program: &Program) -> Self {
        let store = program.site.store.store.clone();
        let lead = store.lead("detector", "test", Duration::from_secs(600)).await;
        let leadership = lead.expect("stored").expect("the only one");
        let now = store.now().await.expect("a time");
        Self {
            store,
            leadership,
            now,
        }
    }

    fn evidence(&self, variant: Variant, name: ThresholdName, facts: Facts) -> Evidence {
        let threshold = Threshold { name, value: 3_000 };
        Evidence {
            variant,
            threshold,
            judged_at: self.now,
            facts,
        }
    }

    fn figure(&self, value: i64) -> Option<Figure> {
        Some(Figure {
            value,
            source: Source::Declare,
            read_at: self.now,
        })
    }

    /// An open incident about a queue without consumers.
    pub async fn no_consumers(&self, queue: &str) -> Uuid {
        let facts = Facts {
            queue: Some(queue.into()),
            messages_ready: self.figure(7),
            consumers: self.figure(0),
            span_ms: Some(90_000),
            ..Facts::default()
        };
        let incident = Incident {
            verdict: Verdict::NoConsumers,
            subject: Subject::queue(queue),
            confidence: Confidence::Proven,
            since: self.now,
            tasks: 7,
            evidence: self.evidence(Variant::Plain, ThresholdName::NoConsumers, facts),
        };
        let id = Uuid::now_v7();
        let changes = IncidentChanges {
            opened: vec![(id, incident)],
            ..IncidentChanges::default()
        };
        self.write(changes).await;
        id
    }

    pub async fn write(&self, changes: IncidentChanges) {
        let written = self
            .store
            .write_incidents(&self.leadership, self.now, &changes)
            .await;
        assert!(written.expect("stored"), "the leadership was lost");
    }

    /// An open stall of a task whose message is lost.
    pub async fn lost(&self, task: &str, incident: Option<Uuid>) -> Uuid {
        let task_id: Uuid = task.parse().expect("an id");
        let view = self.store.task(task_id).await.expect("read").expect("a task");
        let facts = Facts {
            queue: Some(view.task.queue.clone()),
            messages_ready: self.figure(0),
            readings: Some(3),
            span_ms: Some(9_000),
            published_at: Some(self.now - Duration::from_secs(60)),
            ..Facts::default()
        };
        let stall = Stall {
            task_id,
            queue: view.task.queue,
            dispatch: view.task.dispatch,
            attempt: view.task.attempt,
            version: view.task.version,
            verdict: Verdict::MessageLost,
            confidence: Confidence::Proven,
            since: self.now,
            evidence: self.evidence(Variant::Empty, ThresholdName::LostStable, facts),
            cause: None,
        };
        let id = Uuid::now_v7();
        let changes = StallChanges {
            opened: vec![(id, stall, incident)],
            ..StallChanges::default()
        };
        let written = self
            .store
            .write_stalls(&self.leadership, self.now, &changes, |_| {
                IncidentChanges::default()
            })
            .await;
        assert_eq!(written.expect("stored").expect("led").opened, 1);
        id
    }

    pub async fn sample(&self, queue: &str, seconds_ago: u64, ready: Option<i64>) {
        let sample = LedgerSample {
            queue: queue.into(),
            at: self.now - Duration::from_secs(seconds_ago),
            ledger: Ledger {
                tracers: 0,
                queued: 5,
                running: 1,
                messages_ready: ready,
                messages_unacknowledged: ready.map(|_| 1),
                consumers: Some(1),
                balance: ready.map(|ready| 5 - ready),
            },
            health: if ready.is_some() {
                Health::Ok
            } else {
                Health::Unknown
            },
            untouched_since: None,
            detail: json!({ "messages_ready": { "source": "passive_declare" } }),
        };
        let changes = IncidentChanges {
            samples: vec![(sample, KeptFor::Week)],
            ..IncidentChanges::default()
        };
        self.write(changes).await;
    }
}

fn ids(page: &Value) -> Vec<Uuid> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| super::id_of(item).parse().expect("an id"))
        .collect()
}

#[tokio::test]
async fn a_stall_is_shown_with_its_task_its_evidence_and_its_cause() {
    for program in Program::on_each().await {
        let task = program.started("reports").await;
        let finder = Finder::of(&program).await;
        finder.sample("reports", 5, Some(0)).await;
        let incident = finder.no_consumers("reports").await;
        let stall = finder.lost(&task, Some(incident)).await;

        let page = program.get("/stalls").await.expect(200);
        assert_eq!((ids(&page), &page["next"]), (vec![stall], &Value::Null));
        let shown = &page["items"][0];
        for (field, value) in [
            ("task_id", json!(task)),
            ("queue", json!("reports")),
            ("verdict", json!("message_lost")),
            ("confidence", json!("proven")),
            ("since", json!("2026-01-01T00:00:00.000Z")),
            ("incident_id", json!(incident)),
            ("closed_at", Value::Null),
        ] {
            assert_eq!(shown[field], value, "{field}");
        }
        let sentence = shown["sentence"].as_str().expect("a sentence");
        assert!(
            sentence.contains("reports") && sentence.contains("1 min"),
            "{sentence}"
        );
        assert!(shown["remedy"].as_str().expect("a remedy").starts_with("Requeue"));
        assert_eq!(shown["numbers_are_old"], false);
        let ready = &shown["evidence"]["messages_ready"];
        assert_eq!(
            (&ready["value"], &ready["source"]),
            (&json!(0), &json!("passive_declare"))
        );

        let one = program.get(&format!("/tasks/{task}")).await.expect(200);
        assert_eq!(one["stalls"], page["items"]);
        let listed = program.get("/tasks?verdict=message_lost").await.expect(200);
        assert_eq!(listed["items"][0]["stalls"], page["items"]);

        let incidents = program.get("/incidents").await.expect(200);
        let shown = &incidents["items"][0];
        assert_eq!(
            (&shown["id"], &shown["verdict"], &shown["scope"]),
            (&json!(incident), &json!("no_consumers"), &json!("queue"))
        );
        assert_eq!(shown["name"], "reports");
        let sentence = shown["sentence"].as_str().expect("a sentence");
        assert!(sentence.contains("“reports” for 1 min 30 s"), "{sentence}");
        program.site.close().await;
    }
}

#[tokio::test]
async fn findings_are_filtered_and_come_in_pages() {
    for program in Program::on_each().await {
        let finder = Finder::of(&program).await;
        let mut stalls = Vec::new();
        for n in 0..5 {
            let task = program.started(if n < 4 { "a" } else { "b" }).await;
            stalls.insert(0, finder.lost(&task, None).await);
        }
        let mut incidents = Vec::new();
        for n in 0..3 {
            incidents.insert(0, finder.no_consumers(&format!("q{n}")).await);
        }
        for (list, all) in [("stalls", &stalls), ("incidents", &incidents)] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = program.get(&format!("/{list}?limit=2{cursor}")).await.expect(200);
                seen.extend(ids(&page));
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(&seen, all, "{list}");
        }
        for (query, expected) in [
            ("stalls?queue=b", vec![stalls[0]]),
            ("stalls?verdict=message_lost&queue=b", vec![stalls[0]]),
            ("stalls?verdict=overdue", vec![]),
            ("stalls?state=closed", vec![]),
            ("incidents?queue=q1", vec![incidents[1]]),
            ("incidents?verdict=no_consumers&queue=q0", vec![incidents[2]]),
            ("incidents?verdict=backlog", vec![]),
        ] {
            assert_eq!(
                ids(&program.get(&format!("/{query}")).await.expect(200)),
                expected,
                "{query}"
            );
        }
        program.site.close().await;
    }
}

#[tokio::test]
async fn what_is_over_stays_in_the_history() {
    for program in Program::on_each().await {
        let finder = Finder::of(&program).await;
        let mut closed = Vec::new();
        for n in 0..3 {
            closed.push((finder.no_consumers(&format!("q{n}")).await, CloseReason::Cleared));
        }
        finder
            .write(IncidentChanges {
                closed: closed.clone(),
                ..IncidentChanges::default()
            })
            .await;
        assert_eq!(program.get("/incidents").await.expect(200)["items"], json!([]));
        let first = program.get("/incidents?state=closed&limit=2").await.expect(200);
        let next = first["next"].as_str().expect("more");
        let second = program
            .get(&format!("/incidents?state=closed&limit=2&cursor={next}"))
            .await
            .expect(200);
        let mut seen = [ids(&first), ids(&second)].concat();
        seen.sort();
        assert_eq!(seen, closed.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        assert_eq!(
            (
                &first["items"][0]["closed_reason"],
                first["items"][0]["closed_at"].is_string()
            ),
            (&json!("cleared"), true)
        );
        program.site.close().await;
    }
}

#[tokio::test]
async fn a_queue_shows_its_newest_reading_and_how_old_it_is() {
    for program in Program::on_each().await {
        for queue in ["a", "b", "c"] {
            program.post("/tasks", json!({ "kind": queue })).await.expect(201);
        }
        let finder = Finder::of(&program).await;
        finder.sample("a", 5, Some(4)).await;
        finder.sample("a", 10, Some(9)).await;
        finder.sample("c", 16, None).await;
        let page = program.get("/queues").await.expect(200);
        let [a, b, c] = page["items"].as_array().expect("items").as_slice() else {
            panic!("{page}");
        };
        assert_eq!(
            (&a["name"], &a["queue_type"], &a["health"]),
            (&json!("a"), &json!("quorum"), &json!("ok"))
        );
        assert_eq!(
            (&a["queued"], &a["messages_ready"], &a["balance"]),
            (&json!(5), &json!(4), &json!(1))
        );
        assert_eq!(a["sampled_at"], "2025-12-31T23:59:55.000Z");
        assert_eq!(
            (&b["health"], &b["queued"], &b["sampled_at"]),
            (&json!("unknown"), &Value::Null, &Value::Null)
        );
        assert_eq!(c["health"], "unknown", "16 s are more than three intervals");
        assert_eq!((&c["queued"], &c["messages_ready"]), (&json!(5), &Value::Null));
        let mut one = a.clone();
        one["kinds"] = json!([]);
        assert_eq!(program.get("/queues/a").await.expect(200), one);
        let first = program.get("/queues?limit=2").await.expect(200);
        let next = first["next"].as_str().expect("more");
        let second = program
            .get(&format!("/queues?limit=2&cursor={next}"))
            .await
            .expect(200);
        assert_eq!(second["items"], json!([c]));
        for name in ["nobody", "%00", "a%2Fb"] {
            program.get(&format!("/queues/{name}")).await.expect(404);
            program.get(&format!("/queues/{name}/samples")).await.expect(404);
        }
        program.site.close().await;
    }
}

#[tokio::test]
async fn a_queue_s_samples_are_read_oldest_first() {
    for program in Program::on_each().await {
        program.post("/tasks", json!({ "kind": "a" })).await.expect(201);
        let finder = Finder::of(&program).await;
        for ago in [4000, 40, 30, 20, 10] {
            finder.sample("a", ago, Some(ago as i64)).await;
        }
        let ready = |page: &Value| -> Vec<i64> {
            let items = page["items"].as_array().expect("items");
            items
                .iter()
                .filter_map(|item| item["messages_ready"].as_i64())
                .collect()
        };
        assert_eq!(
            ready(&program.get("/queues/a/samples").await.expect(200)),
            [40, 30, 20, 10]
        );
        let first = program.get("/queues/a/samples?limit=3").await.expect(200);
        assert_eq!(ready(&first), [40, 30, 20]);
        let next = first["next"].as_str().expect("more");
        let second = program
            .get(&format!("/queues/a/samples?limit=3&cursor={next}"))
            .await
            .expect(200);
        assert_eq!((ready(&second), &second["next"]), (vec![10], &Value::Null));
        let between = "after=2025-12-31T00:00:00Z&until=2025-12-31T23:59:20Z&every=ten_minutes";
        let early = program
            .get(&format!("/queues/a/samples?{between}"))
            .await
            .expect(200);
        assert_eq!(ready(&early), [4000, 40]);
        assert_eq!(
            wrong_fields(&program.get("/queues/a/samples?every=year").await),
            ["every"]
        );
        program.site.close().await;
    }
}

#[tokio::test]
async fn wrong_filters_of_findings_are_named() {
    let program = Program::sqlite().await;
    for (query, field) in [
        ("stalls?verdict=doomed", "verdict"),
        ("stalls?state=ajar", "state"),
        ("stalls?incident_id=7", "incident_id"),
        ("stalls?state=closed&cursor=Zg", "cursor"),
        ("incidents?limit=0", "limit"),
        ("incidents?state=closed&cursor=aWMgMSAx", "cursor"),
        ("queues?cursor=x", "cursor"),
    ] {
        assert_eq!(
            wrong_fields(&program.get(&format!("/{query}")).await),
            [field],
            "{query}"
        );
    }
    program.get("/queues?verdict=x").await.expect(400);
}

#[tokio::test]
async fn the_ledger_is_in_the_metrics() {
    let program = Program::sqlite().await;
    program.post("/tasks", json!({ "kind": "a" })).await.expect(201);
    let finder = Finder::of(&program).await;
    finder.sample("a", 5, None).await;
    finder.no_consumers("a").await;
    let request = axum::http::Request::get("/metrics")
        .body(axum::body::Body::empty())
        .expect("a request");
    let text = program.site.send(request).await.text();
    for line in [
        "unstuck_queue_tasks_queued{queue=\"a\"} 5",
        "unstuck_queue_sample_age_milliseconds{queue=\"a\"} 5000",
        "unstuck_incidents_open{verdict=\"no_consumers\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in {text}");
    }
    assert!(
        !text.contains("unstuck_queue_messages_ready"),
        "a number that is unknown is no 0"
    );
}
