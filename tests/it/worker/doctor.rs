//! `unstuck doctor` on real services: what is fine, what is not, and that it changes nothing.

use std::process::{Command, Output};

use lapin::types::AMQPValue;
use tempfile::TempDir;
use unstuck::{
    broker::{BrokerConfig, Publisher, QueueSpec, QueueType},
    store::Store,
};

use crate::support::{broker, wait::eventually};

async fn doctor(database_url: &str, amqp_url: &str, management_url: &str) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unstuck"));
    command
        .arg("doctor")
        .env("LC_ALL", "C")
        .env("UNSTUCK_DATABASE_URL", database_url)
        .env("UNSTUCK_AMQP_URL", amqp_url)
        .env("UNSTUCK_MANAGEMENT_URL", management_url);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic")
        .expect("the program starts");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (output, said)
}

#[tokio::test]
async fn a_sound_installation_is_told_so_and_a_bad_queue_with_the_command_that_mends_it() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite://{}/unstuck.db", folder.path().display());
    let store = Store::open(&url).await.expect("opened");
    let config = BrokerConfig::parse(&broker::amqp_url(), None).expect("a broker");
    let publisher = Publisher::spawn(config);
    let good = broker::unique("doctor-good");
    let spec = QueueSpec::new(&good, QueueType::Quorum);
    eventually(
        std::time::Duration::from_secs(10),
        "the queue is declared",
        async || publisher.declare(&spec).await.ok(),
    )
    .await;
    store.add_queue(&good, "quorum").await.expect("known");
    let (output, said) = doctor(&url, &broker::amqp_url(), &broker::management_url()).await;
    assert!(output.status.success(), "{said}");
    for line in [
        "sqlite is reachable and up to date",
        "RabbitMQ 3.",
        "Declared as it should be (quorum)",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }

    let bad = broker::unique("doctor-bad");
    let outside = broker::Outside::connect().await;
    outside
        .declare(&bad, &[("x-queue-type", AMQPValue::LongString("quorum".into()))])
        .await;
    store.add_queue(&bad, "quorum").await.expect("known");
    let (output, said) = doctor(&url, &broker::amqp_url(), &broker::management_url()).await;
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("no dead-letter target"), "{said}");
    assert!(said.contains("mend: rabbitmqctl set_policy -p"), "{said}");
    outside.delete(&bad).await;
    outside.delete(&good).await;
    store.close().await;
}

#[tokio::test]
async fn what_does_not_answer_is_named_and_nothing_is_made() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite://{}/unstuck.db", folder.path().display());
    let (output, said) = doctor(
        &url,
        "amqp://guest:guest@127.0.0.1:1/%2f",
        "http://guest:guest@127.0.0.1:1",
    )
    .await;
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("is not there yet"), "{said}");
    assert!(said.contains("wrong   amqp:"), "{said}");
    assert!(
        said.contains("rabbitmq-plugins enable rabbitmq_management"),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0);
}

#[tokio::test]
async fn a_wrong_password_is_told_from_an_absent_broker() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite://{}/unstuck.db", folder.path().display());
    let wrong = |url: String| url.replacen("guest:guest@", "guest:secret-that-is-wrong@", 1);
    let (output, said) = doctor(&url, &wrong(broker::amqp_url()), &wrong(broker::management_url())).await;
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("refuses the user or the password"), "{said}");
    assert!(said.contains("set_user_tags"), "{said}");
    assert!(!said.contains("secret-that-is-wrong"), "{said}");
}
