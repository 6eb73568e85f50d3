-- The logs of events that the fleet has had after the replicated one, in the order of its moves.
CREATE TABLE event_logs (
  n INTEGER PRIMARY KEY,
  -- fleet, or jetstream.
  kind TEXT NOT NULL,
  -- Its name in cursors; '': the replicated log, whose name is that of the history.
  id TEXT NOT NULL,
  stream TEXT NOT NULL,
  replicas INTEGER NOT NULL,
  -- copying; closing, while the log before takes nothing more; lost, where that is given up; current; left; cancelled.
  state TEXT NOT NULL,
  -- The last event of the log before; offsets up to it are the same in both.
  first INTEGER NOT NULL
) STRICT;

-- Events of what Cairn did while the log of events was elsewhere: the leader sends them there.
CREATE TABLE event_waiting (
  n INTEGER PRIMARY KEY,
  -- The change.
  seq INTEGER NOT NULL,
  -- The event as JSON.
  event TEXT NOT NULL
) STRICT;
