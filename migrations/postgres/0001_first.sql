-- Times are timestamptz, ids are uuid, documents are jsonb, every integer is a bigint.
-- The same tables, in SQLite's types, are in migrations/sqlite/0001_first.sql.

-- Milliseconds since 1970 to an instant: batches travel as JSON rows.
CREATE FUNCTION ts(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  AS $$ SELECT to_timestamp(ms / 1000.0) $$;

CREATE TABLE meta (
  key                     TEXT        NOT NULL PRIMARY KEY,
  value                   TEXT        NOT NULL
);

-- The queues that carry tasks.
CREATE TABLE queues (
  name                    TEXT        NOT NULL PRIMARY KEY,
  queue_type              TEXT        NOT NULL,
  backlog_target_s        BIGINT      NOT NULL DEFAULT 900,
  created_at              TIMESTAMPTZ NOT NULL
);

CREATE TABLE tasks (
  id                      UUID        NOT NULL PRIMARY KEY,
  kind                    TEXT        NOT NULL,
  queue                   TEXT        NOT NULL,
  state                   TEXT        NOT NULL CHECK (state IN ('new', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
  title                   TEXT,
  owner                   TEXT,
  priority                BIGINT      NOT NULL,
  payload                 JSONB       NOT NULL,
  timeout_s               BIGINT,
  max_attempts            BIGINT      NOT NULL,
  -- Bumped by every change; the compare of every compare-and-set.
  version                 BIGINT      NOT NULL DEFAULT 0,
  dispatch                BIGINT      NOT NULL,
  attempt                 BIGINT      NOT NULL,
  -- Counted attempts since the last grant of max_attempts, the running one included.
  tries                   BIGINT      NOT NULL,
  worker                  TEXT,
  claim_id                TEXT,
  -- true when the message of this dispatch was acknowledged although its attempt still runs.
  message_gone            BOOLEAN     NOT NULL DEFAULT false,
  progress                DOUBLE PRECISION,
  progress_message        TEXT,
  result                  JSONB,
  error                   TEXT,
  created_by              TEXT        NOT NULL,
  created_at              TIMESTAMPTZ NOT NULL,
  updated_at              TIMESTAMPTZ NOT NULL,
  available_at            TIMESTAMPTZ NOT NULL,
  published_at            TIMESTAMPTZ,
  started_at              TIMESTAMPTZ,
  beat_at                 TIMESTAMPTZ,
  lease_expires_at        TIMESTAMPTZ,
  resent_at               TIMESTAMPTZ,
  cancel_requested_at     TIMESTAMPTZ,
  finished_at             TIMESTAMPTZ
);

-- Finished tasks are in none of the indexes that the detector, the recovery and the ledger read.
CREATE INDEX tasks_queued   ON tasks (queue, published_at)      WHERE state = 'queued';
CREATE INDEX tasks_running  ON tasks (queue, lease_expires_at)  WHERE state = 'running';
CREATE INDEX tasks_leases   ON tasks (lease_expires_at)         WHERE state = 'running';
CREATE INDEX tasks_timeouts ON tasks (started_at)               WHERE state = 'running' AND timeout_s IS NOT NULL;
-- Lists: newest first, by keyset.
CREATE INDEX tasks_by_state ON tasks (state, id);
CREATE INDEX tasks_by_kind  ON tasks (kind, id);
CREATE INDEX tasks_by_queue ON tasks (queue, id);
CREATE INDEX tasks_by_owner ON tasks (owner, id)                WHERE owner IS NOT NULL;
CREATE INDEX tasks_by_title ON tasks (lower(title) text_pattern_ops) WHERE title IS NOT NULL;
CREATE INDEX tasks_finished ON tasks (finished_at)              WHERE finished_at IS NOT NULL;

-- attempts, history and outbox name their task without a foreign key: their rows are only written by the
-- transaction that holds the task's row, and retention deletes them with it.
CREATE TABLE attempts (
  task_id                 UUID        NOT NULL,
  number                  BIGINT      NOT NULL,
  worker                  TEXT        NOT NULL,
  claim_id                TEXT        NOT NULL,
  dispatch                BIGINT      NOT NULL,
  started_at              TIMESTAMPTZ NOT NULL,
  ended_at                TIMESTAMPTZ,
  -- NULL while it runs.
  outcome                 TEXT        CHECK (outcome IN ('succeeded', 'failed', 'lost', 'released', 'superseded', 'cancelled')),
  error                   TEXT,
  log                     TEXT,
  -- What a closed attempt still reported; never applied by itself.
  late                    JSONB,
  PRIMARY KEY (task_id, number)
);

CREATE TABLE history (
  id                      BIGINT      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task_id                 UUID        NOT NULL,
  at                      TIMESTAMPTZ NOT NULL,
  event                   TEXT        NOT NULL,
  from_state              TEXT,
  to_state                TEXT        NOT NULL,
  dispatch                BIGINT      NOT NULL,
  attempt                 BIGINT      NOT NULL,
  actor                   TEXT        NOT NULL,
  detail                  JSONB       NOT NULL DEFAULT '{}'
);
CREATE INDEX history_by_task ON history (task_id, id);

-- Publish intents, written with the state change they belong to and deleted by the broker's confirm.
CREATE TABLE outbox (
  id                      BIGINT      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task_id                 UUID        NOT NULL,
  dispatch                BIGINT      NOT NULL,
  queue                   TEXT        NOT NULL,
  kind                    TEXT        NOT NULL,
  priority                BIGINT      NOT NULL,
  traceparent             TEXT,
  created_at              TIMESTAMPTZ NOT NULL,
  due_at                  TIMESTAMPTZ NOT NULL,
  -- When a relay may take the row: due, backed off, or the end of another relay's lease.
  next_try_at             TIMESTAMPTZ NOT NULL,
  tries                   BIGINT      NOT NULL DEFAULT 0,
  cause                   TEXT,
  detail                  TEXT,
  failed_at               TIMESTAMPTZ,
  UNIQUE (task_id, dispatch)
);
CREATE INDEX outbox_due ON outbox (next_try_at, id);
CREATE INDEX outbox_by_due ON outbox (due_at);

CREATE TABLE idempotency_keys (
  principal               TEXT        NOT NULL,
  key                     TEXT        NOT NULL,
  body_hash               TEXT        NOT NULL,
  task_ids                JSONB       NOT NULL,
  created_at              TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Kept counters: one row per queue, minute and writing process, so that writers never wait for one another.
CREATE TABLE throughput (
  queue                   TEXT        NOT NULL,
  minute_at               TIMESTAMPTZ NOT NULL,
  source                  TEXT        NOT NULL,
  created                 BIGINT      NOT NULL DEFAULT 0,
  claimed                 BIGINT      NOT NULL DEFAULT 0,
  succeeded               BIGINT      NOT NULL DEFAULT 0,
  failed                  BIGINT      NOT NULL DEFAULT 0,
  cancelled               BIGINT      NOT NULL DEFAULT 0,
  lost                    BIGINT      NOT NULL DEFAULT 0,
  PRIMARY KEY (queue, minute_at, source)
);
CREATE INDEX throughput_by_age ON throughput (minute_at);

-- One reading of a queue's ledger. A number that the broker did not give is NULL, never 0.
CREATE TABLE samples (
  queue                   TEXT        NOT NULL,
  at                      TIMESTAMPTZ NOT NULL,
  queued                  BIGINT      NOT NULL,
  running                 BIGINT      NOT NULL,
  messages_ready          BIGINT,
  messages_unacknowledged BIGINT,
  consumers               BIGINT,
  balance                 BIGINT,
  health                  TEXT        NOT NULL,
  -- Where each of the broker's numbers was read, and how late it could be.
  detail                  JSONB       NOT NULL DEFAULT '{}',
  -- The first sample of a minute is kept longer than the others, the first of ten minutes longest.
  kept_for                TEXT        NOT NULL CHECK (kept_for IN ('hour', 'day', 'week')),
  PRIMARY KEY (queue, at)
);
CREATE INDEX samples_by_age ON samples (kept_for, at);
CREATE INDEX samples_by_time ON samples (at);

-- Consumer tags that the broker listed: whether a worker ever consumed under its own name.
CREATE TABLE consumer_tags (
  tag                     TEXT        NOT NULL PRIMARY KEY,
  queue                   TEXT        NOT NULL,
  first_seen_at           TIMESTAMPTZ NOT NULL,
  seen_at                 TIMESTAMPTZ NOT NULL
);
CREATE INDEX consumer_tags_by_age ON consumer_tags (seen_at);

CREATE TABLE incidents (
  id                      UUID        NOT NULL PRIMARY KEY,
  verdict                 TEXT        NOT NULL,
  scope                   TEXT        NOT NULL CHECK (scope IN ('queue', 'worker', 'broker')),
  name                    TEXT        NOT NULL,
  confidence              TEXT        NOT NULL CHECK (confidence IN ('proven', 'likely')),
  -- How many tasks it touches.
  tasks                   BIGINT      NOT NULL DEFAULT 0,
  since                   TIMESTAMPTZ NOT NULL,
  -- When the rules last found it so.
  seen_at                 TIMESTAMPTZ NOT NULL,
  evidence                JSONB       NOT NULL,
  closed_at               TIMESTAMPTZ,
  closed_reason           TEXT
);
CREATE UNIQUE INDEX incidents_open ON incidents (verdict, scope, name) WHERE closed_at IS NULL;
CREATE INDEX incidents_closed ON incidents (closed_at, id) WHERE closed_at IS NOT NULL;

CREATE TABLE stalls (
  id                      UUID        NOT NULL PRIMARY KEY,
  task_id                 UUID        NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  queue                   TEXT        NOT NULL,
  -- What was judged: a later dispatch or attempt is another story.
  dispatch                BIGINT      NOT NULL,
  attempt                 BIGINT      NOT NULL,
  verdict                 TEXT        NOT NULL,
  confidence              TEXT        NOT NULL CHECK (confidence IN ('proven', 'likely')),
  since                   TIMESTAMPTZ NOT NULL,
  seen_at                 TIMESTAMPTZ NOT NULL,
  evidence                JSONB       NOT NULL,
  incident_id             UUID,
  closed_at               TIMESTAMPTZ,
  closed_reason           TEXT
);
CREATE UNIQUE INDEX stalls_open ON stalls (task_id, verdict) WHERE closed_at IS NULL;
CREATE INDEX stalls_open_by_id ON stalls (id) WHERE closed_at IS NULL;
CREATE INDEX stalls_open_by_verdict ON stalls (verdict, id) WHERE closed_at IS NULL;
CREATE INDEX stalls_open_by_incident ON stalls (incident_id, id) WHERE closed_at IS NULL;
CREATE INDEX stalls_open_by_queue ON stalls (queue, id) WHERE closed_at IS NULL;
CREATE INDEX stalls_closed_by_incident ON stalls (incident_id, closed_reason) WHERE closed_at IS NOT NULL;
CREATE INDEX stalls_by_task ON stalls (task_id, id);
CREATE INDEX stalls_closed ON stalls (closed_at, id) WHERE closed_at IS NOT NULL;

-- Elections: who may act alone, until when; every new holder raises the term.
CREATE TABLE leaders (
  name                    TEXT        NOT NULL PRIMARY KEY,
  holder                  TEXT        NOT NULL,
  term                    BIGINT      NOT NULL,
  expires_at              TIMESTAMPTZ NOT NULL
);

CREATE TABLE users (
  id                      UUID        NOT NULL PRIMARY KEY,
  email                   TEXT        NOT NULL UNIQUE,
  password_hash           TEXT        NOT NULL,
  role                    TEXT        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  lang                    TEXT,
  disabled_at             TIMESTAMPTZ,
  created_at              TIMESTAMPTZ NOT NULL,
  updated_at              TIMESTAMPTZ NOT NULL,
  last_login_at           TIMESTAMPTZ
);

CREATE TABLE sessions (
  token_hash              TEXT        NOT NULL PRIMARY KEY,
  user_id                 UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at              TIMESTAMPTZ NOT NULL,
  seen_at                 TIMESTAMPTZ NOT NULL,
  expires_at              TIMESTAMPTZ NOT NULL,
  address                 TEXT        NOT NULL,
  user_agent              TEXT        NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_age ON sessions (expires_at);

CREATE TABLE tokens (
  id                      UUID        NOT NULL PRIMARY KEY,
  name                    TEXT        NOT NULL,
  token_hash              TEXT        NOT NULL UNIQUE,
  scopes                  TEXT        NOT NULL,
  created_by              TEXT        NOT NULL,
  created_at              TIMESTAMPTZ NOT NULL,
  last_used_at            TIMESTAMPTZ,
  expires_at              TIMESTAMPTZ,
  revoked_at              TIMESTAMPTZ
);

-- Append-only: who did what, why, and what it changed; in the transaction of the change itself.
CREATE TABLE audit (
  id                      BIGINT      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at                      TIMESTAMPTZ NOT NULL,
  actor                   TEXT        NOT NULL,
  action                  TEXT        NOT NULL,
  target                  TEXT        NOT NULL,
  target_id               TEXT        NOT NULL,
  outcome                 TEXT        NOT NULL CHECK (outcome IN ('done', 'refused')),
  reason                  TEXT,
  before                  JSONB,
  after                   JSONB,
  request_id              TEXT,
  address                 TEXT
);
-- Read by kind of thing, by thing, by who did it, by what was done, and by request; each newest first.
CREATE INDEX audit_by_kind ON audit (target, id);
CREATE INDEX audit_by_target ON audit (target_id, id);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_action ON audit (action, id);
CREATE INDEX audit_by_request ON audit (request_id, id) WHERE request_id IS NOT NULL;
CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();

CREATE TABLE tickets (
  id                      UUID        NOT NULL PRIMARY KEY,
  ref                     TEXT        NOT NULL UNIQUE,
  key_hash                TEXT        NOT NULL UNIQUE,
  subject                 TEXT        NOT NULL,
  email                   TEXT,
  task_id                 UUID,
  status                  TEXT        NOT NULL CHECK (status IN ('new', 'open', 'waiting', 'resolved', 'closed')),
  assignee                TEXT,
  context                 JSONB       NOT NULL DEFAULT '{}',
  lang                    TEXT,
  created_at              TIMESTAMPTZ NOT NULL,
  updated_at              TIMESTAMPTZ NOT NULL,
  closed_at               TIMESTAMPTZ
);
CREATE INDEX tickets_by_status ON tickets (status, id);
CREATE INDEX tickets_by_task ON tickets (task_id, id) WHERE task_id IS NOT NULL;

CREATE TABLE ticket_messages (
  id                      UUID        NOT NULL PRIMARY KEY,
  ticket_id               UUID        NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  at                      TIMESTAMPTZ NOT NULL,
  author                  TEXT        NOT NULL,
  visibility              TEXT        NOT NULL CHECK (visibility IN ('public', 'internal')),
  body                    TEXT        NOT NULL
);
CREATE INDEX ticket_messages_by_ticket ON ticket_messages (ticket_id, id);

CREATE TABLE attachments (
  id                      UUID        NOT NULL PRIMARY KEY,
  ticket_id               UUID        NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  message_id              UUID        NOT NULL REFERENCES ticket_messages (id) ON DELETE CASCADE,
  name                    TEXT        NOT NULL,
  content_type            TEXT        NOT NULL,
  size_bytes              BIGINT      NOT NULL,
  sha256                  TEXT        NOT NULL,
  created_at              TIMESTAMPTZ NOT NULL
);
CREATE INDEX attachments_by_ticket ON attachments (ticket_id, id);

CREATE TABLE webhook_deliveries (
  id                      UUID        NOT NULL PRIMARY KEY,
  incident_id             UUID        NOT NULL,
  event                   TEXT        NOT NULL,
  body                    JSONB       NOT NULL,
  created_at              TIMESTAMPTZ NOT NULL,
  next_try_at             TIMESTAMPTZ,
  tries                   BIGINT      NOT NULL DEFAULT 0,
  last_status             BIGINT,
  last_error              TEXT,
  delivered_at            TIMESTAMPTZ
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_try_at, id) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at);
