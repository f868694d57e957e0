//! Two who want something else of the same task at the same moment: one of them gets it, and the other is told.

use serde_json::{Value, json};
use tokio::join;

use super::Program;
use crate::support::site::LEASE;

const ROUNDS: usize = 60;

async fn task(program: &Program, id: &str) -> Value {
    program.get(&format!("/tasks/{id}")).await.expect(200)
}

/// Plays every round on both databases.
async fn on_each(round: impl AsyncFn(&Program, usize)) {
    for program in Program::on_each().await {
        for number in 0..ROUNDS {
            round(&program, number).await;
        }
        program.site.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_requeue_and_the_report_of_the_worker_s_success_never_both_count() {
    on_each(async |program: &Program, number: usize| {
        let id = program.running("k").await;
        // The lease is over, so a person may requeue it; its worker lives all the same, and is done.
        program
            .site
            .store
            .clock
            .advance(LEASE + std::time::Duration::from_secs(1));
        let path = format!("/tasks/{id}/requeue");
        let requeue = program.post(&path, json!({"reason": "it hangs"}));
        let success = program.report(&id, 1, "succeed", json!({"result": number}));
        let (requeue, success) = if number.is_multiple_of(2) {
            join!(requeue, success)
        } else {
            let (success, requeue) = join!(success, requeue);
            (requeue, success)
        };
        let task = task(program, &id).await;
        match (requeue.status.as_u16(), success.status.as_u16()) {
            (202, 409) => assert_eq!(
                (&task["state"], &task["dispatch"], &task["result"]),
                (&json!("queued"), &json!(2), &Value::Null)
            ),
            (409, 200) => assert_eq!(
                (&task["state"], &task["dispatch"], &task["result"]),
                (&json!("succeeded"), &json!(1), &json!(number))
            ),
            both => panic!("round {number}: {both:?}, {task}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_operators_who_requeue_and_cancel_at_once_the_cancel_holds() {
    on_each(async |program: &Program, number: usize| {
        let id = program.started("k").await;
        let [requeue, cancel] = ["requeue", "cancel"].map(|act| format!("/tasks/{id}/{act}"));
        let requeue = program.post(&requeue, json!({"reason": "it hangs"}));
        let cancel = program.post(&cancel, json!({"reason": "not needed"}));
        let (requeue, cancel) = join!(requeue, cancel);
        assert_eq!(cancel.status, 202, "{}", cancel.text());
        // First of the two, it was done; second, it is told that the task has ended.
        assert!(
            [202, 409].contains(&requeue.status.as_u16()),
            "{}",
            requeue.text()
        );
        let task = task(program, &id).await;
        assert_eq!(task["state"], "cancelled", "round {number}: {task}");
        let dispatch = if requeue.status == 202 { 2 } else { 1 };
        assert_eq!(task["dispatch"], dispatch);
    })
    .await;
}
