-- Tables of an edge beside those of the log. Their content can be lost without harm.
-- Outputs of reads in spaces that may be served stale.
CREATE TABLE cached (
  id TEXT PRIMARY KEY,
  space TEXT NOT NULL,
  -- The output includes everything up to this seq.
  seq INTEGER NOT NULL,
  -- 1 if the feed was followed without a gap since; 0: it has to be revalidated.
  sure INTEGER NOT NULL,
  -- A moment for which the output is proven: Unix time in ms, and a reading of the clock that counts sleep.
  proven_wall INTEGER NOT NULL,
  proven_clock INTEGER NOT NULL,
  clock TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  -- JSON, with the text of the document inside.
  output TEXT NOT NULL
) STRICT;
CREATE INDEX cached_by_age ON cached (proven_wall);

-- The terms of this edge, and the last moment that its feed has proven.
CREATE TABLE edge (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  terms TEXT NOT NULL,
  proven_wall INTEGER NOT NULL,
  proven_clock INTEGER NOT NULL,
  clock TEXT NOT NULL
) STRICT;
