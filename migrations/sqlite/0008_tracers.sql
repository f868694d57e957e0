-- Tracers: messages that carry no task and show how far a queue has come.

ALTER TABLE queues ADD COLUMN traced INTEGER NOT NULL DEFAULT 0;
-- Tracers that are out: messages that belong to no task.
ALTER TABLE samples ADD COLUMN tracers INTEGER NOT NULL DEFAULT 0;

CREATE TABLE tracers (
  id              TEXT    NOT NULL PRIMARY KEY,
  queue           TEXT    NOT NULL,
  -- Before it was handed to the broker.
  sent_at         INTEGER NOT NULL,
  confirmed_at    INTEGER,
  delivered_at    INTEGER,
  worker          TEXT,
  -- NULL when the worker could not tell.
  redelivered     INTEGER,
  given_up_at     INTEGER,
  given_up_reason TEXT,
  -- 1 when it is certainly not with the broker.
  gone            INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
-- One at a time.
CREATE UNIQUE INDEX tracers_out ON tracers (queue) WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX tracers_undelivered ON tracers (queue, id) WHERE delivered_at IS NULL AND NOT gone;
CREATE INDEX tracers_by_queue ON tracers (queue, sent_at);
CREATE INDEX tracers_by_age ON tracers (sent_at);
