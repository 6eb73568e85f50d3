-- Bytes that a kept outcome counts for (kept-outcomes.ts); 0 for those from below that fleet level, which expire within
-- a day. by_node: 1 where a node made the key.
ALTER TABLE idempotency ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE idempotency ADD COLUMN by_node INTEGER NOT NULL DEFAULT 0;
-- What of a caller expires next.
CREATE INDEX idempotency_by_caller ON idempotency (caller, by_node, log_time) WHERE bytes > 0;

-- Bytes of kept outcomes by caller; no row where there are none.
CREATE TABLE kept_outcomes (
  caller TEXT NOT NULL,
  by_node INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (caller, by_node)
) STRICT, WITHOUT ROWID;
