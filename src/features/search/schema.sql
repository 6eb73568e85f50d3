-- The index of one node: derived from its store, and deleted rather than mended.
-- How far it is: 'position', 'building' with what is left to read of each source, 'model' and 'width' of vectors.
CREATE TABLE state (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The rows that are in it, by the seq of the change that wrote them.
CREATE TABLE documents (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  -- 0: vectors are to be made; 1: it has vectors; 2: it has none.
  meaning INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX documents_by_key ON documents (kind, key);
CREATE INDEX documents_without_vectors ON documents (seq) WHERE meaning = 0;

-- Their tokens (tokens.ts): which row has which, and nothing else.
CREATE VIRTUAL TABLE tokens USING fts5(
  list, content = '', contentless_delete = 1, detail = none, tokenize = "ascii tokenchars '_'"
);
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(tokens, row);

-- Vectors of rows (meaning/): made of pieces of the text, one for each. Deleted with their row.
CREATE TABLE vectors (
  seq INTEGER NOT NULL,
  piece INTEGER NOT NULL,
  -- Where the piece begins in the text.
  start INTEGER NOT NULL,
  space TEXT NOT NULL,
  vector BLOB NOT NULL,
  PRIMARY KEY (seq, piece)
) STRICT;
