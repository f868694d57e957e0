//! Lists of tasks: filtered, newest first, in keyset pages.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::rows::{HeadRow, ViewRow, head_columns, view_columns};
use crate::{
    domain::{
        task::{State, TaskHead, TaskView},
        time::Time,
    },
    store::{
        Store, StoreError,
        db::Engine,
        types::{At, Id},
    },
};

/// What a list is narrowed to. Everything given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskFilter {
    /// Any of these; empty for all.
    pub states: Vec<State>,
    pub kind: Option<String>,
    pub queue: Option<String>,
    pub owner: Option<String>,
    /// Tasks with an open stall of this verdict.
    pub verdict: Option<String>,
    /// An id or its start; the start of a title; a whole kind, queue or owner.
    pub q: Option<String>,
    pub created_after: Option<Time>,
    pub created_before: Option<Time>,
    /// `payload.<path>` must read as this text; path segments are letters, digits, `_` and `-`.
    pub payload: Vec<(Vec<String>, String)>,
}

/// One page and the place after it.
#[derive(Clone, Debug)]
pub struct TaskPage<T = TaskView> {
    pub items: Vec<T>,
    /// Pass it as `before` for the next page; `None` at the end.
    pub next: Option<Uuid>,
}

/// How many matches of one kind a search looks at: keeps it flat however many tasks there are.
const SEARCH_CAP: i64 = 10_000;

/// An id carries the time of its making, from the maker's clock: a bound on ids leaves this much for clocks that differ.
const CLOCK_SLACK_MS: i64 = 3_600_000;

enum Bind {
    Text(String),
    Id(Uuid),
    Time(Time),
    Number(i64),
}

/// A statement in the making: our own words, and binds in their order.
struct Statement {
    text: String,
    binds: Vec<Bind>,
    postgres: bool,
}

impl Statement {
    fn bind(&mut self, bind: Bind) -> String {
        self.binds.push(bind);
        format!("${}", self.binds.len())
    }

    fn and(&mut self, condition: &str) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
    }

    fn equals(&mut self, column: &str, value: &Option<String>) {
        if let Some(value) = value {
            let place = self.bind(Bind::Text(value.clone()));
            self.and(&format!("{column} = {place}"));
        }
    }

    fn states(&mut self, states: &[State]) {
        if !states.is_empty() {
            let places: Vec<String> = states
                .iter()
                .map(|state| self.bind(Bind::Text(state.as_str().to_owned())))
                .collect();
            self.and(&format!("state IN ({})", places.join(", ")));
        }
    }

    fn created(&mut self, after: Option<Time>, before: Option<Time>) {
        if let Some(after) = after {
            let place = self.bind(Bind::Time(after));
            let bound = self.bind(Bind::Id(first_id_at(after.ms() - CLOCK_SLACK_MS)));
            self.and(&format!("created_at >= {place} AND id >= {bound}"));
        }
        if let Some(before) = before {
            let place = self.bind(Bind::Time(before));
            let bound = self.bind(Bind::Id(first_id_at(before.ms() + CLOCK_SLACK_MS)));
            self.and(&format!("created_at < {place} AND id < {bound}"));
        }
    }

    fn payload(&mut self, path: &[String], value: &str) {
        let condition = if self.postgres {
            let path = self.bind(Bind::Text(format!("{{{}}}", path.join(","))));
            let value = self.bind(Bind::Text(value.to_owned()));
            format!("payload #>> ({path}::text[]) = {value}")
        } else {
            let quoted: Vec<String> = path.iter().map(|segment| format!("\"{segment}\"")).collect();
            let path = self.bind(Bind::Text(format!("$.{}", quoted.join("."))));
            let value = self.bind(Bind::Text(value.to_owned()));
            format!(
                "CASE json_type(payload, {path}) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' \
                 ELSE CAST(payload ->> {path} AS TEXT) END = {value}"
            )
        };
        self.and(&condition);
    }

    /// Every way a search text can match, each through its own index and bounded.
    fn search(&mut self, q: &str, before: Option<Uuid>) {
        let older = before
            .map(|id| format!(" AND id < {}", self.bind(Bind::Id(id))))
            .unwrap_or_default();
        let cap = self.bind(Bind::Number(SEARCH_CAP));
        let mut ways = Vec::new();
        if let Some((first, last)) = id_range(q) {
            let (first, last) = (self.bind(Bind::Id(first)), self.bind(Bind::Id(last)));
            ways.push(format!("SELECT id FROM tasks WHERE id >= {first} AND id <= {last}{older} ORDER BY id DESC LIMIT {cap}"));
        }
        let start = q.to_lowercase();
        let end = self.bind(Bind::Text(format!("{start}\u{10FFFF}")));
        let start = self.bind(Bind::Text(start));
        let (at_least, less) = if self.postgres {
            ("~>=~", "~<~")
        } else {
            (">=", "<")
        };
        ways.push(format!(
            "SELECT id FROM tasks WHERE title IS NOT NULL AND lower(title) {at_least} {start} AND lower(title) {less} {end}{older} LIMIT {cap}"
        ));
        let whole = self.bind(Bind::Text(q.to_owned()));
        for column in ["kind", "queue", "owner"] {
            ways.push(format!(
                "SELECT id FROM tasks WHERE {column} = {whole}{older} ORDER BY id DESC LIMIT {cap}"
            ));
        }
        let ways: Vec<String> = ways
            .iter()
            .map(|way| format!("SELECT id FROM ({way}) way"))
            .collect();
        self.and(&format!("id IN ({})", ways.join(" UNION ")));
    }
}

