//! How long a run of the task's kind usually takes, beside how long this one has run, and from when on it is overdue.

use crate::{
    domain::{
        expectation::{Bounds, Usual},
        task::{State, TaskView},
        time::Time,
    },
    store::{Store, StoreError},
    web::layout::Chrome,
};

/// What is told of a running task's kind.
pub(super) struct Told {
    /// What is usual for the kind, or that too few runs tell.
    pub(super) usual: String,
    /// What the run is held against.
    pub(super) limit: String,
}

/// What is told of `view`; `None` when it does not run.
pub(super) async fn tell(store: &Store, c: &Chrome, view: &TaskView) -> Result<Option<Told>, StoreError> {
    let task = &view.task;
    let Some(started_at) = task.started_at.filter(|_| task.state == State::Running) else {
        return Ok(None);
    };
    let bounds = Bounds::DEFAULT;
    let runs = store.runs(&[task.kind.as_str()], c.now).await?.remove(&task.kind);
    let samples = runs.as_ref().map_or(0, |runs| runs.sketch.count());
    let usual = runs.and_then(|runs| runs.usual(c.now, &bounds));
    let told = match &usual {
        Some(usual) => c
            .t("usual-run")
            .a("kind", &task.kind)
            .a("p50", c.l.span(usual.p50_ms))
            .a("p99", c.l.span(usual.p99_ms))
            .a("n", usual.samples)
            .a("run", c.l.span(c.now.ms_since(started_at))),
        None => c
            .t("usual-unknown")
            .a("kind", &task.kind)
            .a("n", samples)
            .a("needed", bounds.samples),
    };
    Ok(Some(Told {
        usual: told.to_string(),
        limit: limit(c, view.timeout_s, usual.as_ref(), started_at),
    }))
}

fn limit(c: &Chrome, timeout_s: Option<i64>, usual: Option<&Usual>, started_at: Time) -> String {
    let told = match (timeout_s, usual) {
        (Some(timeout_s), _) => c
            .t("usual-held-to-timeout")
            .a("limit", c.l.span(timeout_s.saturating_mul(1000))),
        (None, None) => c.t("usual-held-to-nothing"),
        (None, Some(usual)) if usual.watched_at.is_some_and(|at| started_at < at) => {
            c.t("usual-held-to-nothing-yet")
        }
        (None, Some(usual)) => c.t("usual-held-to-kind").a("limit", c.l.span(usual.limit_ms)),
    };
    told.to_string()
}
