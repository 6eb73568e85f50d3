-- Declarations as the leader judged them (declared-rows.ts): which version of a context is in force, with its text,
-- and what is wrong with a newer one. Times are log times in ms.
CREATE TABLE declarations (
  id TEXT PRIMARY KEY,
  -- In force; 0 and "": no version ever was good.
  version INTEGER NOT NULL,
  hash TEXT NOT NULL,
  text TEXT NOT NULL,
  since INTEGER NOT NULL,
  -- The newest version that was judged; problem "": it is in force.
  judged INTEGER NOT NULL,
  judged_hash TEXT NOT NULL,
  problem TEXT NOT NULL,
  -- The change that made the row as it is.
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
