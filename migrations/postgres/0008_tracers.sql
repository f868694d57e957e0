-- Tracers: messages that carry no task and show how far a queue has come.

ALTER TABLE queues ADD COLUMN traced boolean NOT NULL DEFAULT false;
-- Tracers that are out: messages that belong to no task.
ALTER TABLE samples ADD COLUMN tracers bigint NOT NULL DEFAULT 0;

CREATE TABLE tracers (
  id              uuid        NOT NULL PRIMARY KEY,
  queue           text        NOT NULL,
  -- Before it was handed to the broker.
  sent_at         timestamptz NOT NULL,
  confirmed_at    timestamptz,
  delivered_at    timestamptz,
  worker          text,
  -- NULL when the worker could not tell.
  redelivered     boolean,
  given_up_at     timestamptz,
  given_up_reason text,
  -- True when it is certainly not with the broker.
  gone            boolean     NOT NULL DEFAULT false
);
-- One at a time.
CREATE UNIQUE INDEX tracers_out ON tracers (queue) WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX tracers_undelivered ON tracers (queue, id) WHERE delivered_at IS NULL AND NOT gone;
CREATE INDEX tracers_by_queue ON tracers (queue, sent_at);
CREATE INDEX tracers_by_age ON tracers (sent_at);
