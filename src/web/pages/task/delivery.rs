//! Until when the broker lets a running attempt hold its delivery, and how often its message may come.

use crate::{
    domain::{
        delivery::{Budget, Deadline, Delivery},
        task::Task,
        time::Time,
    },
    store::{Store, StoreError},
    web::layout::Chrome,
};

/// What is told of the delivery.
pub(super) struct Told {
    pub(super) deadline: String,
    /// When the broker takes it back.
    pub(super) at: Option<Time>,
    pub(super) budget: String,
    /// When the queue's settings were read.
    pub(super) read_at: Option<Time>,
}

/// What is told of the delivery that `task` holds; `None` when it does not run.
pub(super) async fn tell(store: &Store, c: &Chrome, task: &Task) -> Result<Option<Told>, StoreError> {
    let Some(held) = store.held(task).await? else {
        return Ok(None);
    };
    let described = store.broker_queue(&task.queue).await?;
    let (read_at, queue) = described.unzip();
    let delivery = Delivery::of(held, queue.as_ref());
    let version = queue.and_then(|queue| queue.version).unwrap_or_default();
    let (deadline, at) = match delivery.deadline {
        Deadline::NotHeld => (c.t("delivery-not-held"), None),
        Deadline::Never => (c.t("delivery-never-taken"), None),
        Deadline::At { deadline, timeout_ms } => {
            let told = if c.now < deadline {
                let left = c.l.span(deadline.ms_since(c.now));
                c.t("delivery-held-for").a("left", left)
            } else {
                c.t("delivery-held-too-long")
            };
            (told.a("timeout", c.l.span(timeout_ms)), Some(deadline))
        }
        Deadline::Unknown(why) => (c.of("delivery-deadline", why).a("version", version), None),
    };
    let budget = match delivery.budget {
        Budget::NotHeld => String::new(),
        Budget::Unlimited => c.t("delivery-unlimited").to_string(),
        Budget::Limited { at_least, most } => {
            let told = c.t("delivery-limited").a("n", at_least).a("most", most);
            told.to_string()
        }
        Budget::Unknown(why) => c.of("delivery-budget", why).to_string(),
    };
    Ok(Some(Told {
        deadline: deadline.to_string(),
        at,
        budget,
        read_at,
    }))
}
