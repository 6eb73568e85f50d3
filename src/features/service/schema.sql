-- Services as the log knows them (rows.ts): where each copy is, which members would run what, and members that are to
-- run nothing. Times are log times in ms.
CREATE TABLE services (
  name TEXT NOT NULL,
  -- "": the only copy; else the member id of the copy of that member.
  copy TEXT NOT NULL,
  space TEXT NOT NULL,
  -- idle, starting, ready, stopping. In all but idle `node` may have a running program.
  state TEXT NOT NULL,
  -- The member that has it, or had it last, and the process of that member.
  node TEXT NOT NULL,
  boot TEXT NOT NULL,
  -- The fence of the last start: number of the epoch, and the seq of the change.
  n INTEGER NOT NULL,
  fence_seq INTEGER NOT NULL,
  -- The term of the leader that decided last.
  term INTEGER NOT NULL,
  -- Counts the changes of the row: each names the one that it changes.
  revision INTEGER NOT NULL,
  -- Hash of what the copy depends on in its declaration, and the values that apply needs of it.
  program TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  backoff_ms INTEGER NOT NULL,
  lease_ms INTEGER NOT NULL,
  since INTEGER NOT NULL,
  -- Since when this start is ready; 0: it is not.
  ready_at INTEGER NOT NULL,
  -- The member on which it was ready last; "": none.
  ready_node TEXT NOT NULL,
  -- Failed starts in a row on `node`, and when it may be started again.
  failures INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  -- Rounds in a row in which the starts on all members failed: pauses grow with them.
  rounds INTEGER NOT NULL,
  -- JSON list of members on which all attempts failed in this round.
  tried TEXT NOT NULL,
  -- Where it goes after it was stopped; "": as its declaration says.
  next TEXT NOT NULL,
  -- The member that an operator moved it to; "": none.
  pin TEXT NOT NULL,
  -- What an operator asked for and was not done yet: move, restart, or "".
  asked TEXT NOT NULL,
  reason TEXT NOT NULL,
  -- The change that made the row as it is.
  seq INTEGER NOT NULL,
  PRIMARY KEY (name, copy)
) STRICT, WITHOUT ROWID;
CREATE TABLE service_nodes (
  node TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  boot TEXT NOT NULL,
  -- JSON list of the services that it agrees to run, sorted.
  offers TEXT NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE drained_nodes (
  node TEXT PRIMARY KEY,
  by TEXT NOT NULL,
  reason TEXT NOT NULL,
  since INTEGER NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
