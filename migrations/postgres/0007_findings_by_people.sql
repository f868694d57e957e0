-- What people say about findings: not now, not true, not by that threshold.

-- A finding that somebody put off. The newest snooze of each; its row outlives it until it is deleted by age.
CREATE TABLE snoozes (
  finding_id     UUID        NOT NULL PRIMARY KEY,
  ends_at        TIMESTAMPTZ NOT NULL,
  reason         TEXT        NOT NULL,
  actor          TEXT        NOT NULL,
  at             TIMESTAMPTZ NOT NULL,
  -- The finding as it was then: what gets worse comes back.
  confidence     TEXT        NOT NULL CHECK (confidence IN ('proven', 'likely')),
  tasks          BIGINT      NOT NULL,
  ended_at       TIMESTAMPTZ,
  ended_reason   TEXT
);
CREATE INDEX snoozes_running ON snoozes (finding_id) WHERE ended_at IS NULL;
CREATE INDEX snoozes_ended ON snoozes (ended_at) WHERE ended_at IS NOT NULL;

-- A finding that was wrong, as somebody says; one mark for each.
CREATE TABLE false_alarms (
  finding_id     UUID        NOT NULL PRIMARY KEY,
  about          TEXT        NOT NULL CHECK (about IN ('task', 'cause')),
  verdict        TEXT        NOT NULL,
  variant        TEXT        NOT NULL,
  reason         TEXT        NOT NULL,
  actor          TEXT        NOT NULL,
  at             TIMESTAMPTZ NOT NULL
);
CREATE INDEX false_alarms_by_age ON false_alarms (at);

-- Kept counters of each rule's findings, by day: how many opened, and how many closed by which reason after how long.
CREATE TABLE rule_counts (
  day_at         TIMESTAMPTZ NOT NULL,
  about          TEXT        NOT NULL,
  verdict        TEXT        NOT NULL,
  variant        TEXT        NOT NULL,
  -- 'opened', or the reason why they closed.
  outcome        TEXT        NOT NULL,
  -- The end of the class of spans, in milliseconds; 0 for those that opened.
  lasted_upto_ms BIGINT      NOT NULL,
  n              BIGINT      NOT NULL,
  PRIMARY KEY (day_at, about, verdict, variant, outcome, lasted_upto_ms)
);

-- The thresholds of the rules that are not at their defaults.
CREATE TABLE thresholds (
  name           TEXT        NOT NULL PRIMARY KEY,
  value          BIGINT      NOT NULL,
  actor          TEXT        NOT NULL,
  at             TIMESTAMPTZ NOT NULL
);
