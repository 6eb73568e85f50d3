-- The newest grant of each lease (fence.ts): n is the number of its epoch. Those of leases that are not held are kept
-- only up to a number.
CREATE TABLE fences (
  name TEXT PRIMARY KEY,
  n INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  held INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX fences_free ON fences (n, seq) WHERE held = 0;
