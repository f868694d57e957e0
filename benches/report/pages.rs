//! Page times as finished tasks pile up: the ratio is the figure, it should stay near 1.

use std::time::{Duration, Instant};

use unstuck::store::Store;

use crate::{
    databases::Database,
    fill,
    server::{EMAIL, PASSWORD, Server},
};

const ROUNDS: usize = 40;
const PAGES: &[(&str, &str)] = &[
    ("overview", "/admin"),
    ("task list", "/admin/tasks"),
    ("failed tasks", "/admin/tasks?state=failed"),
    ("search by title", "/admin/tasks?q=report%2099"),
    ("search without a match", "/admin/tasks?q=nothing%20like%20it"),
];

/// Prints each page's median at each size, and the ratio of the last to the first.
pub async fn report(database: &Database, sizes: &[usize]) {
    let store = Store::open(&database.url).await.expect("the store opens");
    let queue = format!("bench.pages.{}", uuid::Uuid::new_v4().simple());
    let mut filled = 0;
    let mut columns: Vec<Vec<Duration>> = Vec::new();
    for size in sizes {
        fill::succeeded(&store, &queue, size.saturating_sub(filled)).await;
        filled = filled.max(*size);
        columns.push(medians(database).await);
    }
    store.close().await;
    println!("page medians of {ROUNDS} requests, at {sizes:?} finished tasks more than before:");
    for (row, (name, _)) in PAGES.iter().enumerate() {
        let times: Vec<Duration> = columns.iter().map(|column| column[row]).collect();
        let shown: Vec<String> = times
            .iter()
            .map(|time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
            .collect();
        let ratio = match (times.first(), times.last()) {
            (Some(first), Some(last)) => last.as_secs_f64() / first.as_secs_f64(),
            _ => 1.0,
        };
        println!("  {name}: {}, ratio {ratio:.2}", shown.join(" → "));
    }
}

async fn medians(database: &Database) -> Vec<Duration> {
    let server = Server::start(database).await;
    let client = signed_in(&server).await;
    let mut medians = Vec::new();
    for (_, path) in PAGES {
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let answer = client
                .get(format!("{}{path}", server.base))
                .send()
                .await
                .expect("an answer");
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            answer.bytes().await.expect("a page");
            times.push(started.elapsed());
        }
        times.sort();
        medians.push(times[ROUNDS / 2]);
    }
    medians
}

/// A client that carries its session's cookie.
async fn signed_in(server: &Server) -> reqwest::Client {
    let plain = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let form = format!(
        "email={}&password={}",
        EMAIL.replace('@', "%40"),
        PASSWORD.replace(' ', "+")
    );
    let answer = plain
        .post(format!("{}/login", server.base))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .expect("an answer");
    let cookies: Vec<String> = answer
        .headers()
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next().map(str::to_owned))
        .collect();
    assert!(!cookies.is_empty(), "signing in: {}", answer.status());
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("cookie", cookies.join("; ").parse().expect("a cookie"));
    reqwest::Client::builder()
        .default_headers(headers)
        .build()
        .expect("a client")
}
