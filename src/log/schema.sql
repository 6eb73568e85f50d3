-- Single values of the store, by key: log/meta.ts has the list.
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- The head of the history, written in the transaction of each batch: what the chain must end in, and below which seq
-- changes were removed.
CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL,
  log_time INTEGER NOT NULL,
  floor INTEGER NOT NULL,
  floor_hash BLOB NOT NULL
) STRICT;

-- One row per history (replication.md 1): n counts up, id is random, parent and fork tell where it was forked from the
-- one before.
CREATE TABLE epochs (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  parent TEXT,
  fork_seq INTEGER NOT NULL,
  fork_hash BLOB NOT NULL
) STRICT;

-- One row per change, hash-chained: the feed and the audit in one table (replication.md 3).
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY,
  epoch TEXT NOT NULL,
  log_time INTEGER NOT NULL,
  caller TEXT NOT NULL,
  via TEXT NOT NULL,
  operation TEXT NOT NULL,
  target TEXT NOT NULL,
  version INTEGER NOT NULL,
  content_hash TEXT NOT NULL,
  outcome TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;

-- Answers to keyed commands, kept for a day of log time (replication.md 10).
CREATE TABLE idempotency (
  caller TEXT NOT NULL,
  operation TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  outcome TEXT NOT NULL,
  seq INTEGER NOT NULL,
  log_time INTEGER NOT NULL,
  PRIMARY KEY (caller, operation, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_time ON idempotency (log_time);
