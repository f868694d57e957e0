//! What the database really says, read past Unstuck's code, and the rules that hold whatever was killed.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{
    AssertSqlSafe, Connection, FromRow, PgConnection, SqliteConnection, postgres::PgRow, sqlite::SqliteRow,
};

use super::{
    client::PATIENCE,
    plant::{ADMIN_PASSWORD, Plant, TOKEN},
    wait::eventually,
};

/// The database as it is now.
pub struct Truth {
    pub tasks: HashMap<String, TaskRow>,
    /// By task and number.
    pub attempts: BTreeMap<(String, i64), AttemptRow>,
}

#[derive(Clone, Debug, FromRow)]
pub struct TaskRow {
    pub id: String,
    pub state: String,
    pub attempt: i64,
}

#[derive(Clone, Debug, FromRow)]
pub struct AttemptRow {
    pub task_id: String,
    pub number: i64,
    pub outcome: Option<String>,
    pub ended: bool,
}

/// One line of the timeline.
#[derive(Clone, Debug, FromRow)]
struct Moment {
    task_id: String,
    event: String,
    to_state: String,
}

/// A finding, open or closed.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct FindingRow {
    pub verdict: String,
    pub about: String,
    pub evidence: String,
    pub closed_reason: Option<String>,
}

impl Truth {
    pub async fn read(plant: &Plant) -> Self {
        let tasks: Vec<TaskRow> =
            rows(plant, "SELECT CAST(id AS TEXT) AS id, state, attempt FROM tasks").await;
        let attempts: Vec<AttemptRow> = rows(
            plant,
            "SELECT CAST(task_id AS TEXT) AS task_id, number, outcome, ended_at IS NOT NULL AS ended FROM attempts",
        )
        .await;
        Self {
            tasks: tasks.into_iter().map(|row| (row.id.clone(), row)).collect(),
            attempts: attempts
                .into_iter()
                .map(|row| ((row.task_id.clone(), row.number), row))
                .collect(),
        }
    }
}

/// Every stall and incident there ever was.
pub async fn findings(plant: &Plant) -> Vec<FindingRow> {
    let evidence = "CAST(evidence AS TEXT) AS evidence, closed_reason";
    let stalls =
        format!("SELECT verdict, CAST(task_id AS TEXT) AS about, {evidence} FROM stalls ORDER BY since, id");
    let incidents = format!("SELECT verdict, name AS about, {evidence} FROM incidents ORDER BY since, id");
    [rows(plant, &stalls).await, rows(plant, &incidents).await].concat()
}

/// How many tasks are queued or running.
pub async fn open_tasks(plant: &Plant) -> i64 {
    count(
        plant,
        "SELECT count(*) FROM tasks WHERE state IN ('queued', 'running')",
    )
    .await
}

/// The number that the statement gives.
pub async fn count(plant: &Plant, sql: &str) -> i64 {
    let count: Vec<(i64,)> = rows(plant, sql).await;
    count[0].0
}

/// Waits until no task is queued or running.
pub async fn until_all_ended(plant: &Plant) {
    eventually(PATIENCE * 2, "every started task ended", async || {
        (open_tasks(plant).await == 0).then_some(())
    })
    .await;
}

async fn rows<T>(plant: &Plant, sql: &str) -> Vec<T>
where
    T: Send + Unpin + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow>,
{
    let (url, sql) = (plant.database_url.as_str(), AssertSqlSafe(sql.to_owned()));
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.expect("the file opens");
        let rows = sqlx::query_as(sql)
            .fetch_all(&mut connection)
            .await
            .expect("the rows");
        connection.close().await.expect("closed");
        rows
    } else {
        let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
        let rows = sqlx::query_as(sql)
            .fetch_all(&mut connection)
            .await
            .expect("the rows");
        connection.close().await.expect("closed");
        rows
    }
}

