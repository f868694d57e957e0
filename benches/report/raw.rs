//! What the machine can do at most, measured without Unstuck's code.

use std::time::{Duration, Instant};

use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use crate::databases::Database;

const WINDOW: usize = 500;

pub fn amqp_url() -> String {
    std::env::var("UNSTUCK_TEST_AMQP_URL").expect("UNSTUCK_TEST_AMQP_URL is set by `make bench`")
}

/// Persistent, mandatory publishes to a quorum queue, each window's confirms awaited before the next.
pub async fn confirmed_publishes(count: usize) -> Duration {
    let connection = Connection::connect(&amqp_url(), ConnectionProperties::default())
        .await
        .expect("connected");
    let channel = connection.create_channel().await.expect("a channel");
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .expect("confirms");
    let queue = ShortString::from(format!("bench.raw.{}", uuid::Uuid::new_v4().simple()));
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel
        .queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments)
        .await
        .expect("declared");
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let started = Instant::now();
    for _ in 0..count / WINDOW {
        let mut confirms = Vec::with_capacity(WINDOW);
        for _ in 0..WINDOW {
            let body = uuid::Uuid::now_v7().to_string();
            let publish = channel.basic_publish(
                "".into(),
                queue.clone(),
                options,
                body.as_bytes(),
                properties.clone(),
            );
            confirms.push(publish.await.expect("sent"));
        }
        for confirm in confirms {
            confirm.await.expect("confirmed");
        }
    }
    let took = started.elapsed();
    channel
        .queue_delete(queue, QueueDeleteOptions::default())
        .await
        .expect("deleted");
    took
}

/// One row a task, 500 rows a transaction, at the durability that Unstuck uses.
pub async fn batched_inserts(database: &Database, count: usize) -> Duration {
    const TABLE: &str = "CREATE TABLE raw (id TEXT PRIMARY KEY, kind TEXT, payload TEXT, at BIGINT)";
    let statement = |from: usize| {
        let rows: Vec<String> = (from..from + WINDOW)
            .map(|n| format!("('{}', 'bench', '{{\"n\":{n}}}', {n})", uuid::Uuid::now_v7()))
            .collect();
        format!(
            "INSERT INTO raw (id, kind, payload, at) VALUES {}",
            rows.join(", ")
        )
    };
    macro_rules! insert {
        ($conn:expr) => {{
            let mut conn = $conn;
            sqlx::query(TABLE).execute(&mut conn).await.expect("a table");
            let started = Instant::now();
            for window in 0..count / WINDOW {
                sqlx::query(AssertSqlSafe(statement(window * WINDOW)))
                    .execute(&mut conn)
                    .await
                    .expect("inserted");
            }
            let took = started.elapsed();
            sqlx::query("DROP TABLE raw")
                .execute(&mut conn)
                .await
                .expect("dropped");
            took
        }};
    }
    if database.engine == "sqlite" {
        let mut conn = SqliteConnection::connect(&format!("{}?mode=rwc", database.url))
            .await
            .expect("the database opens");
        sqlx::query("PRAGMA journal_mode = WAL")
            .execute(&mut conn)
            .await
            .expect("set");
        sqlx::query("PRAGMA synchronous = FULL")
            .execute(&mut conn)
            .await
            .expect("set");
        insert!(conn)
    } else {
        insert!(
            PgConnection::connect(&database.url)
                .await
                .expect("the database opens")
        )
    }
}
