-- The clock that this file's times are measured by, see src/store/clock.rs. One row, from the first opening on.

CREATE TABLE clock (
  one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  -- Which start of the machine `at_boot_ms` counts from.
  boot       TEXT    NOT NULL,
  at_boot_ms INTEGER NOT NULL,
  -- What the clock showed then, and how much faster or slower than the machine's it runs from there.
  at_ms      INTEGER NOT NULL,
  rate_ppm   INTEGER NOT NULL
) STRICT;
