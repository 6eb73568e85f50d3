-- Calls that the gate of this node refused, one row for each caller, verb, space, operation and minute.
-- Not part of the replicated state.
CREATE TABLE refusals (
  -- ms of the minute's begin, by this node's clock.
  minute INTEGER NOT NULL,
  caller TEXT NOT NULL,
  verb TEXT NOT NULL,
  space TEXT NOT NULL,
  operation TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (minute, caller, verb, space, operation)
) STRICT, WITHOUT ROWID;
