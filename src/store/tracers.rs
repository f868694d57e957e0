//! Tracers: which are out, which came out, and how long they took.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Lane, Leadership, Store, StoreError,
    db::{Sql, execute, fetch_all, fetch_optional, fetch_scalar, sql},
    types::{At, Batch, Id},
};
use crate::domain::{
    time::Time,
    tracer::{GivenUp, QueueTracers, Tracer},
};

/// A day: a message that comes back later than that is told to be unknown.
const KEPT: Duration = Duration::from_secs(86_400);
/// There is one that is waited for per queue, and few others.
const UNDELIVERED_MAX: i64 = 10_000;

/// What a worker tells of a tracer that it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracerDelivery {
    pub id: Uuid,
    pub worker: String,
    /// How long the worker has had it.
    pub held: Duration,
    /// Whether it had been handed out before; `None` when the worker can't tell.
    pub redelivered: Option<bool>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Id,
    queue: String,
    sent_at: At,
    confirmed_at: Option<At>,
    delivered_at: Option<At>,
    worker: Option<String>,
    redelivered: Option<bool>,
    given_up: bool,
}

impl From<Row> for Tracer {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.0,
            queue: row.queue,
            sent_at: row.sent_at.0,
            confirmed_at: row.confirmed_at.map(|at| at.0),
            delivered_at: row.delivered_at.map(|at| at.0),
            worker: row.worker,
            redelivered: row.redelivered,
        }
    }
}

/// The columns of `Row`.
macro_rules! tracer_columns {
    () => {
        "t.id, t.queue, t.sent_at, t.confirmed_at, t.delivered_at, t.worker, t.redelivered, t.given_up_at IS NOT NULL AS given_up"
    };
}

