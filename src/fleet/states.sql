-- What the leader last observed of members and is not as usual: a member that is down, a condition that holds, the
-- newest backup or that it failed. Without a row: up, no condition, no backup yet.
CREATE TABLE fleet_states (
  -- fleet/health/NODE, fleet/health/NODE/CODE, fleet/backups/NODE.
  target TEXT PRIMARY KEY,
  -- down, raised, failed, or the name of a backup.
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
