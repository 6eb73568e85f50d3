-- The fleet: who is a member, by the StableNodeID of its device, and what lets new ones in.
CREATE TABLE members (
  node TEXT PRIMARY KEY,
  -- Id of its raft server; '' for edges.
  server TEXT NOT NULL,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  -- 'active', or 'leaving' until raft no longer counts it.
  state TEXT NOT NULL,
  -- What an edge may keep, newline-framed as tags of contexts are.
  spaces TEXT NOT NULL,
  -- The newest level and the version that the member's build said last.
  level INTEGER NOT NULL,
  version TEXT NOT NULL,
  joined_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX members_by_server ON members (server) WHERE server <> '';

-- Tickets by the SHA-256 of their secret, and approvals as 'node:<StableNodeID>'. Used ones stay until they expire, to
-- say so.
CREATE TABLE tickets (
  hash TEXT PRIMARY KEY,
  role TEXT NOT NULL,
  spaces TEXT NOT NULL,
  -- Only this device may use it; '' for any.
  node TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  used_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
