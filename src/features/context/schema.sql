-- Contexts: the newest state of each, every kept version with its text, and the bytes that count against quotas.
CREATE TABLE contexts (
  id TEXT PRIMARY KEY,
  space TEXT NOT NULL,
  version INTEGER NOT NULL,
  hash TEXT NOT NULL,
  content_type TEXT NOT NULL,
  title TEXT NOT NULL,
  -- Tags as newline-framed text ("\na\nb\n"), so that a search for one is a substring and needs no JSON in SQL.
  tags TEXT NOT NULL,
  size INTEGER NOT NULL,
  author TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX contexts_by_space ON contexts (space, id);

CREATE TABLE versions (
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  hash TEXT NOT NULL,
  content_type TEXT NOT NULL,
  title TEXT NOT NULL,
  tags TEXT NOT NULL,
  -- Bytes of the text; 0 once it is purged.
  size INTEGER NOT NULL,
  author TEXT NOT NULL,
  via TEXT NOT NULL,
  log_time INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  -- 1: the text was removed for good, its hash stays.
  purged INTEGER NOT NULL DEFAULT 0,
  -- How this node keeps the text, no part of the logical state: 0 as it came, 1 zstd.
  encoding INTEGER NOT NULL DEFAULT 0,
  content BLOB NOT NULL,
  UNIQUE (id, version)
) STRICT;
-- What maintenance.ts has to compress.
CREATE INDEX versions_plain ON versions (log_time) WHERE encoding = 0 AND size > 8192;

-- Bytes of kept versions (usage.ts): kind 'caller' by author, kind 'space' by space.
CREATE TABLE usage (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
