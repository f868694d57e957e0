//! Whether the message of a running task whose lease is over must be put out again, or lies where it was put.

use uuid::Uuid;

use super::time::Time;

/// A running task whose lease is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub task_id: Uuid,
    pub queue: String,
    pub lease_expires_at: Time,
    pub cancelled: bool,
    /// When a copy of its message was last put out, for this attempt or an earlier one of the same dispatch.
    pub resent_at: Option<Time>,
    /// When the broker last confirmed a message of this dispatch.
    pub published_at: Option<Time>,
}

/// A queue in which messages waited from `since` to `until` while nobody consumed, fetched or emptied it, as every
/// reading said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untouched {
    pub since: Time,
    /// When the newest reading began.
    pub until: Time,
}

/// Whether the copy that was put out since the lease's end must still lie in its queue: it was put out and confirmed
/// within the time for which the queue is known to be untouched. Then a further one would help nobody, and hide losses.
///
/// docs/decisions/0007 says why no task is stuck by it.
pub fn still_lies(orphan: &Orphan, queue: &Untouched) -> bool {
    let (Some(resent_at), Some(published_at)) = (orphan.resent_at, orphan.published_at) else {
        return false;
    };
    !orphan.cancelled
        && resent_at >= orphan.lease_expires_at
        && published_at >= resent_at
        && queue.since <= resent_at
        && published_at <= queue.until
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_ms(1_767_225_600_000 + seconds * 1_000)
    }

    /// Its lease ended at 0, its copy went out at 3 and was confirmed at 4.
    fn orphan() -> Orphan {
        Orphan {
            task_id: Uuid::nil(),
            queue: "q".into(),
            lease_expires_at: at(0),
            cancelled: false,
            resent_at: Some(at(3)),
            published_at: Some(at(4)),
        }
    }

    const fn untouched(since: Time, until: Time) -> Untouched {
        Untouched { since, until }
    }

    #[test]
    fn a_copy_lies_where_it_was_put_while_nobody_could_take_it() {
        let lies = |since, until| still_lies(&orphan(), &untouched(at(since), at(until)));
        assert!(lies(3, 4), "to the millisecond");
        assert!(lies(-60, 3600), "for as long as it goes on");
        assert!(!lies(4, 60), "somebody was there when it was put out");
        assert!(!lies(-60, 3), "the reading is older than its confirm");
    }

    #[test]
    fn only_a_confirmed_copy_of_this_lease_counts() {
        type Change = fn(&mut Orphan);
        let changes: [(&str, Change); 5] = [
            ("none was put out", |orphan| orphan.resent_at = None),
            ("it is not confirmed", |orphan| orphan.published_at = None),
            ("the confirm is an older one", |orphan| {
                orphan.published_at = Some(at(2))
            }),
            ("the copy was for an earlier attempt", |orphan| {
                orphan.lease_expires_at = at(4)
            }),
            ("it is to be ended, not run", |orphan| orphan.cancelled = true),
        ];
        for (why, change) in changes {
            let mut orphan = orphan();
            change(&mut orphan);
            assert!(!still_lies(&orphan, &untouched(at(-60), at(60))), "{why}");
        }
    }
}