/// What holds after anything was killed, stopped or cut, once everything settled:
///
/// - what was acknowledged is stored, and every started task ended;
/// - attempts are numbered 1 to n, and each has exactly one end;
/// - what ran is what was claimed, never two attempts of a task at once, and what succeeded was really done;
/// - a task ends once for each time it was asked to run;
/// - the database is sound, no process panicked, and no log shows a secret.
pub async fn check(plant: &Plant, acknowledged: &[String]) {
    until_all_ended(plant).await;
    let truth = Truth::read(plant).await;
    let journal = plant.journal();

    for id in acknowledged {
        assert!(
            truth.tasks.contains_key(id),
            "task {id} was acknowledged and is not stored"
        );
    }
    for task in truth.tasks.values() {
        let ended = ["new", "succeeded", "failed", "cancelled"].contains(&task.state.as_str());
        assert!(ended, "a task did not end: {task:?}");
        let numbers: Vec<i64> = truth
            .attempts
            .range((task.id.clone(), 0)..=(task.id.clone(), i64::MAX))
            .map(|((_, number), _)| *number)
            .collect();
        let expected: Vec<i64> = (1..=task.attempt).collect();
        assert_eq!(numbers, expected, "attempts are numbered without gap: {task:?}");
    }
    for attempt in truth.attempts.values() {
        assert!(
            attempt.ended && attempt.outcome.is_some(),
            "an attempt has no end: {attempt:?}"
        );
    }

    journal.nothing_ran_beside_its_successor();
    for ran in journal.ran() {
        assert!(
            truth.attempts.contains_key(&ran),
            "{ran:?} ran and was never claimed"
        );
    }
    let done: HashSet<(String, i64)> = journal
        .lines
        .iter()
        .filter(|line| line.word == "END")
        .map(|line| (line.task.clone(), line.attempt))
        .collect();
    // Attempts of workers that tests play over HTTP leave no trace there.
    let ran = journal.ran();
    for (place, attempt) in &truth.attempts {
        if attempt.outcome.as_deref() == Some("succeeded") && ran.contains(place) {
            assert!(
                done.contains(place),
                "{attempt:?} counts as done, and its program was not"
            );
        }
    }

    one_end_each(plant).await;
    sound(plant).await;
    clean_logs(plant);
}

async fn one_end_each(plant: &Plant) {
    let moments: Vec<Moment> = rows(
        plant,
        "SELECT CAST(task_id AS TEXT) AS task_id, event, to_state FROM history ORDER BY id",
    )
    .await;
    let mut ended: HashMap<String, Moment> = HashMap::new();
    for moment in moments {
        let ends = ["succeeded", "failed", "cancelled"].contains(&moment.to_state.as_str());
        match ended.get(&moment.task_id) {
            Some(end) if ends => {
                let kept = moment.event == "late_report" && moment.to_state == end.to_state;
                assert!(kept, "a task ended twice: {end:?}, {moment:?}");
            }
            Some(end) => {
                let again = ["retried", "rerun"].contains(&moment.event.as_str());
                assert!(again, "a task went on after its end: {end:?}, {moment:?}");
                ended.remove(&moment.task_id);
            }
            None if ends => {
                ended.insert(moment.task_id.clone(), moment);
            }
            None => {}
        }
    }
}

/// The database file is whole.
pub async fn sound(plant: &Plant) {
    if plant.database_url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(&plant.database_url)
            .await
            .expect("the file opens");
        let verdict: (String,) = sqlx::query_as("PRAGMA integrity_check")
            .fetch_one(&mut connection)
            .await
            .expect("checked");
        assert_eq!(verdict.0, "ok", "the database is damaged");
        connection.close().await.expect("closed");
    }
}

fn clean_logs(plant: &Plant) {
    let password = url::Url::parse(&plant.database_url)
        .ok()
        .and_then(|url| url.password().map(str::to_owned));
    for (name, log) in plant.logs() {
        for line in log.lines() {
            // An error wakes somebody: what was done to it here, it has to get over by itself.
            let bad = line.contains("panicked at") || line.contains(" ERROR ");
            assert!(!bad, "{name}: {line}");
            for secret in [Some(TOKEN), Some(ADMIN_PASSWORD), password.as_deref()]
                .into_iter()
                .flatten()
            {
                assert!(!line.contains(secret), "{name} shows a secret: {line}");
            }
        }
    }
}
