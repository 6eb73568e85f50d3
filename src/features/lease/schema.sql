-- Leases that are held, and the lines for them. A claim is one request for a lease: n is the number of its epoch, seq
-- that of the request. It is granted at once or waits in line, and once granted it is the fence.
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  space TEXT NOT NULL,
  n INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  -- Seq of the newest change of the row: each begins a new term, which the leader measures.
  revision INTEGER NOT NULL,
  caller TEXT NOT NULL,
  -- Name of the agent, or "": the caller itself.
  agent TEXT NOT NULL,
  purpose TEXT NOT NULL,
  ttl_ms INTEGER NOT NULL,
  granted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_space ON leases (space, name);
CREATE INDEX leases_by_caller ON leases (caller);

CREATE TABLE lease_waiters (
  name TEXT NOT NULL,
  n INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  caller TEXT NOT NULL,
  agent TEXT NOT NULL,
  purpose TEXT NOT NULL,
  ttl_ms INTEGER NOT NULL,
  -- Log time until which the place in the line is kept.
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (name, n, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_waiters_by_caller ON lease_waiters (caller);
CREATE INDEX lease_waiters_by_time ON lease_waiters (expires_at);
