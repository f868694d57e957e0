-- What is done by itself about a queue's findings. Without a row nothing is.
CREATE TABLE queue_policies (
  queue           TEXT    NOT NULL,
  verdict         TEXT    NOT NULL,
  action          TEXT    NOT NULL CHECK (action IN ('show_only', 'when_proven', 'when_likely')),
  per_minute      INTEGER NOT NULL,
  breaker_percent INTEGER NOT NULL,
  breaker_tasks   INTEGER NOT NULL,
  -- Grows with each change that a person makes.
  version         INTEGER NOT NULL,
  -- What was done in the newest minute and hour in which something was.
  minute_at       INTEGER,
  minute_tasks    INTEGER NOT NULL DEFAULT 0,
  hour_at         INTEGER,
  hour_tasks      INTEGER NOT NULL DEFAULT 0,
  acted_at        INTEGER,
  -- Set while the breaker keeps it from going on, and by which numbers.
  tripped_at      INTEGER,
  tripped_would   INTEGER,
  tripped_open    INTEGER,
  PRIMARY KEY (queue, verdict)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_policies_active ON queue_policies (queue, verdict) WHERE action <> 'show_only';
CREATE INDEX queue_policies_tripped ON queue_policies (queue, verdict) WHERE tripped_at IS NOT NULL;
-- What a policy may act on.
CREATE INDEX stalls_open_by_policy ON stalls (queue, verdict, confidence, id) WHERE closed_at IS NULL;
