-- How far readers have come that keep no cursor themselves.
CREATE TABLE event_positions (
  caller TEXT NOT NULL,
  reader TEXT NOT NULL,
  -- As callers write it, of whichever history it was kept in.
  cursor TEXT NOT NULL,
  PRIMARY KEY (caller, reader)
) STRICT, WITHOUT ROWID;
