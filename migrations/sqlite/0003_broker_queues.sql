-- Queues as the management API last described them: settings, policy and consumers. Written by the detector, for pages.
CREATE TABLE broker_queues (
  queue   TEXT    NOT NULL PRIMARY KEY,
  read_at INTEGER NOT NULL,
  detail  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
