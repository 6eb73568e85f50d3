-- What an edge keeps beside the tables of the log. All of it can be thrown away.
-- Answers of spaces that may be served stale, as they are kept over a restart.
CREATE TABLE cached (
  id TEXT PRIMARY KEY,
  space TEXT NOT NULL,
  -- Everything up to this seq is in the answer.
  seq INTEGER NOT NULL,
  -- 1 where the feed was followed without a gap since; 0: nobody knows until it is asked for again.
  sure INTEGER NOT NULL,
  -- When the answer was surely true: Unix time in ms, and on the clock that counts sleep.
  proven_wall INTEGER NOT NULL,
  proven_clock INTEGER NOT NULL,
  clock TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  -- The answer as JSON, the document's text inside.
  output TEXT NOT NULL
) STRICT;
CREATE INDEX cached_by_age ON cached (proven_wall);

-- What the upstream said last: the terms of this edge, and when its feed was surely complete.
CREATE TABLE edge (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  terms TEXT NOT NULL,
  proven_wall INTEGER NOT NULL,
  proven_clock INTEGER NOT NULL,
  clock TEXT NOT NULL
) STRICT;
