//! Servers that start all at once, are killed as they start, or find a database that is not theirs.

use std::{process::Command, time::Duration};

use futures_util::future::join_all;
use serde_json::json;

use super::all_succeed;
use crate::support::{
    client::PATIENCE,
    plant::{BOTH, Engine, Plant, free_port},
    process::Process,
    truth::count,
};

/// `unstuck serve`, to be started without waiting for it.
fn server(plant: &Plant) -> Command {
    let mut command = plant.command(&["serve"]);
    command.env("UNSTUCK_LISTEN", format!("127.0.0.1:{}", free_port()));
    command
}

#[tokio::test]
async fn servers_that_start_at_once_on_an_empty_database_make_it_once_and_all_of_them_serve() {
    for engine in BOTH {
        let plant = Plant::new(engine).await;
        let serves = join_all((0..4).map(|_| plant.serve_beside())).await;
        assert_eq!(
            count(&plant, "SELECT count(*) FROM users").await,
            1,
            "one first administrator"
        );
        let queue = plant.queue("first");
        let mut ids = Vec::new();
        for serve in &serves {
            ids.push(serve.client.start(json!({"kind": "one", "queue": queue})).await);
        }
        let _worker = plant.worker(&queue, 2);
        all_succeed(&plant, &ids).await;
        plant.close().await;
    }
}

#[tokio::test]
async fn a_server_killed_while_it_makes_its_tables_is_followed_by_one_that_makes_them_whole() {
    for engine in BOTH {
        let plant = Plant::new(engine).await;
        for round in 0..12 {
            let starting = Process::spawn(
                &format!("killed-{round}"),
                plant.command(&["serve"]),
                plant.folder(),
            );
            // Anywhere in what a first start does.
            tokio::time::sleep(Duration::from_micros(rand::random::<u64>() % 150_000)).await;
            starting.kill9();
        }
        let serve = plant.serve().await;
        let queue = plant.queue("first");
        let task = serve.client.start(json!({"kind": "one", "queue": queue})).await;
        let _worker = plant.worker(&queue, 1);
        all_succeed(&plant, &[task]).await;
        plant.close().await;
    }
}

#[tokio::test]
async fn a_database_of_a_later_version_is_left_alone_and_named() {
    for engine in BOTH {
        let plant = Plant::new(engine).await;
        plant.serve().await.process.kill9();
        let row = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                   SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
        assert_eq!(plant.execute(row.to_owned()).await, 1);
        let mut old = Process::spawn("old", server(&plant), plant.folder());
        let status = old.ended(PATIENCE).await;
        assert!(!status.success(), "{status}");
        assert!(old.log().contains("9999"), "{}", old.log());
        plant.close().await;
    }
}

#[tokio::test]
async fn a_sqlite_file_that_is_damaged_is_refused_and_left_as_it_is() {
    let plant = Plant::new(Engine::Sqlite).await;
    let serve = plant.serve().await;
    assert!(serve.process.terminate().await.success());
    let file = plant.folder().join("unstuck.db");
    let mut bytes = std::fs::read(&file).expect("the file");
    bytes[..64].fill(0x5a);
    std::fs::write(&file, &bytes).expect("damaged");
    let mut next = Process::spawn("next", server(&plant), plant.folder());
    let status = next.ended(PATIENCE).await;
    assert!(!status.success(), "{status}: {}", next.log());
    assert_eq!(
        std::fs::read(&file).expect("the file"),
        bytes,
        "nothing was written over it"
    );
}
