//! Lists, timelines, attempts: filters and pages.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Program, id_of, wrong_fields};

fn ids(page: &Value) -> Vec<String> {
    page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(id_of)
        .collect()
}

/// Follows `next` to the end; the sizes of the pages and everything on them.
async fn walk(program: &Program, path: &str) -> (Vec<usize>, Vec<Value>) {
    let (mut sizes, mut all, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = program.get(&format!("{path}{cursor}")).await.expect(200);
        let items = page["items"].as_array().expect("items");
        sizes.push(items.len());
        all.extend(items.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (sizes, all),
        }
    }
}

#[tokio::test]
async fn pages_hold_every_task_once_newest_first() {
    for program in Program::on_each().await {
        let tasks: Vec<Value> = (0..25).map(|_| json!({ "kind": "k" })).collect();
        let made = program
            .post("/tasks/batch", json!({ "tasks": tasks }))
            .await
            .expect(201);
        let mut expected = ids(&made);
        expected.reverse();
        let (sizes, all) = walk(&program, "/tasks?limit=10").await;
        assert_eq!(sizes, [10, 10, 5]);
        assert_eq!(all.iter().map(id_of).collect::<Vec<_>>(), expected);
        let (sizes, _) = walk(&program, "/tasks?limit=25").await;
        assert_eq!(sizes, [25], "a full last page has no next");
        program.site.close().await;
    }
}

#[tokio::test]
async fn every_filter_narrows_the_list() {
    for program in Program::on_each().await {
        let made = json!({ "tasks": [
            { "kind": "pdf", "queue": "slow", "owner": "ann", "title": "March report", "payload": { "c": { "id": 42 }, "vip": true } },
            { "kind": "pdf", "queue": "fast", "owner": "bob", "title": "march notes", "payload": { "c": { "id": "x-1" }, "vip": false }, "start": true },
            { "kind": "csv", "queue": "fast", "owner": "ann", "payload": [1], "start": true },
        ]});
        let made = ids(&program.post("/tasks/batch", made).await.expect(201));
        program
            .post(&format!("/tasks/{}/cancel", made[2]), json!({}))
            .await
            .expect(202);
        let start = &made[0][..13];
        for (query, expected) in [
            ("state=new", &[0][..]),
            ("state=queued,cancelled", &[2, 1]),
            ("state=queued&state=cancelled&state=queued", &[2, 1]),
            ("kind=pdf", &[1, 0]),
            ("queue=fast", &[2, 1]),
            ("owner=ann&kind=csv", &[2]),
            ("owner=nobody", &[]),
            ("verdict=message_lost", &[]),
            ("payload.c.id=42", &[0]),
            ("payload.c.id=x-1", &[1]),
            ("payload.vip=true", &[0]),
            ("payload.vip=false&kind=pdf", &[1]),
            ("payload.vip=1", &[]),
            ("payload.no.such=1", &[]),
            ("q=MARCH", &[1, 0]),
            ("q=march+rep", &[0]),
            ("q=csv", &[2]),
            ("q=100%25", &[]),
            ("q=_arch", &[]),
            ("created_after=2026-01-01T00:00:00Z", &[2, 1, 0]),
            ("created_after=2026-01-01T00:00:01Z", &[]),
            ("created_before=2026-01-01T01:00:00%2B01:00", &[]),
            ("created_before=2099-01-01T00:00:00Z&state=new", &[0]),
        ] {
            let page = program.get(&format!("/tasks?{query}")).await.expect(200);
            let expected: Vec<&String> = expected.iter().map(|index: &usize| &made[*index]).collect();
            assert_eq!(ids(&page).iter().collect::<Vec<_>>(), expected, "{query}");
        }
        let by_id = program.get(&format!("/tasks?q={start}")).await.expect(200);
        assert!(ids(&by_id).contains(&made[0]), "an id is found by its start");
        program.site.close().await;
    }
}

