-- Probes as the log knows them (rows.ts): the state of each at its place, and what people and jobs said. Times are log
-- times in ms.
CREATE TABLE probe_states (
  name TEXT NOT NULL,
  -- Member id of its runner; "": the leader, whichever that is.
  node TEXT NOT NULL,
  state TEXT NOT NULL,
  cause TEXT NOT NULL,
  detail TEXT NOT NULL,
  -- Since when it is in this state.
  since INTEGER NOT NULL,
  -- 1: an event said that it is down, and none yet that it is up.
  told INTEGER NOT NULL,
  space TEXT NOT NULL,
  -- The change that made the row as it is.
  seq INTEGER NOT NULL,
  PRIMARY KEY (name, node)
) STRICT, WITHOUT ROWID;
CREATE TABLE probe_controls (
  name TEXT PRIMARY KEY,
  paused INTEGER NOT NULL,
  -- Until when nobody is told; 0: not muted.
  muted_until INTEGER NOT NULL,
  reason TEXT NOT NULL,
  -- Who paused or muted it last.
  by TEXT NOT NULL,
  -- The last beat that was kept, 0: none; 1: it said that all is well; what it said.
  beat_at INTEGER NOT NULL,
  beat_good INTEGER NOT NULL,
  beat_text TEXT NOT NULL,
  space TEXT NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
