-- How long tasks ran and waited, as sketches (docs/decisions/0008): one row per bucket, with its count. While an hour
-- lasts, each writing process has rows of its own, so that writers never wait for one another; afterwards they are added
-- up to one row per day, whose source is empty.
CREATE TABLE durations (
  kind     TEXT    NOT NULL,
  queue    TEXT    NOT NULL,
  measure  TEXT    NOT NULL CHECK (measure IN ('run', 'wait')),
  -- The start of the hour; of the day (UTC) once it is added up.
  at       INTEGER NOT NULL,
  source   TEXT    NOT NULL,
  bucket   INTEGER NOT NULL,
  -- The first hour that is counted in it.
  since_at INTEGER NOT NULL,
  count    INTEGER NOT NULL,
  PRIMARY KEY (kind, measure, queue, at, source, bucket)
) STRICT, WITHOUT ROWID;
CREATE INDEX durations_by_queue ON durations (queue, kind);
CREATE INDEX durations_by_age ON durations (at);
CREATE INDEX durations_of_processes ON durations (at) WHERE source <> '';
