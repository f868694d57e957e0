-- What is done by itself about a queue's findings. Without a row nothing is.
CREATE TABLE queue_policies (
  queue           text        NOT NULL,
  verdict         text        NOT NULL,
  action          text        NOT NULL CHECK (action IN ('show_only', 'when_proven', 'when_likely')),
  per_minute      bigint      NOT NULL,
  breaker_percent bigint      NOT NULL,
  breaker_tasks   bigint      NOT NULL,
  -- Grows with each change that a person makes.
  version         bigint      NOT NULL,
  -- What was done in the newest minute and hour in which something was.
  minute_at       timestamptz,
  minute_tasks    bigint      NOT NULL DEFAULT 0,
  hour_at         timestamptz,
  hour_tasks      bigint      NOT NULL DEFAULT 0,
  acted_at        timestamptz,
  -- Set while the breaker keeps it from going on, and by which numbers.
  tripped_at      timestamptz,
  tripped_would   bigint,
  tripped_open    bigint,
  PRIMARY KEY (queue, verdict)
);
CREATE INDEX queue_policies_active ON queue_policies (queue, verdict) WHERE action <> 'show_only';
CREATE INDEX queue_policies_tripped ON queue_policies (queue, verdict) WHERE tripped_at IS NOT NULL;
-- What a policy may act on.
CREATE INDEX stalls_open_by_policy ON stalls (queue, verdict, confidence, id) WHERE closed_at IS NULL;
