-- Contexts: the newest state of each, and every kept version with its text.
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
  author TEXT NOT NULL,
  via TEXT NOT NULL,
  log_time INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  -- 0: the bytes of the text as they came.
  encoding INTEGER NOT NULL,
  content BLOB NOT NULL,
  UNIQUE (id, version)
) STRICT;
