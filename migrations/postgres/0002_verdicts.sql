-- What the detector follows, by time: lost attempts and late reports are rare, so these stay short.
CREATE INDEX attempts_lost ON attempts (ended_at, task_id) WHERE outcome = 'lost';
CREATE INDEX history_late ON history (at, task_id) WHERE event = 'late_report';
CREATE INDEX tasks_cancelling ON tasks (cancel_requested_at) WHERE state = 'running' AND cancel_requested_at IS NOT NULL;