impl Statement {
    /// One task more than `limit`, so that the reader knows whether there is a next page.
    fn list(columns: &str, filter: &TaskFilter, before: Option<Uuid>, limit: usize, postgres: bool) -> Self {
        let all = if postgres { "true" } else { "1" };
        let mut statement = Self {
            text: format!("SELECT {columns} FROM tasks WHERE {all}"),
            binds: Vec::new(),
            postgres,
        };
        statement.states(&filter.states);
        statement.equals("kind", &filter.kind);
        statement.equals("queue", &filter.queue);
        statement.equals("owner", &filter.owner);
        statement.created(filter.created_after, filter.created_before);
        if let Some(verdict) = &filter.verdict {
            let place = statement.bind(Bind::Text(verdict.clone()));
            statement.and(&format!(
                "id IN (SELECT task_id FROM stalls WHERE closed_at IS NULL AND verdict = {place})"
            ));
        }
        for (path, value) in &filter.payload {
            statement.payload(path, value);
        }
        if let Some(q) = &filter.q {
            statement.search(q, before);
        }
        if let Some(before) = before {
            let place = statement.bind(Bind::Id(before));
            statement.and(&format!("id < {place}"));
        }
        let place = statement.bind(Bind::Number(
            i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
        ));
        statement
            .text
            .push_str(&format!(" ORDER BY id DESC LIMIT {place}"));
        statement
    }
}

impl<T> TaskPage<T> {
    /// `items` are up to one more than `limit`.
    fn of(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> Uuid) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(id);
        Self { items, next }
    }
}

/// Every row of `$statement` as `$row`. The text is made of this file's own words; everything from outside is a bind.
macro_rules! fetch_rows {
    ($store:expr, $row:ty, $statement:expr) => {{
        let Statement { text, binds, .. } = $statement;
        macro_rules! fetch {
            ($conn:expr) => {{
                let mut query = sqlx::query_as::<_, $row>(AssertSqlSafe(text));
                for bind in binds {
                    query = match bind {
                        Bind::Text(text) => query.bind(text),
                        Bind::Id(id) => query.bind(Id(id)),
                        Bind::Time(time) => query.bind(At(time)),
                        Bind::Number(number) => query.bind(number),
                    };
                }
                query.fetch_all(&mut **$conn).await
            }};
        }
        match &mut $store.read().await? {
            Engine::Sqlite(conn) => fetch!(conn)?,
            Engine::Postgres(conn) => fetch!(conn)?,
        }
    }};
}

impl Store {
    /// Up to `limit` tasks that `filter` lets through, newest first, older than the id `before`.
    ///
    /// A search (`q`) looks at the first 10,000 matches of each kind. Costs the same however many tasks have finished,
    /// but for payload filters, which read the tasks that the other filters leave.
    pub async fn list_tasks(
        &self,
        filter: &TaskFilter,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<TaskPage, StoreError> {
        let statement = Statement::list(view_columns!(), filter, before, limit, self.is_postgres());
        let rows = fetch_rows!(self, ViewRow, statement);
        let items = rows.into_iter().map(TaskView::from).collect();
        Ok(TaskPage::of(items, limit, |view: &TaskView| view.task.id))
    }

    /// The same without payloads and results: however large they are, they are not read.
    pub async fn list_heads(
        &self,
        filter: &TaskFilter,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<TaskPage<TaskHead>, StoreError> {
        let statement = Statement::list(head_columns!(), filter, before, limit, self.is_postgres());
        let rows = fetch_rows!(self, HeadRow, statement);
        let items = rows.into_iter().map(TaskHead::from).collect();
        Ok(TaskPage::of(items, limit, |head: &TaskHead| head.task.id))
    }

    fn is_postgres(&self) -> bool {
        self.engine() == "postgresql"
    }
}

/// The smallest UUIDv7 that could have been made at `ms`.
fn first_id_at(ms: i64) -> Uuid {
    let ms = u128::try_from(ms.clamp(0, (1 << 48) - 1)).unwrap_or(0);
    Uuid::from_u128(ms << 80)
}

/// The ids that begin with `text`, when it can be the start of one (at least four hexadecimal digits).
fn id_range(text: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = text.chars().filter(|char| *char != '-').collect();
    if !(4..=32).contains(&digits.len()) || !digits.chars().all(|char| char.is_ascii_hexdigit()) {
        return None;
    }
    let first = u128::from_str_radix(&format!("{digits:0<32}"), 16).ok()?;
    let last = u128::from_str_radix(&format!("{digits:f<32}"), 16).ok()?;
    Some((Uuid::from_u128(first), Uuid::from_u128(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_an_id_is_a_range_of_ids() {
        let (first, last) = id_range("0198-a").expect("a start");
        assert_eq!(first.to_string(), "0198a000-0000-0000-0000-000000000000");
        assert_eq!(last.to_string(), "0198afff-ffff-ffff-ffff-ffffffffffff");
        assert_eq!(id_range("018"), None);
        assert_eq!(id_range("report"), None);
    }
}
