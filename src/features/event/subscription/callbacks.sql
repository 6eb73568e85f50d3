-- Subscriptions whose address a client of MCP Events chose: they end at a time, unless the client asks again.
CREATE TABLE event_callbacks (
  subscription TEXT PRIMARY KEY,
  -- In ms of log time.
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX event_callbacks_due ON event_callbacks (expires_at);