const UNDELIVERED: Sql = sql!("SELECT " tracer_columns!() " FROM tracers t
      WHERE t.delivered_at IS NULL AND NOT t.gone ORDER BY t.queue, t.id LIMIT $1");

/// The newest that came out, of each queue.
const PASSED: Sql = sql!("SELECT " tracer_columns!() " FROM " rows(1; queue text) " r
      JOIN tracers t ON t.id = (SELECT p.id FROM tracers p WHERE p.queue = r.queue AND p.delivered_at IS NOT NULL
        AND p.given_up_at IS NULL ORDER BY p.sent_at DESC, p.id DESC LIMIT 1) ORDER BY t.queue");

const SENT: Sql = sql!("SELECT r.queue, (SELECT max(t.sent_at) FROM tracers t WHERE t.queue = r.queue)
      FROM " rows(1; queue text) " r");

/// A queue that is no longer traced, or has one out, gets none.
const SEND: Sql = sql!("INSERT INTO tracers (id, queue, sent_at)
      SELECT r.id, r.queue, $2 FROM " rows(1; id uuid, queue text) " r JOIN queues q ON q.name = r.queue AND q.traced
      WHERE " sqlite("true") pg("true") "
      ON CONFLICT (queue) WHERE delivered_at IS NULL AND given_up_at IS NULL DO NOTHING RETURNING id, queue");

const CONFIRM: Sql = sql!("UPDATE tracers SET confirmed_at = $2 WHERE id = $1");

const GIVE_UP: Sql = sql!(
    "UPDATE tracers SET given_up_at = $2, given_up_reason = $3, gone = $4
      WHERE id = $1 AND delivered_at IS NULL AND given_up_at IS NULL"
);

/// The first word counts: what comes again was handed out again.
const NOTE: Sql = sql!(
    "UPDATE tracers SET delivered_at = $2, worker = $3, redelivered = $4 WHERE id = $1 AND delivered_at IS NULL RETURNING queue"
);

const KNOWN: Sql = sql!("SELECT count(*) FROM tracers WHERE id = $1");

const OVERTAKEN: Sql = sql!("SELECT count(*) FROM (SELECT 1 FROM tasks t" sqlite(" INDEXED BY tasks_running") "
        WHERE t.state = 'running' AND t.queue = $1 AND t.published_at > $2 LIMIT 1) o");

const PRIORITIES: Sql = sql!("SELECT count(*) FROM (SELECT 1 FROM tasks q" sqlite(" INDEXED BY tasks_queued") "
        WHERE q.state = 'queued' AND q.queue = $1 AND q.priority <> 0
      UNION ALL SELECT 1 FROM tasks r" sqlite(" INDEXED BY tasks_running") "
        WHERE r.state = 'running' AND r.queue = $1 AND r.priority <> 0 LIMIT 1) p");

const FORGET: Sql = sql!(
    "DELETE FROM tracers WHERE id IN (SELECT id FROM tracers
        WHERE sent_at < $1 AND (delivered_at IS NOT NULL OR given_up_at IS NOT NULL) ORDER BY sent_at, id LIMIT $2)"
);

impl Store {
    /// What is known of the tracers of every queue that has some out, and of `traced`, whether they have or not.
    pub async fn queue_tracers(&self, traced: &[&str]) -> Result<HashMap<String, QueueTracers>, StoreError> {
        let mut conn = self.read().await?;
        let mut known: HashMap<String, QueueTracers> = HashMap::new();
        for row in fetch_all!(&mut conn, Row, UNDELIVERED, UNDELIVERED_MAX)? {
            let tracers = known.entry(row.queue.clone()).or_default();
            tracers.at_most += 1;
            if !row.given_up {
                tracers.out = Some(row.into());
            }
        }
        if traced.is_empty() {
            return Ok(known);
        }
        for row in fetch_all!(&mut conn, Row, PASSED, names(traced))? {
            let tracers = known.entry(row.queue.clone()).or_default();
            tracers.passed = Some(row.into());
        }
        for (queue, sent_at) in fetch_all!(&mut conn, (String, Option<At>), SENT, names(traced))? {
            known.entry(queue).or_default().sent_at = sent_at.map(|at| at.0);
        }
        Ok(known)
    }

    /// The newest tracer of each of these queues that was delivered; queues without one are left out.
    pub async fn passed_tracers(&self, queues: &[&str]) -> Result<Vec<Tracer>, StoreError> {
        let mut conn = self.read().await?;
        let rows = fetch_all!(&mut conn, Row, PASSED, names(queues))?;
        Ok(rows.into_iter().map(Tracer::from).collect())
    }

    /// Gives up on some tracers and writes new ones, each with its id, in one transaction; the new ones that may be sent
    /// now. `None` when the leadership was lost: then nothing was written.
    pub async fn write_tracers(
        &self,
        leadership: &Leadership,
        given_up: &[(Uuid, GivenUp)],
        new: &[(Uuid, String)],
    ) -> Result<Option<Vec<(Uuid, String)>>, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        if !self.hold(&mut tx, leadership).await? {
            return Ok(None);
        }
        let now = self.now_in(&mut tx).await?;
        for (id, why) in given_up {
            execute!(&mut tx, GIVE_UP, Id(*id), At(now), why.as_str(), why.is_gone())?;
        }
        let mut sent = Vec::new();
        if !new.is_empty() {
            let rows: Vec<Value> = new
                .iter()
                .map(|(id, queue)| json!({ "id": id, "queue": queue }))
                .collect();
            let rows = fetch_all!(&mut tx, (Id, String), SEND, Batch::of(&rows), At(now))?;
            sent.extend(rows.into_iter().map(|(id, queue)| (id.0, queue)));
        }
        tx.commit().await?;
        Ok(Some(sent))
    }

    /// Notes what the broker said about a tracer: confirmed, or why it is not waited for.
    pub async fn settle_tracer(&self, id: Uuid, outcome: Result<(), GivenUp>) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let now = At(self.now_in(&mut tx).await?);
        match outcome {
            Ok(()) => execute!(&mut tx, CONFIRM, Id(id), now)?,
            Err(why) => execute!(&mut tx, GIVE_UP, Id(id), now, why.as_str(), why.is_gone())?,
        };
        tx.commit().await
    }

    /// Notes that a worker got a tracer; the queue it was on. `None` when there is no such tracer, or its delivery was
    /// noted before: `is_tracer` tells which.
    pub async fn note_tracer(&self, delivery: &TracerDelivery) -> Result<Option<String>, StoreError> {
        let mut tx = self.begin(Lane::Reserved).await?;
        let delivered_at = At(self.now_in(&mut tx).await? - delivery.held);
        let (id, worker) = (Id(delivery.id), delivery.worker.as_str());
        let queue = fetch_optional!(
            &mut tx,
            (String,),
            NOTE,
            id,
            delivered_at,
            worker,
            delivery.redelivered
        )?;
        tx.commit().await?;
        Ok(queue.map(|(queue,)| queue))
    }

    /// Whether this is the id of a tracer, of the last day or still out.
    pub async fn is_tracer(&self, id: Uuid) -> Result<bool, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_scalar!(&mut conn, i64, KNOWN, Id(id))? > 0)
    }

    /// Whether a task of the queue runs whose message was confirmed after `from`.
    pub async fn runs_confirmed_after(&self, queue: &str, from: Time) -> Result<bool, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_scalar!(&mut conn, i64, OVERTAKEN, queue, At(from))? > 0)
    }

    /// Whether an open task of the queue has another priority than 0.
    pub async fn has_priorities(&self, queue: &str) -> Result<bool, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_scalar!(&mut conn, i64, PRIORITIES, queue)? > 0)
    }

    /// Forgets up to `limit` tracers that were sent more than a day ago and are not waited for; how many.
    pub async fn forget_tracers(&self, now: Time, limit: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        let gone = execute!(&mut tx, FORGET, At(now - KEPT), limit)?;
        tx.commit().await?;
        Ok(gone)
    }
}

fn names(queues: &[&str]) -> Batch {
    let rows: Vec<Value> = queues.iter().map(|queue| json!({ "queue": queue })).collect();
    Batch::of(&rows)
}
