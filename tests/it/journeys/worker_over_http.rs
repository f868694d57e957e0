//! A worker in another language, which speaks HTTP: this test plays one.

use serde_json::{Value, json};

use crate::support::{
    client::{Client, text},
    plant::{BOTH, Engine, Plant},
    truth::check,
};

async fn claim(client: &Client, task: &str, worker: &str) -> Value {
    let claim = json!({"worker": worker, "claim_id": format!("{worker}-{task}"), "dispatch": 1});
    client.act(task, "claim", claim).await.done()
}

#[tokio::test]
async fn a_late_worker_is_refused_and_what_it_says_is_kept_on_the_timeline() {
    for engine in BOTH {
        let plant = Plant::new(engine).await;
        let serve = plant.serve().await;
        let client = &serve.client;
        let queue = plant.queue("late");
        let task = client.start(json!({"kind": "print", "queue": queue})).await;
        let claimed = claim(client, &task, "slow").await;
        assert_eq!(claimed["attempt"], 1, "{claimed}");
        let repeated = claim(client, &task, "slow").await;
        assert_eq!(
            repeated["attempt"], 1,
            "the same claim again is the same answer: {repeated}"
        );

        // It says nothing for longer than its lease; another worker goes on.
        let other = plant.worker(&queue, 1);
        client.until(&task, "succeeded").await;
        let paths = ["heartbeat", "succeed", "fail", "release"].map(|end| format!("attempts/1/{end}"));
        client.act(&task, &paths[0], json!({})).await.refused(409);
        client
            .act(&task, &paths[1], json!({"result": "mine"}))
            .await
            .refused(409);

        let done = client.task(&task).await;
        assert_eq!(
            done["result"],
            json!({"attempt": 2}),
            "the late result changed nothing: {done}"
        );
        assert_eq!(client.outcomes(&task).await, ["lost", "succeeded"]);
        let history = client.history(&task).await;
        let late = history.iter().find(|entry| entry["event"] == "late_report");
        let late = late.unwrap_or_else(|| panic!("it is on the timeline: {history:?}"));
        assert_eq!(late["detail"]["result"], "mine", "{late}");
        assert_eq!(client.attempts(&task).await[0]["late"]["result"], "mine");
        client
            .act(&task, &paths[2], json!({"error": "oh"}))
            .await
            .refused(409);
        client.act(&task, &paths[3], json!({})).await.refused(409);
        assert_eq!(client.task(&task).await["state"], "succeeded");

        assert!(other.terminate().await.success());
        check(&plant, &[task]).await;
        plant.close().await;
    }
}

#[tokio::test]
async fn a_worker_over_http_claims_beats_and_ends_its_task() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("http");
    let task = client
        .start(json!({"kind": "print", "queue": queue, "payload": {"page": 1}}))
        .await;
    let claimed = claim(client, &task, "python").await;
    assert_eq!(claimed["payload"], json!({"page": 1}), "{claimed}");

    let other = json!({"worker": "other", "claim_id": "x", "dispatch": 1});
    let refused = client.act(&task, "claim", other).await.refused(409);
    assert_eq!(refused["action"], "ack", "somebody else has it: {refused}");
    let ahead = json!({"worker": "other", "claim_id": "y", "dispatch": 7});
    let refused = client.act(&task, "claim", ahead).await.refused(409);
    assert_eq!(
        refused["action"], "dead_letter",
        "no such dispatch was ever made: {refused}"
    );

    let beat = json!({"progress": 40, "message": "page 1"});
    let alive = client.act(&task, "attempts/1/heartbeat", beat).await.done();
    assert_eq!(alive["cancel_requested"], false, "{alive}");
    assert_eq!(client.task(&task).await["progress"], 40.0);
    client.act(&task, "cancel", json!({})).await.done();
    let alive = client.act(&task, "attempts/1/heartbeat", json!({})).await.done();
    assert_eq!(alive["cancel_requested"], true, "{alive}");
    client
        .act(
            &task,
            "attempts/1/fail",
            json!({"error": "cancelled", "retryable": true}),
        )
        .await
        .done();
    assert_eq!(client.task(&task).await["state"], "cancelled");

    let next = client.start(json!({"kind": "print", "queue": queue})).await;
    claim(client, &next, "python").await;
    for _ in 0..2 {
        let said = client
            .act(&next, "attempts/1/succeed", json!({"result": {"pages": 3}}))
            .await
            .done();
        assert_eq!(
            text(&said["state"]),
            "succeeded",
            "the same report again is the same answer"
        );
    }
    assert_eq!(client.task(&next).await["result"], json!({"pages": 3}));
    check(&plant, &[task, next]).await;
    plant.close().await;
}

#[tokio::test]
async fn a_task_is_taken_from_a_living_worker_only_by_force_and_runs_after_its_lease() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    let client = &serve.client;
    let queue = plant.queue("force");
    let task = client.start(json!({"kind": "print", "queue": queue})).await;
    let claimed = claim(client, &task, "python").await;
    client
        .act(&task, "requeue", json!({"reason": "now"}))
        .await
        .refused(409);
    client
        .act(&task, "requeue", json!({"force": true}))
        .await
        .refused(422);
    let forced = client
        .act(&task, "requeue", json!({"force": true, "reason": "it hangs"}))
        .await
        .done();
    assert_eq!(forced["state"], "queued", "{forced}");
    assert_eq!(
        forced["available_at"], claimed["lease_expires_at"],
        "not beside what may still run"
    );
    client
        .act(&task, "attempts/1/succeed", json!({}))
        .await
        .refused(409);
    let _worker = plant.worker(&queue, 1);
    client.until(&task, "succeeded").await;
    assert_eq!(client.outcomes(&task).await, ["superseded", "succeeded"]);
    check(&plant, &[task]).await;
    plant.close().await;
}
