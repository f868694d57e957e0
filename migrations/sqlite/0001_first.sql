-- Times are integer milliseconds since 1970 (UTC), ids are hyphenated text, documents are JSON text.
-- The same tables, in PostgreSQL's types, are in migrations/postgres/0001_first.sql.

CREATE TABLE meta (
  key   TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

-- The queues that carry tasks.
CREATE TABLE queues (
  name             TEXT    NOT NULL PRIMARY KEY,
  queue_type       TEXT    NOT NULL,
  backlog_target_s INTEGER NOT NULL DEFAULT 900,
  created_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE tasks (
  id                  TEXT    NOT NULL PRIMARY KEY,
  kind                TEXT    NOT NULL,
  queue               TEXT    NOT NULL,
  state               TEXT    NOT NULL CHECK (state IN ('new', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
  title               TEXT,
  owner               TEXT,
  priority            INTEGER NOT NULL,
  payload             TEXT    NOT NULL,
  timeout_s           INTEGER,
  max_attempts        INTEGER NOT NULL,
  -- Bumped by every change; the compare of every compare-and-set.
  version             INTEGER NOT NULL DEFAULT 0,
  dispatch            INTEGER NOT NULL,
  attempt             INTEGER NOT NULL,
  -- Counted attempts since the last grant of max_attempts, the running one included.
  tries               INTEGER NOT NULL,
  worker              TEXT,
  claim_id            TEXT,
  -- 1 when the message of this dispatch was acknowledged although its attempt still runs.
  message_gone        INTEGER NOT NULL DEFAULT 0,
  progress            REAL,
  progress_message    TEXT,
  result              TEXT,
  error               TEXT,
  created_by          TEXT    NOT NULL,
  created_at          INTEGER NOT NULL,
  updated_at          INTEGER NOT NULL,
  available_at        INTEGER NOT NULL,
  published_at        INTEGER,
  started_at          INTEGER,
  beat_at             INTEGER,
  lease_expires_at    INTEGER,
  resent_at           INTEGER,
  cancel_requested_at INTEGER,
  finished_at         INTEGER
) STRICT;

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
CREATE INDEX tasks_by_title ON tasks (lower(title))             WHERE title IS NOT NULL;
CREATE INDEX tasks_finished ON tasks (finished_at)              WHERE finished_at IS NOT NULL;

-- attempts, history and outbox name their task without a foreign key: their rows are only written by the
-- transaction that holds the task's row, and retention deletes them with it.
CREATE TABLE attempts (
  task_id          TEXT    NOT NULL,
  number           INTEGER NOT NULL,
  worker           TEXT    NOT NULL,
  claim_id         TEXT    NOT NULL,
  dispatch         INTEGER NOT NULL,
  started_at       INTEGER NOT NULL,
  ended_at         INTEGER,
  -- NULL while it runs.
  outcome          TEXT CHECK (outcome IN ('succeeded', 'failed', 'lost', 'released', 'superseded', 'cancelled')),
  error            TEXT,
  log              TEXT,
  -- What a closed attempt still reported; never applied by itself.
  late             TEXT,
  PRIMARY KEY (task_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
  id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  task_id    TEXT    NOT NULL,
  at         INTEGER NOT NULL,
  event      TEXT    NOT NULL,
  from_state TEXT,
  to_state   TEXT    NOT NULL,
  dispatch   INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  actor      TEXT    NOT NULL,
  detail     TEXT    NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX history_by_task ON history (task_id, id);

-- Publish intents, written with the state change they belong to and deleted by the broker's confirm.
CREATE TABLE outbox (
  id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  task_id     TEXT    NOT NULL,
  dispatch    INTEGER NOT NULL,
  queue       TEXT    NOT NULL,
  kind        TEXT    NOT NULL,
  priority    INTEGER NOT NULL,
  traceparent TEXT,
  created_at  INTEGER NOT NULL,
  due_at      INTEGER NOT NULL,
  -- When a relay may take the row: due, backed off, or the end of another relay's lease.
  next_try_at INTEGER NOT NULL,
  tries       INTEGER NOT NULL DEFAULT 0,
  cause       TEXT,
  detail      TEXT,
  failed_at   INTEGER,
  UNIQUE (task_id, dispatch)
) STRICT;
CREATE INDEX outbox_due ON outbox (next_try_at, id);
CREATE INDEX outbox_by_due ON outbox (due_at);

CREATE TABLE idempotency_keys (
  principal  TEXT    NOT NULL,
  key        TEXT    NOT NULL,
  body_hash  TEXT    NOT NULL,
  task_ids   TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Kept counters: one row per queue, minute and writing process, so that writers never wait for one another.
CREATE TABLE throughput (
  queue     TEXT    NOT NULL,
  minute_at INTEGER NOT NULL,
  source    TEXT    NOT NULL,
  created   INTEGER NOT NULL DEFAULT 0,
  claimed   INTEGER NOT NULL DEFAULT 0,
  succeeded INTEGER NOT NULL DEFAULT 0,
  failed    INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0,
  lost      INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (queue, minute_at, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX throughput_by_age ON throughput (minute_at);

-- One reading of a queue's ledger. A number that the broker did not give is NULL, never 0.
CREATE TABLE samples (
  queue                   TEXT    NOT NULL,
  at                      INTEGER NOT NULL,
  queued                  INTEGER NOT NULL,
  running                 INTEGER NOT NULL,
  messages_ready          INTEGER,
  messages_unacknowledged INTEGER,
  consumers               INTEGER,
  balance                 INTEGER,
  health                  TEXT    NOT NULL,
  -- Where each of the broker's numbers was read, and how late it could be.
  detail                  TEXT    NOT NULL DEFAULT '{}',
  -- The first sample of a minute is kept longer than the others, the first of ten minutes longest.
  kept_for                TEXT    NOT NULL CHECK (kept_for IN ('hour', 'day', 'week')),
  PRIMARY KEY (queue, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX samples_by_age ON samples (kept_for, at);
CREATE INDEX samples_by_time ON samples (at);

-- Consumer tags that the broker listed: whether a worker ever consumed under its own name.
CREATE TABLE consumer_tags (
  tag           TEXT    NOT NULL PRIMARY KEY,
  queue         TEXT    NOT NULL,
  first_seen_at INTEGER NOT NULL,
  seen_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX consumer_tags_by_age ON consumer_tags (seen_at);

CREATE TABLE incidents (
  id            TEXT    NOT NULL PRIMARY KEY,
  verdict       TEXT    NOT NULL,
  scope         TEXT    NOT NULL CHECK (scope IN ('queue', 'worker', 'broker')),
  name          TEXT    NOT NULL,
  confidence    TEXT    NOT NULL CHECK (confidence IN ('proven', 'likely')),
  -- How many tasks it touches.
  tasks         INTEGER NOT NULL DEFAULT 0,
  since         INTEGER NOT NULL,
  -- When the rules last found it so.
  seen_at       INTEGER NOT NULL,
  evidence      TEXT    NOT NULL,
  closed_at     INTEGER,
  closed_reason TEXT
) STRICT;
CREATE UNIQUE INDEX incidents_open ON incidents (verdict, scope, name) WHERE closed_at IS NULL;
CREATE INDEX incidents_closed ON incidents (closed_at, id) WHERE closed_at IS NOT NULL;

CREATE TABLE stalls (
  id            TEXT    NOT NULL PRIMARY KEY,
  task_id       TEXT    NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  queue         TEXT    NOT NULL,
  -- What was judged: a later dispatch or attempt is another story.
  dispatch      INTEGER NOT NULL,
  attempt       INTEGER NOT NULL,
  verdict       TEXT    NOT NULL,
  confidence    TEXT    NOT NULL CHECK (confidence IN ('proven', 'likely')),
  since         INTEGER NOT NULL,
  seen_at       INTEGER NOT NULL,
  evidence      TEXT    NOT NULL,
  incident_id   TEXT,
  closed_at     INTEGER,
  closed_reason TEXT
) STRICT;
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
  name       TEXT    NOT NULL PRIMARY KEY,
  holder     TEXT    NOT NULL,
  term       INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  id            TEXT    NOT NULL PRIMARY KEY,
  email         TEXT    NOT NULL UNIQUE,
  password_hash TEXT    NOT NULL,
  role          TEXT    NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  lang          TEXT,
  disabled_at   INTEGER,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  last_login_at INTEGER
) STRICT;

CREATE TABLE sessions (
  token_hash TEXT    NOT NULL PRIMARY KEY,
  user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  address    TEXT    NOT NULL,
  user_agent TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_age ON sessions (expires_at);

CREATE TABLE tokens (
  id           TEXT    NOT NULL PRIMARY KEY,
  name         TEXT    NOT NULL,
  token_hash   TEXT    NOT NULL UNIQUE,
  scopes       TEXT    NOT NULL,
  created_by   TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER,
  expires_at   INTEGER,
  revoked_at   INTEGER
) STRICT;

-- Append-only: who did what, why, and what it changed; in the transaction of the change itself.
CREATE TABLE audit (
  id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  actor      TEXT    NOT NULL,
  action     TEXT    NOT NULL,
  target     TEXT    NOT NULL,
  target_id  TEXT    NOT NULL,
  outcome    TEXT    NOT NULL CHECK (outcome IN ('done', 'refused')),
  reason     TEXT,
  before     TEXT,
  after      TEXT,
  request_id TEXT,
  address    TEXT
) STRICT;
-- Read by kind of thing, by thing, by who did it, by what was done, and by request; each newest first.
CREATE INDEX audit_by_kind ON audit (target, id);
CREATE INDEX audit_by_target ON audit (target_id, id);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_action ON audit (action, id);
CREATE INDEX audit_by_request ON audit (request_id, id) WHERE request_id IS NOT NULL;
CREATE TRIGGER audit_is_append_only_u BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_append_only_d BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE tickets (
  id          TEXT    NOT NULL PRIMARY KEY,
  ref         TEXT    NOT NULL UNIQUE,
  key_hash    TEXT    NOT NULL UNIQUE,
  subject     TEXT    NOT NULL,
  email       TEXT,
  task_id     TEXT,
  status      TEXT    NOT NULL CHECK (status IN ('new', 'open', 'waiting', 'resolved', 'closed')),
  assignee    TEXT,
  context     TEXT    NOT NULL DEFAULT '{}',
  lang        TEXT,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  closed_at   INTEGER
) STRICT;
CREATE INDEX tickets_by_status ON tickets (status, id);
CREATE INDEX tickets_by_task ON tickets (task_id, id) WHERE task_id IS NOT NULL;

CREATE TABLE ticket_messages (
  id         TEXT    NOT NULL PRIMARY KEY,
  ticket_id  TEXT    NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  at         INTEGER NOT NULL,
  author     TEXT    NOT NULL,
  visibility TEXT    NOT NULL CHECK (visibility IN ('public', 'internal')),
  body       TEXT    NOT NULL
) STRICT;
CREATE INDEX ticket_messages_by_ticket ON ticket_messages (ticket_id, id);

CREATE TABLE attachments (
  id           TEXT    NOT NULL PRIMARY KEY,
  ticket_id    TEXT    NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  message_id   TEXT    NOT NULL REFERENCES ticket_messages (id) ON DELETE CASCADE,
  name         TEXT    NOT NULL,
  content_type TEXT    NOT NULL,
  size_bytes   INTEGER NOT NULL,
  sha256       TEXT    NOT NULL,
  created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX attachments_by_ticket ON attachments (ticket_id, id);

CREATE TABLE webhook_deliveries (
  id           TEXT    NOT NULL PRIMARY KEY,
  incident_id  TEXT    NOT NULL,
  event        TEXT    NOT NULL,
  body         TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  next_try_at  INTEGER,
  tries        INTEGER NOT NULL DEFAULT 0,
  last_status  INTEGER,
  last_error   TEXT,
  delivered_at INTEGER
) STRICT;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_try_at, id) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at);