#[tokio::test]
async fn the_timeline_and_the_attempts_come_in_pages_too() {
    for program in Program::on_each().await {
        let id = program.started("k").await;
        for attempt in 1..=4 {
            program.claim(&id, &format!("c{attempt}")).await.expect(200);
            program
                .report(&id, attempt, "release", json!({}))
                .await
                .expect(200);
        }
        let (sizes, history) = walk(&program, &format!("/tasks/{id}/history?limit=3")).await;
        assert_eq!(sizes, [3, 3, 3, 1]);
        let events: Vec<&str> = history
            .iter()
            .filter_map(|entry| entry["event"].as_str())
            .collect();
        assert_eq!(events[..4], ["created", "started", "claimed", "released"]);
        assert_eq!(
            (&history[0]["from_state"], &history[0]["to_state"]),
            (&Value::Null, &json!("new"))
        );
        let (sizes, attempts) = walk(&program, &format!("/tasks/{id}/attempts?limit=2")).await;
        assert_eq!(sizes, [2, 2]);
        let numbers: Vec<i64> = attempts
            .iter()
            .filter_map(|attempt| attempt["number"].as_i64())
            .collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(
            (&attempts[0]["outcome"], &attempts[0]["worker"]),
            (&json!("released"), &json!("w"))
        );
        program.site.close().await;
    }
}

#[tokio::test]
async fn what_a_list_can_not_take_is_named() {
    let program = Program::sqlite().await;
    let long = format!("q={}", "x".repeat(201));
    let deep = format!("payload.{}=1", ["a"; 9].join("."));
    let many: String = (0..6).map(|n| format!("payload.f{n}=1&")).collect();
    let other_list = program.get("/tasks").await.expect(200);
    assert_eq!(other_list["next"], Value::Null);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=9223372036854775808", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=9223372036854775808", "cursor"),
        ("cursor=aCAx", "cursor"),
        ("state=done", "state"),
        ("state=new,", "state"),
        ("kind=", "kind"),
        ("kind=a&kind=b", "kind"),
        ("kind=%00", "kind"),
        ("verdict=doomed", "verdict"),
        ("created_after=99999-01-01T00:00:00Z", "created_after"),
        ("created_before=yesterday", "created_before"),
        ("payload.a'b=1", "payload.a'b"),
        ("payload.=1", "payload."),
        (many.trim_end_matches('&'), "payload"),
        (long.as_str(), "q"),
        (deep.as_str(), "payload.a.a.a.a.a.a.a.a.a"),
    ] {
        assert_eq!(
            wrong_fields(&program.get(&format!("/tasks?{query}")).await),
            [field],
            "{query}"
        );
    }
    for query in ["sort=id", "page=2", "State=new", "payload=1", "a[]=1"] {
        let problem = program.get(&format!("/tasks?{query}")).await.expect(400);
        assert!(
            problem["detail"]
                .as_str()
                .expect("a detail")
                .starts_with("this call has no parameter")
        );
    }
    program
        .get(&format!("/tasks?{}", "state=new&".repeat(41)))
        .await
        .expect(400);
}

#[tokio::test]
async fn an_unknown_task_has_no_timeline() {
    let program = Program::sqlite().await;
    for path in ["", "/history", "/attempts"] {
        for id in ["019b7a6e-7c00-7000-8000-000000000001", "none"] {
            program.get(&format!("/tasks/{id}{path}")).await.expect(404);
        }
    }
}

#[tokio::test]
async fn a_queue_tells_how_long_the_tasks_of_its_kinds_wait_and_run() {
    for program in Program::on_each().await {
        let clock = &program.site.store.clock;
        for _ in 0..2 {
            let id = program.started("report").await;
            clock.advance(Duration::from_secs(10));
            program.claim(&id, "c1").await.expect(200);
            clock.advance(Duration::from_secs(25));
            program.report(&id, 1, "succeed", json!({})).await.expect(200);
        }
        program.running("report").await;
        let queue = program.get("/queues/report").await.expect(200);
        let [kind] = queue["kinds"].as_array().expect("kinds").as_slice() else {
            panic!("{queue}");
        };
        assert_eq!(kind["kind"], "report");
        assert_eq!(
            (&kind["wait"]["samples"], &kind["run"]["samples"]),
            (&json!(3), &json!(2))
        );
        for (measure, percentile, ms) in [("wait", "p99_ms", 10_000), ("run", "p50_ms", 25_000)] {
            let told = kind[measure][percentile].as_i64().expect("measured");
            assert!((told - ms).abs() <= ms / 20, "{measure}: {told} ms, not {ms}");
        }
        program.site.close().await;
    }
}
