-- The events of the fleet, in the order of their offsets.
CREATE TABLE events (
  -- 1, 2, 3 … without gaps, given in apply and never used again.
  offset INTEGER PRIMARY KEY,
  space TEXT NOT NULL,
  caller TEXT NOT NULL,
  -- '': the caller itself.
  agent TEXT NOT NULL,
  -- The member that took the call, or ''.
  node TEXT NOT NULL,
  -- With the caller in front.
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  -- '': none.
  subject TEXT NOT NULL,
  -- As the sender wrote it, or ''.
  time TEXT NOT NULL,
  -- When it was ordered, in ms.
  log_time INTEGER NOT NULL,
  content_type TEXT NOT NULL,
  -- The extensions, as a JSON object in canonical form, or ''.
  attributes TEXT NOT NULL,
  -- Bytes of all that the sender sent.
  size INTEGER NOT NULL,
  -- What `data` is: none, json, text, or base64.
  kind TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
-- Duplicates are found by it.
CREATE INDEX events_by_id ON events (source, id);

-- One row for each command that appended events. Retention removes whole segments.
CREATE TABLE event_segments (
  -- Offsets of its last and first event.
  last INTEGER PRIMARY KEY,
  first INTEGER NOT NULL,
  -- The change of the command.
  seq INTEGER NOT NULL,
  log_time INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  -- Over the hash of the segment before, and the events of this one.
  hash TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_segments_by_seq ON event_segments (seq);
CREATE INDEX event_segments_by_time ON event_segments (log_time);

-- The newest offset with the hash of its segment; and the newest that was removed, with hash and change of its segment.
CREATE TABLE event_head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  tail INTEGER NOT NULL,
  hash TEXT NOT NULL,
  floor INTEGER NOT NULL,
  floor_hash TEXT NOT NULL,
  floor_seq INTEGER NOT NULL,
  -- Of the events that are kept.
  bytes INTEGER NOT NULL
) STRICT;
INSERT INTO event_head (one, tail, hash, floor, floor_hash, floor_seq, bytes) VALUES (1, 0, '', 0, '', 0, 0);

-- Bytes of kept events by caller and by space.
CREATE TABLE event_usage (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
