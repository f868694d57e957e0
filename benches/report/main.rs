//! `make bench`: one report of throughput and of page times, with the raw limits of the same machine in the same run.
//!
//! Figures are ratios and medians of one run; absolute times depend on the machine and mean little elsewhere.

mod databases;
mod detect;
mod fill;
mod pages;
mod produce;
mod raw;
mod server;
mod work;

use std::time::Duration;

use databases::Database;

/// Tasks of one throughput measurement.
const TASKS: usize = 20_000;

#[tokio::main]
async fn main() {
    unstuck::broker::tls::install();
    // `cargo bench` passes `--bench`; the sizes of the page measurement may be given for a quick look.
    let sizes = sizes();
    println!("# Benchmark report\n");
    let published = raw::confirmed_publishes(TASKS).await;
    println!(
        "raw limit, pipelined confirmed publishes in windows of 500: {} /s\n",
        rate(TASKS, published)
    );
    for engine in ["sqlite", "postgresql"] {
        println!("## {engine}\n");
        let database = Database::fresh(engine).await;
        let inserted = raw::batched_inserts(&database, TASKS).await;
        println!(
            "raw limit, batched inserts of one row a task (500 a transaction): {} /s",
            rate(TASKS, inserted)
        );
        let produced = produce::create_and_start(&database, 64, TASKS).await;
        println!(
            "create + start over HTTP, 64 connections: {} /s",
            rate(TASKS, produced)
        );
        let both = inserted + published;
        println!(
            "  that is {:.2} of the raw limit of one after the other (inserts, then publishes)",
            both.as_secs_f64() / produced.as_secs_f64()
        );
        let worked = work::no_op_tasks(&database, TASKS).await;
        println!(
            "worker, no-op tasks at concurrency 256: {} /s\n",
            rate(TASKS, worked)
        );
        detect::report(&database).await;
        pages::report(&database, &sizes).await;
        database.drop().await;
        println!();
    }
}

fn sizes() -> Vec<usize> {
    let given = std::env::var("UNSTUCK_BENCH_SIZES").unwrap_or_else(|_| "10000,1000000".to_owned());
    given
        .split(',')
        .map(|size| {
            size.trim()
                .parse()
                .expect("UNSTUCK_BENCH_SIZES is a list of numbers")
        })
        .collect()
}

fn rate(count: usize, took: Duration) -> String {
    format!("{:.0}", count as f64 / took.as_secs_f64())
}
