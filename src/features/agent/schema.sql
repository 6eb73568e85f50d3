-- The agents of the fleet: names below verified callers. A handle is kept as its SHA-256 alone.
CREATE TABLE agents (
  -- The name in lower case, by which names are compared.
  folded TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  -- What it says it is; '' for nothing.
  type TEXT NOT NULL,
  caller TEXT NOT NULL,
  key TEXT NOT NULL,
  -- The member that forwarded its newest write; '' where it came to the leader itself.
  via TEXT NOT NULL,
  registered_at INTEGER NOT NULL,
  -- Log time of its newest write, to the minute.
  seen_at INTEGER NOT NULL,
  -- What it says it works on, until a log time; '' for nothing.
  doing TEXT NOT NULL,
  doing_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX agents_by_key ON agents (key);
CREATE INDEX agents_by_caller ON agents (caller);
