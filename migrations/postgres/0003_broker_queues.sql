-- Queues as the management API last described them: settings, policy and consumers. Written by the detector, for pages.
CREATE TABLE broker_queues (
  queue   text        NOT NULL PRIMARY KEY,
  read_at timestamptz NOT NULL,
  detail  jsonb       NOT NULL
);
