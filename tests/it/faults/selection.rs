//! Acts on many tasks in one form, while the server is killed and a second operator does the same.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use serde_json::json;
use url::form_urlencoded::Serializer;

use super::all_succeed;
use crate::support::{
    client::{PATIENCE, id, items},
    plant::{ADMIN_PASSWORD, BOTH, Plant},
    truth::count,
    wait::eventually,
};

const TASKS: usize = 100;
const ROUNDS: i64 = 5;

/// Somebody who is signed in.
#[derive(Clone)]
struct Staff {
    http: reqwest::Client,
    base: String,
    cookies: String,
}

impl Staff {
    async fn sign_in(base: &str) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        let mut staff = Self {
            http: http.expect("a client"),
            base: base.to_owned(),
            cookies: String::new(),
        };
        let form = [("email", "admin@example.com"), ("password", ADMIN_PASSWORD)];
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = staff.post("/login", form).await.expect("an answer");
        assert_eq!(answer.status(), 303);
        let cookies: Vec<String> = answer
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|line| Some(line.to_str().ok()?.split(';').next()?.to_owned()))
            .collect();
        staff.cookies = cookies.join("; ");
        staff
    }

    /// Errors: there was no answer.
    async fn post(&self, path: &str, form: String) -> reqwest::Result<reqwest::Response> {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header(COOKIE, &self.cookies)
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        request.body(form).send().await
    }

    async fn press(&self, form: &str) {
        let answer = self.post("/admin/tasks/act", form.to_owned()).await;
        assert_eq!(answer.expect("an answer").status(), 303);
    }
}

/// The form over these tasks as a page shows it that saw all of them at `dispatch`.
fn requeue(ids: &[String], dispatch: i64) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("action", "requeue")
        .append_pair("reason", "their messages are gone");
    for id in ids {
        form.append_pair("task", id)
            .append_pair("seen", &format!("{id}:{dispatch}"));
    }
    form.finish()
}

#[tokio::test]
async fn a_selection_that_a_kill_cut_short_is_finished_by_the_next_press_and_each_task_is_done_once() {
    for engine in BOTH {
        let plant = Plant::new(engine).await;
        let mut serve = plant.serve().await;
        let queue = plant.queue("selection");
        let task = json!({"kind": "one", "queue": queue, "start": true});
        let batch = json!({"tasks": vec![task; TASKS]});
        let made = serve.client.post("/api/v1/tasks/batch", batch).await.done();
        let ids: Vec<String> = items(&made).iter().map(id).collect();
        eventually(PATIENCE, "all are published", async || {
            let waiting = count(&plant, "SELECT count(*) FROM tasks WHERE published_at IS NULL").await;
            (waiting == 0).then_some(())
        })
        .await;
        plant.outside().await.purge(&queue).await;
        let staff = Staff::sign_in(serve.client.base()).await;
        let mut usual = Duration::from_millis(300);
        for round in 1..=ROUNDS {
            let form = requeue(&ids, round);
            let cut_short = tokio::spawn({
                let (staff, form) = (staff.clone(), form.clone());
                async move { staff.post("/admin/tasks/act", form).await.is_ok() }
            });
            // Before it is done, while it is, and before the answer is out.
            tokio::time::sleep(usual.mul_f64(rand::random::<f64>() * 1.5)).await;
            serve.process.kill9();
            let answered = cut_short.await.expect("no panic");
            serve = plant.serve().await;
            let undone = format!("SELECT count(*) FROM tasks WHERE dispatch = {round}");
            eprintln!(
                "answered: {answered}; left to do: {}",
                count(&plant, &undone).await
            );
            // The same operator, who saw no answer, and another who looks at the same page.
            let pressed = Instant::now();
            tokio::join!(staff.press(&form), staff.press(&form));
            usual = pressed.elapsed();
            let next = round + 1;
            let elsewhere = format!("SELECT count(*) FROM tasks WHERE dispatch <> {next}");
            assert_eq!(count(&plant, &elsewhere).await, 0, "each is done, and once");
            let done = "SELECT count(*) FROM audit WHERE action = 'requeue' AND outcome = 'done'";
            assert_eq!(count(&plant, done).await, round * TASKS as i64, "a row for each");
        }
        let _worker = plant.worker(&queue, 8);
        all_succeed(&plant, &ids).await;
        plant.close().await;
    }
}
